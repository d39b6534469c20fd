//! `[auth]`.

use std::sync::Arc;
use std::time::Duration;

use super::super::show::effective;
use super::super::snapshot::{KeyMode, Tells};
use super::*;

const AUTH: &str = "[auth]\nurl = \"http://127.0.0.1:9/check\"\n";

fn least(with: &str) -> String {
    format!("{LEAST}{with}\n")
}

#[test]
fn an_authoriser_says_who_is_asked_and_what_it_is_shown() {
    let text = least(
        r#"[tiers.gold]
        requests_per_minute = 60
        [auth]
        url = "http://127.0.0.1:9/check?of=us"
        headers = ["Authorization", "cookie"]
        tell = ["method", "uri"]
        claims = { name = "Remote-User", tier = "Remote-Plan" }
        tier = "gold"
        timeout = "2s"
        concurrency = 4
        anonymous = true
        cache = { yes = "10m", no = "0s", size = 500 }"#,
    );
    let loaded = accepted(&text);
    assert_eq!(told(&loaded.warnings), "");
    let snapshot = &loaded.snapshot;
    let authoriser = snapshot.gate.gate.authoriser.as_ref().expect("there is one");
    let settings = &authoriser.settings;
    assert_eq!(settings.headers, ["authorization", "cookie"]);
    let tells = Tells { method: true, host: false, uri: true, client: false };
    assert_eq!(settings.tells, tells);
    assert_eq!(settings.claims, [("name", "remote-user".into()), ("tier", "remote-plan".into())]);
    assert!(settings.wants_name && settings.anonymous);
    assert_eq!(settings.names.tier, Some(vec!["tier".to_owned()]));
    assert_eq!(settings.tier.as_deref(), Some("gold"));
    assert_eq!((settings.yes_for, settings.no_for), (Duration::from_secs(600), Duration::ZERO));
    let place = snapshot.gate.auth_place.as_ref().expect("there is one");
    assert_eq!(place.to_string(), "http://127.0.0.1:9/check?of=us");
    assert_eq!(place.concurrency, 4);
    // Whoever has an authoriser wants it asked everywhere.
    assert_eq!(snapshot.routes[0].keys, KeyMode::Required);
    let shown = effective(snapshot);
    assert_eq!(effective(&accepted(&shown).snapshot), shown);
}

#[test]
fn the_least_that_an_authoriser_says_is_where_it_is() {
    let loaded = accepted(&least(AUTH));
    assert_eq!(told(&loaded.warnings), "");
    let shown = effective(&loaded.snapshot);
    assert!(shown.contains("[auth]"), "{shown}");
    assert_eq!(effective(&accepted(&shown).snapshot), shown);
    let authoriser = loaded.snapshot.gate.gate.authoriser.clone().expect("there is one");
    assert_eq!(authoriser.settings.claims, [("name", "x-auth-request-user".into())]);
    assert!(!authoriser.settings.wants_name && !authoriser.settings.anonymous);
}

#[test]
fn what_is_wrong_with_an_authoriser_is_told() {
    for (with, expected) in [
        ("[auth]\n".to_owned(), "auth.url: is required"),
        (AUTH.replace("http://", "ftp://"), "must be a URL"),
        (AUTH.replace("127.0.0.1", "u:p@127.0.0.1"), "neither a user nor a password"),
        (AUTH.replace("check", "check#1"), "no URL has"),
        (format!("{AUTH}ca = \"a.pem\""), "is for an authoriser at https://"),
        (format!("{}ca = \"away.pem\"", AUTH.replace("http://", "https://")), "/etc/away.pem"),
        (format!("{AUTH}headers = []"), "at least one entry"),
        (format!("{AUTH}headers = [\"a b\"]"), "is no name of a header field"),
        (format!("{AUTH}headers = [\"Host\"]"), "is not passed on"),
        (format!("{AUTH}headers = [\"x-forwarded-for\"]"), "is not passed on"),
        (format!("{AUTH}tell = [\"body\"]"), "tell[0]"),
        (format!("{AUTH}claims = {{ plan = \"a\" }}"), "unknown key"),
        (format!("{AUTH}claims = {{ name = \"a b\" }}"), "is no name of a header field"),
        (format!("{AUTH}claims = {{ tier = \"x-plan\" }}"), "there is no [tiers.NAME]"),
        (format!("{AUTH}claims = {{ cost_per_day = \"c\" }}"), "there is no [[price]]"),
        (format!("{AUTH}tier = \"gold\""), "there is no [tiers.gold]"),
        (format!("{AUTH}timeout = \"1h\""), "timeout"),
        (format!("{AUTH}concurrency = 0"), "concurrency"),
        (format!("{AUTH}cache = {{ maybe = \"1s\" }}"), "unknown key"),
        (format!("{AUTH}cache = {{ yes = \"2d\" }}"), "cache.yes"),
        (
            format!(
                "{AUTH}[issuers.auth]\nissuer = \"i\"\naudience = \"a\"\njwks = \"jwks.json\"\n"
            ),
            "the issuer needs another one",
        ),
    ] {
        let told = refused(&least(&with));
        assert!(told.contains(expected), "{with}: {told}");
    }
}

#[test]
fn an_authoriser_without_tls_elsewhere_is_a_warning() {
    let warned = told(&accepted(&least(&AUTH.replace("127.0.0.1", "auth.test"))).warnings);
    assert!(warned.contains("is asked without TLS"), "{warned}");
}

#[test]
fn what_an_authoriser_has_said_goes_on_as_long_as_it_is_asked_the_same() {
    let before = accepted(&least(AUTH)).snapshot;
    let followed = |text: &str| {
        let mut next = accepted(&least(text)).snapshot;
        next.follow(&before);
        next.gate.gate.authoriser.clone().expect("there is one").foyer.clone()
    };
    let known = &before.gate.gate.authoriser.as_ref().expect("there is one").foyer;
    assert!(Arc::ptr_eq(&followed(&format!("[tiers.a]\npriority = 1\n{AUTH}")), known));
    assert!(!Arc::ptr_eq(&followed(&AUTH.replace("check", "other")), known));
    assert!(!Arc::ptr_eq(&followed(&format!("{AUTH}tell = []")), known));
}
