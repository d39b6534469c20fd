//! Settling: what an exchange has used, told to the gate when it is over.
//!
//! | what came | charged |
//! |---|---|
//! | an answer with usage | what the server has counted |
//! | an answer without, or one that was cut | the tokens that passed, and its prompt by its length |
//! | an answer of which no token was seen: a document, or what cannot be read | both by their length |
//! | the client left before an answer | its prompt by its length, if a server has got it |
//! | an error, of a server or ours | nothing but the request |

use crate::clock::Instant;
use crate::config::snapshot::PaidTokens;
use crate::gate::{BYTES_PER_TOKEN, GateTime, GateUsage};
use crate::gateway::record::exchange::Exchange;
use crate::proxy::fault::{DownstreamFault, Fault};
use crate::service::{Completion, Observer};

impl Exchange {
    /// Tells the gate what it has used, if it came in by a key.
    pub(super) fn settle_used(&mut self, outcome: &Result<(), Fault>, now: Instant) {
        if self.principal().is_none() {
            return;
        }
        let usage = self.used(outcome);
        let Some(visitor) = self.aside.as_mut().and_then(|aside| aside.visitor.as_mut()) else {
            return;
        };
        let started = self.timeline.started;
        let unix = visitor.unix + (now - started).as_secs();
        if let Ok(who) = &mut visitor.known {
            self.snapshot.gate.gate.settle(who, usage, GateTime { now, unix });
        }
    }

    fn used(&self, outcome: &Result<(), Fault>) -> Option<GateUsage> {
        let before = self.before().tokens;
        let response = self.attempt.response.as_ref();
        let observer = response.and_then(|response| response.watch.observer.as_ref());
        let given = observer.filter(|_| self.commit.is_passed() && self.status() < 400);
        let usage = given.and_then(Observer::usage);
        let told = given.map_or(Completion::NONE, Observer::completion);
        let answered = self.commit.is_passed() && matches!(self.status(), 200..=299);
        let bytes = response.filter(|_| answered).map_or(0, |response| response.body.received());
        // What nobody has counted is not free: a document has no events, and some answers are not read.
        let unread = usage.is_none() && told.tokens == 0;
        let output = if unread { bytes / BYTES_PER_TOKEN } else { told.tokens } + before;
        let left = matches!(outcome, Err(Fault::Downstream(DownstreamFault::Gone)));
        let asked = answered || left && self.attempt.sent;
        let estimate = || if asked { self.request.body.received() / BYTES_PER_TOKEN } else { 0 };
        let prompt = usage.and_then(|usage| usage.prompt).map_or_else(estimate, u64::from);
        if prompt + output == 0 {
            return None;
        }
        let cached = usage.and_then(|usage| usage.cached).map_or(0, u64::from);
        let paid = PaidTokens { input: prompt, cached, output };
        let aside = self.aside.as_ref();
        let model = aside.and_then(|aside| aside.model.as_deref());
        let asked = aside.and_then(|aside| aside.asked.as_deref());
        let prices = self.snapshot.prices.as_ref();
        let cost = prices.and_then(|prices| prices.cost(model, asked, paid));
        let cost = cost.map_or(0, |cost| cost.billionths());
        Some(GateUsage { tokens: prompt + output, cost })
    }
}
