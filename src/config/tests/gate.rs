//! `[gate]` and `[keys]`.

use super::super::show::effective;
use super::super::snapshot::{Across, Cidr, KeyDigest, KeyMode, KeySettings, Pattern};
use super::*;

fn hash(number: u8) -> String {
    format!("sha256:{number:064}")
}

fn digest(number: u8) -> KeyDigest {
    let mut digest = [0; 32];
    digest[31] = number;
    KeyDigest(digest)
}

fn least(with: &str) -> String {
    format!("{LEAST}{with}\n")
}

#[test]
fn a_limit_across_the_fleet_needs_a_fleet_and_something_to_share() {
    let key =
        |lines: &str| format!("[keys.a]\nhash = \"{}\"\nacross = \"fleet\"\n{lines}\n", hash(1));
    let fleet = "[fleet]\nstore = \"etcd://10.0.0.1/p\"\nname = \"edge-1\"\nttl = \"5s\"";
    let good = snapshot_of(&least(&format!("{}{fleet}", key("concurrency = 3"))));
    assert!(good.gate.gate.keys.keys()[0].settings.across == Across::Fleet);
    let shown = effective(&good);
    for line in [
        "[fleet]\nstore = \"etcd://10.0.0.1:2379/p\"\nname = \"edge-1\"\nttl = \"5s\"\n",
        "across = \"fleet\"",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(effective(&snapshot_of(&shown)), shown, "what is shown is read as the same");
    for (text, why) in [
        (key("concurrency = 3"), "needs a [fleet]"),
        (format!("{}{fleet}", key("tokens_per_day = 3")), "needs one of requests_per_minute"),
        ("[fleet]\nstore = \"/p\"".to_owned(), "must be a store"),
        ("[fleet]\nstore = \"etcd://h\"".to_owned(), "a prefix is missing"),
        ("[fleet]\nname = \"a/b\"".to_owned(), "letters, digits"),
        ("[fleet]\nttl = \"1s\"".to_owned(), "ttl"),
        (format!("{}{fleet}", key("across2 = 3")), "across2"),
    ] {
        let told = refused(&least(&text));
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn a_key_says_what_it_opens_and_how_much() {
    let text = least(&format!(
        r#"keys = "optional"
        [[price]]
        model = "*"
        input = 1
        output = 2
        [keys.team-a]
        hash = "{}"
        previous_hash = "{}"
        previous_until = "2030-01-01T00:00:00+01:00"
        routes = ["/inference"]
        models = ["llama-*", "qwen"]
        networks = ["10.0.0.0/8", "::1"]
        client_certificate = "agent-*"
        priority = 0
        concurrency = 3
        requests_per_minute = 60
        tokens_per_minute = 1_000
        tokens_per_day = 10_000
        tokens_per_month = 100_000
        cost_per_day = 1.5
        cost_per_month = 20
        expires = "2031-12-31T23:59:59Z"
        [gate]
        keys_file = "keys.toml"
        spent_file = "/var/spent.json"
        pass_keys = true
        guess_tokens = 5
        trusted_proxies = ["10.0.0.0/8"]
        proxy_protocol = ["10.0.0.7"]
        allow = ["::/0"]
        deny = ["2001:db8::/32"]
        per_address = {{ connections = 5, requests_per_second = 9, ipv6_prefix = 56 }}"#,
        hash(1),
        hash(2)
    ));
    let loaded = accepted(&text);
    assert!(told(&loaded.warnings).contains("client_certificate holds for nobody"));
    let snapshot = &loaded.snapshot;
    let keys = snapshot.gate.gate.keys.keys();
    let expected = KeySettings {
        previous: Some((digest(2), 1_893_452_400)),
        routes: vec!["/inference".into()],
        models: vec![Pattern::new("llama-*"), Pattern::new("qwen")],
        networks: ["10.0.0.0/8", "::1"].map(|it| Cidr::parse(it).unwrap()).to_vec(),
        certificates: vec![Pattern::new("agent-*")],
        priority: Some(0),
        concurrency: Some(3),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1_000),
        tokens_per_day: Some(10_000),
        tokens_per_month: Some(100_000),
        cost_per_day: Some(1_500_000_000),
        cost_per_month: Some(20_000_000_000),
        expires: Some(1_956_527_999),
        ..KeySettings::unlimited("team-a", digest(1))
    };
    assert_eq!(keys[0].settings, expected);
    assert!(keys[1].settings.in_file && keys[1].settings.name == "filed");
    assert_eq!(
        (snapshot.routes[0].keys, snapshot.gate.keys),
        (KeyMode::Optional, KeyMode::Required)
    );
    // The keys of a file are not shown, and what is shown compiles to the same.
    let shown = effective(snapshot);
    assert!(shown.contains("# 1 keys in it, not shown here") && !shown.contains("[keys.filed]"));
    assert_eq!(effective(&accepted(&shown).snapshot), shown);
}

#[test]
fn who_has_keys_wants_them_on_every_route_that_says_nothing() {
    let key = format!("[keys.a]\nhash = \"{}\"", hash(1));
    for (with, expected) in [
        (String::new(), KeyMode::Off),
        (key.clone(), KeyMode::Required),
        ("[gate]\nkeys_file = \"no-keys.toml\"".into(), KeyMode::Required),
        (format!("{key}\n[gate]\nkeys = \"off\""), KeyMode::Off),
        (format!("keys = \"off\"\n{key}"), KeyMode::Off),
    ] {
        assert_eq!(accepted(&least(&with)).snapshot.routes[0].keys, expected, "{with}");
    }
}

#[test]
fn what_is_wrong_with_a_key_is_told() {
    let good = hash(1);
    let named = "a key has a name of 1 to 64 letters, digits, and -_.@";
    let hashed = "must be sha256: and 64 hex digits; sluicegate key new makes a key and its hash";
    let file = "/etc/odd-keys.toml";
    for (with, expected) in [
        (
            "[keys.a]".to_owned(),
            "line 9: keys.a: needs a hash, which sluicegate key new makes, or a certificate that opens without \
             a secret\n"
                .to_owned(),
        ),
        ("[keys.a]\nhash = \"sk-oops\"".into(), format!("line 10: keys.a.hash: {hashed}\n")),
        (
            "[gate]\nkeys_file = \"odd-keys.toml\"".into(),
            format!(
                "line 10: gate.keys_file: {file}:1: keys.\"a b\": {named}, not \"a b\"\n\
                 line 10: gate.keys_file: {file}:2: keys.\"a b\".hash: {hashed}\n"
            ),
        ),
        (
            "[gate]\nkeys_file = \"away.toml\"".into(),
            "line 10: gate.keys_file: /etc/away.toml: no such file\n".into(),
        ),
        (
            format!("[keys.a]\nhash = \"{good}\"\n[keys.b]\nhash = \"{good}\""),
            "line 11: keys.b: \"b\" and \"a\" have the same hash\n".into(),
        ),
        (
            format!("[keys.a]\nhash = \"{good}\"\nroutes = [\"/other\"]"),
            "line 9: keys.a: the key \"a\" is for the route \"/other\", which there is not\n".into(),
        ),
        (
            format!("[keys.a]\nhash = \"{good}\"\nnetworks = [\"10.0.0.1/8\"]\ncost_per_day = 1\nrpm = 5"),
            "line 9: keys.a: the key \"a\" has a budget in money, and there is no [[price]]\n\
             line 11: keys.a.networks[0]: \"10.0.0.1/8\" has bits set behind its length: one of the two is a slip\n\
             line 13: keys.a.rpm: unknown key; known here are hash, previous_hash, previous_until, certificate, \
             requests_per_minute, tokens_per_minute, tokens_per_day, tokens_per_month, concurrency, \
             priority, cost_per_day, cost_per_month, routes, models, networks, client_certificate, across, expires\n"
                .into(),
        ),
    ] {
        assert_eq!(refused(&least(&with)), expected, "{with}");
    }
}

#[test]
fn what_nobody_can_have_meant_is_a_warning() {
    let warned = |with: &str| told(&accepted(&least(with)).warnings);
    assert_eq!(
        warned("keys = \"required\""),
        "gate: routes want a key, and there is none: they refuse everybody\n"
    );
    let budget = format!("[keys.a]\nhash = \"{}\"\ntokens_per_day = 5", hash(1));
    assert_eq!(
        warned(&budget),
        "line 9: keys.a: has a budget, which a restart forgets: gate.spent_file keeps it\n"
    );
}

#[test]
fn a_unix_socket_beside_rules_of_addresses_is_a_warning_unless_it_is_named() {
    let warned = |listen: &str, gate: &str| {
        let text = least(&format!("[gate]\n{gate}"));
        let text = text.replace("127.0.0.1:8080", listen);
        told(&accepted(&text).warnings).contains("come over a Unix socket")
    };
    let socket = "unix:/run/gate.sock";
    for gate in [
        "trusted_proxies = [\"127.0.0.0/8\"]",
        "deny = [\"203.0.113.0/24\"]",
        "allow = [\"0.0.0.0/0\"]",
        "per_address = { connections = 2 }",
    ] {
        assert!(warned(socket, gate), "{gate}");
        assert!(!warned("127.0.0.1:8080", gate), "{gate}");
        for said in ["trusted_proxies", "proxy_protocol", "allow", "deny"] {
            if !gate.starts_with(said) {
                let gate = format!("{gate}\n{said} = [\"unix\"]");
                assert!(!warned(socket, &gate), "{gate}");
            }
        }
    }
    assert!(!warned(socket, "keys = \"off\""));
}

#[test]
fn addresses_are_counted_on_over_a_reload_that_counts_them_alike() {
    let begin = "per_address = { connections = 1 }";
    let counted_on = |after: &str| {
        let before = accepted(&least(&format!("[gate]\n{begin}"))).snapshot;
        let client = "192.0.2.1".parse().expect("an address");
        let now = crate::clock::Instant::ZERO;
        assert!(before.gate.gate.admits_connection(client, now));
        let mut snapshot = accepted(&least(&format!("[gate]\n{after}"))).snapshot;
        snapshot.follow(&before);
        !snapshot.gate.gate.admits_connection(client, now)
    };
    assert!(counted_on(begin));
    assert!(counted_on("per_address = { connections = 1, requests_per_second = 5 }"));
    assert!(!counted_on("per_address = { connections = 1, ipv4_prefix = 24 }"));
    assert!(!counted_on(&format!("{begin}\ntrusted_proxies = [\"10.0.0.0/8\"]")));
}
