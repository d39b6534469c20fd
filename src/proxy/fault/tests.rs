use super::*;
use crate::gate::authoriser::fault::AuthFault;
use crate::gate::budget::Period;
use crate::gate::refusal::{Bar, RateOf};
use crate::gate::token::fault::TokenFault;

const DOCUMENTATION: &str = include_str!("../../../docs/streaming.md");

/// Every fault but refused request heads, whose codes stand in `docs/protocol.md`.
fn faults() -> Vec<Fault> {
    // How many there are of each kind. The compiler asks for a new fault here, and the
    // comparison below asks for it in its list.
    let known = |fault: &Fault| match fault {
        Fault::Downstream(fault) => match fault {
            DownstreamFault::Head(_)
            | DownstreamFault::NotFound(_)
            | DownstreamFault::ModelNotFound { .. }
            | DownstreamFault::MethodNotAllowed { .. }
            | DownstreamFault::OriginNotAllowed(_)
            | DownstreamFault::Chunk(_)
            | DownstreamFault::BodyTooLarge
            | DownstreamFault::Model(
                Unclear::Ambiguous
                | Unclear::Late
                | Unclear::Encoded
                | Unclear::FieldAmbiguous
                | Unclear::FieldLate,
            )
            | DownstreamFault::Untranslatable(_)
            | DownstreamFault::TooLongToTranslate
            | DownstreamFault::Undecodable
            | DownstreamFault::DecodedTooLarge
            | DownstreamFault::EncodedForTranslation
            | DownstreamFault::HeadTimeout
            | DownstreamFault::BodyTimeout
            | DownstreamFault::WriteTimeout
            | DownstreamFault::TunnelIdle
            | DownstreamFault::Gone
            | DownstreamFault::PluginRefused(_)
            | DownstreamFault::Gate(_)
            | DownstreamFault::Refused => 45,
        },
        Fault::Upstream(fault) => match fault {
            UpstreamFault::Connect(_)
            | UpstreamFault::ConnectTimeout
            | UpstreamFault::Reset(_)
            | UpstreamFault::Closed
            | UpstreamFault::Head(_)
            | UpstreamFault::Chunk(_)
            | UpstreamFault::OverLimit(_)
            | UpstreamFault::BadAnswer
            | UpstreamFault::Untranslatable(_)
            | UpstreamFault::Status(_)
            | UpstreamFault::Busy { .. }
            | UpstreamFault::ErrorEvent
            | UpstreamFault::EmptyStream
            | UpstreamFault::Truncated
            | UpstreamFault::Unterminated
            | UpstreamFault::Unfinished
            | UpstreamFault::WriteTimeout
            | UpstreamFault::TtftTimeout
            | UpstreamFault::ResponseTimeout
            | UpstreamFault::InterEventTimeout
            | UpstreamFault::TotalTimeout
            | UpstreamFault::BrokenOff
            | UpstreamFault::Tls(..) => 21 + TlsFault::ALL.len() + 1,
        },
        Fault::Local(fault) => match fault {
            LocalFault::QueueFull { .. }
            | LocalFault::QueueTimeout { .. }
            | LocalFault::NoUpstream { .. }
            | LocalFault::ModelLoading { .. }
            | LocalFault::WakeFailed { .. }
            | LocalFault::Descriptors
            | LocalFault::Buffers
            | LocalFault::Drained
            | LocalFault::Killed
            | LocalFault::PluginFailed
            | LocalFault::PluginQuarantined => 11,
        },
    };
    let reset = io::ErrorKind::ConnectionReset;
    let downstream = [
        DownstreamFault::NotFound(Unmet::Other),
        DownstreamFault::ModelNotFound { model: None },
        DownstreamFault::MethodNotAllowed { allow: "GET".into() },
        DownstreamFault::OriginNotAllowed(OriginRefused { origin: None, mixed: false }),
        DownstreamFault::Chunk(ChunkError::BareLf),
        DownstreamFault::BodyTooLarge,
        DownstreamFault::Model(Unclear::Ambiguous),
        DownstreamFault::Model(Unclear::Late),
        DownstreamFault::Model(Unclear::FieldAmbiguous),
        DownstreamFault::Model(Unclear::FieldLate),
        DownstreamFault::Model(Unclear::Encoded),
        DownstreamFault::Untranslatable(Box::new(Untranslatable {
            field: "n".into(),
            why: "is 2".into(),
        })),
        DownstreamFault::TooLongToTranslate,
        DownstreamFault::Undecodable,
        DownstreamFault::DecodedTooLarge,
        DownstreamFault::EncodedForTranslation,
        DownstreamFault::HeadTimeout,
        DownstreamFault::BodyTimeout,
        DownstreamFault::WriteTimeout,
        DownstreamFault::TunnelIdle,
        DownstreamFault::Gone,
        DownstreamFault::PluginRefused(Box::new(PluginRefusal {
            status: 403,
            message: "no".into(),
        })),
        DownstreamFault::Refused,
        DownstreamFault::Gate(GateRefusal::Missing),
        DownstreamFault::Gate(GateRefusal::Unknown { ours: true }),
        DownstreamFault::Gate(GateRefusal::Expired),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Signature)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Issuer)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Audience)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Expired)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::NotYet)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Key)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Unavailable)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Claims)),
        DownstreamFault::Gate(GateRefusal::Token(TokenFault::Subjects)),
        DownstreamFault::Gate(GateRefusal::Auth(AuthFault::Denied)),
        DownstreamFault::Gate(GateRefusal::Auth(AuthFault::Forbidden)),
        DownstreamFault::Gate(GateRefusal::Auth(AuthFault::Unavailable)),
        DownstreamFault::Gate(GateRefusal::Auth(AuthFault::Unclear)),
        DownstreamFault::Gate(GateRefusal::Forbidden(Bar::Route)),
        DownstreamFault::Gate(GateRefusal::Rate(RateOf::Requests, Duration::from_secs(3))),
        DownstreamFault::Gate(GateRefusal::Concurrency),
        DownstreamFault::Gate(GateRefusal::Budget(Period::Day, Duration::from_secs(3))),
        DownstreamFault::Gate(GateRefusal::Denied),
        DownstreamFault::Gate(GateRefusal::AddressRate(Duration::from_secs(3))),
    ];
    let retry_after = Duration::from_millis(2_001);
    let upstream = [
        UpstreamFault::Connect(reset),
        UpstreamFault::ConnectTimeout,
        UpstreamFault::Reset(reset),
        UpstreamFault::Closed,
        UpstreamFault::Head(HeadError::Nul),
        UpstreamFault::Chunk(ChunkError::BareLf),
        UpstreamFault::OverLimit(Limit::Headers),
        UpstreamFault::BadAnswer,
        UpstreamFault::Untranslatable(Box::new(BadAnswer::Unfinished)),
        UpstreamFault::Status(400),
        UpstreamFault::Busy { status: 429, retry_after: Some(retry_after) },
        UpstreamFault::ErrorEvent,
        UpstreamFault::EmptyStream,
        UpstreamFault::Truncated,
        UpstreamFault::Unterminated,
        UpstreamFault::Unfinished,
        UpstreamFault::WriteTimeout,
        UpstreamFault::TtftTimeout,
        UpstreamFault::ResponseTimeout,
        UpstreamFault::InterEventTimeout,
        UpstreamFault::TotalTimeout,
        UpstreamFault::BrokenOff,
    ];
    let tls = TlsFault::ALL.map(|fault| UpstreamFault::Tls(fault, "it is"));
    let local = [
        LocalFault::QueueFull { retry_after },
        LocalFault::QueueTimeout { retry_after, lack: None },
        LocalFault::NoUpstream { retry_after },
        LocalFault::ModelLoading { retry_after },
        LocalFault::WakeFailed { retry_after },
        LocalFault::Descriptors,
        LocalFault::Buffers,
        LocalFault::Drained,
        LocalFault::Killed,
        LocalFault::PluginFailed,
        LocalFault::PluginQuarantined,
    ];
    let all: Vec<Fault> = downstream
        .map(Fault::Downstream)
        .into_iter()
        .chain(upstream.map(Fault::Upstream))
        .chain(tls.map(Fault::Upstream))
        .chain(local.map(Fault::Local))
        .collect();
    for fault in &all {
        let kind = |other: &&Fault| std::mem::discriminant(*other) == std::mem::discriminant(fault);
        assert_eq!(all.iter().filter(kind).count(), known(fault), "{fault:?}");
    }
    all
}

/// The table under "The codes": code, status, type.
fn documented() -> Vec<[&'static str; 3]> {
    let (_, codes) = DOCUMENTATION.split_once("\n## The codes\n").expect("the section");
    let cells = codes.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| match cells[..] {
            ["", code, status, kind, _when, ""] if code.starts_with('`') => {
                Some([code, status, kind].map(|cell| cell.trim_matches('`')))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn every_code_is_explained() {
    for fault in faults() {
        let code = fault.code();
        assert_ne!(crate::http::explained::hint(code), "", "docs/errors.md has no {code}");
    }
}

#[test]
fn every_code_is_documented_with_its_status_and_its_type() {
    let rows = documented();
    let faults = faults();
    for fault in &faults {
        let (status, kind) = match fault.answer() {
            Some(answer) => (answer.status.to_string(), answer.kind),
            None => ("–".into(), "–"),
        };
        let expected = [fault.code(), status.as_str(), kind];
        assert!(rows.contains(&expected), "docs/streaming.md has no row {expected:?}");
    }
    let mut codes: Vec<_> = faults.iter().map(Fault::code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(rows.len(), codes.len(), "a documented code that no fault has, or one twice");
}

#[test]
fn who_may_come_again_is_told_when() {
    for fault in faults() {
        let expected = match &fault {
            Fault::Local(
                LocalFault::QueueFull { .. }
                | LocalFault::QueueTimeout { .. }
                | LocalFault::NoUpstream { .. }
                | LocalFault::ModelLoading { .. }
                | LocalFault::WakeFailed { .. },
            )
            | Fault::Upstream(UpstreamFault::Busy { .. }) => Some(3),
            Fault::Local(LocalFault::PluginFailed) => None,
            Fault::Downstream(DownstreamFault::Gate(GateRefusal::Concurrency)) => Some(1),
            Fault::Downstream(DownstreamFault::Gate(GateRefusal::Token(
                TokenFault::Unavailable | TokenFault::Subjects,
            ))) => Some(2),
            Fault::Downstream(DownstreamFault::Gate(GateRefusal::Auth(
                AuthFault::Unavailable | AuthFault::Unclear,
            ))) => Some(2),
            Fault::Downstream(DownstreamFault::Gate(
                GateRefusal::Rate(..) | GateRefusal::Budget(..) | GateRefusal::AddressRate(_),
            )) => Some(3),
            Fault::Local(_) => Some(1),
            _ => None,
        };
        assert_eq!(fault.retry_after(), expected, "{fault:?}");
    }
    let unsaid = Fault::Upstream(UpstreamFault::Busy { status: 503, retry_after: None });
    assert_eq!(unsaid.retry_after(), None);
}
