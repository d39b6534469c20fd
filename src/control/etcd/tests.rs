//! What answers mean; a real store is asked in the wire tests.

use super::message::refusal;
use super::*;

#[test]
fn a_listing_is_read_and_bad_ones_are_none() {
    let told = json!({
        "header": { "revision": "12" },
        "kvs": [{ "key": encoded("/p/config"), "mod_revision": "9", "value": encoded("text") },
                { "key": encoded("/p/empty"), "mod_revision": "3" }],
    });
    let listing = Listing::read(&told).expect("a listing");
    let keys: Vec<_> = listing.entries.iter().map(|entry| (&*entry.key, entry.revision)).collect();
    assert_eq!((listing.revision, keys), (12, vec![("/p/config", 9), ("/p/empty", 3)]));
    assert_eq!(listing.entries[0].value, b"text");
    assert_eq!(Listing::read(&json!({ "header": { "revision": 7 } })).expect("empty").entries, []);
    for bad in [
        json!({}),
        json!([]),
        json!({ "header": { "revision": "1" }, "kvs": [{ "key": "?" }] }),
        json!({ "header": { "revision": "1" }, "kvs": [{ "key": STANDARD_FF }] }),
    ] {
        assert!(matches!(Listing::read(&bad), Err(EtcdFailure::Unreadable(_))), "{bad}");
    }
}

/// The byte 0xff, which no text has.
const STANDARD_FF: &str = "/w==";

#[test]
fn a_refusal_is_told_apart() {
    let of = |status, text: &str| refusal("m:1", status, text.as_bytes());
    let wrong =
        r#"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#;
    let invalid = r#"{"error":"etcdserver: invalid auth token","code":16}"#;
    let leader = r#"{"error":"etcdserver: no leader","code":14}"#;
    let long = r#"{"error":"etcdserver: request is too large","code":3}"#;
    assert!(matches!(of(400, wrong), EtcdFailure::Denied(_)));
    assert!(matches!(of(401, invalid), EtcdFailure::Denied(_)));
    assert!(matches!(of(503, leader), EtcdFailure::Away(..)));
    assert!(matches!(of(400, long), EtcdFailure::Refused(_)));
    assert!(matches!(of(502, "<html>"), EtcdFailure::Away(..)));
    assert!(matches!(of(404, "404 page not found\n"), EtcdFailure::Unreadable(_)));
}

#[test]
fn a_store_that_nobody_knows_is_away_and_its_password_is_shown_to_nobody() {
    let address = EtcdAddress {
        members: vec!["127.0.0.1:1".into()],
        user: Some("u".into()),
        password: Some("secret".into()),
        tls: None,
    };
    assert!(!format!("{address:?}").contains("secret"));
    let failure = Etcd::new(address).range("/a", "/b", 1).expect_err("nobody is there");
    assert!(matches!(failure, EtcdFailure::Away(..)), "{failure}");
}
