use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::config::defaults;
use crate::proxy::fault::DownstreamFault;

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);
/// Draws that make a back-off nothing, half of its bound, and (nearly) all of it.
const NOTHING: u64 = 0;
const HALF: u64 = 1 << 63;

/// A POST that met a 503 at the first of two endpoints.
const FIRST: RetryFacts = RetryFacts {
    cause: Cause::Failed(Condition::Status(503)),
    committed: false,
    sent: true,
    reused: false,
    kept: true,
    idempotent: false,
    attempts: 1,
    slow_before: false,
    unheard: false,
    in_doubt: false,
    elsewhere: true,
    here: true,
    next: false,
    next_answers: false,
    back: false,
    larger: false,
    retry_after: None,
    deadline: Instant::NEVER,
};
/// The same with one endpoint.
const ALONE: RetryFacts = RetryFacts { elsewhere: false, ..FIRST };

const RESET: Cause = Cause::Failed(Condition::Reset);
const GARBAGE: Cause = Cause::Failed(Condition::BadAnswer);
const SLOW: Cause = Cause::Failed(Condition::TtftTimeout);

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn again(after: u64, fresh: bool) -> RetryDecision {
    RetryDecision::Retry { after: millis(after), elsewhere: false, fresh, free: false }
}

const ELSEWHERE: RetryDecision =
    RetryDecision::Retry { after: Duration::ZERO, elsewhere: true, fresh: false, free: false };
const FREE: RetryDecision =
    RetryDecision::Retry { after: Duration::ZERO, elsewhere: true, fresh: false, free: true };

fn decided(facts: &RetryFacts, settings: &Retry) -> RetryDecision {
    decide(facts, settings, &mut RetryBudget::new(), NOW, HALF)
}

#[test]
fn each_row_of_the_table() {
    use RetryDecision::{Back, Final, Larger, Next};
    let defaults = defaults::retry();
    let strict = Retry { post: false, ..defaults.clone() };
    let one = Retry { attempts: 1, ..defaults.clone() };
    let three = Retry { attempts: 3, ..defaults.clone() };
    let soon = Some(millis(1_500));
    let late = Some(millis(2_001));
    let named = |condition| RetryFacts { cause: Cause::Failed(condition), ..FIRST };
    let status = |status| named(Condition::Status(status));
    let prompt = RetryFacts { cause: Cause::PromptTooLong, ..FIRST };
    let no_place = RetryFacts { cause: Cause::NoPlace, sent: false, ..FIRST };
    let slow = RetryFacts { cause: SLOW, ..FIRST };
    let unheard = RetryFacts { sent: false, unheard: true, ..named(Condition::Connect) };
    for (row, facts, settings, expected) in [
        (1, RetryFacts { committed: true, ..FIRST }, &defaults, Final(RetryEnd::Committed)),
        (
            1,
            RetryFacts { committed: true, next: true, ..FIRST },
            &defaults,
            Final(RetryEnd::Committed),
        ),
        (2, status(500), &defaults, Final(RetryEnd::NotNamed)),
        (2, status(504), &defaults, Final(RetryEnd::NotNamed)),
        (2, status(400), &defaults, Final(RetryEnd::NotNamed)),
        (2, RetryFacts { next: true, ..status(500) }, &defaults, Final(RetryEnd::NotNamed)),
        (2, named(Condition::ErrorEvent), &defaults, Final(RetryEnd::NotNamed)),
        (
            2,
            RetryFacts { in_doubt: true, next: true, ..status(500) },
            &defaults,
            Final(RetryEnd::Out),
        ),
        (
            1,
            RetryFacts { in_doubt: true, committed: true, ..FIRST },
            &defaults,
            Final(RetryEnd::Committed),
        ),
        (3, RetryFacts { kept: false, ..FIRST }, &defaults, Final(RetryEnd::NotKept)),
        (3, RetryFacts { kept: false, next: true, ..FIRST }, &defaults, Final(RetryEnd::NotKept)),
        (4, RetryFacts { cause: RESET, ..FIRST }, &strict, Final(RetryEnd::Post)),
        (4, RetryFacts { cause: RESET, next: true, ..FIRST }, &strict, Final(RetryEnd::Post)),
        (4, status(502), &strict, Final(RetryEnd::Post)),
        (5, RetryFacts { deadline: NOW, ..FIRST }, &defaults, Final(RetryEnd::Deadline)),
        (
            5,
            RetryFacts { deadline: NOW, next: true, ..FIRST },
            &defaults,
            Final(RetryEnd::Deadline),
        ),
        (6, prompt, &defaults, Final(RetryEnd::NotNamed)),
        (6, RetryFacts { next: true, ..prompt }, &defaults, Final(RetryEnd::NotNamed)),
        (6, RetryFacts { next: true, larger: true, ..prompt }, &strict, Larger),
        (6, RetryFacts { attempts: 2, larger: true, ..prompt }, &defaults, Larger),
        (7, no_place, &defaults, Final(RetryEnd::NoPlace)),
        (7, RetryFacts { next: true, ..no_place }, &defaults, Next),
        (7, RetryFacts { back: true, ..no_place }, &defaults, Back),
        (8, RetryFacts { slow_before: true, ..slow }, &three, Final(RetryEnd::Slow)),
        (8, RetryFacts { slow_before: true, next: true, ..slow }, &three, Final(RetryEnd::Slow)),
        (8, RetryFacts { slow_before: true, ..FIRST }, &three, ELSEWHERE),
        (9, unheard, &defaults, FREE),
        (9, RetryFacts { attempts: 2, next: true, ..unheard }, &strict, FREE),
        (9, RetryFacts { back: true, ..unheard }, &defaults, FREE),
        (10, RetryFacts { elsewhere: false, back: true, ..unheard }, &defaults, Back),
        (11, RetryFacts { back: true, ..ALONE }, &one, Final(RetryEnd::Attempts)),
        (
            11,
            RetryFacts { attempts: 2, elsewhere: false, ..unheard },
            &defaults,
            Final(RetryEnd::Attempts),
        ),
        (11, RetryFacts { attempts: 2, ..FIRST }, &defaults, Final(RetryEnd::Attempts)),
        (11, RetryFacts { attempts: 2, next: true, ..FIRST }, &defaults, Next),
        (11, RetryFacts { attempts: 2, ..FIRST }, &three, ELSEWHERE),
        (12, FIRST, &defaults, ELSEWHERE),
        (12, FIRST, &strict, ELSEWHERE),
        (12, RetryFacts { next: true, ..FIRST }, &defaults, ELSEWHERE),
        (12, RetryFacts { cause: RESET, ..FIRST }, &defaults, ELSEWHERE),
        (12, RetryFacts { cause: RESET, sent: false, ..FIRST }, &strict, ELSEWHERE),
        (12, RetryFacts { cause: RESET, idempotent: true, ..FIRST }, &strict, ELSEWHERE),
        (12, RetryFacts { retry_after: late, ..FIRST }, &defaults, ELSEWHERE),
        (12, slow, &defaults, ELSEWHERE),
        (13, RetryFacts { elsewhere: false, ..slow }, &defaults, Final(RetryEnd::Slow)),
        (13, RetryFacts { elsewhere: false, next: true, ..slow }, &defaults, Next),
        (14, RetryFacts { retry_after: soon, ..ALONE }, &defaults, again(1_512, false)),
        (
            14,
            RetryFacts { retry_after: soon, here: false, ..ALONE },
            &defaults,
            again(1_512, false),
        ),
        (14, RetryFacts { retry_after: soon, next: true, ..ALONE }, &defaults, again(1_512, false)),
        (15, RetryFacts { retry_after: late, ..ALONE }, &defaults, Final(RetryEnd::RetryAfter)),
        (15, RetryFacts { retry_after: late, next: true, ..ALONE }, &defaults, Next),
        (16, RetryFacts { here: false, ..ALONE }, &defaults, Final(RetryEnd::NoPlace)),
        (16, RetryFacts { here: false, next: true, ..ALONE }, &defaults, Next),
        (17, ALONE, &defaults, again(12, false)),
        (17, RetryFacts { attempts: 2, ..ALONE }, &three, again(25, false)),
        (17, RetryFacts { cause: RESET, ..ALONE }, &defaults, again(12, true)),
        (17, RetryFacts { cause: GARBAGE, ..ALONE }, &defaults, again(12, false)),
        (17, RetryFacts { cause: GARBAGE, reused: true, ..ALONE }, &defaults, again(12, true)),
        (12, RetryFacts { cause: GARBAGE, reused: true, ..FIRST }, &defaults, ELSEWHERE),
    ] {
        let mut verdict = decided(&facts, settings);
        // Half of 25 ms; the rows are written in whole ones.
        if let RetryDecision::Retry { after, .. } = &mut verdict {
            *after = millis(after.as_millis() as u64);
        }
        assert_eq!(verdict, expected, "row {row}: {facts:?}");
    }
}

#[test]
fn a_retry_without_budget_and_a_pause_without_end_lead_onwards() {
    let settings = defaults::retry();
    let verdict =
        |facts: &RetryFacts, budget: &mut RetryBudget| decide(facts, &settings, budget, NOW, HALF);
    let mut budget = RetryBudget::new();
    let paid = (0..20).filter(|_| verdict(&FIRST, &mut budget) == ELSEWHERE).count();
    assert_eq!(paid, 10, "the floor of a second");
    assert_eq!(verdict(&FIRST, &mut budget), RetryDecision::Final(RetryEnd::Budget));
    assert_eq!(verdict(&RetryFacts { next: true, ..FIRST }, &mut budget), RetryDecision::Next);
    let unheard = RetryFacts {
        cause: Cause::Failed(Condition::Connect),
        sent: false,
        unheard: true,
        ..FIRST
    };
    assert_eq!(verdict(&unheard, &mut budget), FREE, "what nobody has heard costs nothing");

    let mut budget = RetryBudget::new();
    let before = RetryFacts { deadline: NOW + millis(12), ..ALONE };
    assert_eq!(verdict(&before, &mut budget), RetryDecision::Final(RetryEnd::Deadline));
    assert_eq!(verdict(&RetryFacts { next: true, ..before }, &mut budget), RetryDecision::Next);
    let behind = RetryFacts { deadline: NOW + millis(13), ..ALONE };
    assert!(matches!(verdict(&behind, &mut budget), RetryDecision::Retry { .. }));
    let paid = (0..20).filter(|_| verdict(&FIRST, &mut budget) == ELSEWHERE).count();
    assert_eq!(paid, 9, "what was not made was not paid");
}

#[test]
fn a_back_off_doubles_up_to_its_bound_and_is_drawn_from_all_of_it() {
    let settings = Retry { backoff_max: millis(150), ..defaults::retry() };
    for (attempts, most) in [(0, 25), (1, 25), (2, 50), (3, 100), (4, 150), (50, 150)] {
        assert_eq!(backoff(attempts, &settings, NOTHING), Duration::ZERO);
        assert_eq!(backoff(attempts, &settings, HALF), millis(most) / 2);
        let nearly = backoff(attempts, &settings, u64::MAX);
        assert!(nearly < millis(most) && nearly > millis(most - 1), "{attempts}: {nearly:?}");
    }
    let none = Retry { backoff: Duration::ZERO, ..settings };
    assert_eq!(backoff(3, &none, u64::MAX), Duration::ZERO);
}

#[test]
fn a_fault_has_its_condition() {
    use Condition::{BadAnswer, Connect, EmptyStream, Reset, TtftTimeout};
    let failed = |condition| Some(Cause::Failed(condition));
    let kind = ErrorKind::ConnectionRefused;
    for (fault, expected) in [
        (UpstreamFault::Connect(kind), failed(Connect)),
        (UpstreamFault::ConnectTimeout, failed(Connect)),
        (UpstreamFault::Tls(crate::proxy::fault::TlsFault::Expired, "it is"), failed(Connect)),
        (UpstreamFault::Reset(kind), failed(Reset)),
        (UpstreamFault::Closed, failed(Reset)),
        (UpstreamFault::BadAnswer, failed(BadAnswer)),
        (UpstreamFault::WriteTimeout, failed(TtftTimeout)),
        (UpstreamFault::TtftTimeout, failed(TtftTimeout)),
        (UpstreamFault::Truncated, failed(EmptyStream)),
        (UpstreamFault::TotalTimeout, None),
    ] {
        assert_eq!(Cause::of(&Fault::Upstream(fault)), expected);
    }
    let full = LocalFault::QueueFull { retry_after: millis(1) };
    assert_eq!(Cause::of(&Fault::Local(full)), Some(Cause::NoPlace));
    assert_eq!(Cause::of(&Fault::Local(LocalFault::Drained)), None);
    assert_eq!(Cause::of(&Fault::Downstream(DownstreamFault::Gone)), None);
}

#[test]
fn only_a_failure_of_the_servers_is_degraded() {
    assert!(!RetryEnd::Committed.may_degrade() && !RetryEnd::NotNamed.may_degrade());
    for why in [
        RetryEnd::NotKept,
        RetryEnd::Post,
        RetryEnd::Deadline,
        RetryEnd::Slow,
        RetryEnd::NoPlace,
        RetryEnd::Attempts,
    ] {
        assert!(why.may_degrade(), "{}", why.code());
    }
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        prop::sample::select(&defaults::RETRY_ON[..]).prop_map(Cause::Failed),
        (400..600_u16).prop_map(|status| Cause::Failed(Condition::Status(status))),
        Just(Cause::PromptTooLong),
        Just(Cause::NoPlace),
        Just(Cause::Loading),
    ]
}

prop_compose! {
    fn any_facts()(
        cause in cause(),
        flags in prop::array::uniform10(any::<bool>()),
        attempts in 0..12_u32,
        retry_after in prop::option::of(0..10_000_u64),
        deadline in prop::option::of(0..10_000_u64),
    ) -> RetryFacts {
        let [committed, sent, reused, kept, idempotent, slow_before, elsewhere, here, next, larger] =
            flags;
        RetryFacts {
            cause,
            // Else nearly every case ends at its first row.
            committed: committed && attempts == 0,
            kept: kept || attempts > 1,
            sent,
            reused,
            idempotent,
            attempts,
            slow_before,
            unheard: !sent && cause == Cause::Failed(Condition::Connect),
            in_doubt: reused && !next,
            elsewhere,
            here,
            next,
            next_answers: next && reused,
            back: !next && reused,
            larger,
            retry_after: retry_after.map(millis),
            deadline: deadline.map_or(Instant::NEVER, |later| NOW + millis(later)),
        }
    }
}

#[test]
fn a_model_that_is_loaded_is_waited_for_where_nobody_else_could_answer() {
    let loading = RetryFacts { cause: Cause::Loading, ..FIRST };
    let alone = RetryFacts { elsewhere: false, here: false, ..loading };
    let (never, off) =
        (Retry { attempts: 1, ..defaults::retry() }, Retry { budget: 0, ..defaults::retry() });
    let elsewhere =
        RetryDecision::Retry { after: Duration::ZERO, elsewhere: true, fresh: false, free: true };
    for (facts, expected) in [
        (loading, elsewhere),
        (RetryFacts { next: true, next_answers: true, ..loading }, elsewhere),
        (RetryFacts { next: true, next_answers: true, ..alone }, RetryDecision::Next),
        (RetryFacts { next: true, ..alone }, RetryDecision::Wait),
        (alone, RetryDecision::Wait),
        (RetryFacts { attempts: 9, ..alone }, RetryDecision::Wait),
        (RetryFacts { retry_after: Some(Duration::MAX), ..alone }, RetryDecision::Wait),
        (RetryFacts { kept: false, ..alone }, RetryDecision::Final(RetryEnd::NotKept)),
        (RetryFacts { committed: true, ..alone }, RetryDecision::Final(RetryEnd::Committed)),
        (RetryFacts { deadline: NOW, ..alone }, RetryDecision::Final(RetryEnd::Deadline)),
    ] {
        for settings in [&never, &off] {
            let decided = decide(&facts, settings, &mut RetryBudget::new(), NOW, HALF);
            assert_eq!(decided, expected, "{facts:?}");
        }
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(20_000))]

    /// What holds of every verdict, whatever the rows say.
    #[test]
    fn no_verdict_breaks_a_promise(
        facts in any_facts(),
        attempts in 1..10_u32,
        post: bool,
        budget in 0..=100_u32,
        draw: u64,
    ) {
        let settings = Retry { attempts, post, budget, ..defaults::retry() };
        let verdict = decide(&facts, &settings, &mut RetryBudget::new(), NOW, draw);
        if !matches!(verdict, RetryDecision::Final(_)) {
            prop_assert!(!facts.committed && facts.kept && NOW < facts.deadline);
            if let Cause::Failed(condition) = facts.cause {
                prop_assert!(settings.on.contains(condition));
            }
        }
        match verdict {
            RetryDecision::Retry { after, elsewhere, free, .. } => {
                prop_assert!(free || facts.attempts < attempts && budget > 0);
                let loading = facts.cause == Cause::Loading;
                prop_assert!(!free || (facts.unheard || loading) && elsewhere);
                prop_assert!(NOW + after < facts.deadline);
                prop_assert!(after <= settings.retry_after_max + settings.backoff_max);
                prop_assert_eq!(elsewhere, facts.elsewhere);
                prop_assert!(!elsewhere || after.is_zero());
                let acted = facts.sent && facts.cause.may_have_acted();
                prop_assert!(post || facts.idempotent || !acted);
            }
            RetryDecision::Next => prop_assert!(facts.next),
            RetryDecision::Back => prop_assert!(facts.back && !facts.next),
            RetryDecision::Larger => prop_assert!(facts.larger),
            RetryDecision::Wait => prop_assert!(
                facts.cause == Cause::Loading && !facts.elsewhere && !facts.next_answers
            ),
            RetryDecision::Final(why) => prop_assert!(
                !facts.next
                    || facts.cause == Cause::PromptTooLong
                    || forbidden(&facts, &settings, NOW).is_some()
                    || why == RetryEnd::Slow
            ),
        }
    }

    /// A request that fails wherever it goes is sent `attempts` times to each upstream at most.
    #[test]
    fn a_request_is_never_sent_more_often_than_it_may(
        causes in prop::collection::vec(cause(), 60),
        attempts in 1..6_u32,
        endpoints in 1..4_u32,
        upstreams in 1..4_u32,
        draw: u64,
    ) {
        let settings = Retry { attempts, budget: 100, ..defaults::retry() };
        let mut budgets: Vec<RetryBudget> = (0..upstreams).map(|_| RetryBudget::new()).collect();
        for budget in &mut budgets {
            (0..100).for_each(|_| budget.on_request(NOW));
        }
        let (mut upstream, mut here, mut sent, mut slow_before) = (0, 1, 1, false);
        // Whoever loads its model has not acted, and is asked for free.
        for cause in causes.into_iter().filter(|cause| *cause != Cause::Loading) {
            let facts = RetryFacts {
                cause,
                attempts: here,
                slow_before,
                elsewhere: here < endpoints,
                next: upstream + 1 < upstreams,
                ..FIRST
            };
            slow_before |= cause == SLOW;
            match decide(&facts, &settings, &mut budgets[upstream as usize], NOW, draw) {
                RetryDecision::Retry { .. } => here += 1,
                RetryDecision::Next => (upstream, here) = (upstream + 1, 1),
                RetryDecision::Back
                | RetryDecision::Larger
                | RetryDecision::Wait
                | RetryDecision::Final(_) => break,
            }
            sent += 1;
            prop_assert!(here <= attempts);
        }
        prop_assert!(upstream < upstreams && sent <= attempts * upstreams);
    }
}
