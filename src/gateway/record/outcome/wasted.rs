//! What an attempt has cost that no client got the answer of.

use crate::gateway::record::exchange::Exchange;
use crate::measure::journal::WastedTokens;

/// The attempts of one exchange whose costs are told one by one; more are left out. So many attempts
/// that have all produced tokens and failed would be a route with that many upstreams.
const WASTED_MAX: usize = 32;

impl Exchange {
    /// Notes what the attempt under way has cost, before it is given up: for another one, or with the
    /// exchange. A part of an answer that the client has is not wasted; where another server continues
    /// it, that one reads a prompt which was paid for already.
    #[cold]
    pub(crate) fn note_wasted(&mut self, reason: &'static str) {
        self.learn_model();
        let has_part = self.commit.is_passed();
        let response = self.attempt.response.as_ref();
        let Some(observer) = response.and_then(|response| response.watch.observer.as_ref()) else {
            return;
        };
        let usage = observer.usage().unwrap_or_default();
        let output = if has_part { 0 } else { observer.completion().tokens };
        let input = usage.prompt.map_or(0, u64::from);
        let cached = usage.cached.map_or(0, u64::from);
        if input == 0 && output == 0 {
            return;
        }
        let upstream = self.upstream().map(|upstream| upstream.name.clone());
        let aside = self.aside_mut();
        // The next attempt may be answered by another model.
        let model = if has_part { aside.model.clone() } else { aside.model.take() };
        if aside.wasted.len() < WASTED_MAX {
            aside.wasted.push(WastedTokens { upstream, model, reason, input, cached, output });
        }
    }
}
