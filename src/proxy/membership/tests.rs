use super::*;

const BELIEF: Belief = Belief { shrink: 0.5, confirm: Duration::from_secs(30), empty: false };

fn set(names: &str) -> Vec<FoundMember> {
    names.split_whitespace().map(FoundMember::at).collect()
}

/// What is in force, as it is written in a row.
fn shown(membership: &Membership) -> String {
    let members = membership.in_force().iter().map(|member| member.address.as_str());
    members.collect::<Vec<_>>().join(" ")
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

#[test]
fn a_set_is_believed_unless_it_has_shrunk_by_too_much() {
    // Told at a second, in force then, and whether it is in doubt.
    let rows: [(u64, &str, &str, bool); 11] = [
        (0, "a b c d", "a b c d", false),
        (1, "d c b a", "a b c d", false),
        (2, "c d", "c d", false),
        (3, "a b c d", "a b c d", false),
        (10, "a", "a b c d", true),
        (20, "a", "a b c d", true),
        (25, "a e", "a e", false),
        (30, "f g", "f g", false),
        (40, "", "f g", true),
        (4_000, "", "f g", true),
        (4_001, "f", "f", false),
    ];
    let mut membership = Membership::default();
    for (second, told, in_force, doubted) in rows {
        membership.told(set(told), &BELIEF, at(second));
        assert_eq!(shown(&membership), in_force, "told {told:?} at {second}");
        assert_eq!(membership.doubted().is_some(), doubted, "told {told:?} at {second}");
    }
}

#[test]
fn what_is_told_long_enough_is_believed_and_newcomers_at_once() {
    let mut membership = Membership::default();
    membership.told(set("a b c d"), &BELIEF, at(0));
    let judged = membership.told(set("e"), &BELIEF, at(10));
    assert_eq!(judged, Judgement { changed: true, doubted: true, settled: false });
    assert_eq!((shown(&membership), membership.due(at(10))), ("a b c d e".into(), at(40)));
    // Another set that is as small is no better, and no later.
    let judged = membership.told(set("e"), &BELIEF, at(30));
    assert_eq!(judged, Judgement { changed: false, doubted: false, settled: false });
    assert!(!membership.on_time(at(39)).changed);
    let judged = membership.on_time(at(40));
    assert_eq!(judged, Judgement { changed: true, doubted: false, settled: true });
    assert_eq!((shown(&membership), membership.due(at(40))), ("e".into(), Instant::NEVER));
}

#[test]
fn an_empty_set_is_obeyed_where_that_is_wanted_after_the_same_time() {
    let belief = Belief { empty: true, ..BELIEF };
    let mut membership = Membership::default();
    assert!(!membership.told(set(""), &belief, at(0)).doubted, "there was nothing to lose");
    membership.told(set("a"), &belief, at(0));
    assert!(membership.told(set(""), &belief, at(1)).doubted);
    assert_eq!(shown(&membership), "a");
    membership.on_time(at(31));
    assert_eq!(shown(&membership), "");
}

#[test]
fn who_comes_and_goes_waits_longer_each_time() {
    let mut membership = Membership::default();
    membership.told(set("a b c"), &BELIEF, at(0));
    // Away at this second and back a second later: in force again after so many seconds.
    for (second, pause) in [(10, 0), (20, 1), (30, 2), (40, 4), (50, 8)] {
        membership.told(set("a b"), &BELIEF, at(second));
        membership.told(set("a b c"), &BELIEF, at(second + 1));
        let back = at(second + 1 + pause);
        if pause > 0 {
            assert_eq!((shown(&membership), membership.due(at(second + 1))), ("a b".into(), back));
            assert_eq!(membership.paused(), 1);
        }
        membership.on_time(back);
        assert_eq!(shown(&membership), "a b c", "at {second}");
    }
    membership.told(set("a b"), &BELIEF, at(400));
    membership.told(set("a b c"), &BELIEF, at(401));
    assert_eq!(shown(&membership), "a b c", "that was long ago");
}

/// Whoever looks after it asks when there is something to do, and then says that it is time.
#[test]
fn who_was_made_to_wait_is_in_force_when_it_is_due() {
    let mut membership = Membership::default();
    let belief = Belief { shrink: 1.0, ..BELIEF };
    for (second, told) in [(0, "a b"), (1, "a"), (2, "a b"), (3, "a"), (4, "a b")] {
        membership.told(set(told), &belief, at(second));
    }
    assert_eq!((shown(&membership), membership.due(at(4))), ("a".into(), at(5)));
    // It is late: what was due is due still.
    let late = at(5) + Duration::from_millis(1);
    assert_eq!(membership.due(late), late);
    assert!(membership.on_time(late).changed);
    assert_eq!((shown(&membership), membership.due(late)), ("a b".into(), Instant::NEVER));
}

#[test]
fn a_doubt_begins_anew_where_more_is_lost_and_does_not_go_on_while_nothing_is_told() {
    let mut membership = Membership::default();
    membership.told(set("a b c d e f g h i j"), &BELIEF, at(0));
    membership.told(set("a b c d"), &BELIEF, at(10));
    assert_eq!(membership.due(at(10)), at(40));
    membership.told(set("a"), &BELIEF, at(39));
    assert_eq!(membership.due(at(39)), at(69));
    membership.unknown();
    assert_eq!(membership.due(at(60)), Instant::NEVER);
    assert!(!membership.on_time(at(600)).changed);
    membership.told(set("a"), &BELIEF, at(700));
    assert_eq!(membership.due(at(700)), at(730));
}

#[test]
fn nobody_waits_where_nobody_else_is_there() {
    let mut membership = Membership::default();
    membership.told(set("a b"), &BELIEF, at(0));
    for second in 1..9 {
        membership.told(set(["a b", "c"][second as usize % 2]), &BELIEF, at(second));
        assert!(!membership.in_force().is_empty(), "at {second}");
    }
}

#[test]
fn a_member_that_weighs_something_else_is_the_same_member() {
    let mut membership = Membership::default();
    membership.told(set("a b"), &BELIEF, at(0));
    let mut heavier = set("a b");
    heavier[0].weight = 5;
    let judged = membership.told(heavier.clone(), &BELIEF, at(1));
    assert!(judged.changed && membership.in_force() == heavier);
    assert_eq!(membership.due(at(1)), Instant::NEVER);
}
