//! Tokens that are good, and as many that are not as anybody has thought of.

mod hostile;
mod keys;
mod signer;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::signer::Signer;
use super::issuer::{ClaimNames, Issuer, IssuerKeys, IssuerSettings};
use super::jwks::KeySet;
use super::memory::TokenMemory;
use super::*;
use crate::clock::Instant;
use crate::gate::KeyMode;
use crate::gate::key::{KeyDigest, KeySettings};
use crate::gate::refusal::GateRefusal;
use crate::gate::table::KeyTable;
use crate::http::credential::FIELDS;
use crate::http::head::{FieldSlots, HeadLimits, parse_request};

/// 2026-12-01T12:00:00Z
const NOON: u64 = 1_796_126_400;

fn at(seconds: u64) -> GateTime {
    GateTime { now: Instant::from_nanos(seconds * 1_000_000_000), unix: NOON + seconds }
}

fn issuer(name: &str, url: &str, jwks: &Value) -> Issuer {
    let keys = IssuerKeys::default();
    let set = KeySet::read(jwks.to_string().as_bytes(), &Algorithm::ALL).expect("keys");
    keys.put(set, NOON);
    let settings = IssuerSettings {
        name: name.to_owned(),
        issuer: url.to_owned(),
        audience: vec!["gateway".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(60),
        keys_age_max: Duration::from_secs(86_400),
        claims: ClaimNames::default(),
        tier: None,
    };
    Issuer { settings, keys: Arc::new(keys) }
}

fn gate(issuer: Issuer) -> Gate {
    Gate { issuers: vec![Arc::new(issuer)], ..Gate::default() }
}

fn good_claims() -> Value {
    json!({"iss": "https://issuer.test", "sub": "ann", "aud": "gateway", "exp": NOON + 300})
}

/// The claims of a good token, and these in the place of theirs; a null is taken away.
fn claims(with: &Value) -> Value {
    let mut claims = good_claims();
    let object = claims.as_object_mut().expect("an object");
    for (name, value) in with.as_object().expect("an object") {
        object.insert(name.clone(), value.clone());
        if value.is_null() {
            object.remove(name);
        }
    }
    claims
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "ed-1"})
}

/// A gate, and who signs for its issuer.
fn scene() -> (Gate, Signer) {
    let signer = Signer::new();
    (gate(issuer("corp", "https://issuer.test", &signer.jwks())), signer)
}

#[test]
fn tokens_that_another_library_has_signed_are_good() {
    let made: Value = serde_json::from_str(include_str!("pyjwt.json")).expect("JSON");
    let gate = gate(issuer("corp", "https://issuer.test", &made["jwks"]));
    for algorithm in Algorithm::ALL {
        let token = made["tokens"][algorithm.name()].as_str().expect("a token");
        assert!(looks_like_token(token.as_bytes()));
        let proven = gate.prove(token.as_bytes(), at(60)).expect("it is good");
        assert_eq!(proven.key.settings.name, "corp:ann");
        // One bit of each part is another.
        for (part, place) in token.split('.').zip([10, 40, 50]) {
            let old = &part[place..=place];
            let new = if old == "A" { "B" } else { "A" };
            let changed = [&part[..place], new, &part[place + 1..]].concat();
            let token = token.replacen(part, &changed, 1);
            assert!(gate.prove(token.as_bytes(), at(60)).is_err(), "{}", algorithm.name());
        }
    }
}

#[test]
fn each_algorithm_is_that_of_its_key() {
    let (gate, signer) = scene();
    for (algorithm, id) in [("RS256", "rsa-1"), ("ES256", "ec-1"), ("EdDSA", "ed-1")] {
        for id in [json!({"alg": algorithm, "kid": id}), json!({"alg": algorithm})] {
            let token = signer.token(&id, &good_claims(), algorithm);
            assert!(gate.prove(token.as_bytes(), at(0)).is_ok(), "{id}");
        }
    }
    let token = signer.token(&json!({"alg": "Ed25519", "kid": "ed-1"}), &good_claims(), "EdDSA");
    assert!(gate.prove(token.as_bytes(), at(0)).is_ok(), "the name of RFC 9864");
}

#[test]
fn a_token_is_good_in_its_time_and_the_leeway() {
    let (gate, signer) = scene();
    let with = json!({"nbf": NOON + 100, "exp": NOON as f64 + 200.5});
    let token = signer.token(&header(), &claims(&with), "EdDSA");
    let proven = |seconds| gate.prove(token.as_bytes(), at(seconds)).map(|it| it.window);
    assert_eq!(proven(39), Err(TokenFault::NotYet));
    assert!(proven(40).is_ok() && proven(259).is_ok());
    assert_eq!(proven(260), Err(TokenFault::Expired));
}

#[test]
fn a_signature_is_checked_once_and_then_remembered() {
    let (gate, signer) = scene();
    let token = signer.token(&header(), &good_claims(), "EdDSA");
    let digest = KeyDigest::of(token.as_bytes());
    let mut memory = TokenMemory::default();
    assert!(memory.recall(digest, at(0)).is_none());
    memory.keep(digest, gate.prove(token.as_bytes(), at(0)), at(0));
    assert!(matches!(memory.recall(digest, at(300)), Some(Ok(_))));
    // It ends all the same.
    assert!(matches!(memory.recall(digest, at(360)), Some(Err(TokenFault::Expired))));
    // And with the keys by which it was proven.
    let other = Signer::new().jwks().to_string();
    let other = KeySet::read(other.as_bytes(), &Algorithm::ALL).expect("keys");
    let keys = &gate.issuers[0].keys;
    assert!(keys.put(other, NOON + 10));
    assert!(memory.recall(digest, at(20)).is_none());
    memory.keep(digest, gate.prove(token.as_bytes(), at(20)), at(20));
    assert!(matches!(memory.recall(digest, at(20)), Some(Err(TokenFault::Signature))));
    // What is wrong is looked at again: it may be right then.
    assert!(memory.recall(digest, at(26)).is_none());
}

#[test]
fn wrong_tokens_drive_out_no_good_one() {
    let (gate, signer) = scene();
    let token = signer.token(&header(), &good_claims(), "EdDSA");
    let digest = KeyDigest::of(token.as_bytes());
    let mut memory = TokenMemory::default();
    memory.keep(digest, gate.prove(token.as_bytes(), at(0)), at(0));
    for number in 0..20_000_u32 {
        memory.keep(KeyDigest::of(&number.to_be_bytes()), Err(TokenFault::Signature), at(0));
    }
    assert!(matches!(memory.recall(digest, at(1)), Some(Ok(_))));
    assert!(memory.recall(KeyDigest::of(&0_u32.to_be_bytes()), at(1)).is_none());
}

#[test]
fn keys_that_nobody_could_read_for_too_long_do_not_count() {
    let (gate, signer) = scene();
    let long = json!({"exp": NOON + 1_000_000});
    let token = signer.token(&header(), &claims(&long), "EdDSA");
    let digest = KeyDigest::of(token.as_bytes());
    let mut memory = TokenMemory::default();
    memory.keep(digest, gate.prove(token.as_bytes(), at(86_400)), at(86_400));
    assert!(matches!(memory.recall(digest, at(86_400)), Some(Ok(_))));
    assert!(memory.recall(digest, at(86_401)).is_none());
    let late = gate.prove(token.as_bytes(), at(86_401));
    assert_eq!(late.map(|it| it.window), Err(TokenFault::Unavailable));
}

#[test]
fn a_key_that_is_not_known_is_asked_for() {
    let (gate, signer) = scene();
    let keys = Arc::clone(&gate.issuers[0].keys);
    let (asked, hears) = std::sync::mpsc::channel();
    keys.on_want(move || asked.send(()).expect("somebody hears"));
    let token = signer.token(&json!({"alg": "EdDSA", "kid": "new"}), &good_claims(), "EdDSA");
    for _ in 0..3 {
        let fault = gate.prove(token.as_bytes(), at(0)).map(|it| it.window);
        assert_eq!(fault, Err(TokenFault::Key));
    }
    assert_eq!(hears.try_iter().count(), 1, "until it was heard");
    assert!(keys.heard() && !keys.heard());
}

#[test]
fn what_a_token_opens_is_its_tier_and_its_claims() {
    let signer = Signer::new();
    let mut issuer = issuer("corp", "https://issuer.test", &signer.jwks());
    let path = |name: &str| Some(vec![name.to_owned()]);
    issuer.settings.claims = ClaimNames {
        tier: path("plan"),
        models: path("models"),
        networks: path("networks"),
        priority: path("priority"),
        requests_per_minute: Some(vec!["limits".into(), "rpm".into()]),
        cost_per_day: path("budget"),
        ..ClaimNames::default()
    };
    let mut gate = gate(issuer);
    let gold = KeySettings::unlimited("gold", KeyDigest([0; 32]));
    let gold = KeySettings {
        routes: vec!["/v1/*".into()],
        requests_per_minute: Some(60),
        concurrency: Some(3),
        ..gold
    };
    gate.tiers.insert("gold".to_owned(), gold);
    let opened = |with: &Value| {
        let token = signer.token(&header(), &claims(with), "EdDSA");
        gate.prove(token.as_bytes(), at(0)).map(|proven| proven.key.settings.clone())
    };
    let plain = opened(&json!({"plan": "gold"})).expect("it is good");
    assert_eq!((plain.routes, plain.concurrency), (vec!["/v1/*".to_owned()], Some(3)));
    let own = json!({"plan": "gold", "models": "llama-* qwen", "networks": ["10.0.0.0/8"],
        "priority": 0, "limits": {"rpm": 5}, "budget": 0.5, "sub": "a b\"c\n@x"});
    let own = opened(&own).expect("it is good");
    let models: Vec<_> = own.models.iter().map(|it| it.as_str().to_owned()).collect();
    assert_eq!(models, ["llama-*", "qwen"]);
    assert_eq!((own.requests_per_minute, own.priority), (Some(5), Some(0)));
    assert_eq!((own.cost_per_day, own.networks.len()), (Some(500_000_000), 1));
    assert_eq!(own.name, "corp:a_b_c_@x", "nothing that a log could stumble on");
    for wrong in [
        json!({}),
        json!({"plan": "silver"}),
        json!({"plan": 1}),
        json!({"plan": "gold", "models": []}),
        json!({"plan": "gold", "models": ""}),
        json!({"plan": "gold", "models": [1]}),
        json!({"plan": "gold", "models": {"a": 1}}),
        json!({"plan": "gold", "networks": ["10.0.0.1/8"]}),
        json!({"plan": "gold", "priority": 4}),
        json!({"plan": "gold", "priority": "0"}),
        json!({"plan": "gold", "limits": {"rpm": 0}}),
        json!({"plan": "gold", "limits": {"rpm": -1}}),
        json!({"plan": "gold", "budget": 0}),
        json!({"plan": "gold", "budget": "1"}),
        json!({"plan": "gold", "sub": null}),
        json!({"plan": "gold", "sub": ""}),
        json!({"plan": "gold", "sub": 7}),
        json!({"plan": "gold", "sub": "x".repeat(256)}),
    ] {
        assert_eq!(opened(&wrong), Err(TokenFault::Claims), "{wrong}");
    }
}

/// Whether the token in these fields opens, once whatever has to be proven is; and which fields no server
/// sees.
fn opens(gate: &Gate, fields: &[(&str, &str)]) -> Result<Vec<String>, GateRefusal> {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 65_536, fields: 64 };
    let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("legal").expect("whole");
    let mut memory = TokenMemory::default();
    while let Some(token) = gate.token_to_prove(&head, &memory, at(0)) {
        memory.keep(KeyDigest::of(token), gate.prove(token, at(0)), at(0));
    }
    let who = gate.identify(&head, &memory, at(0))?;
    let kept = fields.iter().filter(|(name, value)| {
        let place = FIELDS.iter().position(|field| field == name).expect("a field of keys");
        gate.keeps_to_itself(who.token(), place, value.as_bytes())
    });
    Ok(kept.map(|(name, _)| (*name).to_owned()).collect())
}

#[test]
fn the_first_token_of_ours_counts_and_none_of_ours_goes_on() {
    let (gate, signer) = scene();
    let ours = signer.token(&header(), &good_claims(), "EdDSA");
    let foreign = claims(&json!({"iss": "https://else.test"}));
    let foreign = Signer::new().token(&header(), &foreign, "EdDSA");
    let forged = Signer::new().token(&header(), &good_claims(), "EdDSA");
    let bearer = |token: &str| format!("Bearer {token}");
    let opened = |authorization: &str, key: &str| {
        opens(&gate, &[("authorization", &bearer(authorization)), ("x-api-key", key)])
    };
    assert_eq!(opened(&ours, "sk-1"), Ok(vec!["authorization".into()]));
    assert_eq!(opened(&foreign, &ours), Ok(vec!["x-api-key".into()]));
    assert_eq!(opened(&ours, &foreign), Ok(vec!["authorization".into()]));
    assert_eq!(opened(&ours, &forged), Ok(vec!["authorization".into(), "x-api-key".into()]));
    assert_eq!(opened(&forged, &ours), Err(GateRefusal::Token(TokenFault::Signature)));
    assert_eq!(opened(&foreign, "sk-1"), Err(GateRefusal::Token(TokenFault::Issuer)));
    // A key of ours goes before any token.
    let known = KeyTable::new([KeySettings::unlimited("k", KeyDigest::of(b"sk-1"))]);
    let both = Gate { keys: known, ..gate.clone() };
    let fields = [("authorization", &*bearer(&forged)), ("api-key", "sk-1")];
    assert_eq!(opens(&both, &fields), Ok(vec!["authorization".into(), "api-key".into()]));
}

#[test]
fn a_token_of_ours_that_stands_where_none_is_read_goes_nowhere() {
    let (gate, signer) = scene();
    let ours = signer.token(&header(), &good_claims(), "EdDSA");
    let foreign = claims(&json!({"iss": "https://else.test"}));
    let foreign = Signer::new().token(&header(), &foreign, "EdDSA");
    for (field, before, behind) in [
        ("authorization", "Bearer\t", ""),
        ("authorization", "JWT ", ""),
        ("authorization", "", ""),
        ("authorization", "Bearer \"", "\""),
        ("authorization", "Token token=", ",v=1"),
        ("authorization", "Bearer:", ""),
        ("x-api-key", "Bearer ", ""),
        ("api-key", "'", "'"),
        ("x-goog-api-key", "sk-1,", ""),
    ] {
        let [value, theirs] = [&ours, &foreign].map(|it| format!("{before}{it}{behind}"));
        let refused = Err(GateRefusal::Unknown { ours: true });
        assert_eq!(opens(&gate, &[(field, &value)]), refused, "{value}");
        let place = FIELDS.iter().position(|it| *it == field).expect("a field of keys");
        assert!(gate.keeps_to_itself(None, place, value.as_bytes()), "{value}");
        // One of somebody else is none of our business.
        let passed = opens(&gate, &[(field, &theirs)]).expect_err("it opens nothing");
        assert!(KeyMode::Optional.admits(passed), "{theirs}: {passed:?}");
        assert!(!gate.keeps_to_itself(None, place, theirs.as_bytes()), "{theirs}");
    }
    // Beside one that counts.
    let fields = [("authorization", &*format!("JWT {ours}")), ("x-api-key", &ours)];
    assert_eq!(opens(&gate, &fields), Ok(vec!["authorization".into(), "x-api-key".into()]));
    // Beside one that is for somebody further on.
    for astray in [format!("JWT {ours}"), "Basic sg-mistyped".to_owned()] {
        let fields = [("authorization", &*astray), ("x-api-key", &foreign)];
        assert_eq!(opens(&gate, &fields), Err(GateRefusal::Unknown { ours: true }), "{astray}");
    }
    // With letters that no token has behind it it is wrong, and can be put right.
    assert!(gate.keeps_to_itself(None, 1, format!("{ours}==").as_bytes()));
}

#[test]
fn tokens_of_one_subject_have_one_limit() {
    let (mut gate, signer) = scene();
    let free = KeySettings::unlimited("t", KeyDigest([0; 32]));
    gate.tiers.insert("t".to_owned(), KeySettings { requests_per_minute: Some(2), ..free });
    let mut other = issuer("other", "https://other.test", &signer.jwks());
    other.settings.tier = Some("t".to_owned());
    let mut settings = gate.issuers[0].settings.clone();
    settings.tier = Some("t".to_owned());
    let keys = Arc::clone(&gate.issuers[0].keys);
    gate.issuers = vec![Arc::new(Issuer { settings, keys }), Arc::new(other)];
    let used = |with: Value| {
        let token = signer.token(&header(), &claims(&with), "EdDSA");
        Arc::clone(&gate.prove(token.as_bytes(), at(0)).expect("it is good").key.used)
    };
    let first = used(json!({"jti": "1"}));
    assert!(Arc::ptr_eq(&first, &used(json!({"jti": "2"}))));
    assert!(!Arc::ptr_eq(&first, &used(json!({"sub": "bob"}))));
    assert!(!Arc::ptr_eq(&first, &used(json!({"iss": "https://other.test"}))));
}
