//! `[issuers]` and `[tiers]`.

use std::sync::Arc;
use std::time::Duration;

use super::super::show::effective;
use super::super::snapshot::{Algorithm, ClaimNames, KeyMode, KeysPlace};
use super::*;

const ISSUER: &str = r#"[issuers.corp]
issuer = "https://corp.test"
audience = "gateway"
jwks = "jwks.json"
"#;

fn least(with: &str) -> String {
    format!("{LEAST}{with}\n")
}

#[test]
fn an_issuer_says_whose_tokens_open_and_what() {
    let text = least(
        r#"[tiers.gold]
        models = ["llama-*"]
        requests_per_minute = 60
        routes = ["/inference"]
        [issuers.corp]
        issuer = "https://corp.test"
        audience = ["gateway", "other"]
        jwks = "http://localhost:9/keys?of=corp"
        algorithms = ["EdDSA"]
        leeway = "5s"
        refresh = "1m"
        keys_age_max = "2h"
        tier = "gold"
        claims = { tier = ["realm", "plan"], requests_per_minute = "rpm" }
        [issuers.filed]
        issuer = "filed"
        audience = "a"
        jwks = "jwks.json""#,
    );
    let loaded = accepted(&text);
    assert_eq!(told(&loaded.warnings), "");
    let snapshot = &loaded.snapshot;
    let gate = &snapshot.gate.gate;
    let settings = &gate.issuers[0].settings;
    let claims = ClaimNames {
        tier: Some(vec!["realm".into(), "plan".into()]),
        requests_per_minute: Some(vec!["rpm".into()]),
        ..ClaimNames::default()
    };
    assert_eq!((settings.claims.clone(), settings.algorithms.len()), (claims, 1));
    assert_eq!(settings.audience, ["gateway", "other"]);
    assert_eq!(settings.leeway, Duration::from_secs(5));
    let place =
        KeysPlace::Url { authority: "localhost:9".into(), path: "/keys?of=corp".into(), tls: None };
    assert_eq!(snapshot.gate.key_sources[0].place, place);
    assert_eq!(gate.tiers["gold"].requests_per_minute, Some(60));
    // A file is read with the configuration, and watched.
    assert!(gate.issuers[1].keys.age(u64::MAX).is_some());
    assert_eq!(gate.issuers[1].settings.algorithms, Algorithm::ALL);
    assert_eq!(snapshot.watched_files(), [std::path::Path::new("/etc/jwks.json")]);
    // Whoever has an issuer wants a token or a key everywhere.
    assert_eq!(snapshot.routes[0].keys, KeyMode::Required);
    let shown = effective(snapshot);
    assert_eq!(effective(&accepted(&shown).snapshot), shown);
}

#[test]
fn what_is_wrong_with_an_issuer_is_told() {
    for (with, expected) in [
        ("[issuers.corp]\n".to_owned(), "corp.issuer: is required"),
        (ISSUER.replace("audience = \"gateway\"", "audience = []"), "at least one entry"),
        (ISSUER.replace("jwks.json", "away.json"), "/etc/away.json: no such file"),
        (ISSUER.replace("jwks.json", "sorry.json"), "the document is no JWK set"),
        (ISSUER.replace("jwks.json", "ftp://a"), "/etc/ftp://a: no such file"),
        (ISSUER.replace("jwks.json", "http://u:p@a/k"), "neither a user nor a password"),
        (ISSUER.replace("jwks.json", "http://a/k#1"), "no URL has"),
        (format!("{ISSUER}ca = \"a.pem\""), "is for keys that are fetched at https://"),
        (format!("{ISSUER}tier = \"gold\""), "there is no [tiers.gold]"),
        (format!("{ISSUER}algorithms = [\"HS256\"]"), "algorithms[0]"),
        (format!("{ISSUER}leeway = \"1h\""), "leeway"),
        (format!("{ISSUER}claims = {{ plan = \"a\" }}"), "unknown key"),
        (format!("{ISSUER}claims = {{ name = [] }}"), "at least one entry"),
        (format!("{ISSUER}{}", ISSUER.replace("corp]", "twin]")), "are the same issuer"),
        (
            format!("{ISSUER}[tiers.a]\nroutes = [\"/b\"]"),
            "for the route \"/b\", which there is not",
        ),
        (format!("{ISSUER}[tiers.a]\ncost_per_day = 1"), "there is no [[price]]"),
        (format!("{ISSUER}claims = {{ cost_per_day = \"c\" }}"), "there is no [[price]]"),
        (format!("{ISSUER}[tiers.a]\nhash = \"b\""), "unknown key"),
        (format!("{ISSUER}[tiers.\"a b\"]\npriority = 1"), "a tier has a name of 1 to 64"),
    ] {
        let told = refused(&least(&with));
        assert!(told.contains(expected), "{with}: {told}");
    }
}

#[test]
fn what_nobody_can_have_meant_of_tokens_is_a_warning() {
    let warned = |with: &str| told(&accepted(&least(with)).warnings);
    assert_eq!(warned(ISSUER), "");
    let plain = ISSUER.replace("jwks.json", "http://keys.test/");
    assert!(warned(&plain).contains("fetched without TLS"), "{}", warned(&plain));
    let budget = format!("{ISSUER}[tiers.a]\ntokens_per_day = 5");
    assert!(warned(&budget).contains("a restart forgets"));
    assert!(warned("[tiers.a]\npriority = 1").contains("neither an [issuers.NAME]"));
}

#[test]
fn keys_and_what_subjects_have_used_go_on_over_a_reload() {
    let before = accepted(&least(ISSUER)).snapshot;
    let followed = |text: &str| {
        let mut next = accepted(&least(text)).snapshot;
        next.follow(&before);
        next.gate.gate
    };
    let gate = &before.gate.gate;
    let same = followed(&format!("{ISSUER}leeway = \"1s\""));
    assert!(Arc::ptr_eq(&same.issuers[0].keys, &gate.issuers[0].keys));
    assert!(Arc::ptr_eq(&same.subjects, &gate.subjects));
    assert_eq!(same.issuers[0].settings.leeway, Duration::from_secs(1));
    let elsewhere = followed(&ISSUER.replace("jwks.json", "http://localhost/keys"));
    assert!(!Arc::ptr_eq(&elsewhere.issuers[0].keys, &gate.issuers[0].keys));
    let fewer = followed(&format!("{ISSUER}algorithms = [\"EdDSA\"]"));
    assert!(!Arc::ptr_eq(&fewer.issuers[0].keys, &gate.issuers[0].keys));
}
