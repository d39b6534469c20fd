//! A configuration in etcd: changed, refused, lost and found, under gateways that serve.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    Ended, EtcdCluster, Gateway, PATIENCE, Upstream, encoded, signal, sluicegate,
};
use crate::reload::{streams, watch_stream};

/// A file of this test's, gone when it ends.
pub struct Sheet(PathBuf);

impl Sheet {
    pub fn new(name: &str, text: &str) -> Sheet {
        // Two tests may call theirs the same.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-store-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        Sheet(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A configuration with an upstream and an answer at `/a`.
pub fn whole(answer: &str, upstream: &str) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"{upstream}\"]\n\
         [[upstream]]\nname = \"none\"\nendpoints = [\"127.0.0.1:1\"]\n\
         [[route]]\npath = \"/stream\"\nupstream = \"a\"\n{}",
        says("/a", answer)
    )
}

/// A route that is answered by the gateway.
pub fn says(path: &str, answer: &str) -> String {
    format!(
        "[[route]]\npath = \"{path}\"\nupstream = \"none\"\nfallback = {{ text = \"{answer}\" }}\n"
    )
}

pub fn config(cluster: &EtcdCluster, arguments: &[&str]) -> Ended {
    let place = cluster.place("p");
    let mut all = vec!["config"];
    all.extend(arguments);
    all.extend(["--store", &place]);
    sluicegate(&all)
}

#[track_caller]
pub fn push(cluster: &EtcdCluster, sheet: &Sheet, more: &[&str]) {
    let mut arguments = vec!["push", sheet.path()];
    arguments.extend(more);
    let ended = config(cluster, &arguments);
    assert!(ended.status.success(), "{ended:?}");
}

pub fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let response = client.read_response();
    (response.status(), response.text().to_owned())
}

/// Waits until a path is answered so.
#[track_caller]
pub fn becomes(gateway: &Gateway, path: &str, answer: &str) {
    let deadline = Instant::now() + PATIENCE;
    while get(gateway, path) != (200, answer.to_owned()) {
        assert!(Instant::now() < deadline, "{path} is not {answer:?}: {:?}", get(gateway, path));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

pub fn admin(gateway: &Gateway, path: &str) -> String {
    let line = gateway.wait_for_log("admin on http://");
    let address = line.rsplit_once("http://").expect("an address").1.parse().expect("an address");
    let mut client = crate::harness::Peer::connect(address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client.read_response().text().to_owned()
}

pub fn nobody() -> String {
    let upstream = Upstream::listen().address();
    upstream.to_string()
}

#[test]
fn a_change_in_the_store_serves_while_streams_go_on() {
    let cluster = EtcdCluster::start(3);
    let upstream = streams(60).to_string();
    push(&cluster, &Sheet::new("base", &whole("one", &upstream)), &[]);
    let gateway = Gateway::of_store(&cluster.place("p"), &["--gateway", "g1"]);
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    let watched: Vec<_> = (0..4).map(|_| watch_stream(&gateway, "/stream", 60)).collect();

    push(&cluster, &Sheet::new("extra", &says("/b", "two")), &["--part", "routes/b"]);
    becomes(&gateway, "/b", "two");
    push(&cluster, &Sheet::new("other", &whole("three", &upstream)), &[]);
    becomes(&gateway, "/a", "three");
    assert_eq!(get(&gateway, "/b"), (200, "two".into()), "the other part stays");
    let ended = config(&cluster, &["remove", "routes/b"]);
    assert!(ended.status.success(), "{ended:?}");
    gateway.wait_for_log("generation 3 is in force");
    assert_eq!(get(&gateway, "/b").0, 404);
    let ended = config(&cluster, &["rollback", "2", "--message", "back"]);
    assert!(ended.status.success(), "{ended:?}");
    becomes(&gateway, "/b", "two");
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));

    for stream in watched {
        let late = stream.join().expect("the stream is whole");
        assert!(late < crate::reload::LATE, "a token was late by {late:?}");
    }
    let told: Value = serde_json::from_str(&admin(&gateway, "/config/history")).expect("JSON");
    assert_eq!(told["store"], "etcd:/p", "as it is called everywhere: {told}");
    let numbers: Vec<_> =
        told["changes"].as_array().expect("a list").iter().map(|it| &it["number"]).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1], "the latest first");
    let latest = &told["changes"][0];
    assert_eq!((&latest["message"], &latest["canary"]), (&"back".into(), &Value::Null), "{told}");
    assert!(latest["by"].as_str().is_some_and(|by| by.contains('@')), "{told}");
    assert!(latest["parts"].is_null() && latest["changed"].is_array(), "{told}");
    let status = config(&cluster, &["status"]).stdout;
    assert!(status.starts_with("g1  revision "), "{status}");
    let history = config(&cluster, &["history"]).stdout;
    let changes: Vec<&str> = history.lines().collect();
    assert_eq!(changes.len(), 5, "{history}");
    assert!(changes[1].starts_with("2  ") && changes[1].contains("routes/b"), "{history}");
    assert!(changes[4].ends_with("  back"), "{history}");
}

#[test]
fn a_store_that_loses_its_members_disturbs_nobody() {
    let mut cluster = EtcdCluster::start(3);
    let upstream = nobody();
    push(&cluster, &Sheet::new("lost", &whole("one", &upstream)), &[]);
    let gateway = Gateway::of_store(&cluster.place("p"), &[]);

    let leader = cluster.leader();
    cluster.kill(leader);
    push(&cluster, &Sheet::new("lost2", &whole("two", &upstream)), &[]);
    becomes(&gateway, "/a", "two");

    let second = (leader + 1) % 3;
    cluster.kill(second);
    gateway.wait_for_log("the store is away");
    assert_eq!(get(&gateway, "/a"), (200, "two".into()));
    let refused = config(&cluster, &["validate"]);
    assert!(refused.stderr.contains("no member answers"), "{refused:?}");

    cluster.start_member(second);
    cluster.start_member(leader);
    cluster.wait_until_ready();
    push(&cluster, &Sheet::new("lost3", &whole("three", &upstream)), &[]);
    becomes(&gateway, "/a", "three");

    // What comes back has lost everything.
    cluster.renew();
    gateway.wait_for_log("there is no configuration here");
    assert_eq!(get(&gateway, "/a"), (200, "three".into()));
    assert!(admin(&gateway, "/metrics").contains("\nsluicegate_config_in_force 0\n"));
    push(&cluster, &Sheet::new("lost4", &whole("four", &upstream)), &[]);
    becomes(&gateway, "/a", "four");
}

#[test]
fn what_is_refused_is_told_wherever_somebody_looks() {
    let cluster = EtcdCluster::start(1);
    let upstream = nobody();
    let good = whole("one", &upstream);
    push(&cluster, &Sheet::new("told", &good), &[]);
    let gateway = Gateway::of_store(&cluster.place("p"), &["--gateway", "g1"]);
    let told = || -> Value {
        let values = cluster.values("/p/.status/g1");
        values.first().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let wait_for = |in_force: bool| {
        let deadline = Instant::now() + PATIENCE;
        while told()["in_force"] != json!(in_force) {
            assert!(Instant::now() < deadline, "the status is {}", told());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(true);
    let bad = Sheet::new("told2", &good.replace("upstream = \"a\"", "upstream = \"b\""));
    let refused = config(&cluster, &["push", bad.path()]);
    let sentence = "etcd:/p/config:16: route[0].upstream: there is no upstream named \"b\"";
    assert!(!refused.status.success() && refused.stderr.contains(sentence), "{refused:?}");
    push(&cluster, &bad, &["--unchecked"]);

    gateway.wait_for_log(sentence);
    gateway.wait_for_log("etcd:/p: refused; generation 0 stays");
    let state: Value = serde_json::from_str(&admin(&gateway, "/config/state")).expect("JSON");
    assert_eq!((&state["source"], &state["generation"]), (&json!("etcd:/p"), &json!(0)));
    assert!(state["refused"]["reasons"][0].as_str().is_some_and(|why| why.contains(sentence)));
    let metrics = admin(&gateway, "/metrics");
    assert!(metrics.contains("\nsluicegate_config_in_force 0\n"), "{metrics}");
    assert!(metrics.contains("\nsluicegate_config_reads_total{result=\"refused\"} 1\n"));
    wait_for(false);
    assert!(told()["refused"][0].as_str().is_some_and(|why| why.contains(sentence)), "{}", told());
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));

    let status = config(&cluster, &["status"]).stdout;
    assert!(status.contains("refused\n  ") && status.contains(sentence), "{status}");
    // Nor does a rollback bring back what is refused; and what runs cannot take is told.
    let refused = config(&cluster, &["rollback", "2"]);
    assert!(!refused.status.success() && refused.stderr.contains(sentence), "{refused:?}");
    push(&cluster, &Sheet::new("told4", &good), &[]);
    wait_for(true);
    let moved = Sheet::new("told5", &good.replace("workers = 1", "workers = 2"));
    let pushed = config(&cluster, &["push", moved.path()]);
    let restart = "warning: etcd:/p/config:3: server.workers: cannot change while the gateway runs";
    assert!(pushed.status.success() && pushed.stderr.contains(restart), "{pushed:?}");
    wait_for(false);
    push(&cluster, &Sheet::new("told6", &good), &[]);
    wait_for(true);
    let generation = json!(gateway.count_in_log("is in force"));

    // What nobody would push is refused as well, and takes no more memory than it may.
    for (key, value) in [
        (&b"/p/config"[..], &b"\xff\xfe"[..]),
        (b"/p/upstreams/a", b"[server]\n"),
        (b"/p/surprise", b""),
        (b"/p/routes/\x1b[2J", b""),
        (b"/p/routes/\xff", b""),
    ] {
        let stays = format!("refused; generation {generation} stays");
        let before = gateway.count_in_log(&stays);
        cluster.put(key, value);
        gateway.expect_in_log(&stays, before + 1);
        let gone = cluster.ask("/v3/kv/deleterange", &json!({ "key": encoded(key) }));
        assert!(gone.is_some());
        gateway.expect_in_log(&stays, before + 2);
    }
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    push(&cluster, &Sheet::new("told3", &whole("two", &upstream)), &[]);
    becomes(&gateway, "/a", "two");
    wait_for(true);
}

#[test]
fn what_cannot_be_read_for_the_same_reason_is_told_once() {
    let cluster = EtcdCluster::start(1);
    push(&cluster, &Sheet::new("many", &whole("one", &nobody())), &[]);
    let gateway = Gateway::of_store(&cluster.place("p"), &[]);
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    // etcd takes 128 operations at once.
    for first in (0..4_200).step_by(120) {
        let put =
            |at| json!({ "request_put": { "key": encoded(format!("/p/keys/k{at}").as_bytes()) } });
        let puts: Vec<Value> = (first..first + 120).map(put).collect();
        cluster.ask("/v3/kv/txn", &json!({ "success": puts })).expect("it takes them");
    }
    let why = "etcd:/p: refused: there are more than 4096 keys";
    gateway.wait_for_log(why);
    let reads = || -> u64 {
        let metrics = admin(&gateway, "/metrics");
        let line = metrics.lines().find(|it| it.contains("config_reads_total{result=\"refused\"}"));
        line.and_then(|it| it.rsplit(' ').next()?.parse().ok()).expect("it is counted")
    };
    let before = (gateway.count_in_log("has changed"), reads());
    // Each is a change of its own, and what is in force stays.
    for at in 0..4 {
        cluster.put(format!("/p/keys/more{at}").as_bytes(), b"");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!((gateway.count_in_log("has changed"), reads()), before);
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    let state: Value = serde_json::from_str(&admin(&gateway, "/config/state")).expect("JSON");
    assert_eq!(state["refused"]["reasons"], json!([why]));
    let range = json!({ "key": encoded(b"/p/keys/"), "range_end": encoded(b"/p/keys0") });
    cluster.ask("/v3/kv/deleterange", &range).expect("they go");
    let deadline = Instant::now() + PATIENCE;
    while !admin(&gateway, "/metrics").contains("\nsluicegate_config_in_force 1\n") {
        assert!(Instant::now() < deadline, "{:#?}", gateway.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(gateway.count_in_log(why), 1);
}

#[test]
fn a_gateway_starts_from_the_last_good_copy() {
    let mut cluster = EtcdCluster::start(1);
    let upstream = nobody();
    let copy = Sheet::new("copy", "");
    std::fs::remove_file(copy.path()).expect("it is there");
    push(&cluster, &Sheet::new("good", &whole("one", &upstream)), &[]);
    let arguments = ["--last-good", copy.path()];
    drop(Gateway::of_store(&cluster.place("p"), &arguments));

    cluster.kill(0);
    let place = cluster.place("p");
    let refused = sluicegate(&["run", "--config", &place]);
    assert!(refused.stderr.contains("no member answers"), "{refused:?}");
    let gateway = Gateway::of_store(&place, &arguments);
    gateway.wait_for_log("starting with the last good configuration");
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    cluster.start_member(0);
    cluster.wait_until_ready();
    push(&cluster, &Sheet::new("good2", &whole("two", &upstream)), &[]);
    becomes(&gateway, "/a", "two");
    // It is written when the workers have it, so an answer may come first.
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(copy.path()).expect("a copy").contains("two") {
        assert!(Instant::now() < deadline, "the copy is the old one");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// As of `diff`: 0 is the same, 1 another, and more is trouble (tests/check.rs has that).
#[test]
fn a_diff_says_by_its_exit_code_whether_a_push_would_change_anything() {
    let cluster = EtcdCluster::start(1);
    let (held, other) = (whole("one", &nobody()), whole("two", &nobody()));
    let (held, other) = (Sheet::new("held", &held), Sheet::new("other", &other));
    push(&cluster, &held, &[]);
    let same = config(&cluster, &["diff", held.path()]);
    assert_eq!((same.status.code(), same.stdout.as_str()), (Some(0), ""), "{same:?}");
    let differs = config(&cluster, &["diff", other.path()]);
    assert_eq!(differs.status.code(), Some(1), "{differs:?}");
    assert!(differs.stdout.contains("-fallback = { text = \"one\" }"), "{differs:?}");
    assert_eq!(config(&cluster, &["diff", "/nonexistent"]).status.code(), Some(3));
    // Where there is nothing, something is said all the same.
    let empty = format!("{}-elsewhere", cluster.place("p"));
    for (asked, said) in [("status", "no gateway has said"), ("history", "nobody has changed")] {
        let ended = sluicegate(&["config", asked, "--store", &empty]);
        assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.stderr.contains("etcd:/p-elsewhere: "), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[test]
fn of_two_writers_at_once_one_wins_and_the_other_is_told() {
    let cluster = EtcdCluster::start(1);
    let upstream = nobody();
    let mut lost = 0;
    let mut made = 0;
    for round in 0..20 {
        let pushed: Vec<Ended> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (cluster, text) =
                        (&cluster, whole(&format!("{round}-{writer}"), &upstream));
                    let name = format!("writer-{writer}");
                    scope.spawn(move || config(cluster, &["push", Sheet::new(&name, &text).path()]))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().expect("it ends")).collect()
        });
        for ended in pushed {
            match ended.status.success() {
                true => made += 1,
                false => {
                    assert!(ended.stderr.contains("somebody else has changed it"), "{ended:?}");
                    lost += 1;
                }
            }
        }
        // Every change that was made is in the history, and no other.
        let history = config(&cluster, &["history"]).stdout;
        assert_eq!(history.lines().count(), made, "{history}");
        if lost > 0 && round > 2 {
            return;
        }
    }
    panic!("nobody ever came second");
}

#[test]
fn changes_that_are_compacted_away_are_read_all_the_same() {
    let cluster = EtcdCluster::start(1);
    let upstream = nobody();
    push(&cluster, &Sheet::new("compact", &whole("one", &upstream)), &[]);
    let gateway = Gateway::of_store(&cluster.place("p"), &[]);
    becomes(&gateway, "/a", "one");
    signal(&gateway, Signal::STOP);
    for number in 0..50 {
        let text = whole(&format!("n{number}"), &upstream);
        cluster.put(b"/p/config", text.as_bytes());
    }
    let told = cluster.ask("/v3/kv/range", &json!({ "key": encoded(b"/p/config") }));
    let revision = &told.expect("it answers")["header"]["revision"];
    let compacted = json!({ "revision": revision, "physical": true });
    cluster.ask("/v3/kv/compaction", &compacted).expect("it compacts");
    signal(&gateway, Signal::CONT);
    becomes(&gateway, "/a", "n49");
}

#[test]
fn who_may_not_read_is_told_so() {
    let cluster = EtcdCluster::start(1);
    push(&cluster, &Sheet::new("locked", &whole("one", &nobody())), &[]);
    for (path, question) in [
        ("/v3/auth/user/add", json!({ "name": "root", "password": "secret" })),
        ("/v3/auth/role/add", json!({ "name": "root" })),
        ("/v3/auth/user/grant", json!({ "user": "root", "role": "root" })),
        ("/v3/auth/enable", json!({})),
    ] {
        cluster.ask(path, &question).expect(path);
    }
    let place = cluster.place("p").replace("etcd://", "etcd://root@");
    let check = |place: &str, password: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args(["check", "--config", place]).env("SLUICEGATE_STORE_PASSWORD", password);
        crate::harness::run(&mut command)
    };
    assert!(check(&place, "secret").status.success());
    for (place, password) in [(&place, "wrong"), (&place, ""), (&cluster.place("p"), "secret")] {
        let refused = check(place, password);
        assert!(!refused.status.success());
        assert!(refused.stderr.contains("access denied"), "{refused:?}");
        assert!(!refused.stderr.contains("secret") && !refused.stderr.contains("wrong"));
    }
}
