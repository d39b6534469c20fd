//! Trace: which trace an exchange is part of, and whether its spans are wanted.
//!
//! | `trace.context` | the request's `traceparent` | trace | sampled           | `tracestate` |
//! |-----------------|-----------------------------|-------|-------------------|--------------|
//! | `continue`      | one, valid                  | its   | as it says        | passed on    |
//! | `continue`      | none, invalid, several      | new   | by `trace.sample` | dropped      |
//! | `restart`       | any                         | new   | by `trace.sample` | dropped      |
//!
//! Whether a new trace is sampled is told by the random part of its id, by the rule the other
//! services of a trace have: whoever samples a larger share samples all of those too.

use super::random::Random;
use crate::config::snapshot::{TraceContext, TraceSettings};
use crate::http::trace_context::{SpanId, TraceId, TraceParent};

/// Where ids come from.
#[derive(Clone, Debug)]
pub struct Ids {
    /// Two sequences, so that two workers whose sequences meet in one half do not in both.
    high: Random,
    low: Random,
}

impl Ids {
    pub fn new(seed: u64) -> Ids {
        let mut seeds = Random::new(seed);
        Ids { high: Random::new(seeds.draw() ^ seed), low: Random::new(seeds.draw()) }
    }

    pub fn trace(&mut self) -> TraceId {
        TraceId::from_random(self.high.draw(), self.low.draw())
    }

    pub fn span(&mut self) -> SpanId {
        SpanId::from_random(self.low.draw())
    }
}

/// The place of an exchange among the traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: TraceId,
    /// The span of the client; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// That of the exchange.
    pub span: SpanId,
    pub sampled: bool,
}

/// Finds the place of a request. `received`: its `traceparent`, if it has one and it is valid.
pub fn place(
    settings: &TraceSettings,
    received: Option<TraceParent>,
    ids: &mut Ids,
) -> SpanContext {
    let continued = received.filter(|_| settings.context == TraceContext::Continue);
    let span = ids.span();
    match continued {
        Some(TraceParent { trace, span: parent, sampled }) => {
            SpanContext { trace, parent: Some(parent), span, sampled }
        }
        None => {
            let trace = ids.trace();
            SpanContext { trace, parent: None, span, sampled: is_sampled(&trace, settings.sample) }
        }
    }
}

fn is_sampled(trace: &TraceId, share: f64) -> bool {
    const SPACE: f64 = (1u64 << 56) as f64;
    trace.randomness() as f64 >= (1.0 - share) * SPACE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;

    const RECEIVED: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn settings(context: TraceContext, sample: f64) -> TraceSettings {
        TraceSettings { context, sample, ..defaults::trace() }
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let received = TraceParent::parse(RECEIVED).expect("valid");
        let unsampled = TraceParent { sampled: false, ..received };
        let mut ids = Ids::new(1);
        for (context, given, continued, sampled) in [
            (TraceContext::Continue, Some(received), true, true),
            (TraceContext::Continue, Some(unsampled), true, false),
            (TraceContext::Continue, None, false, false),
            (TraceContext::Restart, Some(received), false, false),
            (TraceContext::Restart, None, false, false),
        ] {
            let place = place(&settings(context, 0.0), given, &mut ids);
            assert_eq!(place.trace == received.trace, continued, "{context:?} {given:?}");
            assert_eq!(place.parent, given.filter(|_| continued).map(|it| it.span));
            assert_eq!(place.sampled, sampled, "{context:?} {given:?}");
            assert_ne!(place.span, received.span);
        }
    }

    #[test]
    fn a_share_of_the_new_traces_is_sampled() {
        let mut ids = Ids::new(2);
        let mut sampled = |share| {
            let settings = settings(TraceContext::Restart, share);
            (0..10_000).filter(|_| place(&settings, None, &mut ids).sampled).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        let tenth = sampled(0.1);
        assert!((850..1_150).contains(&tenth), "{tenth} of 10,000");
    }

    #[test]
    fn no_two_ids_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..100 {
            let mut ids = Ids::new(seed);
            for _ in 0..100 {
                assert!(seen.insert(ids.trace().to_string()));
                assert!(seen.insert(ids.span().to_string()));
            }
        }
    }
}
