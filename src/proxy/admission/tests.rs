use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SETTINGS: Admission = Admission {
    max_concurrency: None,
    endpoint_concurrency: None,
    queue: 4,
    queue_timeout: Duration::from_secs(40),
    keys: Vec::new(),
    priority_header: None,
    priority: 1,
};

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Puts somebody in line.
#[track_caller]
fn wait(queue: &mut Queue<u32>, who: u32, priority: u8, second: u64) {
    let admit = queue.admit(who, priority, Some(Lack::Permit), at(second), &SETTINGS);
    assert_eq!(admit, Admit::Wait { until: at(second + 40) });
}

/// Calls and seats everybody.
fn emptied(queue: &mut Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.call(Lack::Permit).inspect(|&who| queue_seated(queue, who)))
        .collect()
}

fn queue_seated(queue: &mut Queue<u32>, who: u32) {
    queue.seated(who, at(1_000));
}

#[test]
fn who_comes_first_tries_first_and_the_others_wait_their_turn() {
    let mut queue = Queue::new();
    assert_eq!(queue.admit(1, 1, None, at(0), &SETTINGS), Admit::Now);
    wait(&mut queue, 1, 1, 0);
    let behind = queue.admit(2, 0, None, at(1), &SETTINGS);
    assert_eq!(behind, Admit::Wait { until: at(41) }, "urgent or not, it does not try");
    assert_eq!(queue.call(Lack::Permit), Some(2));
    assert_eq!((queue.len(), queue.is_empty()), (2, false), "who is called still waits");
    assert_eq!(queue.call(Lack::Permit), Some(1), "one call each");
    assert_eq!(queue.call(Lack::Permit), None);
    queue.again(2, Lack::Connection);
    queue.seated(1, at(2));
    assert_eq!(queue.call(Lack::Permit), Some(2), "called in vain, it stands where it stood");
    queue.seated(2, at(2));
    assert_eq!(queue.admit(3, 3, None, at(3), &SETTINGS), Admit::Now);
}

#[test]
fn a_call_that_is_not_used_is_passed_on() {
    let mut queue = Queue::new();
    (1..=3).for_each(|who| wait(&mut queue, who, 1, 0));
    assert!(!queue.leave(2, at(1)), "it had not been called");
    assert_eq!(queue.call(Lack::Permit), Some(1));
    assert!(queue.leave(1, at(1)), "its call is for the next");
    assert_eq!(queue.call(Lack::Permit), Some(3));
    assert!(!queue.leave(7, at(1)), "a stranger");
    assert!(queue.leave(3, at(1)));
    assert!(queue.is_empty());
}

#[test]
fn the_line_is_bounded_and_nobody_is_pushed_out() {
    let mut queue = Queue::new();
    (1..=4).for_each(|who| wait(&mut queue, who, 3, 0));
    let full = queue.admit(5, 0, None, at(0), &SETTINGS);
    assert_eq!(full, Admit::Full { retry_after: seconds(1) });
    assert_eq!(queue.call(Lack::Permit), Some(1));
    let full = queue.admit(5, 0, None, at(0), &SETTINGS);
    assert!(matches!(full, Admit::Full { .. }), "who is called is still in line");
    queue.seated(1, at(0));
    wait(&mut queue, 5, 0, 0);
    assert_eq!(emptied(&mut queue), [5, 2, 3, 4]);

    let never = Admission { queue: 0, ..SETTINGS };
    let mut queue = Queue::new();
    assert_eq!(queue.admit(1, 1, None, at(0), &never), Admit::Now);
    let lack = Some(Lack::Permit);
    assert!(matches!(queue.admit(1, 1, lack, at(0), &never), Admit::Full { .. }), "0: never wait");
}

#[test]
fn a_priority_is_a_head_start_of_ten_seconds() {
    for (came, order) in [
        // (priority, second) each, and the order in which they are called.
        ([(3, 0), (2, 0), (1, 0), (0, 0)], [3, 2, 1, 0]),
        ([(1, 0), (0, 9), (0, 11), (1, 12)], [1, 0, 2, 3]),
        ([(3, 0), (0, 29), (0, 31), (0, 32)], [1, 0, 2, 3]),
        ([(3, 0), (2, 11), (2, 12), (1, 13)], [3, 0, 1, 2]),
        ([(2, 5), (2, 5), (2, 5), (2, 5)], [0, 1, 2, 3]),
    ] {
        let mut queue = Queue::new();
        for (who, (priority, second)) in came.into_iter().enumerate() {
            wait(&mut queue, who as u32, priority, second);
        }
        assert_eq!(emptied(&mut queue), order, "{came:?}");
    }
}

#[test]
fn when_to_come_again_is_the_place_in_line_over_the_measured_rate() {
    let mut queue = Queue::new();
    let again = |queue: &Queue<u32>, priority, second| {
        queue.retry_after(priority, at(second), &SETTINGS).as_secs()
    };
    assert_eq!(again(&queue, 1, 0), 1, "nothing is known, nobody waits");
    (1..=3).for_each(|who| wait(&mut queue, who, 1, 0));
    assert_eq!(again(&queue, 1, 0), 1);
    assert_eq!(again(&queue, 1, 17), 17, "for so long no place has come free");
    assert_eq!(again(&queue, 1, 500), 60, "bounded");
    // One place in ten seconds, just now: counted as one in 8.5.
    queue.freed(at(10));
    assert_eq!(again(&queue, 1, 10), 35);
    assert_eq!(again(&queue, 0, 10), 35, "they came ten seconds ago, and have caught up");
    wait(&mut queue, 4, 1, 10);
    assert_eq!(again(&queue, 1, 10), 43);
    assert_eq!(again(&queue, 0, 10), 35, "the last one has not");
    // A hundred a second.
    (0..1_000).for_each(|place| queue.freed(at(10) + Duration::from_millis(place * 10)));
    assert_eq!(again(&queue, 3, 20), 1);
}

#[test]
fn the_front_is_where_the_first_one_stands() {
    let mut queue = Queue::new();
    assert_eq!(queue.front(), None);
    wait(&mut queue, 1, 1, 3);
    assert_eq!(queue.front(), Some(at(13)));
    wait(&mut queue, 2, 0, 4);
    assert_eq!(queue.front(), Some(at(4)));
    assert_eq!(queue.call(Lack::Permit), Some(2));
    assert_eq!(queue.front(), Some(at(4)), "it is on its way to it");
    queue.again(2, Lack::Permit);
    assert_eq!(queue.front(), Some(at(4)), "nor has it left");
    queue.seated(2, at(5));
    assert_eq!(queue.front(), Some(at(13)));
    assert_eq!(queue.depths(), [0, 1, 0, 0]);
}

#[test]
fn a_connection_calls_nobody_who_lacks_a_permit() {
    let mut queue = Queue::new();
    wait(&mut queue, 1, 1, 0);
    assert_eq!(queue.call(Lack::Connection), None);
    assert_eq!(queue.call(Lack::Permit), Some(1));
    queue.again(1, Lack::Connection);
    assert_eq!(queue.call(Lack::Connection), Some(1));
    queue.seated(1, at(1));
    wait(&mut queue, 2, 1, 1);
    // It has not tried, so it may lack either.
    assert!(matches!(queue.admit(3, 0, None, at(1), &SETTINGS), Admit::Wait { .. }));
    assert_eq!(queue.call(Lack::Connection), Some(3));
}

/// Five come for what is all taken, and leave one after the other: only the first has tried.
#[test]
fn what_is_lacking_is_known_to_the_last_in_line() {
    let mut queue = Queue::new();
    assert_eq!(queue.lack(), None);
    for (who, lack) in [(1, Some(Lack::Connection)), (2, None), (3, None)] {
        assert!(matches!(queue.admit(who, 0, lack, at(0), &SETTINGS), Admit::Wait { .. }));
    }
    for who in 1..4 {
        assert_eq!(queue.lack(), Some(Lack::Connection), "{who}");
        assert!(!queue.leave(who, at(1)));
    }
    wait(&mut queue, 4, 0, 2);
    assert_eq!(queue.call(Lack::Permit), Some(4));
    queue.again(4, Lack::Permit);
    assert_eq!(queue.lack(), Some(Lack::Permit));
}

#[test]
fn a_priority_is_one_digit_or_the_configured_one() {
    for (value, expected) in [
        (Some("0"), 0),
        (Some("3"), 3),
        (Some("4"), 1),
        (Some("-1"), 1),
        (Some("00"), 1),
        (Some(""), 1),
        (None, 1),
    ] {
        assert_eq!(priority(value.map(str::as_bytes), &SETTINGS), expected, "{value:?}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Come { priority: u8, lack: Lack },
    Free,
    Vain,
    Leave { index: usize },
    Pass { millis: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let lack = prop::sample::select(vec![Lack::Permit, Lack::Connection]);
    prop_oneof![
        4 => (0..4_u8, lack).prop_map(|(priority, lack)| Act::Come { priority, lack }),
        3 => Just(Act::Free),
        1 => Just(Act::Vain),
        1 => (0..16_usize).prop_map(|index| Act::Leave { index }),
        2 => (0..20_000_u64).prop_map(|millis| Act::Pass { millis }),
    ]
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    /// Against a plain list that is searched for the least (came + priority × 10 s, order).
    #[test]
    fn the_order_is_the_rule(acts in prop::collection::vec(act(), 1..200)) {
        let settings = Admission { queue: 12, ..SETTINGS };
        let mut queue = Queue::new();
        let mut model: Vec<(Instant, u32)> = Vec::new();
        let mut now = Instant::ZERO;
        for (who, act) in (0..).zip(acts) {
            match act {
                Act::Come { priority, lack } => {
                    let admit = queue.admit(who, priority, Some(lack), now, &settings);
                    let full = matches!(admit, Admit::Full { .. });
                    prop_assert_eq!(full, model.len() == 12);
                    if !full {
                        model.push((now + seconds(10) * u32::from(priority), who));
                    }
                }
                Act::Free | Act::Vain => {
                    queue.freed(now);
                    let first = model.iter().min_by_key(|(standing, _)| *standing).copied();
                    let called = queue.call(Lack::Permit);
                    match (first, called) {
                        // Of two that stand alike the more urgent is called.
                        (Some((standing, _)), Some(called)) => {
                            let index = model.iter().position(|(_, who)| *who == called);
                            let index = index.expect("only who waits is called");
                            prop_assert_eq!(model[index].0, standing);
                            if matches!(act, Act::Vain) {
                                queue.again(called, Lack::Permit);
                            } else {
                                queue.seated(called, now);
                                model.remove(index);
                            }
                        }
                        (first, called) => prop_assert_eq!(first.map(|(_, who)| who), called),
                    }
                }
                Act::Leave { index } => if !model.is_empty() {
                    let (_, who) = model.remove(index % model.len());
                    prop_assert!(!queue.leave(who, now));
                },
                Act::Pass { millis } => now += Duration::from_millis(millis),
            }
            prop_assert_eq!(queue.len(), model.len());
            let again = queue.retry_after((who % 4) as u8, now, &settings).as_secs();
            prop_assert!((1..=60).contains(&again));
        }
    }
}
