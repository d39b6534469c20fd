use proptest::prelude::*;

use super::Outcome::*;
use super::*;

const UNAUTHORIZED: Duration = Duration::from_secs(1_800);

const SETTINGS: Settings = Settings {
    consecutive: 3,
    rate: 50,
    window: Duration::from_secs(8),
    volume: 10,
    open: Duration::from_secs(5),
    open_max: Duration::from_secs(30),
    slow_start: Duration::from_secs(10),
    cooldown: Duration::from_secs(4),
    unauthorized: Some(UNAUTHORIZED),
    panic: 50,
};

const LIMITED: Outcome = RateLimited { retry_after: None };
const LATE: Outcome = TimedOut { waited: Duration::from_secs(1) };

/// A breaker with a clock.
struct Rig {
    breaker: Breaker,
    now: Instant,
    random: Random,
}

impl Rig {
    fn new() -> Rig {
        let now = Instant::ZERO + Duration::from_secs(100);
        Rig { breaker: Breaker::new(), now, random: Random::new(1) }
    }

    fn wait(&mut self, millis: u64) -> &mut Rig {
        self.now += Duration::from_millis(millis);
        self
    }

    fn admits(&self) -> Admits {
        self.breaker.admits(self.now)
    }

    fn begin(&mut self) -> Ticket {
        self.breaker.begin(self.now)
    }

    fn record(&mut self, ticket: Ticket, outcome: Outcome) -> Option<Transition> {
        self.breaker.record(ticket, outcome, self.now, &SETTINGS, &mut self.random)
    }

    /// A request that ends at once.
    fn send(&mut self, outcome: Outcome) -> Option<Transition> {
        let ticket = self.begin();
        self.record(ticket, outcome)
    }

    fn standing(&self) -> Standing {
        self.breaker.standing(self.now, &SETTINGS)
    }

    /// Open for faults in a row; the time until a probe.
    fn opened() -> (Rig, Duration) {
        let mut rig = Rig::new();
        rig.send(Fault);
        rig.send(Fault);
        match rig.send(Fault) {
            Some(Transition::Opened { cause: OpenedBy::Consecutive, open, openings: 1 }) => {
                (rig, open)
            }
            other => panic!("{other:?}"),
        }
    }

    /// With the time over.
    fn half_open() -> Rig {
        let (mut rig, open) = Rig::opened();
        rig.now += open;
        assert_eq!((rig.admits(), rig.standing()), (Admits::Probe, Standing::HalfOpen));
        rig
    }
}

#[test]
fn it_is_small() {
    assert!(size_of::<Breaker>() <= 96, "{}", size_of::<Breaker>());
    assert!(size_of::<Ticket>() <= 4);
}

#[test]
fn what_opens_a_closed_breaker() {
    let opens = |cause| Some((cause, 1));
    for (outcomes, expected) in [
        (vec![Fault, Fault], None),
        (vec![Fault, Fault, Fault], opens(OpenedBy::Consecutive)),
        (vec![Fault, LATE, Fault], opens(OpenedBy::Consecutive)),
        (vec![Fault, Fault, Success, Fault, Fault], None),
        // Neither a fault nor a success: the row goes on.
        (vec![Fault, Fault, ClientError, Abandoned, Fault], opens(OpenedBy::Consecutive)),
        (vec![ClientError; 100], None),
        (vec![Abandoned; 100], None),
        ([[Fault, Success]; 4].concat(), None),
        // The tenth exchange is the first that counts, and a success opens nothing.
        ([[Fault, Success]; 5].concat(), None),
        ([[Success, Fault]; 5].concat(), opens(OpenedBy::Rate)),
        (
            [[Fault, Success]; 5].concat().into_iter().chain([Fault]).collect(),
            opens(OpenedBy::Rate),
        ),
        ([[Success, Success, Fault]; 20].concat(), None),
    ] {
        let mut rig = Rig::new();
        let mut transitions = Vec::new();
        for outcome in &outcomes {
            transitions.extend(rig.send(*outcome));
        }
        let found = transitions.first().map(|transition| match transition {
            Transition::Opened { cause, openings, .. } => (*cause, *openings),
            other => panic!("{other:?}"),
        });
        assert_eq!((found, transitions.len()), (expected, expected.iter().len()), "{outcomes:?}");
        assert_eq!(rig.standing() == Standing::Open, expected.is_some());
    }
}

#[test]
fn the_share_of_faults_is_that_of_the_window() {
    let mut rig = Rig::new();
    for outcome in [Success, Fault].repeat(4) {
        rig.send(outcome);
    }
    rig.wait(9_000);
    assert_eq!(rig.send(Success), None);
    assert_eq!(rig.send(Fault), None, "two exchanges in this window, not ten");
}

#[test]
fn an_open_breaker_admits_nobody_and_then_one() {
    let (mut rig, open) = Rig::opened();
    assert!(open >= SETTINGS.open * 9 / 10 && open <= SETTINGS.open * 11 / 10);
    let until = rig.now + open;
    assert_eq!(rig.admits(), Admits::No { until, judged: true });
    rig.now = Instant::from_nanos(until.as_nanos() - 1);
    assert_eq!(rig.admits(), Admits::No { until, judged: true });
    rig.now = until;
    assert_eq!(rig.admits(), Admits::Probe);
    let probe = rig.begin();
    assert!(probe.is_probe() && rig.breaker.is_probing());
    assert!(matches!(rig.admits(), Admits::No { judged: true, .. }));
    assert!(!rig.begin().is_probe(), "let through in panic");
}

#[test]
fn how_a_probe_settles_a_half_open_breaker() {
    use Standing::*;
    for (outcome, standing) in [
        (Success, SlowStart),
        (ClientError, SlowStart),
        (Abandoned, HalfOpen),
        (Fault, Open),
        (LATE, Open),
        (LIMITED, Resting),
        (Outcome::Unauthorized, Standing::Unauthorized),
    ] {
        let mut rig = Rig::half_open();
        let probe = rig.begin();
        let transition = rig.record(probe, outcome);
        assert_eq!(rig.standing(), standing, "{outcome:?}");
        assert_eq!(transition.is_some(), outcome != Abandoned, "{outcome:?}");
        assert!(!rig.breaker.is_probing(), "{outcome:?}");
        rig.wait(3_600_000);
        let after = if standing == SlowStart { Admits::Yes } else { Admits::Probe };
        assert_eq!(rig.admits(), after, "{outcome:?}");
    }
}

#[test]
fn a_probe_is_settled_by_its_first_event_and_counts_once_more_at_its_end() {
    let mut rig = Rig::half_open();
    let probe = rig.begin();
    assert_eq!(rig.breaker.first_event(probe, rig.now), Some(Transition::Closed));
    assert_eq!(rig.breaker.first_event(probe, rig.now), None);
    assert_eq!(rig.admits(), Admits::Yes);
    assert_eq!(rig.record(probe, Fault), None, "one fault, as any other");
    rig.send(Fault);
    assert!(matches!(rig.send(Fault), Some(Transition::Opened { openings: 2, .. })));
}

#[test]
fn the_time_doubles_with_each_opening_in_a_row_up_to_its_maximum() {
    let (mut rig, mut open) = Rig::opened();
    for (openings, seconds) in [(2, 10), (3, 20), (4, 30), (5, 30)] {
        rig.now += open;
        match rig.send(Fault) {
            Some(Transition::Opened { cause: OpenedBy::Probe, open: next, openings: counted }) => {
                assert_eq!(counted, openings);
                let expected = Duration::from_secs(seconds);
                assert!(next >= expected * 9 / 10 && next <= expected * 11 / 10, "{next:?}");
                open = next;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_endpoint_that_was_well_for_long_begins_anew() {
    // Slow start and window together: 18 s.
    for (millis, expected) in [(17_999, 2), (18_000, 1)] {
        let mut rig = Rig::half_open();
        rig.send(Success);
        rig.wait(millis);
        rig.send(Fault);
        rig.send(Fault);
        match rig.send(Fault) {
            Some(Transition::Opened { openings, .. }) => assert_eq!(openings, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn times_are_spread_by_a_tenth() {
    let mut seen: Vec<Duration> = Vec::new();
    for seed in 0..50 {
        let mut rig = Rig::new();
        rig.random = Random::new(seed);
        let opened = (0..3).find_map(|_| rig.send(Fault));
        match opened {
            Some(Transition::Opened { open, .. }) => seen.push(open),
            other => panic!("{other:?}"),
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 30, "{}", seen.len());
}

#[test]
fn stragglers_change_nothing() {
    for outcome in [Success, ClientError, Abandoned, Fault, LATE, LIMITED, Outcome::Unauthorized] {
        let mut rig = Rig::new();
        let straggler = rig.begin();
        for _ in 0..3 {
            rig.send(Fault);
        }
        for (standing, millis) in [(Standing::Open, 0), (Standing::HalfOpen, 6_000)] {
            rig.wait(millis);
            assert_eq!(rig.record(straggler, outcome), None, "{outcome:?}");
            assert_eq!(rig.breaker.first_event(straggler, rig.now), None);
            assert_eq!(rig.standing(), standing, "{outcome:?}");
        }
        let probe = rig.begin();
        assert_eq!(rig.record(straggler, outcome), None);
        assert!(rig.breaker.is_probing(), "{outcome:?}");
        rig.record(probe, Success);
        for _ in 0..20 {
            assert_eq!(rig.record(straggler, outcome), None);
        }
        assert_eq!(rig.standing(), Standing::SlowStart, "{outcome:?}");
    }
}

#[test]
fn in_panic_an_answer_closes_and_a_fault_teaches_nothing() {
    let (mut rig, open) = Rig::opened();
    let until = rig.now + open;
    rig.wait(1_000);
    for _ in 0..10 {
        assert_eq!(rig.send(Fault), None);
    }
    assert_eq!(rig.admits(), Admits::No { until, judged: true });
    let panicked = rig.begin();
    assert_eq!(rig.breaker.first_event(panicked, rig.now), Some(Transition::Closed));
    assert_eq!(rig.record(panicked, Success), None);

    let mut rig = Rig::half_open();
    let probe = rig.begin();
    assert_eq!(rig.send(Fault), None, "not the probe");
    assert!(rig.breaker.is_probing());
    assert_eq!(rig.send(Success), Some(Transition::Closed));
    assert_eq!(rig.record(probe, Fault), None, "overtaken: a fault as any other");
    assert_eq!(rig.standing(), Standing::SlowStart);
}

#[test]
fn a_429_is_a_rest_and_no_fault() {
    for (retry_after, seconds) in [(None, 4), (Some(7), 7), (Some(86_400), 30)] {
        let mut rig = Rig::new();
        let other = rig.begin();
        let rest = Duration::from_secs(seconds);
        let limited = RateLimited { retry_after: retry_after.map(Duration::from_secs) };
        assert_eq!(rig.send(limited), Some(Transition::Resting { rest }));
        let until = rig.now + rest;
        assert_eq!(rig.admits(), Admits::No { until, judged: false });
        assert_eq!(rig.standing(), Standing::Resting);
        assert_eq!(rig.record(other, limited), None, "said once");
        rig.now = until;
        assert_eq!((rig.admits(), rig.standing()), (Admits::Yes, Standing::Closed));
        assert_eq!(rig.breaker.weight_share(rig.now, SETTINGS.slow_start), WHOLE);
    }
    let mut rig = Rig::new();
    assert_eq!(rig.send(RateLimited { retry_after: Some(Duration::ZERO) }), None);
    assert_eq!(rig.admits(), Admits::Yes);
}

#[test]
fn refused_credentials_take_an_endpoint_out_for_long_and_are_said_once() {
    let mut rig = Rig::new();
    let others = [rig.begin(), rig.begin()];
    let open = UNAUTHORIZED;
    assert_eq!(rig.send(Outcome::Unauthorized), Some(Transition::Unauthorized { open }));
    for other in others {
        assert_eq!(rig.record(other, Outcome::Unauthorized), None);
    }
    let until = rig.now + open;
    assert_eq!(rig.admits(), Admits::No { until, judged: false });
    rig.breaker.well_again(rig.now);
    assert_eq!(rig.standing(), Standing::Unauthorized, "a check needs no credentials");
    let mut reloaded = rig.breaker.clone();
    reloaded.reloaded();
    assert_eq!(reloaded.admits(rig.now), Admits::Probe);
    rig.now = until;
    assert_eq!(rig.send(Outcome::Unauthorized), Some(Transition::Unauthorized { open }));
    rig.now += open;
    assert_eq!(rig.send(Success), Some(Transition::Closed));
}

#[test]
fn weight_grows_back_over_the_slow_start() {
    let mut rig = Rig::half_open();
    rig.send(Success);
    let closed = rig.now;
    for (millis, share) in
        [(0, 100), (500, 100), (1_000, 100), (1_500, 150), (5_000, 500), (9_999, 999)]
    {
        let now = closed + Duration::from_millis(millis);
        assert_eq!(rig.breaker.weight_share(now, SETTINGS.slow_start), share, "{millis}");
        assert_eq!(rig.breaker.standing(now, &SETTINGS), Standing::SlowStart);
    }
    rig.wait(10_000);
    assert_eq!(rig.breaker.weight_share(rig.now, SETTINGS.slow_start), WHOLE);
    assert_eq!(rig.breaker.weight_share(closed, Duration::ZERO), WHOLE);
    assert_eq!(rig.standing(), Standing::Closed);
    assert_eq!(Breaker::newcomer(closed).weight_share(closed, SETTINGS.slow_start), 100);
    assert_eq!(Breaker::new().weight_share(closed, SETTINGS.slow_start), WHOLE);
}

#[test]
fn an_active_check_that_turns_good_asks_for_a_probe_and_never_closes() {
    let (mut rig, _) = Rig::opened();
    rig.breaker.well_again(rig.now);
    assert_eq!(rig.admits(), Admits::Probe);
    let probe = rig.begin();
    rig.breaker.well_again(rig.now);
    assert!(rig.breaker.is_probing(), "still one");
    assert!(matches!(rig.record(probe, Fault), Some(Transition::Opened { openings: 2, .. })));

    let mut rig = Rig::new();
    rig.breaker.well_again(rig.now);
    assert_eq!(rig.standing(), Standing::SlowStart);
}

#[test]
fn a_port_that_is_back_asks_for_a_probe() {
    for (last, cause) in [(Unreachable, OpenedBy::Unreachable), (Fault, OpenedBy::Consecutive)] {
        let mut rig = Rig::new();
        // The last fault tells: a server that answers badly and then not at all has gone.
        assert_eq!((rig.send(Fault), rig.send(Fault)), (None, None));
        assert!(
            matches!(rig.send(last), Some(Transition::Opened { cause: it, .. }) if it == cause)
        );
        rig.breaker.reachable();
        assert_eq!(rig.admits(), Admits::Probe);
    }
    let mut rig = Rig::new();
    rig.send(Outcome::Unauthorized);
    rig.breaker.reachable();
    assert!(matches!(rig.admits(), Admits::No { .. }), "a port is not asked for credentials");
    // A probe that comes to no connection: the port is looked at again.
    let mut rig = Rig::half_open();
    assert!(matches!(
        rig.send(Unreachable),
        Some(Transition::Opened { cause: OpenedBy::Unreachable, openings: 2, .. })
    ));
    rig.breaker.reachable();
    assert_eq!(rig.admits(), Admits::Probe);
    assert_eq!(rig.send(Success), Some(Transition::Closed));
    rig.breaker.reachable();
    assert_eq!(rig.admits(), Admits::Yes);
}

#[test]
fn a_probe_before_its_time_comes_a_second_after_the_last() {
    let (mut rig, _) = Rig::opened();
    rig.wait(999);
    assert!(!rig.breaker.may_probe_early(rig.now));
    rig.wait(1);
    assert!(rig.breaker.may_probe_early(rig.now));
    let early = rig.breaker.begin_early();
    assert!(early.is_probe() && !rig.breaker.may_probe_early(rig.now));
    assert!(matches!(rig.record(early, Fault), Some(Transition::Opened { .. })));
    assert!(!rig.breaker.may_probe_early(rig.now));
    rig.wait(1_000);
    let early = rig.breaker.begin_early();
    assert_eq!(rig.record(early, Success), Some(Transition::Closed));
    assert_eq!(rig.admits(), Admits::Yes);
}

/// Beside a predefined answer.
#[test]
fn one_that_fails_soon_is_asked_by_a_few_at_a_time_and_by_all_while_it_answers() {
    let asks = |rig: &mut Rig| -> Vec<Ticket> {
        let one = |_| rig.breaker.may_be_asked(rig.now).then(|| rig.breaker.begin_asked());
        (0..1_000).map_while(one).collect()
    };
    let limit = usize::from(beside::ASKED_MAX);
    let (mut rig, open) = Rig::opened();
    let mut asked = asks(&mut rig);
    assert_eq!(asked.len(), limit);
    // Whoever fails makes room for the next, and nothing is learnt; the same when a probe is out.
    for outcome in [Fault, Fault, Abandoned] {
        let one = asked.pop().expect("asked");
        assert_eq!(rig.record(one, outcome), None);
        asked.extend(asks(&mut rig));
        assert_eq!((asked.len(), rig.standing()), (limit, Standing::Open));
    }
    rig.now += open;
    let probe = rig.begin();
    rig.record(asked.pop().expect("asked"), Fault);
    assert_eq!((probe.is_probe(), asks(&mut rig).len()), (true, 1));
    assert_eq!(rig.breaker.first_event(asked[0], rig.now), Some(Transition::Closed));
    assert!(!rig.breaker.may_be_asked(rig.now), "it is closed");
    // What is left of them counts for nothing, and for a second it is known to answer somebody.
    for _ in 0..3 {
        rig.send(Fault);
    }
    for ticket in asked {
        assert_eq!(rig.record(ticket, Abandoned), None);
    }
    assert_eq!(asks(&mut rig).len(), 1_000);
    rig.wait(1_000);
    assert_eq!(asks(&mut rig).len(), 0);
    // A straggler's answer is an answer too.
    let straggler = Ticket { epoch: 0, errand: Errand::Plain };
    assert_eq!(rig.breaker.first_event(straggler, rig.now), None);
    assert_eq!(asks(&mut rig).len(), 1_000);
}

/// The last outcome is what puts it out.
#[test]
fn one_that_keeps_waiting_or_keeps_away_is_not_asked() {
    let opened_by = |outcome| {
        let mut rig = Rig::new();
        for outcome in [Fault, Fault, outcome] {
            rig.send(outcome);
        }
        rig
    };
    for (outcome, expected) in [
        (Fault, true),
        (LATE, false),
        (Unreachable, false),
        (Outcome::Unauthorized, false),
        (LIMITED, false),
    ] {
        let rig = opened_by(outcome);
        assert_eq!(rig.breaker.may_be_asked(rig.now), expected, "{outcome:?}");
    }
    // What it shows to one that was asked.
    let mut rig = opened_by(Fault);
    let asked = rig.breaker.begin_asked();
    assert_eq!(rig.record(asked, LATE), None);
    assert!(!rig.breaker.may_be_asked(rig.now));
    let mut rig = opened_by(Fault);
    let asked = rig.breaker.begin_asked();
    let away = rig.record(asked, Unreachable);
    assert!(matches!(away, Some(Transition::Opened { cause: OpenedBy::Unreachable, .. })));
    assert!(!rig.breaker.may_be_asked(rig.now));
    let mut rig = opened_by(Fault);
    let asked = rig.breaker.begin_asked();
    rig.record(asked, RateLimited { retry_after: None });
    assert!(!rig.breaker.may_be_asked(rig.now), "it asks to be left alone");
    rig.wait(4_000);
    assert!(rig.breaker.may_be_asked(rig.now));
}

/// The quota may be another client's: whoever is answered in a rest ends it.
#[test]
fn a_probe_in_a_rest_ends_it_if_it_is_answered() {
    let limited = RateLimited { retry_after: Some(Duration::from_secs(20)) };
    let mut rig = Rig::new();
    rig.send(limited);
    assert!(!rig.breaker.may_probe_early(rig.now));
    for ends in [limited, Abandoned, Success] {
        rig.wait(1_000);
        assert!(rig.breaker.may_probe_early(rig.now) && rig.standing() == Standing::Resting);
        let early = rig.breaker.begin_early();
        assert!(!rig.breaker.may_probe_early(rig.now + Duration::from_secs(5)), "one at a time");
        assert_eq!(rig.record(early, ends), None);
    }
    assert_eq!((rig.admits(), rig.standing()), (Admits::Yes, Standing::Closed));
    // A stream has begun.
    rig.send(limited);
    rig.wait(1_000);
    let early = rig.breaker.begin_early();
    assert_eq!(rig.breaker.first_event(early, rig.now), None);
    assert_eq!(rig.admits(), Admits::Yes);
}

/// One that others say to fail.
fn doubted() -> Rig {
    let mut rig = Rig::new();
    assert!(rig.breaker.suspect(rig.now));
    assert_eq!((rig.admits(), rig.standing()), (Admits::Probe, Standing::Suspect));
    rig
}

#[test]
fn what_others_say_is_tried_by_one_request_and_the_others_are_not_refused() {
    let mut rig = doubted();
    let trial = rig.begin();
    assert!(trial.is_probe());
    assert_eq!(rig.admits(), Admits::Reserve, "if there is nobody else");
    let other = rig.begin();
    assert!(!other.is_probe());
    // A trial that is answered is nobody's news, and starts nothing slowly.
    assert_eq!(rig.breaker.first_event(trial, rig.now), None);
    assert_eq!((rig.admits(), rig.standing()), (Admits::Yes, Standing::Closed));
    assert_eq!([rig.record(trial, Success), rig.record(other, Success)], [None, None]);

    let mut rig = doubted();
    let (trial, other) = (rig.begin(), rig.begin());
    assert_eq!(rig.record(other, Fault), None, "it is the first in a row");
    let opened = rig.record(trial, Fault);
    assert!(
        matches!(opened, Some(Transition::Opened { cause: OpenedBy::Probe, openings: 1, .. })),
        "by its own trial: {opened:?}"
    );

    let mut rig = doubted();
    let trial = rig.begin();
    assert_eq!(rig.record(trial, Abandoned), None);
    assert_eq!(rig.admits(), Admits::Probe, "another request is the trial");
    let lasts = suspect::LASTS.as_millis() as u64;
    assert_eq!((rig.wait(lasts).admits(), rig.standing()), (Admits::Yes, Standing::Closed));
}

#[test]
fn what_is_seen_counts_and_not_what_is_heard() {
    let mut rig = Rig::new();
    let ticket = rig.begin();
    rig.breaker.first_event(ticket, rig.now);
    rig.record(ticket, Success);
    rig.wait(4_900);
    assert!(!rig.breaker.suspect(rig.now), "it has answered");
    rig.wait(200);
    assert!(rig.breaker.suspect(rig.now));

    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.send(Fault);
    }
    assert!(!rig.breaker.suspect(rig.now), "it is open");
    rig.wait(8_000).send(Success);
    rig.wait(6_000);
    assert!(!rig.breaker.suspect(rig.now), "it has just been tried");
    rig.wait(60_000);
    assert!(rig.breaker.suspect(rig.now));

    let mut rig = Rig::new();
    rig.send(LIMITED);
    assert!(!rig.breaker.suspect(rig.now), "it rests");
}

/// What may happen to a breaker.
#[derive(Clone, Debug)]
enum Step {
    /// A request if one is admitted, or in panic.
    Begin {
        panic: bool,
    },
    /// The exchange at this place ends.
    End(usize, Outcome),
    FirstEvent(usize),
    Wait(u64),
    WellAgain,
    Reachable,
    Suspect,
    Early,
    Ask,
    Reloaded,
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(Success),
        1 => Just(ClientError),
        1 => Just(Abandoned),
        3 => Just(Fault),
        1 => Just(Unreachable),
        1 => Just(LATE),
        1 => (0u64..40).prop_map(|seconds| RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        }),
    ];
    let unauthorized = Just(Outcome::Unauthorized);
    prop_oneof![
        6 => any::<bool>().prop_map(|panic| Step::Begin { panic }),
        6 => (any::<usize>(), prop_oneof![30 => outcome, 1 => unauthorized])
            .prop_map(|(at, outcome)| Step::End(at, outcome)),
        1 => any::<usize>().prop_map(Step::FirstEvent),
        3 => (0u64..12_000).prop_map(Step::Wait),
        1 => Just(Step::WellAgain),
        1 => Just(Step::Reachable),
        2 => Just(Step::Suspect),
        1 => Just(Step::Early),
        2 => Just(Step::Ask),
        1 => Just(Step::Reloaded),
    ]
}

proptest! {
    #![proptest_config(crate::properties::cases(2_000))]

    #[test]
    fn whatever_happens(steps in proptest::collection::vec(any_step(), 1..200)) {
        let mut rig = Rig::new();
        let mut out: Vec<Ticket> = Vec::new();
        let mut closed = true;
        for step in steps {
            let epoch = rig.breaker.epoch;
            let transition = match step {
                Step::Begin { panic } => {
                    let admits = rig.admits();
                    if panic || !matches!(admits, Admits::No { .. }) {
                        let ticket = rig.begin();
                        prop_assert_eq!(ticket.is_probe(), admits == Admits::Probe);
                        out.push(ticket);
                    }
                    None
                }
                Step::End(at, outcome) if !out.is_empty() => {
                    let at = at % out.len();
                    let ticket = out.swap_remove(at);
                    let before = format!("{:?}", rig.breaker);
                    let transition = rig.record(ticket, outcome);
                    if ticket.epoch != epoch {
                        prop_assert_eq!(before, format!("{:?}", rig.breaker), "a straggler");
                    }
                    transition
                }
                Step::FirstEvent(at) if !out.is_empty() => {
                    let ticket = out[at % out.len()];
                    rig.breaker.first_event(ticket, rig.now)
                }
                Step::Wait(millis) => {
                    rig.wait(millis);
                    None
                }
                Step::WellAgain => {
                    rig.breaker.well_again(rig.now);
                    None
                }
                Step::Reachable => {
                    rig.breaker.reachable();
                    None
                }
                Step::Suspect => {
                    rig.breaker.suspect(rig.now);
                    None
                }
                Step::Early => {
                    if rig.breaker.may_probe_early(rig.now) {
                        out.push(rig.breaker.begin_early());
                    }
                    None
                }
                Step::Ask => {
                    if rig.breaker.may_be_asked(rig.now) {
                        let is_out = matches!(rig.admits(), Admits::No { judged: true, .. })
                            || rig.admits() == Admits::Probe;
                        prop_assert!(is_out, "asked, and not out");
                        out.push(rig.breaker.begin_asked());
                    }
                    None
                }
                Step::Reloaded => {
                    rig.breaker.reloaded();
                    None
                }
                Step::End(..) | Step::FirstEvent(_) => None,
            };
            // Each change is told, once, and nothing else is.
            match transition {
                Some(Transition::Closed) => {
                    prop_assert!(!closed);
                    closed = true;
                }
                Some(Transition::Opened { .. } | Transition::Unauthorized { .. }) => closed = false,
                Some(
                    Transition::Resting { .. }
                    | Transition::Overruled
                    | Transition::Loading
                    | Transition::Loaded { .. },
                )
                | None => {}
            }
            let doubted = matches!(rig.breaker.state, State::Suspect { .. });
            prop_assert_eq!(closed, rig.breaker.is_closed() || doubted);
            let opened = matches!(
                transition,
                Some(Transition::Opened { .. } | Transition::Unauthorized { .. })
            );
            prop_assert_eq!(rig.breaker.epoch, epoch + u16::from(opened));
            // The probe is one of those that are out; never two while nothing is known.
            let probes = out.iter().filter(|ticket| {
                let current = ticket.epoch == rig.breaker.epoch && !rig.breaker.is_closed();
                ticket.is_probe() && current
            });
            // A doubt may begin while a trial of an earlier one is out.
            if !doubted {
                prop_assert_eq!(probes.count(), usize::from(rig.breaker.is_probing()));
            }
            // Who was asked and is not settled is counted.
            let asked = out.iter().filter(|ticket| {
                ticket.errand == Errand::Asked && ticket.epoch == rig.breaker.epoch
            });
            prop_assert!(usize::from(rig.breaker.asked) <= asked.count());
            // No rest and no opening lasts for longer than it may.
            if let Admits::No { until, .. } = rig.admits() {
                prop_assert!(until - rig.now <= UNAUTHORIZED);
            }
            let share = rig.breaker.weight_share(rig.now, SETTINGS.slow_start);
            prop_assert!((100..=WHOLE).contains(&share));
        }
    }
}
