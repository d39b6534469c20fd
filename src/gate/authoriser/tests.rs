//! What is asked, what answers say, and who waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::answer::judge;
use super::foyer::{AuthAsked, AuthAsking};
use super::*;
use crate::clock::Instant;
use crate::gate::key::{KeyDigest, KeyHolder, KeySettings};
use crate::gate::table::KeyTable;
use crate::http::credential::FIELDS;
use crate::http::head::{FieldSlots, HeadLimits, parse_request};
use crate::http::pattern::Pattern;

fn at(seconds: u64) -> GateTime {
    let now = Instant::from_nanos(seconds * 1_000_000_000);
    GateTime { now, unix: 1_796_126_400 + seconds }
}

fn path(claim: &str) -> Option<Vec<String>> {
    Some(vec![claim.to_owned()])
}

fn settings() -> AuthoriserSettings {
    let claims = ["name", "tier", "models", "requests_per_minute", "cost_per_day"];
    AuthoriserSettings {
        headers: FIELDS.map(str::to_owned).to_vec(),
        tells: Tells { method: true, host: true, uri: true, client: true },
        claims: claims.map(|claim| (claim, format!("x-{claim}"))).to_vec(),
        wants_name: false,
        names: ClaimNames {
            name: vec!["name".to_owned()],
            tier: path("tier"),
            models: path("models"),
            requests_per_minute: path("requests_per_minute"),
            cost_per_day: path("cost_per_day"),
            ..ClaimNames::default()
        },
        tier: Some("small".to_owned()),
        timeout: Duration::from_secs(5),
        yes_for: Duration::from_secs(60),
        no_for: Duration::from_secs(5),
        size: 100,
        anonymous: false,
    }
}

fn gate_of(settings: AuthoriserSettings) -> Gate {
    let small = KeySettings {
        requests_per_minute: Some(2),
        ..KeySettings::unlimited("small", KeyDigest([0; 32]))
    };
    Gate {
        authoriser: Some(Arc::new(Authoriser::new(settings))),
        tiers: [("small".to_owned(), small)].into(),
        ..Gate::default()
    }
}

/// What is to be done with a request of these fields.
fn comes(
    gate: &Gate,
    fields: &str,
    client: &str,
    answers: &AnswerMemory,
    answered: Option<Judged>,
) -> Result<Comer, First> {
    comes_with(None, gate, (fields, client), answers, answered)
}

/// The same, from a client that has proved by a certificate to be this.
fn comes_with(
    certificate: Option<&str>,
    gate: &Gate,
    (fields, client): (&str, &str),
    answers: &AnswerMemory,
    answered: Option<Judged>,
) -> Result<Comer, First> {
    let text = format!("GET /v1/models?a=b HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 65_536, fields: 64 };
    let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("legal").expect("whole");
    let client = client.parse().expect("an address");
    let origin = Origin { client, sealed: false, certificate };
    let memories = Memories { tokens: &TokenMemory::default(), answers };
    gate.who_comes(&head, origin, memories, answered, at(0))
}

/// The question about a request, where there is one.
fn question(gate: &Gate, fields: &str, client: &str) -> Result<AuthQuestion, Option<GateRefusal>> {
    match comes(gate, fields, client, &AnswerMemory::default(), None) {
        Err(First::Ask(question)) => Ok(*question),
        Err(First::Prove) => panic!("there is no issuer"),
        Ok(known) => Err(known.who.err()),
    }
}

const FROM: &str = "127.0.0.1";
const BEARER: &str = "Authorization: Bearer one\r\n";

/// An answer of this status and these fields.
fn said(settings: &AuthoriserSettings, status: u16, fields: &[(&str, &[u8])]) -> (AuthAnswer, u64) {
    let values = |name: &str| {
        let named = fields.iter().filter(|(it, _)| *it == name);
        named.map(|(_, value)| value.to_vec()).collect()
    };
    let (answer, holds) = judge(settings, status, &values);
    (answer, holds.as_secs())
}

#[test]
fn a_question_has_what_the_configuration_says_and_nothing_else() {
    let gate = gate_of(settings());
    let fields = format!("{BEARER}x-api-key: two\r\nCookie: c\r\nX-Forwarded-For: 9.9.9.9\r\n");
    let asked = question(&gate, &fields, FROM).expect("it is asked");
    assert_eq!(
        asked.lines,
        "x-forwarded-method: GET\r\nx-forwarded-proto: http\r\nx-forwarded-host: h\r\n\
         x-forwarded-uri: /v1/models?a=b\r\nx-forwarded-for: 127.0.0.1\r\n\
         authorization: Bearer one\r\nx-api-key: two\r\n"
    );
    assert_eq!(format!("{asked:?}"), "Question", "it has a credential");
    let less = Tells { method: false, host: false, uri: false, client: false };
    let less = gate_of(AuthoriserSettings { tells: less, ..settings() });
    let asked = question(&less, &fields, FROM).expect("it is asked");
    assert_eq!(asked.lines, "authorization: Bearer one\r\nx-api-key: two\r\n");
}

#[test]
fn an_answer_holds_for_the_same_question_alone() {
    let gate = gate_of(settings());
    let of = |fields: &str, client| question(&gate, fields, client).expect("it is asked").digest;
    assert_eq!(of(BEARER, FROM), of(&format!("{BEARER}Cookie: c\r\n"), FROM));
    for (fields, client) in [
        ("Authorization: Bearer onf\r\n", FROM),
        (BEARER, "127.0.0.2"),
        ("x-api-key: Bearer one\r\n", FROM),
        ("Authorization: Bearer one\r\nAuthorization: Bearer one\r\n", FROM),
        ("Authorization: Bearer one\r\nx-api-key: a\r\n", FROM),
    ] {
        assert_ne!(of(BEARER, FROM), of(fields, client), "{fields:?} {client}");
    }
    // Where nothing depends on the address, another one asks nothing new.
    let tells = Tells { client: false, ..settings().tells };
    let gate = gate_of(AuthoriserSettings { tells, ..settings() });
    let of = |client| question(&gate, BEARER, client).expect("it is asked").digest;
    assert_eq!(of(FROM), of("127.0.0.2"));
}

#[test]
fn only_what_nobody_here_knows_is_asked() {
    let refusal = |gate: &Gate, fields: &str| question(gate, fields, FROM).expect_err("not asked");
    let gate = gate_of(settings());
    assert_eq!(refusal(&gate, ""), Some(GateRefusal::Missing));
    assert_eq!(refusal(&gate, "Cookie: session=1\r\n"), Some(GateRefusal::Missing));
    // Another scheme than ours is the authoriser's affair.
    assert!(question(&gate, "Authorization: Basic dTpw\r\n", FROM).is_ok());
    assert!(
        question(&gate, "Authorization: Bearer sg-1\r\n", FROM).is_ok(),
        "no keys are made here"
    );
    let open = gate_of(AuthoriserSettings { anonymous: true, ..settings() });
    assert!(question(&open, "", FROM).is_ok());
    // What nobody could tell the authoriser in one way, and what is too long.
    for value in ["ä".to_owned(), "a".repeat(question::QUESTION_BYTES_MAX)] {
        let fields = format!("x-api-key: {value}\r\n");
        assert_eq!(refusal(&gate, &fields), Some(GateRefusal::Auth(AuthFault::Denied)));
    }
    let keys = [KeySettings::unlimited("k", KeyDigest::of(b"one"))];
    let keyed = Gate { keys: KeyTable::new(keys), ..gate_of(settings()) };
    assert_eq!(refusal(&keyed, BEARER), None, "a key that is known goes before it");
    assert_eq!(
        refusal(&keyed, "x-api-key: sg-revoked\r\n"),
        Some(GateRefusal::Unknown { ours: true })
    );
    assert!(question(&keyed, "x-api-key: two\r\n", FROM).is_ok());
}

#[test]
fn a_certificate_that_is_a_key_counts_where_the_request_shows_nothing() {
    let of = |name: &str, patterns: &[&str]| KeySettings {
        holder: KeyHolder::Certificate(patterns.iter().copied().map(Pattern::new).collect()),
        ..KeySettings::unlimited(name, KeyDigest([0; 32]))
    };
    let keys = [
        of("all-agents", &["agent-*"]),
        of("agents-of-b", &["agent-*-b", "b"]),
        of("seven", &["agent-7", "a"]),
        KeySettings::unlimited("one", KeyDigest::of(b"sg-one")),
    ];
    let gate = Gate { keys: KeyTable::new(keys), ..Gate::default() };
    let comes = |gate: &Gate, fields: &str, certificate: Option<&str>| {
        let nothing = AnswerMemory::default();
        let comer = comes_with(certificate, gate, (fields, FROM), &nothing, None);
        comer.map(|it| it.who.map(|who| who.name().to_owned()))
    };
    let unknown = |ours| Err(GateRefusal::Unknown { ours });
    let is = |name: &str| Ok(name.to_owned());
    for (fields, certificate, expected) in [
        ("", "agent-7", is("seven")),
        ("", "a", is("seven")),
        ("", "agent-70", is("all-agents")),
        // The one that says most, wherever it stands.
        ("", "agent-7-b", is("agents-of-b")),
        ("", "b", is("agents-of-b")),
        ("", "Agent-7", Err(GateRefusal::Missing)),
        ("", "guest", Err(GateRefusal::Missing)),
        ("", "", Err(GateRefusal::Missing)),
        // What a request shows is what it is judged by, whether it is good or not.
        ("x-api-key: sg-one\r\n", "agent-7", is("one")),
        ("x-api-key: sg-two\r\n", "agent-7", unknown(true)),
        ("Authorization: Token sg-two\r\n", "agent-7", unknown(true)),
        ("Authorization: Bearer sk-theirs\r\n", "agent-7", unknown(false)),
        // Nothing is shown where no key is looked for, or where it would be.
        ("Authorization: Basic YTpi\r\nCookie: c\r\n", "agent-7", is("seven")),
        ("Authorization: Bearer \r\nx-api-key: \r\n", "agent-7", is("seven")),
        ("Authorization: \r\n", "agent-7", is("seven")),
    ] {
        let found = comes(&gate, fields, Some(certificate)).expect("nobody is asked");
        assert_eq!(found, expected, "{fields:?} {certificate}");
    }
    let found = comes(&gate, "", None).expect("nobody is asked");
    assert_eq!(found, Err(GateRefusal::Missing));
    // What the authoriser is shown is for it to judge; whom it is asked about without any, the key knows.
    let open = AuthoriserSettings { anonymous: true, ..settings() };
    let asked = Gate { keys: gate.keys.clone(), ..gate_of(open) };
    assert!(matches!(comes(&asked, BEARER, Some("agent-7")), Err(First::Ask(_))));
    let basic = "Authorization: Basic YTpi\r\n";
    assert!(matches!(comes(&asked, basic, Some("agent-7")), Err(First::Ask(_))));
    assert!(matches!(comes(&asked, "", Some("guest")), Err(First::Ask(_))));
    assert_eq!(comes(&asked, "Cookie: c\r\n", Some("agent-7")).ok(), Some(is("seven")));
}

#[test]
fn what_an_answer_says() {
    let all = settings();
    let yes = |claims: serde_json::Value| AuthAnswer::Yes(claims.as_object().expect("one").clone());
    let no_names: [(u16, AuthAnswer); 8] = [
        (200, yes(json!({"name": ANYONE}))),
        (204, yes(json!({"name": ANYONE}))),
        (401, AuthAnswer::Denied(None)),
        (403, AuthAnswer::Forbidden),
        (302, AuthAnswer::Failed),
        (304, AuthAnswer::Failed),
        (429, AuthAnswer::Failed),
        (500, AuthAnswer::Failed),
    ];
    for (status, expected) in no_names {
        assert_eq!(said(&all, status, &[]).0, expected, "{status}");
    }
    let named: &[(&str, &[u8])] = &[
        ("x-name", b" ann "),
        ("x-tier", b"small"),
        ("x-models", b"llama-*, qwen"),
        ("x-requests_per_minute", b"7"),
        ("x-cost_per_day", b"1.5"),
        ("x-other", b"\xff"),
    ];
    let claims = json!({"name": "ann", "tier": "small", "models": "llama-*  qwen",
        "requests_per_minute": 7, "cost_per_day": 1.5});
    assert_eq!(said(&all, 200, named).0, yes(claims));
    assert_eq!(said(&all, 200, &[("x-name", b"")]).0, yes(json!({"name": ANYONE})));
    let unclear: [&[(&str, &[u8])]; 6] = [
        &[("x-name", b"ann"), ("x-name", b"bob")],
        &[("x-name", b"ann"), ("x-name", b"ann")],
        &[("x-name", b"\xffann")],
        &[("x-name", b"a\x7fb")],
        &[("x-requests_per_minute", b"many")],
        &[("x-requests_per_minute", b"-1")],
    ];
    for fields in unclear {
        assert!(matches!(said(&all, 200, fields), (AuthAnswer::Unclear(_), 0)), "{fields:?}");
    }
    let strict = AuthoriserSettings { wants_name: true, ..settings() };
    assert!(matches!(said(&strict, 200, &[]).0, AuthAnswer::Unclear(_)));
    let challenge = |value: &[u8]| match said(&all, 401, &[("www-authenticate", value)]).0 {
        AuthAnswer::Denied(challenge) => challenge.as_deref().map(str::to_owned),
        other => panic!("{other:?}"),
    };
    assert_eq!(challenge(b"Basic realm=\"a\""), Some("Basic realm=\"a\"".to_owned()));
    assert_eq!(challenge(b"\xff"), None);
    assert_eq!(challenge(&[b'a'; 2_000]), None);
}

#[test]
fn how_long_an_answer_holds() {
    let all = settings();
    let holds = |status, name: &str, value: &str| said(&all, status, &[(name, value.as_bytes())]).1;
    for (status, name, value, seconds) in [
        (200, "date", "now", 60),
        (401, "date", "now", 5),
        (403, "date", "now", 5),
        (500, "cache-control", "max-age=5", 0),
        (200, "cache-control", "private, max-age=10", 10),
        (200, "cache-control", "Max-Age=\"10\"", 10),
        (200, "cache-control", "max-age=100000", 60),
        (200, "cache-control", "max-age=0", 0),
        (200, "cache-control", "max-age=soon", 0),
        (200, "cache-control", "max-age", 0),
        (200, "cache-control", "no-store", 0),
        (200, "cache-control", "max-age=9, no-cache", 0),
        (401, "cache-control", "max-age=2", 2),
        (200, "vary", "*", 0),
        (200, "vary", "authorization", 60),
    ] {
        assert_eq!(holds(status, name, value), seconds, "{status} {name}: {value}");
    }
}

#[test]
fn a_yes_has_the_limits_of_its_tier_and_one_subject() {
    let gate = gate_of(settings());
    let judged = |claims: serde_json::Value| {
        let answer = AuthAnswer::Yes(claims.as_object().expect("one").clone());
        gate.judged(&Decided { answer, until: at(60).now }, at(0))
    };
    let ann = judged(json!({"name": "ann"})).who.expect("she comes in");
    assert_eq!((&*ann.settings.name, ann.settings.requests_per_minute), ("auth:ann", Some(2)));
    let again = judged(json!({"name": "ann", "requests_per_minute": 9})).who.expect("again");
    assert!(Arc::ptr_eq(&ann.used, &again.used), "what she has used is one");
    assert_eq!(again.settings.requests_per_minute, Some(9));
    let unknown = judged(json!({"name": "ann", "tier": "gold"})).who;
    assert_eq!(unknown.err(), Some(GateRefusal::Auth(AuthFault::Unclear)));
    let refused = |answer| {
        let judged = gate.judged(&Decided { answer, until: at(0).now }, at(0));
        let Err(GateRefusal::Auth(fault)) = judged.who else { panic!("it is refused") };
        (fault.status(), fault.code())
    };
    assert_eq!(refused(AuthAnswer::Denied(None)), (401, "auth_denied"));
    assert_eq!(refused(AuthAnswer::Forbidden), (403, "auth_forbidden"));
    assert_eq!(refused(AuthAnswer::Failed), (503, "auth_unavailable"));
    assert_eq!(refused(AuthAnswer::Unclear("")), (503, "auth_unclear"));
}

#[test]
fn an_answer_is_remembered_until_it_holds_no_more() {
    let gate = gate_of(settings());
    let digest = question(&gate, BEARER, FROM).expect("it is asked").digest;
    let decided = Decided { answer: AuthAnswer::Denied(Some("Basic".into())), until: at(5).now };
    let judged = gate.judged(&decided, at(0));
    let mut memory = AnswerMemory::default();
    memory.keep(digest, &judged, at(0).now);
    let known = comes(&gate, BEARER, FROM, &memory, None).expect("it is known");
    assert!(known.remembered);
    assert_eq!(known.challenge.as_deref(), Some("Basic"));
    assert!(memory.recall(digest, at(4).now).is_some());
    assert!(memory.recall(digest, at(5).now).is_none());
    // One that holds for nobody else is not kept, and is taken by whoever has waited for it.
    let mut memory = AnswerMemory::default();
    let passing = Judged { until: at(0).now, ..judged };
    memory.keep(digest, &passing, at(0).now);
    assert!(memory.recall(digest, at(0).now).is_none());
    let known = comes(&gate, BEARER, FROM, &memory, Some(passing)).expect("it is known");
    assert!(!known.remembered);
    assert_eq!(known.who.err(), Some(GateRefusal::Auth(AuthFault::Denied)));
}

/// A question of this credential at the foyer; how often whoever waits was told to come again.
fn ask(
    foyer: &Foyer,
    gate: &Gate,
    secret: &str,
    told: &Arc<AtomicUsize>,
    seconds: u64,
) -> AuthAsked {
    let fields = format!("x-api-key: {secret}\r\n");
    let asked = question(gate, &fields, FROM).expect("it is asked");
    let told = Arc::clone(told);
    let wake = Box::new(move || {
        told.fetch_add(1, Ordering::SeqCst);
    });
    foyer.ask(asked, wake, at(seconds).now)
}

fn yes(until: u64) -> Decided {
    Decided { answer: AuthAnswer::Forbidden, until: at(until).now }
}

#[test]
fn many_who_ask_the_same_ask_once() {
    let (gate, foyer, told) = (gate_of(settings()), Foyer::of(10), Arc::default());
    let line = foyer.open();
    let waits = |secret, seconds| match ask(&foyer, &gate, secret, &told, seconds) {
        AuthAsked::Waits { slot, new } => (slot, new),
        AuthAsked::Known(decided) => panic!("{decided:?}"),
    };
    let all: Vec<_> = (0..50).map(|_| waits("one", 0)).collect();
    assert_eq!(all.iter().filter(|(_, new)| *new).count(), 1);
    let (other, new) = waits("two", 0);
    assert!(new && other.look().is_none());
    let asking: AuthAsking = line.try_recv().expect("it is in the line");
    assert!(foyer.begin(&asking));
    foyer.settle(asking, yes(5), at(1).now);
    assert_eq!(told.load(Ordering::SeqCst), 50);
    assert!(all.iter().all(|(slot, _)| slot.look() == Some(yes(5))));
    assert!(other.look().is_none());
    // It is known as long as it holds, and asked anew from then on.
    assert!(
        matches!(ask(&foyer, &gate, "one", &told, 4), AuthAsked::Known(known) if known == yes(5))
    );
    assert!(waits("one", 5).1);
}

#[test]
fn what_holds_for_nobody_is_asked_again() {
    let (gate, foyer, told) = (gate_of(settings()), Foyer::of(10), Arc::default());
    let line = foyer.open();
    for _ in 0..3 {
        let asked = ask(&foyer, &gate, "one", &told, 0);
        assert!(matches!(asked, AuthAsked::Waits { new: true, .. }), "{asked:?}");
        let asking = line.try_recv().expect("it is in the line");
        assert!(foyer.begin(&asking));
        foyer.settle(asking, yes(0), at(0).now);
    }
}

#[test]
fn a_question_that_nobody_waits_for_is_not_asked() {
    let (gate, foyer, told) = (gate_of(settings()), Foyer::of(10), Arc::default());
    let line = foyer.open();
    drop(ask(&foyer, &gate, "one", &told, 0));
    let asking = line.try_recv().expect("it is in the line");
    assert!(!foyer.begin(&asking));
    drop(asking);
    // Somebody comes after all.
    assert!(matches!(ask(&foyer, &gate, "one", &told, 0), AuthAsked::Waits { new: true, .. }));
}

#[test]
fn a_foyer_without_anybody_behind_it_lets_nobody_in() {
    let (gate, foyer, told) = (gate_of(settings()), Foyer::of(10), Arc::default());
    let failed =
        |asked| matches!(asked, AuthAsked::Known(Decided { answer: AuthAnswer::Failed, .. }));
    assert!(failed(ask(&foyer, &gate, "one", &told, 0)), "it was never opened");
    let line = foyer.open();
    let kept: Vec<_> =
        (0..foyer::LINE_MAX).map(|n| ask(&foyer, &gate, &n.to_string(), &told, 0)).collect();
    assert!(kept.iter().all(|asked| matches!(asked, AuthAsked::Waits { new: true, .. })));
    assert!(failed(ask(&foyer, &gate, "one", &told, 0)), "the line is full");
    drop(line);
    assert!(failed(ask(&foyer, &gate, "one", &told, 0)), "nobody is there any more");
    foyer.close();
    assert!(failed(ask(&foyer, &gate, "one", &told, 0)));
}
