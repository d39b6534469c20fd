//! End reasons: why exchanges ended, counted by name.
//!
//! The names are the closed list of `docs/streaming.md`, `complete` for those that ended well,
//! `unobserved` for those of which only HTTP says so, and `bad_head` for requests that were refused
//! before they became an exchange.

use crate::measure::counter::Counter;
use crate::proxy::fault::{DownstreamFault, Fault};

/// Every end reason, sorted.
pub const END_REASONS: [&str; REASONS] = [
    "address_denied",
    "address_limited",
    "auth_denied",
    "auth_forbidden",
    "auth_unavailable",
    "auth_unclear",
    "bad_chunk",
    "bad_head",
    "body_encoded",
    "body_timeout",
    "body_too_large",
    "body_undecodable",
    "broken_off",
    "budget_spent",
    "buffers_exhausted",
    "client_gone",
    "client_write_timeout",
    "complete",
    "concurrency_limited",
    "connect_timeout",
    "decoded_too_large",
    "descriptors_exhausted",
    "drained",
    "field_ambiguous",
    "field_too_late",
    "head_timeout",
    "inter_event_timeout",
    "invalid_api_key",
    "invalid_token",
    "issuer_unavailable",
    "key_expired",
    "key_not_allowed",
    "killed",
    "method_not_allowed",
    "missing_api_key",
    "model_ambiguous",
    "model_loading",
    "model_not_found",
    "model_too_late",
    "no_route",
    "no_upstream",
    "origin_not_allowed",
    "other",
    "plugin_failed",
    "plugin_quarantined",
    "plugin_refused",
    "queue_full",
    "queue_timeout",
    "rate_limited",
    "request_refused",
    "response_timeout",
    "subjects_exhausted",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_issuer_unknown",
    "token_key_unknown",
    "token_not_yet_valid",
    "too_long_to_translate",
    "total_timeout",
    "ttft_timeout",
    "tunnel_idle",
    "unobserved",
    "untranslatable",
    "upstream_bad_answer",
    "upstream_bad_chunk",
    "upstream_bad_head",
    "upstream_busy",
    "upstream_certificate",
    "upstream_certificate_expired",
    "upstream_certificate_issuer",
    "upstream_certificate_name",
    "upstream_closed",
    "upstream_connect",
    "upstream_empty_stream",
    "upstream_error_event",
    "upstream_over_limit",
    "upstream_reset",
    "upstream_status",
    "upstream_tls",
    "upstream_truncated",
    "upstream_unfinished",
    "upstream_unterminated",
    "upstream_untranslatable",
    "upstream_write_timeout",
    "wake_failed",
];
const REASONS: usize = 86;
/// The place of `complete`.
const COMPLETE: usize = 17;

/// Ended as HTTP has it; whether it was whole nobody could tell.
pub const UNOBSERVED: &str = "unobserved";

/// The name of an end.
pub fn end_reason(fault: Option<&Fault>) -> &'static str {
    match fault {
        None => "complete",
        Some(Fault::Downstream(DownstreamFault::Head(_))) => "bad_head",
        Some(fault) => fault.code(),
    }
}

/// Ends that say nothing of the gateway or its configuration: the client's doing, an operator's.
const NOBODYS: [&str; 10] = [
    "bad_chunk",
    "bad_head",
    "body_timeout",
    "client_gone",
    "client_write_timeout",
    "drained",
    "head_timeout",
    "killed",
    "tunnel_idle",
    "body_undecodable",
];

/// Requests that were turned away.
const REFUSALS: [&str; 33] = [
    "address_denied",
    "address_limited",
    "auth_denied",
    "auth_forbidden",
    "body_encoded",
    "body_too_large",
    "budget_spent",
    "concurrency_limited",
    "decoded_too_large",
    "field_ambiguous",
    "field_too_late",
    "invalid_api_key",
    "invalid_token",
    "key_expired",
    "key_not_allowed",
    "method_not_allowed",
    "missing_api_key",
    "model_ambiguous",
    "model_not_found",
    "model_too_late",
    "no_route",
    "origin_not_allowed",
    "plugin_refused",
    "rate_limited",
    "request_refused",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_issuer_unknown",
    "token_key_unknown",
    "token_not_yet_valid",
    "too_long_to_translate",
    "untranslatable",
];

/// What an end says of the configuration that it happened under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClass {
    /// The client has its answer.
    Answered,
    /// It was turned away.
    Refused,
    /// A server or the gateway has failed.
    Failed,
    /// Nothing: the client left, or has said nonsense.
    Nobodys,
}

/// What an end of this name says.
pub fn class_of(reason: &str) -> EndClass {
    match reason {
        "complete" | UNOBSERVED => EndClass::Answered,
        reason if NOBODYS.contains(&reason) => EndClass::Nobodys,
        reason if REFUSALS.contains(&reason) => EndClass::Refused,
        _ => EndClass::Failed,
    }
}

/// One counter per end reason.
#[derive(Debug)]
pub struct Ends([Counter; REASONS]);

impl Default for Ends {
    fn default() -> Ends {
        Ends(std::array::from_fn(|_| Counter::default()))
    }
}

impl Ends {
    /// Only the owner of the [`crate::measure::stats::Tally`] may call this.
    pub(crate) fn add(&self, name: &str) {
        // Nearly all.
        if name == "complete" {
            return self.0[COMPLETE].add(1);
        }
        let found =
            END_REASONS.binary_search(&name).or_else(|_| END_REASONS.binary_search(&"other"));
        if let Ok(index) = found {
            self.0[index].add(1);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        END_REASONS.into_iter().zip(self.0.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_code_is_counted_by_its_name() {
        let documentation = include_str!("../../docs/streaming.md");
        let (_, codes) = documentation.split_once("\n## The codes\n").expect("the section");
        let codes = codes.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut expected: Vec<&str> =
            codes.chain(["bad_head", "complete", "other", UNOBSERVED]).collect();
        expected.sort_unstable();
        assert_eq!(END_REASONS.as_slice(), expected);
    }

    #[test]
    fn every_end_has_a_class_and_every_refusal_a_status_that_says_so() {
        let documentation = include_str!("../../docs/streaming.md");
        let (_, codes) = documentation.split_once("\n## The codes\n").expect("the section");
        for reason in NOBODYS.iter().chain(&REFUSALS) {
            assert!(END_REASONS.contains(reason), "{reason}");
        }
        for line in codes.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            let reason = cells[0].trim_start_matches("| ").trim_matches('`');
            let class = class_of(reason);
            match cells[1] {
                // An overload is the gateway's, whatever its status.
                _ if cells[2] == "`overloaded`" => {
                    assert_ne!(class, EndClass::Refused, "{line}")
                }
                status if status.starts_with('5') => assert_eq!(class, EndClass::Failed, "{line}"),
                status if status.starts_with('4') => assert_ne!(class, EndClass::Failed, "{line}"),
                _ => {}
            }
        }
    }

    #[test]
    fn an_end_is_counted_once() {
        let ends = Ends::default();
        ends.add(end_reason(None));
        ends.add(end_reason(Some(&Fault::Downstream(DownstreamFault::Gone))));
        let counted: Vec<_> = ends.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("client_gone", 1), ("complete", 1)]);
    }
}
