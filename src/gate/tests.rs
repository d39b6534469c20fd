//! The gate in virtual time.

use std::time::Duration;

use super::key::{KeyDigest, KeyHolder, KeySettings};
use super::network::Cidr;
use super::refusal::Bar;
use super::*;
use crate::http::head::{FieldSlots, HeadLimits, parse_request};
use crate::http::pattern::Pattern;
use crate::http::timestamp;

const SECRET: &str = "sg-one";
/// Noon.
const UNIX: u64 = 1_796_126_400;

fn gate(change: impl Fn(&mut KeySettings)) -> Gate {
    let mut settings = KeySettings::unlimited("one", KeyDigest::of(SECRET.as_bytes()));
    change(&mut settings);
    Gate {
        keys: KeyTable::new([settings]),
        passes_keys: false,
        guess_tokens: 100,
        ..Gate::default()
    }
}

fn identify(gate: &Gate, fields: &str) -> Result<Principal, GateRefusal> {
    let text = format!("POST /v1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 8_192, fields: 64 };
    let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("legal");
    let at = GateTime { now: Instant::ZERO, unix: 0 };
    gate.identify(&head.expect("whole"), &TokenMemory::default(), at)
}

fn one(gate: &Gate) -> Principal {
    identify(gate, "authorization: Bearer sg-one\r\n").expect("known")
}

fn at(seconds: u64) -> GateTime {
    let now = Instant::from_nanos(seconds * 1_000_000_000);
    GateTime { now, unix: UNIX + seconds }
}

const PROVED: Asked<'static> = Asked { certificate: Some("agent-7"), ..ASKED };
const ASKED: Asked<'static> = Asked {
    route: "/v1/*",
    model: AskedModel::Named("llama-3"),
    named: &[],
    tunnel: false,
    certificate: None,
    client: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7)),
    body: Some(400),
};

#[test]
fn a_key_is_found_wherever_it_stands_and_nothing_else_is() {
    let gate = gate(|_| ());
    for (fields, expected) in [
        ("authorization: Bearer sg-one\r\n", Ok("one")),
        ("x-api-key: sg-one\r\n", Ok("one")),
        ("api-key: sg-one\r\n", Ok("one")),
        ("x-goog-api-key: sg-one\r\n", Ok("one")),
        // Two keys, one of them for somebody behind us.
        ("authorization: Bearer sk-theirs\r\nx-api-key: sg-one\r\n", Ok("one")),
        ("", Err(GateRefusal::Missing)),
        ("authorization: Basic c2ctb25l\r\n", Err(GateRefusal::Missing)),
        ("authorization: Bearer sg-on\r\n", Err(GateRefusal::Unknown { ours: true })),
        ("authorization: Bearer sg-one1\r\n", Err(GateRefusal::Unknown { ours: true })),
        ("x-api-key: none\r\n", Err(GateRefusal::Unknown { ours: false })),
    ] {
        let found = identify(&gate, fields).map(|who| who.name().to_owned());
        assert_eq!(found.as_deref().map_err(|why| *why), expected, "{fields:?}");
    }
}

#[test]
fn who_comes_in_without_a_key_is_for_the_route_to_say() {
    let unknown = |ours| GateRefusal::Unknown { ours };
    for (mode, missing, dummy, mistyped) in [
        (KeyMode::Off, true, true, true),
        (KeyMode::Optional, true, true, false),
        (KeyMode::Required, false, false, false),
    ] {
        let admitted =
            [GateRefusal::Missing, unknown(false), unknown(true)].map(|why| mode.admits(why));
        assert_eq!(admitted, [missing, dummy, mistyped], "{mode:?}");
    }
}

#[test]
fn a_key_opens_what_it_says() {
    use GateRefusal::{Expired, Forbidden};
    type Change = fn(&mut KeySettings);
    let rows: [(Change, Asked<'_>, Result<(), GateRefusal>); 15] = [
        (|_| (), ASKED, Ok(())),
        (|key| key.expires = Some(UNIX + 1), ASKED, Ok(())),
        (|key| key.expires = Some(UNIX), ASKED, Err(Expired)),
        (|key| key.routes = vec!["/v1/*".into()], ASKED, Ok(())),
        (|key| key.routes = vec!["/v2/*".into()], ASKED, Err(Forbidden(Bar::Route))),
        (|key| key.models = vec![Pattern::new("llama-*")], ASKED, Ok(())),
        (|key| key.models = vec![Pattern::new("qwen*")], ASKED, Err(Forbidden(Bar::Model))),
        (
            |key| key.models = vec![Pattern::new("*")],
            Asked { model: AskedModel::Unknown, ..ASKED },
            Err(Forbidden(Bar::UnnamedModel)),
        ),
        (
            |key| key.models = vec![Pattern::new("qwen*")],
            Asked { model: AskedModel::None, ..ASKED },
            Ok(()),
        ),
        (|key| key.networks = vec![Cidr::parse("10.0.0.0/8").expect("legal")], ASKED, Ok(())),
        (
            |key| key.networks = vec![Cidr::parse("192.0.2.0/24").expect("legal")],
            ASKED,
            Err(Forbidden(Bar::Network)),
        ),
        (|key| key.certificates = vec![Pattern::new("agent-*")], PROVED, Ok(())),
        (
            |key| key.certificates = vec![Pattern::new("agent-*")],
            Asked { certificate: Some("guest"), ..ASKED },
            Err(Forbidden(Bar::Certificate)),
        ),
        (|key| key.certificates = vec![Pattern::new("*")], ASKED, Err(Forbidden(Bar::Certificate))),
        // A request that is refused uses nothing.
        (|key| (key.requests_per_minute, key.expires) = (Some(1), Some(0)), ASKED, Err(Expired)),
    ];
    for (row, (change, asked, expected)) in rows.into_iter().enumerate() {
        let gate = gate(change);
        let mut who = one(&gate);
        assert_eq!(gate.enter(&mut who, &asked, at(0)), expected, "row {row}");
        assert_eq!(who.has_entered(), expected.is_ok(), "row {row}");
        assert_eq!(who.key().used.requests.left(1, at(0).now), 1, "row {row}");
    }
}

#[test]
fn after_a_rotation_the_old_secret_opens_for_a_while() {
    let old = KeyDigest::of(b"sg-old");
    let gate = gate(|key| key.previous = Some((old, UNIX + 60)));
    for (seconds, expected) in [(59, Ok(())), (60, Err(GateRefusal::Unknown { ours: true }))] {
        let mut who = identify(&gate, "x-api-key: sg-old\r\n").expect("known");
        assert_eq!(gate.enter(&mut who, &ASKED, at(seconds)), expected, "{seconds}");
        assert_eq!(gate.enter(&mut one(&gate), &ASKED, at(seconds)), Ok(()));
    }
}

#[test]
fn requests_and_tokens_come_out_of_buckets() {
    let gate = gate(|key| {
        (key.requests_per_minute, key.tokens_per_minute) = (Some(3), Some(1_000));
    });
    let mut first = one(&gate);
    assert_eq!(gate.enter(&mut first, &ASKED, at(0)), Ok(()));
    // 400 bytes are 100 tokens, and the answer is taken to have 100.
    let left = |who: &Principal| who.key().used.tokens.left(1_000, at(0).now);
    assert_eq!(left(&first), 800);
    gate.settle(&mut first, Some(GateUsage { tokens: 50, cost: 0 }), at(0));
    assert_eq!(left(&first), 950);
    // Settled once.
    gate.settle(&mut first, Some(GateUsage { tokens: 50, cost: 0 }), at(0));
    drop(first);
    let mut second = one(&gate);
    assert_eq!((gate.enter(&mut second, &ASKED, at(0)), left(&second)), (Ok(()), 750));
    gate.settle(&mut second, Some(GateUsage { tokens: 900, cost: 0 }), at(0));
    assert_eq!(left(&second), 50);
    let mut third = one(&gate);
    let wait = Duration::from_secs(9);
    let refused = Err(GateRefusal::Rate(RateOf::Tokens, wait));
    assert_eq!(gate.enter(&mut third, &ASKED, at(0)), refused);
    // The wait that was told is enough; the request that was refused was not counted.
    assert_eq!(gate.enter(&mut third, &ASKED, at(9)), Ok(()));
    assert_eq!(third.key().used.under_way(), 1);
    drop(third);
    let mut fourth = one(&gate);
    let Err(GateRefusal::Rate(RateOf::Requests, wait)) = gate.enter(&mut fourth, &ASKED, at(9))
    else {
        panic!("three a minute");
    };
    assert_eq!(wait, Duration::from_secs(11));
}

#[test]
fn what_is_reserved_comes_back_when_nothing_came_of_it() {
    let gate = gate(|key| (key.concurrency, key.tokens_per_minute) = (Some(2), Some(150)));
    let left = |who: &Principal| who.key().used.tokens.left(150, at(0).now);
    let mut first = one(&gate);
    // More than the bucket holds is taken from a full one.
    assert_eq!((gate.enter(&mut first, &ASKED, at(0)), left(&first)), (Ok(()), 0));
    gate.settle(&mut first, None, at(0));
    assert_eq!(left(&first), 150);
    let mut second = one(&gate);
    assert_eq!(gate.enter(&mut second, &ASKED, at(0)), Ok(()));
    gate.settle(&mut second, Some(GateUsage { tokens: 10, cost: 0 }), at(0));
    assert_eq!(left(&second), 140);
    // Of one that was never settled, too.
    let small = Asked { body: None, ..ASKED };
    let mut third = one(&gate);
    assert_eq!(gate.enter(&mut third, &small, at(0)), Ok(()));
    let mut fourth = one(&gate);
    assert_eq!(gate.enter(&mut fourth, &small, at(0)), Ok(()));
    let mut fifth = one(&gate);
    assert_eq!(gate.enter(&mut fifth, &small, at(0)), Err(GateRefusal::Concurrency));
    drop(third);
    assert_eq!(gate.enter(&mut fifth, &small, at(0)), Ok(()));
}

#[test]
fn a_budget_is_spent_until_its_period_is_over() {
    let gate = gate(|key| (key.tokens_per_day, key.cost_per_month) = (Some(100), Some(5_000)));
    let spend = |tokens, cost, seconds| {
        let mut who = one(&gate);
        let entered = gate.enter(&mut who, &ASKED, at(seconds));
        gate.settle(&mut who, Some(GateUsage { tokens, cost }), at(seconds));
        entered
    };
    assert_eq!(spend(60, 10, 0), Ok(()));
    // What is under way when the budget is spent goes on to its end.
    assert_eq!(spend(60, 10, 0), Ok(()));
    let noon = Duration::from_secs(43_200);
    assert_eq!(timestamp::written(UNIX).get(10..), Some("T12:00:00Z"));
    assert_eq!(spend(1, 1, 0), Err(GateRefusal::Budget(Period::Day, noon)));
    assert_eq!(spend(1, 5_000, 43_200), Ok(()));
    let Err(GateRefusal::Budget(Period::Month, rest)) = spend(1, 1, 43_200) else {
        panic!("the month's money is spent");
    };
    assert_eq!(spend(1, 1, 43_200 + rest.as_secs()), Ok(()));
}

#[test]
fn a_reload_keeps_what_was_used_under_a_name() {
    let before = gate(|key| key.requests_per_minute = Some(2));
    let mut under_way = one(&before);
    assert_eq!(before.enter(&mut under_way, &ASKED, at(0)), Ok(()));
    let mut after = gate(|key| {
        key.requests_per_minute = Some(2);
        key.holder = KeyHolder::Secret(KeyDigest::of(b"sg-two"));
    });
    after.keys = after.keys.follow(&before.keys);
    assert!(identify(&after, "x-api-key: sg-one\r\n").is_err());
    let two = |gate| identify(gate, "x-api-key: sg-two\r\n").expect("known");
    let mut who = two(&after);
    assert_eq!(after.enter(&mut who, &ASKED, at(0)), Ok(()));
    assert_eq!(who.key().used.under_way(), 2);
    assert!(after.enter(&mut two(&after), &ASKED, at(0)).is_err());
    drop(under_way);
    assert_eq!(who.key().used.under_way(), 1);
}

#[test]
fn a_secret_is_nowhere_in_what_is_printed() {
    let gate = gate(|_| ());
    let printed = format!("{gate:?} {:?}", one(&gate));
    assert!(!printed.contains("sg-one") && printed.contains("(hidden)"), "{printed}");
}
