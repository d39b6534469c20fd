use std::io::ErrorKind;

use super::*;
use crate::config::defaults;
use crate::proxy::fault::{DownstreamFault, LocalFault};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);
const HALF: u64 = 1 << 63;

/// A stream of a POST that broke at the first of two endpoints.
const BROKEN: ContinueFacts = ContinueFacts {
    blame: StreamBreak::Broke,
    place: true,
    text: true,
    fit: true,
    made: 0,
    most: 1,
    idempotent: false,
    takes: true,
    elsewhere: true,
    here: true,
    next: None,
    deadline: Instant::NEVER,
};
/// The same with one endpoint.
const ALONE: ContinueFacts = ContinueFacts { elsewhere: false, ..BROKEN };

#[test]
fn each_row_of_the_table() {
    use ContinueDecision::{Ask, End};
    let defaults = defaults::retry();
    let strict = Retry { post: false, ..defaults.clone() };
    let poor = Retry { budget: 0, ..defaults.clone() };
    let silent = ContinueFacts { blame: StreamBreak::Silent, ..BROKEN };
    let after = Duration::from_micros(12_500);
    let (elsewhere, same) = (Ask(Whom::Elsewhere), Ask(Whom::Same { after }));
    let next = |link| Ask(Whom::Next(link));
    for (row, broken, settings, expected) in [
        (
            1,
            ContinueFacts { blame: StreamBreak::Other, ..BROKEN },
            &defaults,
            End(ContinueEnd::NotTheServers),
        ),
        (2, ContinueFacts { place: false, ..BROKEN }, &defaults, End(ContinueEnd::NoPlace)),
        (3, ContinueFacts { text: false, ..BROKEN }, &defaults, End(ContinueEnd::NoText)),
        (4, ContinueFacts { fit: false, ..BROKEN }, &defaults, End(ContinueEnd::Unfit)),
        (5, ContinueFacts { made: 1, ..BROKEN }, &defaults, End(ContinueEnd::Attempts)),
        (5, ContinueFacts { made: 1, most: 2, ..BROKEN }, &defaults, elsewhere),
        (6, BROKEN, &strict, End(ContinueEnd::Post)),
        (6, ContinueFacts { idempotent: true, ..BROKEN }, &strict, elsewhere),
        (7, ContinueFacts { deadline: NOW, ..BROKEN }, &defaults, End(ContinueEnd::Deadline)),
        (8, BROKEN, &defaults, elsewhere),
        (8, ContinueFacts { next: Some(1), here: false, ..BROKEN }, &defaults, elsewhere),
        (8, silent, &defaults, elsewhere),
        (8, BROKEN, &poor, End(ContinueEnd::Budget)),
        (9, ContinueFacts { next: Some(2), ..ALONE }, &defaults, next(2)),
        (9, ContinueFacts { next: Some(2), takes: false, ..BROKEN }, &defaults, next(2)),
        (9, ContinueFacts { next: Some(1), elsewhere: false, ..silent }, &defaults, next(1)),
        (9, ContinueFacts { next: Some(2), ..ALONE }, &poor, End(ContinueEnd::Budget)),
        (10, ContinueFacts { elsewhere: false, ..silent }, &defaults, End(ContinueEnd::Silent)),
        (11, ContinueFacts { takes: false, ..BROKEN }, &defaults, End(ContinueEnd::Nobody)),
        (11, ContinueFacts { here: false, ..ALONE }, &defaults, End(ContinueEnd::Nobody)),
        (12, ALONE, &defaults, same),
        (12, ALONE, &poor, End(ContinueEnd::Budget)),
        (
            12,
            ContinueFacts { deadline: NOW + after, ..ALONE },
            &defaults,
            End(ContinueEnd::Deadline),
        ),
    ] {
        let verdict = decide(&broken, settings, &mut RetryBudget::new(), NOW, HALF);
        assert_eq!(verdict, expected, "row {row}: {broken:?}");
    }
}

#[test]
fn what_is_refused_costs_nothing() {
    let mut budget = RetryBudget::new();
    let settings = defaults::retry();
    for _ in 0..100 {
        decide(&ContinueFacts { fit: false, ..BROKEN }, &settings, &mut budget, NOW, HALF);
    }
    // Ten a second are spared, whatever else there was.
    for paid in (0..11).map(|nth| nth < 10) {
        let verdict = decide(&BROKEN, &settings, &mut budget, NOW, HALF);
        assert_eq!(verdict == ContinueDecision::Ask(Whom::Elsewhere), paid);
    }
}

#[test]
fn only_a_server_that_had_begun_is_to_blame() {
    let upstream = Fault::Upstream;
    for (fault, blame) in [
        (upstream(UpstreamFault::Reset(ErrorKind::ConnectionReset)), StreamBreak::Broke),
        (upstream(UpstreamFault::Truncated), StreamBreak::Broke),
        (upstream(UpstreamFault::Unfinished), StreamBreak::Broke),
        (upstream(UpstreamFault::InterEventTimeout), StreamBreak::Silent),
        (upstream(UpstreamFault::TtftTimeout), StreamBreak::Silent),
        (upstream(UpstreamFault::TotalTimeout), StreamBreak::Other),
        (upstream(UpstreamFault::WriteTimeout), StreamBreak::Other),
        (Fault::Downstream(DownstreamFault::Gone), StreamBreak::Other),
        (Fault::Local(LocalFault::Killed), StreamBreak::Other),
        (Fault::Local(LocalFault::Drained), StreamBreak::Other),
    ] {
        assert_eq!(StreamBreak::of(&fault), blame, "{fault:?}");
    }
}
