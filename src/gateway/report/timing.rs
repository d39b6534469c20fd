//! What an exchange has taken, recorded once, when it is over.

use crate::clock::Instant;
use crate::gateway::record::exchange::Exchange;
use crate::measure::stats::Tally;
use crate::service::{Completion, Observer};

impl Exchange {
    /// Records its hops, and what its answer cost.
    pub(crate) fn measure(&self, tally: &Tally, now: Instant) {
        let (timeline, hops) = (&self.timeline, &self.attempt.hops);
        let asked = hops.written.min(hops.first_byte).max(hops.connected);
        for (hop, since, until) in [
            (1, timeline.started, hops.attached),
            (2, hops.attached, hops.connected),
            (3, hops.connected, hops.written),
            (4, asked, hops.first_byte),
            (5, hops.first_byte, hops.first_event),
            (6, hops.first_event, now),
        ] {
            if since != Instant::NEVER && until != Instant::NEVER {
                tally.hops[hop].record_span(since, until);
            }
        }
        let observer =
            self.attempt.response.as_ref().and_then(|response| response.watch.observer.as_ref());
        if let Some(observer) = observer {
            self.measure_tokens(observer, tally);
        }
    }

    fn measure_tokens(&self, observer: &Observer, tally: &Tally) {
        let usage = observer.usage();
        if let Some(prompt) = usage.and_then(|usage| usage.prompt) {
            tally.tokens_in.record(prompt.into());
        }
        let Completion { tokens, estimated } = observer.completion();
        if !estimated {
            tally.tokens_out.record(tokens + self.before().tokens);
            tally.events_told.add(observer.data_events() + self.before().events);
        }
        let first = self.attempt.hops.first_event;
        if first != Instant::NEVER && tokens > 1 && observer.is_stream() {
            let streamed = (self.timeline.event - first).as_micros() as u64;
            tally.output_token_time.record(streamed / (tokens - 1));
        }
    }
}
