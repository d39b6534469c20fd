//! `[server.tls]` and `tls` of an upstream: what is accepted, what is refused, and the round trip.

use std::path::PathBuf;
use std::time::SystemTime;

use super::super::bounds;
use super::super::show::effective;
use super::super::snapshot::{KeyMode, KeySettings, Pattern};
use super::*;
use crate::tls::self_signed;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// A folder with a certificate and its key.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let made = self_signed(&["a.test".to_owned()], (days.as_secs() / 86_400) as i64);
        let made = made.expect("made");
        std::fs::write(path.join("a.pem"), made.certificate).expect("written");
        std::fs::write(path.join("a.key"), made.key).expect("written");
        Folder(path)
    }

    /// `text` with the paths of the two files in it.
    fn fill(&self, text: &str) -> String {
        let path = |name: &str| format!("{:?}", self.0.join(name));
        text.replace("CERT", &path("a.pem")).replace("KEY", &path("a.key"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TLS: &str = r#"
[server]
listen = ["127.0.0.1:80"]
[server.tls]
listen = ["127.0.0.1:443", "[::1]:443"]
certificates = [{ certificate = CERT, key = KEY }]
client_ca = CERT
client_auth = "optional"
min_version = "1.3"
tickets = false
[[upstream]]
name = "a"
endpoints = ["https://10.0.0.1", { address = "https://llama.internal:8443", weight = 2 }, "10.0.0.2:80"]
tls = { ca = CERT, server_name = "a.test", certificate = CERT, key = KEY, min_version = "1.3" }
[[upstream]]
name = "b"
endpoints = ["https://10.0.0.3:444"]
tls = { dangerously_unverified = true }
host = "preserve"
[[route]]
path = "/*"
upstream = ["a", "b"]
"#;

/// A key that is a certificate's, where clients are asked for one.
#[test]
fn a_key_can_be_a_certificate() {
    let folder = Folder::new("tls-keys");
    let own = "certificates = [{ certificate = CERT, key = KEY }]";
    let text = |asks: &str, keys: &str| {
        folder.fill(&format!(
            "[server]\nlisten = [\"127.0.0.1:80\"]\n[server.tls]\nlisten = [\"127.0.0.1:443\"]\n{own}\n{asks}\n\
             [[upstream]]\nname = \"a\"\nendpoints = [\"10.0.0.2:80\"]\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n{keys}\n"
        ))
    };
    let asks = "client_ca = CERT";
    let good = "[keys.a]\ncertificate = \"a.test\"\nrequests_per_minute = 5\n\
                [keys.b]\ncertificate = [\"b-*\", \"b\"]\n";
    let loaded = accepted(&text(asks, good));
    assert_eq!(told(&loaded.warnings), "");
    let gate = &loaded.snapshot.gate.gate;
    let names = |it: &KeySettings| it.certificate().iter().map(Pattern::to_string).collect();
    let found: Vec<Vec<String>> = gate.keys.keys().iter().map(|key| names(&key.settings)).collect();
    assert_eq!(found, [vec!["a.test"], vec!["b-*", "b"]]);
    assert_eq!(loaded.snapshot.routes[0].keys, KeyMode::Required);
    let shown = effective(&loaded.snapshot);
    assert!(shown.contains("\n[keys.b]\ncertificate = [\"b-*\", \"b\"]\n"), "{shown}");
    assert_eq!(effective(&accepted(&shown).snapshot), shown);

    let hash = format!("hash = \"sha256:{:064}\"", 1);
    let file = "[gate]\nkeys_file = \"certificate-keys.toml\"";
    let stars: String =
        (0..257).map(|at| format!("[keys.k{at}]\ncertificate = \"{at}-*\"\n")).collect();
    for (asks, keys, why) in [
        (asks, "[keys.a]\nexpires = \"2031-01-01T00:00:00Z\"", "keys.a: needs a hash, which"),
        (asks, &format!("[keys.a]\n{hash}\ncertificate = \"a\""), "has a hash and a certificate"),
        (
            asks,
            "[keys.a]\ncertificate = \"a\"\nclient_certificate = \"a\"",
            "has a certificate and a client_certificate",
        ),
        (
            asks,
            &format!(
                "[keys.a]\ncertificate = \"a\"\nprevious_{hash}\n\
                 previous_until = \"2031-01-01T00:00:00Z\""
            ),
            "has a previous_hash and a certificate",
        ),
        (asks, "[keys.a]\ncertificate = []", "must have from 1 to 256 entries"),
        (asks, "[keys.a]\ncertificate = \"\"", "must be a name in a certificate"),
        (asks, "[keys.a]\ncertificate = [\"a\", \"a\"]", "is in the list already"),
        (
            asks,
            "[keys.a]\ncertificate = \"a\"\n[keys.b]\ncertificate = [\"b\", \"a\"]",
            "keys.b: \"b\" and \"a\" have the same certificate, \"a\"",
        ),
        (
            asks,
            &format!("{file}\n[keys.b]\ncertificate = \"filed-*\""),
            "\"filed\" and \"b\" have the same certificate, \"filed-*\"",
        ),
        (asks, &stars, "more than 256 certificates of keys have a star"),
        ("", "[keys.a]\ncertificate = \"a\"", "keys.a: the key \"a\" is a certificate's"),
        ("", file, "gate.keys_file: the key \"filed\" is a certificate's"),
        ("", "[tiers.t]\ncertificate = \"a\"", "unknown key"),
    ] {
        let told = refused(&text(asks, keys));
        assert!(told.contains(why), "{keys}: {told}");
        assert_eq!(told.lines().count(), 1, "{keys}: {told}");
    }
    let snapshot = accepted(&text(asks, file)).snapshot;
    assert!(snapshot.gate.gate.keys.keys()[0].settings.in_file);
}

#[test]
fn every_key_of_tls_reaches_the_snapshot_and_is_shown() {
    let folder = Folder::new("tls-accepted");
    let text = folder.fill(TLS);
    let loaded = accepted(&text);
    let snapshot = &loaded.snapshot;
    let warnings = told(&loaded.warnings);
    assert!(warnings.contains("every certificate is believed"), "{warnings}");
    let sealed: Vec<bool> = (0..3).map(|place| snapshot.is_sealed(place)).collect();
    assert_eq!((snapshot.server.listen.len(), sealed), (3, vec![false, true, true]));
    let hosts: Vec<(&str, bool)> = snapshot.upstreams[0]
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.host(), endpoint.tls.is_some()))
        .collect();
    assert_eq!(hosts, [("10.0.0.1", true), ("llama.internal:8443", true), ("10.0.0.2:80", false)]);
    assert_eq!(snapshot.tls_files(), [folder.0.join("a.key"), folder.0.join("a.pem")]);
    let shown = effective(snapshot);
    for (key, value) in [
        ("client_auth", "\"optional\""),
        ("min_version", "\"1.3\""),
        ("tickets", "false"),
        ("tls.server_name", "\"a.test\""),
        ("tls.min_version", "\"1.3\""),
        ("tls.dangerously_unverified", "true"),
        ("host", "\"endpoint\""),
        ("host", "\"preserve\""),
    ] {
        assert!(shown.contains(&format!("\n{key} = {value}\n")), "{key}: {shown}");
    }
    assert!(!shown.contains("BEGIN"), "no file is shown");
    // Sessions on both sides.
    let sessions = 10_000 * 2 * bounds::SESSION_BYTES;
    assert_eq!(bounds::session_memory(snapshot), sessions);
    assert!(shown.contains(" + 156.2 MiB of TLS sessions)"), "{shown}");
    // What is shown means the same.
    assert_eq!(effective(&accepted(&shown).snapshot), shown);
    let (_, section) = DOCUMENTATION.split_once("\n## `[server.tls]`\n").expect("the section");
    let (_, upstream) = section.split_once("\nThe fields of `tls`:\n").expect("the table");
    let mut within = section;
    for line in shown.lines() {
        match line {
            "[server.tls]" => within = section,
            "[[upstream]]" => within = upstream,
            _ => {}
        }
        let key = line.split(" = ").next().unwrap_or_default();
        if key.starts_with("tls.") || within == section && line.starts_with("client_") {
            assert!(within.contains(&format!("`{key}`")), "{key} is not documented");
        }
    }
}

#[test]
fn tls_that_cannot_be_meant_is_refused() {
    let folder = Folder::new("tls-refused");
    for (from, to, expected) in [
        ("\"127.0.0.1:443\"", "\"127.0.0.1:80\"", "127.0.0.1:80 is in server.listen too"),
        ("client_ca = CERT\n", "", "server.tls.client_auth: needs client_ca"),
        (
            "certificate = CERT, key = KEY, min",
            "certificate = CERT, min",
            "tls.certificate: needs key",
        ),
        ("certificate = CERT, key = KEY, min", "key = KEY, min", "tls.key: needs certificate"),
        ("[{ certificate = CERT, key = KEY }]", "[]", "must have from 1 to 1000 certificates"),
        ("\"https://10.0.0.1\"", "\"https://10.0.0.1/v1?a\"", "a query"),
        ("\"https://10.0.0.3:444\"", "\"10.0.0.3:444\"", "no endpoint speaks it"),
        ("{ dangerously_unverified", "{ ca = CERT, dangerously_unverified", "says nothing where"),
        ("\"1.3\"\ntickets", "\"1.1\"\ntickets", "must be \"1.2\" or \"1.3\""),
        ("server_name = \"a.test\"", "server_name = \"a b\"", "neither a host name"),
        ("client_ca = CERT", "client_ca = KEY", "holds a private key, and no certificate"),
        ("\"10.0.0.2:80\"", "\"https://127.0.0.1:443\"", "the gateway would forward to itself"),
    ] {
        assert!(TLS.contains(from), "{from}");
        let text = folder.fill(&TLS.replacen(from, to, 1));
        let told = refused(&text);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

/// What makes another identity makes other endpoints; a certificate of the server's is none of theirs.
#[test]
fn endpoints_of_another_identity_are_others() {
    let folder = Folder::new("tls-followed");
    let first = accepted(&folder.fill(TLS)).snapshot;
    let ids = |snapshot: &super::super::snapshot::Snapshot| -> Vec<u32> {
        let endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        endpoints.map(|endpoint| endpoint.id.0).collect()
    };
    let follows = |text: &str| {
        let mut next = accepted(&folder.fill(text)).snapshot;
        next.follow(&first);
        ids(&next)
    };
    let before = ids(&first);
    assert_eq!(follows(TLS), before);
    assert_eq!(follows(&TLS.replace("tickets = false", "tickets = true")), before);
    let other = follows(&TLS.replace("server_name = \"a.test\"", "server_name = \"b.test\""));
    assert!(other[0] != before[0] && other[1] != before[1], "{other:?}");
    assert_eq!(other[2..], before[2..], "a plain one, and another upstream's");
    // Sockets are bound once.
    let moved = folder.fill(&TLS.replace("[::1]:443", "[::1]:444"));
    let told = crate::config::reload(&moved, &first, &environment());
    let told = told.map(|_| ()).map_err(|problems| super::told(&problems)).expect_err("bound");
    assert!(told.contains("server.tls: cannot change while the gateway runs"), "{told}");
}
