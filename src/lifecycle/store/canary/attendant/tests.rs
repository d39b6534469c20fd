use super::*;

fn canary(gateways: &[&str]) -> Canary {
    Canary {
        number: 43,
        by: "ann".into(),
        at: String::new(),
        message: String::new(),
        share: 20,
        watch_seconds: 300,
        requests_min: 20,
        gateways: gateways.iter().map(|name| (*name).to_owned()).collect(),
        changed: vec!["config".into()],
        parts: BTreeMap::new(),
        base: BTreeMap::new(),
        decided: None,
    }
}

fn report(obeyed: bool, requests: u64, failed: u64) -> Report {
    let now = Figures { requests, failed, ..Figures::default() };
    let before = Figures { requests: 1_000, ..Figures::default() };
    Report { number: 43, obeyed, seconds: 0, requests, before, now }
}

type Others = BTreeMap<String, Report>;

fn others<const N: usize>(told: [(&str, Report); N]) -> Others {
    told.into_iter().map(|(name, report)| (name.to_owned(), report)).collect()
}

fn sight<'a>(canary: &'a Canary, mine: &'a Report, others: &'a Others) -> Sight<'a> {
    Sight { canary, holds: true, refused: None, mine, others: Some(others) }
}

fn stops(act: &Act, part: &str) {
    assert!(matches!(act, Act::Stop(why) if why.contains(part)), "{act:?} is not {part:?}");
}

#[test]
fn a_quiet_watch_ends_with_a_promotion_by_whoever_tries_it() {
    let canary = canary(&["a"]);
    let (mine, rest) = (report(true, 30, 0), others([("b", report(false, 500, 0))]));
    let mut attendant = Attendant::new("a".into());
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let told = sight(&canary, &mine, &rest);
    assert_eq!(attendant.decide(&told, at(0)), Act::Nothing);
    assert_eq!(attendant.decide(&told, at(299)), Act::Nothing);
    assert_eq!(attendant.decide(&told, at(300)), Act::Promote);
    // Too few requests prove nothing: it waits for more.
    let few = report(true, 19, 0);
    assert_eq!(attendant.decide(&Sight { mine: &few, ..told }, at(400)), Act::Nothing);
    // Nor does the watch go on while the store is away, or by somebody who does not try it.
    assert_eq!(attendant.decide(&Sight { others: None, ..told }, at(401)), Act::Nothing);
    let onlooker = report(false, 500, 0);
    let seen = others([("a", report(true, 30, 0))]);
    let mut other = Attendant::new("b".into());
    for second in [0, 400] {
        assert_eq!(other.decide(&sight(&canary, &onlooker, &seen), at(second)), Act::Nothing);
    }
    // Another canary is watched from its own beginning.
    let next = Canary { number: 44, ..canary.clone() };
    let mine = Report { number: 44, ..mine.clone() };
    assert_eq!(attendant.decide(&sight(&next, &mine, &rest), at(402)), Act::Nothing);
}

#[test]
fn all_that_try_it_have_to_obey_it_and_their_requests_count_together() {
    let canary = canary(&["a", "b"]);
    let mine = report(true, 12, 0);
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut attendant = Attendant::new("a".into());
    let both = |seconds| others([("b", Report { seconds, ..report(true, 8, 0) })]);
    attendant.decide(&sight(&canary, &mine, &both(0)), at(0));
    let one = others([]);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &one), at(300)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &both(299)), at(301)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &both(300)), at(302)), Act::Promote);
}

#[test]
fn one_that_ends_while_it_tries_a_candidate_holds_the_promotion_back_and_stops_it() {
    let canary = canary(&["a", "b"]);
    let mine = report(true, 40, 0);
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let says = |seconds| others([("b", Report { seconds, ..report(true, 8, 0) })]);
    // Its last words stay for as long as its lease: they are no sign of life.
    let mut attendant = Attendant::new("a".into());
    attendant.decide(&sight(&canary, &mine, &says(290)), at(290));
    let last = says(300);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &last), at(295)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &last), at(590)), Act::Nothing);
    stops(&attendant.decide(&sight(&canary, &mine, &last), at(620)), "b has not said for 30 s");
    // Once may be an update, twice is none.
    let mut attendant = Attendant::new("a".into());
    for (second, seconds) in [(0, 5), (10, 2), (20, 12)] {
        let told = says(seconds);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &told), at(second)), Act::Nothing);
    }
    let act = attendant.decide(&sight(&canary, &mine, &says(1)), at(30));
    stops(&act, "b has begun anew 2 times");
}

#[test]
fn what_answers_half_of_its_requests_in_vain_is_not_promoted_whatever_was_before() {
    let canary = canary(&["a"]);
    let before = Figures { requests: 100, failed: 100, ..Figures::default() };
    let (mine, rest) = (report(true, 40, 40), others([("b", report(false, 500, 0))]));
    let mine = Report { before, ..mine };
    let mut attendant = Attendant::new("a".into());
    let begin = Instant::now();
    for second in [0, 300, 900] {
        let now = begin + Duration::from_secs(second);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &rest), now), Act::Nothing);
    }
}

#[test]
fn each_reason_stops_it() {
    let canary = canary(&["a"]);
    let rest = others([("b", report(false, 500, 0))]);
    let now = Instant::now();
    let (good, bad) = (report(true, 40, 0), report(true, 40, 12));
    let told = sight(&canary, &good, &rest);
    let decide = |sight: &Sight<'_>| {
        let mut attendant = Attendant::new("a".into());
        match attendant.decide(sight, now) {
            Act::Nothing => attendant.decide(sight, now + STANDING),
            act => act,
        }
    };
    assert_eq!(decide(&told), Act::Nothing);
    stops(&decide(&Sight { holds: false, ..told }), "changed meanwhile");
    stops(&decide(&Sight { refused: Some("no"), ..told }), "a refuses it: no");
    stops(&decide(&Sight { mine: &bad, ..told }), "a: 12 of 40 (30.0 %) requests were failed");
    // Without the store it can still tell.
    stops(&decide(&Sight { mine: &bad, others: None, ..told }), "requests were failed");
    // Where all are so, it is not the candidate.
    let outage = others([("b", report(false, 500, 150))]);
    assert_eq!(decide(&Sight { mine: &bad, others: Some(&outage), ..told }), Act::Nothing);
    // What others say of another canary is not compared with, nor what those say that try it.
    let stale = others([
        ("b", Report { number: 42, ..report(false, 500, 150) }),
        ("c", report(true, 500, 150)),
    ]);
    stops(&decide(&Sight { mine: &bad, others: Some(&stale), ..told }), "requests were failed");
    // Whoever does not try it has nothing to say.
    let bystander = report(false, 40, 12);
    assert_eq!(decide(&Sight { mine: &bystander, ..told }), Act::Nothing);
}

#[test]
fn a_complaint_has_to_stand_until_the_others_have_measured_the_same_while() {
    let canary = canary(&["a"]);
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let bad = report(true, 40, 12);
    // What they said before the outage, and what they say of it.
    let before = others([("b", report(false, 500, 0))]);
    let outage = others([("b", report(false, 540, 160))]);
    let mut attendant = Attendant::new("a".into());
    assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(0)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(9)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &bad, &outage), at(10)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &bad, &outage), at(60)), Act::Nothing);
    // The others are well again, and here it goes on.
    assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(61)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(72)), Act::Nothing);
    stops(&attendant.decide(&sight(&canary, &bad, &before), at(73)), "requests were failed");
    // And nothing is promoted while it stands.
    let mut attendant = Attendant::new("a".into());
    let good = report(true, 40, 0);
    attendant.decide(&sight(&canary, &good, &before), at(0));
    assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(301)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &good, &before), at(302)), Act::Promote);
}

#[test]
fn a_flagrant_complaint_stands_as_soon_as_the_others_are_seen_to_be_well_meanwhile() {
    let canary = canary(&["a"]);
    let begin = Instant::now();
    let at = |half_seconds: u64| begin + Duration::from_millis(500 * half_seconds);
    let mine = report(true, 40, 38);
    let told = |requests, failed| others([("b", report(false, requests, failed))]);
    let decide = |attendant: &mut Attendant, mine: &Report, others: &Others, half_seconds| {
        attendant.decide(&sight(&canary, mine, others), at(half_seconds))
    };
    // What is known soon after it began was measured before, or just then.
    let mut attendant = Attendant::new("a".into());
    for (half_seconds, requests) in [(0, 100), (2, 150), (4, 200), (5, 250), (6, 269)] {
        let act = decide(&mut attendant, &mine, &told(requests, 0), half_seconds);
        assert_eq!(act, Act::Nothing, "{half_seconds}");
    }
    stops(&decide(&mut attendant, &mine, &told(270, 2), 7), "38 of 40 (95.0 %) requests");
    // Not where it is everybody's,
    let mut attendant = Attendant::new("a".into());
    for half_seconds in 0..40 {
        let others = told(100 + 20 * half_seconds, 16 * half_seconds);
        assert_eq!(decide(&mut attendant, &mine, &others, half_seconds), Act::Nothing);
    }
    // nor where it is bad and might be chance, where the others say nothing new, or cannot be asked,
    let some = report(true, 40, 12);
    for (mine, each) in [(&some, 20), (&mine, 0)] {
        let mut attendant = Attendant::new("a".into());
        for half_seconds in 0..24 {
            let act =
                decide(&mut attendant, mine, &told(100 + each * half_seconds, 0), half_seconds);
            assert_eq!(act, Act::Nothing, "{half_seconds}");
        }
        stops(&decide(&mut attendant, mine, &told(900, 0), 24), "requests were failed");
    }
    // nor where what they say may be of before: they say it every now and then.
    let mut attendant = Attendant::new("a".into());
    for half_seconds in 0..24 {
        let old = Report { seconds: 61, ..report(false, 100 + 20 * half_seconds, 0) };
        let old = others([("b", old)]);
        assert_eq!(decide(&mut attendant, &mine, &old, half_seconds), Act::Nothing);
    }
    // Each complaint begins anew.
    let mut attendant = Attendant::new("a".into());
    decide(&mut attendant, &mine, &told(100, 0), 0);
    decide(&mut attendant, &mine, &told(200, 0), 6);
    decide(&mut attendant, &report(true, 40, 0), &told(300, 0), 7);
    assert_eq!(decide(&mut attendant, &mine, &told(400, 0), 8), Act::Nothing);
    assert_eq!(decide(&mut attendant, &mine, &told(500, 0), 12), Act::Nothing);
}

#[test]
fn whoever_is_silent_for_half_a_minute_is_missed_by_all() {
    let canary = canary(&["a"]);
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mine = report(false, 0, 0);
    let (gone, here) = (others([]), others([("a", report(true, 0, 0))]));
    let mut attendant = Attendant::new("b".into());
    assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(0)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &here), at(30)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(40)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(69)), Act::Nothing);
    // While nobody can be asked, nobody is missed.
    let away = Sight { others: None, ..sight(&canary, &mine, &gone) };
    assert_eq!(attendant.decide(&away, at(70)), Act::Nothing);
    assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(71)), Act::Nothing);
    stops(&attendant.decide(&sight(&canary, &mine, &gone), at(101)), "a has not said for 30 s");
    // One that is there, and does not obey it, is missed as well.
    let idle = others([("a", report(false, 0, 0))]);
    let mut attendant = Attendant::new("b".into());
    attendant.decide(&sight(&canary, &mine, &idle), at(0));
    stops(&attendant.decide(&sight(&canary, &mine, &idle), at(30)), "a has not said");
}
