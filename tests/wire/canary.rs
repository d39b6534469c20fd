//! A change that goes to a share of the gateways first: three real gateways behind a real etcd.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::handover::hand_over;
use crate::harness::{Ended, EtcdCluster, Gateway, PATIENCE, Upstream, encoded};
use crate::reload::{LATE, streams, watch_stream};
use crate::store::{Sheet, admin, becomes, config, get, nobody, push, says, whole};

/// Answers every request with 200.
fn server() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            if peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    })
}

/// The configuration of every test: an answer of the gateway at `/a`, `server` behind `/x`, `streams`
/// behind `/stream`.
fn fleet_config(answer: &str, server: &str, streams: &str) -> String {
    format!(
        "{}[[upstream]]\nname = \"x\"\nendpoints = [\"{server}\"]\n\
         [[route]]\npath = \"/x\"\nupstream = \"x\"\n",
        whole(answer, streams)
    )
}

/// Three gateways that obey what was pushed first.
struct Fleet {
    cluster: EtcdCluster,
    gateways: Vec<(&'static str, Gateway)>,
}

impl Fleet {
    fn start(first: &str) -> Fleet {
        Fleet::start_with(first, |_| Vec::new())
    }

    fn start_with(first: &str, more: impl Fn(&str) -> Vec<String>) -> Fleet {
        Fleet::start_on(EtcdCluster::start(1), first, more)
    }

    fn start_on(cluster: EtcdCluster, first: &str, more: impl Fn(&str) -> Vec<String>) -> Fleet {
        push(&cluster, &Sheet::new(&format!("fleet-{}", cluster.place("p").len()), first), &[]);
        let place = cluster.place("p");
        let start = |name: &'static str| {
            let mut arguments = vec!["--gateway".to_owned(), name.to_owned()];
            arguments.extend(more(name));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            (name, Gateway::of_store(&place, &arguments))
        };
        let fleet = Fleet { gateways: ["g1", "g2", "g3"].map(start).into(), cluster };
        fleet.wait_until("all are known", || {
            let status = fleet.config(&["status"]).stdout;
            status.lines().filter(|line| line.contains("in force")).count() == 3
        });
        fleet
    }

    fn config(&self, arguments: &[&str]) -> Ended {
        config(&self.cluster, arguments)
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let canary = self.config(&["canary"]);
            assert!(Instant::now() < deadline, "not so: {what}; {canary:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Pushes a candidate to a share, and tells who tries it.
    #[track_caller]
    fn try_first(&self, text: &str, more: &[&str]) -> &'static str {
        let sheet = Sheet::new(&format!("candidate-{:p}", self), text);
        let mut arguments = vec!["push", sheet.path(), "--canary", "20%"];
        arguments.extend(more);
        let ended = self.config(&arguments);
        assert!(ended.status.success(), "{ended:?}");
        let told = ended.stderr.trim_end();
        let (_, name) = told.rsplit_once(" goes to ").expect("who tries it");
        let name = name.strip_suffix(" first").expect("one of them");
        let found = self.gateways.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("one gateway tries it: {told}")).0
    }

    fn gateway(&self, name: &str) -> &Gateway {
        &self.gateways.iter().find(|(known, _)| *known == name).expect("it runs").1
    }

    fn others(&self, name: &str) -> Vec<&Gateway> {
        let others = self.gateways.iter().filter(|(known, _)| *known != name);
        others.map(|(_, gateway)| gateway).collect()
    }

    /// Has each gateway answer so many requests.
    fn ask_all(&self, path: &str, count: usize) {
        for (_, gateway) in &self.gateways {
            ask(gateway, path, count);
        }
    }

    /// The decision in the key of the canary.
    fn decision(&self) -> Value {
        let held = self.cluster.values("/p/.canary");
        let held: Value =
            held.first().and_then(|held| serde_json::from_str(held).ok()).unwrap_or_default();
        held["decided"].clone()
    }
}

fn ask(gateway: &Gateway, path: &str, count: usize) {
    for _ in 0..count {
        get(gateway, path);
    }
}

#[test]
fn a_share_obeys_a_change_first_and_a_quiet_watch_promotes_it() {
    let (server, streaming) = (server().to_string(), streams(400).to_string());
    let copies = ["g1", "g2", "g3"].map(|name| Sheet::new(&format!("canary-copy-{name}"), ""));
    let copy = |name: &str| &copies[usize::from(name.as_bytes()[1] - b'1')];
    let fleet = Fleet::start_with(&fleet_config("one", &server, &streaming), |name| {
        vec!["--last-good".into(), copy(name).path().into()]
    });
    fleet.ask_all("/x", 25);
    let watched: Vec<_> =
        fleet.gateways.iter().map(|(_, gateway)| watch_stream(gateway, "/stream", 400)).collect();

    let second = fleet_config("two", &server, &streaming);
    let name = fleet.try_first(&second, &["--watch", "2s", "--message", "two for all"]);
    let tries = fleet.gateway(name);
    becomes(tries, "/a", "two");
    for other in fleet.others(name) {
        assert_eq!(get(other, "/a"), (200, "one".into()));
    }
    // Whoever comes meanwhile is told, whatever it wants.
    let third = Sheet::new("canary-third", &fleet_config("three", &server, &streaming));
    for more in [&["--canary", "50%"][..], &[]] {
        let mut arguments = vec!["push", third.path()];
        arguments.extend(more);
        let told = fleet.config(&arguments);
        assert!(!told.status.success() && told.stderr.contains("change 2 is tried"), "{told:?}");
    }
    // What is tried is kept by nobody.
    let kept = std::fs::read_to_string(copy(name).path()).expect("a copy");
    assert!(kept.contains("one") && !kept.contains("two"), "{kept}");
    // Time alone does not promote it: nobody has asked anything.
    fleet.wait_until("it is watched", || {
        let told = fleet.config(&["canary"]).stdout;
        told.contains(&format!("{name}  candidate")) && told.contains("is not promoted by itself")
    });
    fleet.wait_until("the status tells it", || {
        fleet.config(&["status"]).stdout.contains("tries change 2")
    });
    assert!(fleet.config(&["history"]).stdout.lines().any(|line| line.ends_with("  running")));
    let state: Value = serde_json::from_str(&admin(tries, "/config/state")).expect("JSON");
    assert_eq!((&state["canary"]["number"], &state["canary"]["obeyed"]), (&json!(2), &json!(true)));
    assert!(admin(tries, "/metrics").contains("\nsluicegate_config_candidate 2\n"));

    ask(tries, "/x", 25);
    for (_, gateway) in &fleet.gateways {
        becomes(gateway, "/a", "two");
        gateway.wait_for_log(&format!("change 2 was promoted by {name}: watched for 2 s"));
    }
    let generations = tries.count_in_log("is in force");
    assert_eq!(generations, 1, "who has tried it has it already");
    fleet.wait_until("it is kept", || {
        std::fs::read_to_string(copy(name).path()).is_ok_and(|kept| kept.contains("two"))
    });
    let history = fleet.config(&["history"]).stdout;
    let last = history.lines().last().expect("a change");
    assert!(last.starts_with("2  ") && last.contains("two for all"), "{history}");
    assert!(last.contains(&format!("promoted by {name}")), "{history}");
    assert!(fleet.config(&["canary"]).stdout.contains("promoted by"));
    let state: Value = serde_json::from_str(&admin(tries, "/config/state")).expect("JSON");
    assert_eq!(state["canary"]["state"], "promoted");
    for stream in watched {
        let late = stream.join().expect("the stream is whole");
        assert!(late < LATE, "a token was late by {late:?}");
    }
    // What came too early is welcome now.
    push(&fleet.cluster, &third, &[]);
    fleet.gateways.iter().for_each(|(_, gateway)| becomes(gateway, "/a", "three"));
}

#[test]
fn errors_rise_and_it_stops_by_itself_and_says_why() {
    let (server, streaming) = (server().to_string(), streams(400).to_string());
    let fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    fleet.ask_all("/x", 25);
    let name = fleet.try_first(&fleet_config("two", &nobody(), &streaming), &[]);
    let tries = fleet.gateway(name);
    becomes(tries, "/a", "two");
    for other in fleet.others(name) {
        ask(other, "/x", 25);
    }
    ask(tries, "/x", 25);
    // A complaint has to stand for 12 s. The streams are in their midst when they go back.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(get(tries, "/a"), (200, "two".into()), "it might be an outage of all");
    let watched: Vec<_> =
        fleet.gateways.iter().map(|(_, gateway)| watch_stream(gateway, "/stream", 400)).collect();
    let why = format!("change 2 was stopped by {name}: {name}: ");
    for (_, gateway) in &fleet.gateways {
        let told = gateway.wait_for_log(&why);
        assert!(told.contains("requests were failed, before 0 of "), "{told}");
        becomes(gateway, "/a", "one");
    }
    assert_eq!(get(tries, "/x"), (200, "ok".into()));
    assert!(fleet.config(&["canary"]).stdout.contains("stopped by"));
    let history = fleet.config(&["history"]).stdout;
    assert!(history.lines().last().is_some_and(|last| last.contains("stopped by")), "{history}");
    let told = fleet.config(&["rollback", "2"]);
    assert!(!told.status.success() && told.stderr.contains("was stopped while"), "{told:?}");
    let metrics = admin(tries, "/metrics");
    assert!(metrics.contains("\nsluicegate_config_canaries_total{result=\"stopped\"} 1\n"));
    assert!(metrics.contains("\nsluicegate_config_candidate 0\n"), "{metrics}");
    for stream in watched {
        let late = stream.join().expect("the stream is whole");
        assert!(late < LATE, "a token was late by {late:?}");
    }
    // And the next may be tried.
    fleet.try_first(&fleet_config("three", &server, &streaming), &[]);
}

#[test]
fn what_is_flagrantly_bad_is_stopped_as_soon_as_the_others_are_seen_to_be_well() {
    let (server, streaming) = (server().to_string(), nobody());
    let fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    fleet.ask_all("/x", 25);
    let name = fleet.try_first(&fleet_config("two", &nobody(), &streaming), &[]);
    becomes(fleet.gateway(name), "/a", "two");
    let is_over = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        for other in fleet.others(name) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    ask(other, "/x", 1);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let began = Instant::now();
        ask(fleet.gateway(name), "/x", 25);
        let mut decision = Value::Null;
        while decision.is_null() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            decision = fleet.decision();
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!((&decision["outcome"], &decision["by"]), (&json!("stopped"), &json!(name)));
        began.elapsed()
    });
    // A complaint that is not flagrant has to stand for 12 s.
    assert!(took < Duration::from_secs(11), "after {took:?}");
    fleet.gateways.iter().for_each(|(_, gateway)| becomes(gateway, "/a", "one"));
}

/// A server that answers after a while; with `broken` it breaks off instead.
fn slow_server(pause: Duration, broken: &Arc<AtomicBool>) -> SocketAddr {
    let broken = Arc::clone(broken);
    Upstream::serve(move |mut peer| {
        while peer.next_request().is_some() {
            std::thread::sleep(pause);
            let is_broken = broken.load(Ordering::Relaxed);
            if is_broken || peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err()
            {
                return;
            }
        }
    })
}

#[test]
fn an_outage_of_all_is_not_blamed_on_a_change_and_a_slower_server_is() {
    let broken = Arc::new(AtomicBool::new(false));
    let server = slow_server(Duration::ZERO, &broken).to_string();
    let slow = slow_server(Duration::from_millis(400), &broken).to_string();
    let streaming = nobody();
    let first = fleet_config("one", &server, &streaming);
    let fleet = Fleet::start(&first);
    fleet.ask_all("/x", 60);
    let name = fleet.try_first(&fleet_config("two", &server, &streaming), &["--watch", "1h"]);
    becomes(fleet.gateway(name), "/a", "two");
    broken.store(true, Ordering::Relaxed);
    fleet.ask_all("/x", 40);
    broken.store(false, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(16));
    assert!(fleet.decision().is_null(), "{}", fleet.decision());
    assert_eq!(get(fleet.gateway(name), "/a"), (200, "two".into()));
    let aborted = fleet.config(&["abort"]);
    assert!(aborted.status.success(), "{aborted:?}");
    becomes(fleet.gateway(name), "/a", "one");

    let name = fleet.try_first(&fleet_config("three", &slow, &streaming), &["--watch", "1h"]);
    let tries = fleet.gateway(name);
    becomes(tries, "/a", "three");
    std::thread::scope(|scope| {
        (0..10).for_each(|_| drop(scope.spawn(|| ask(tries, "/x", 6))));
    });
    let told =
        tries.wait_for_log(&format!("change 3 was stopped by {name}: {name}: the first byte"));
    assert!(told.contains(", p50 is 4"), "{told}");
    becomes(tries, "/a", "one");
}

#[test]
fn an_operator_aborts_and_promotes_and_who_starts_meanwhile_obeys_the_parts() {
    let (server, streaming) = (server().to_string(), nobody());
    let mut fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    let second = fleet_config("two", &server, &streaming);
    let name = fleet.try_first(&second, &["--watch", "1h"]);
    becomes(fleet.gateway(name), "/a", "two");
    let place = fleet.cluster.place("p");
    let late = Gateway::of_store(&place, &["--gateway", "g4"]);
    assert_eq!(get(&late, "/a"), (200, "one".into()));
    // One that tries it, and is started anew, goes on trying it.
    let index = fleet.gateways.iter().position(|(known, _)| *known == name).expect("it runs");
    drop(fleet.gateways.remove(index));
    fleet.gateways.push((name, Gateway::of_store(&place, &["--gateway", name])));
    fleet.gateway(name).wait_for_log("is change 2, tried here");
    becomes(fleet.gateway(name), "/a", "two");
    assert_eq!(get(&late, "/a"), (200, "one".into()));

    let aborted = fleet.config(&["abort", "--message", "not today"]);
    assert!(aborted.status.success(), "{aborted:?}");
    becomes(fleet.gateway(name), "/a", "one");
    fleet.gateway(name).wait_for_log("not today");
    let nothing = fleet.config(&["abort"]);
    assert!(!nothing.status.success() && nothing.stderr.contains("no canary is under way"));

    // A part, and a rollback, may be tried as well.
    let part = Sheet::new("canary-part", &says("/b", "part"));
    let pushed = fleet.config(&[
        "push",
        part.path(),
        "--part",
        "routes/b",
        "--canary",
        "30%",
        "--watch",
        "1h",
    ]);
    assert!(pushed.status.success(), "{pushed:?}");
    let with_part = || fleet.gateways.iter().filter(|(_, it)| get(it, "/b").0 == 200).count();
    fleet.wait_until("some have the part", || {
        with_part() + usize::from(get(&late, "/b").0 == 200) == 2
    });
    let promoted = fleet.config(&["promote"]);
    assert!(promoted.status.success() && promoted.stderr.contains("change 3"), "{promoted:?}");
    fleet.gateways.iter().for_each(|(_, gateway)| becomes(gateway, "/b", "part"));
    becomes(&late, "/b", "part");
    let back = fleet.config(&["rollback", "1", "--canary", "1%", "--watch", "1h"]);
    assert!(back.status.success() && back.stderr.contains("change 4 goes to g"), "{back:?}");

    // What other tools write ends it: it was made against something else.
    fleet.cluster.put(b"/p/routes/c", says("/c", "theirs").as_bytes());
    fleet.wait_until("it is stopped", || {
        fleet.decision()["why"] == "the parts were changed meanwhile by something else"
    });
    fleet.gateways.iter().for_each(|(_, gateway)| becomes(gateway, "/c", "theirs"));
    fleet.gateways.iter().for_each(|(_, gateway)| becomes(gateway, "/b", "part"));
}

#[test]
fn what_a_gateway_refuses_and_what_is_no_canary_disturbs_nobody() {
    let (server, streaming) = (server().to_string(), nobody());
    let good = fleet_config("one", &server, &streaming);
    let fleet = Fleet::start(&good);
    let all_say_one = || {
        fleet.gateways.iter().for_each(|(_, it)| assert_eq!(get(it, "/a"), (200, "one".into())));
    };
    // What cannot be obeyed by a reload cannot be tried.
    let moved = Sheet::new("canary-moved", &good.replace("workers = 1", "workers = 2"));
    let refused = fleet.config(&["push", moved.path(), "--canary", "20%"]);
    assert!(!refused.status.success() && refused.stderr.contains("server.workers"), "{refused:?}");
    for (bad, why) in [
        (good.replace("upstream = \"x\"", "upstream = \"y\""), "there is no upstream named"),
        ("[[[".to_owned(), "TOML syntax"),
    ] {
        let name = fleet.try_first(&bad, &["--unchecked"]);
        fleet.wait_until("it is stopped", || {
            let decision = fleet.decision();
            decision["by"] == name
                && decision["why"].as_str().is_some_and(|told| {
                    told.starts_with(&format!("{name} refuses it: etcd:/p/.canary/"))
                        && told.contains(why)
                })
        });
        all_say_one();
        fleet.wait_until("it obeys the parts", || {
            admin(fleet.gateway(name), "/metrics").contains("\nsluicegate_config_in_force 1\n")
        });
    }
    // What something else has put there is told, ignored, and taken out by hand.
    for (count, garbage) in
        [&b"\xff\xfe"[..], &vec![b'x'; 2 << 20], b"{}", b"{\"number\":1e99}", &[b'['; 100_000]]
            .into_iter()
            .enumerate()
    {
        fleet.cluster.put(b"/p/.canary", garbage);
        for (_, gateway) in &fleet.gateways {
            gateway.expect_in_log("/p/.canary is no canary: ", count + 1);
        }
        all_say_one();
        let told = fleet.config(&["canary"]);
        assert!(!told.status.success() && told.stderr.contains("is no canary"), "{told:?}");
        let gone = fleet.config(&["abort"]);
        assert!(gone.status.success() && gone.stderr.contains("is taken out"), "{gone:?}");
    }
    // One that is whole, and names gateways that nobody knows, and parts that are none.
    let revision = |key: &[u8]| {
        let told = fleet.cluster.ask("/v3/kv/range", &json!({ "key": encoded(key) }));
        let told = told.expect("it answers");
        told["kvs"][0]["mod_revision"]
            .as_str()
            .and_then(|it| it.parse::<i64>().ok())
            .expect("a key")
    };
    let strange = json!({
        "number": u64::MAX, "by": "\u{1b}[2J", "at": "", "message": "", "share": 255,
        "watch_seconds": u64::MAX, "requests_min": 0, "gateways": ["g1", "\u{1b}[2J"], "changed": [],
        "parts": { "surprise": "", "../config": "x = 1" },
        "base": { "config": revision(b"/p/config") },
    });
    fleet.cluster.put(b"/p/.canary", strange.to_string().as_bytes());
    fleet.wait_until("it is stopped", || fleet.decision()["outcome"] == "stopped");
    all_say_one();
    let told = fleet.config(&["canary"]);
    assert!(!told.stdout.contains('\u{1b}'), "{told:?}");
    assert!(
        fleet.gateways.iter().all(|(_, it)| it.log().iter().all(|line| !line.contains('\u{1b}')))
    );
    fleet.try_first(&fleet_config("two", &server, &streaming), &[]);
}

#[test]
fn a_candidate_that_serves_worse_while_the_store_is_away_is_given_up() {
    let (server, streaming) = (server().to_string(), nobody());
    let mut fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    fleet.ask_all("/x", 25);
    let name = fleet.try_first(&fleet_config("two", &nobody(), &streaming), &[]);
    becomes(fleet.gateway(name), "/a", "two");
    fleet
        .wait_until("it is watched", || fleet.config(&["canary"]).stdout.contains("  candidate  "));
    fleet.cluster.kill(0);
    fleet.gateway(name).wait_for_log("the store is away");
    assert_eq!(get(fleet.gateway(name), "/a"), (200, "two".into()), "what is in force stays");
    ask(fleet.gateway(name), "/x", 25);
    fleet.gateway(name).wait_for_log("change 2 is given up here: ");
    becomes(fleet.gateway(name), "/a", "one");
    assert_eq!(get(fleet.gateway(name), "/x"), (200, "ok".into()));
    fleet.cluster.start_member(0);
    fleet.cluster.wait_until_ready();
    for (_, gateway) in &fleet.gateways {
        gateway.wait_for_log(&format!("change 2 was stopped by {name}: {name}: "));
        assert_eq!(get(gateway, "/a"), (200, "one".into()));
    }
}

#[test]
fn a_gateway_that_is_silent_stops_what_it_should_try() {
    let (server, streaming) = (server().to_string(), nobody());
    let mut fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    let name = fleet.try_first(&fleet_config("two", &server, &streaming), &["--watch", "1h"]);
    becomes(fleet.gateway(name), "/a", "two");
    fleet.gateways.retain(|(known, _)| *known != name);
    // Its status is gone after 20 s, it is missed within 15, and for 30.
    let deadline = Instant::now() + 6 * PATIENCE;
    while fleet.decision().is_null() {
        assert!(Instant::now() < deadline, "nobody misses {name}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let why = fleet.decision()["why"].clone();
    assert_eq!(why, format!("{name} has not said for 30 s that it obeys it"));
    for (_, gateway) in &fleet.gateways {
        gateway.wait_for_log("has not said for 30 s");
        assert_eq!(get(gateway, "/a"), (200, "one".into()));
    }
}

#[test]
fn one_gateway_alone_tries_nothing() {
    let cluster = EtcdCluster::start(1);
    let upstream = nobody();
    push(&cluster, &Sheet::new("alone", &whole("one", &upstream)), &[]);
    let second = Sheet::new("alone2", &whole("two", &upstream));
    let tried = || config(&cluster, &["push", second.path(), "--canary", "50%"]);
    let told = tried();
    assert!(!told.status.success() && told.stderr.contains("no gateway says"), "{told:?}");
    let gateway = Gateway::of_store(&cluster.place("p"), &["--gateway", "g1"]);
    let deadline = Instant::now() + PATIENCE;
    while !config(&cluster, &["status"]).stdout.contains("in force") {
        assert!(Instant::now() < deadline, "it says nothing");
    }
    let told = tried();
    assert!(!told.status.success() && told.stderr.contains("only g1 says"), "{told:?}");
    assert!(told.stderr.contains("push it without --canary"), "{told:?}");
    assert_eq!(get(&gateway, "/a"), (200, "one".into()));
    assert_eq!(config(&cluster, &["canary"]).stdout, "there was none\n");
    for (wrong, why) in [
        (&["--canary", "100%"][..], "from 1% to 99%"),
        (&["--watch", "5m"], "--canary"),
        (&["--canary", "5%", "--watch", "0s"], "from 1s to 168h"),
    ] {
        let mut arguments = vec!["push", second.path()];
        arguments.extend(wrong);
        let told = config(&cluster, &arguments);
        assert!(!told.status.success() && told.stderr.contains(why), "{told:?}");
    }
}

/// Kills the member of the store that leads, and waits until the others have another one.
fn kill_the_leader(fleet: &mut Fleet) -> usize {
    let leader = fleet.cluster.leader();
    fleet.cluster.kill(leader);
    fleet.cluster.wait_until_ready();
    leader
}

#[test]
fn a_candidate_is_promoted_or_stopped_though_the_leader_of_the_store_dies_meanwhile() {
    let (server, streaming) = (server().to_string(), nobody());
    let first = fleet_config("one", &server, &streaming);
    let mut fleet = Fleet::start_on(EtcdCluster::start(3), &first, |_| Vec::new());
    fleet.ask_all("/x", 25);
    let second = fleet_config("two", &server, &streaming);
    let name = fleet.try_first(&second, &["--watch", "2s"]);
    becomes(fleet.gateway(name), "/a", "two");
    let killed = kill_the_leader(&mut fleet);
    for other in fleet.others(name) {
        assert_eq!(get(other, "/a"), (200, "one".into()));
    }
    ask(fleet.gateway(name), "/x", 25);
    for (_, gateway) in &fleet.gateways {
        becomes(gateway, "/a", "two");
        gateway.wait_for_log(&format!("change 2 was promoted by {name}"));
    }
    fleet.cluster.start_member(killed);
    fleet.cluster.wait_until_ready();

    let name = fleet.try_first(&fleet_config("three", &nobody(), &streaming), &[]);
    becomes(fleet.gateway(name), "/a", "three");
    kill_the_leader(&mut fleet);
    for (known, gateway) in &fleet.gateways {
        let answer = if *known == name { "three" } else { "two" };
        assert_eq!(get(gateway, "/a"), (200, answer.into()), "{known}");
    }
    for other in fleet.others(name) {
        ask(other, "/x", 25);
    }
    ask(fleet.gateway(name), "/x", 25);
    for (_, gateway) in &fleet.gateways {
        gateway.wait_for_log(&format!("change 3 was stopped by {name}: {name}: "));
        becomes(gateway, "/a", "two");
    }
}

#[test]
fn who_has_tried_a_candidate_that_is_promoted_is_not_behind() {
    let (server, streaming) = (server().to_string(), nobody());
    let text = |answer| fleet_config(answer, &server, &streaming) + "[fleet]\nttl = \"3s\"\n";
    let fleet = Fleet::start(&text("one"));
    let name = fleet.try_first(&text("two"), &["--watch", "1s", "--requests", "0"]);
    for (_, gateway) in &fleet.gateways {
        gateway.wait_for_log(&format!("change 2 was promoted by {name}"));
    }
    let in_step = || {
        let told: Value =
            serde_json::from_str(&admin(fleet.gateway(name), "/fleet")).unwrap_or_default();
        let members = told["members"].as_array().cloned().unwrap_or_default();
        members.len() == 3 && members.iter().all(|member| member["revision_behind"] == 0)
    };
    fleet.wait_until("all are of one revision", in_step);
}

#[test]
fn the_successor_of_a_gateway_that_tries_a_candidate_goes_on_trying_it() {
    let (server, streaming) = (server().to_string(), streams(400).to_string());
    let fleet = Fleet::start(&fleet_config("one", &server, &streaming));
    fleet.ask_all("/x", 25);
    let second = fleet_config("two", &server, &streaming);
    let name = fleet.try_first(&second, &["--watch", "2s"]);
    let tries = fleet.gateway(name);
    becomes(tries, "/a", "two");
    // The old process is there for as long as this lasts.
    let watched = watch_stream(tries, "/stream", 400);
    hand_over(tries);
    // It begins with the parts, which are good, and takes up what is tried at once.
    becomes(tries, "/a", "two");
    for other in fleet.others(name) {
        assert_eq!(get(other, "/a"), (200, "one".into()));
    }
    fleet.wait_until("the successor watches it", || {
        fleet.config(&["canary"]).stdout.contains(&format!("{name}  candidate"))
    });
    assert!(fleet.decision().is_null(), "the end of the old process decides nothing");
    ask(tries, "/x", 25);
    for (_, gateway) in &fleet.gateways {
        becomes(gateway, "/a", "two");
        gateway.wait_for_log(&format!("change 2 was promoted by {name}"));
    }

    watched.join().expect("the stream is whole");

    // What is bad is found to be so by a successor as well.
    let name = fleet.try_first(&fleet_config("three", &nobody(), &streaming), &[]);
    let tries = fleet.gateway(name);
    becomes(tries, "/a", "three");
    hand_over(tries);
    becomes(tries, "/a", "three");
    for other in fleet.others(name) {
        ask(other, "/x", 25);
    }
    ask(tries, "/x", 25);
    for (_, gateway) in &fleet.gateways {
        gateway.wait_for_log(&format!("change 3 was stopped by {name}: {name}: "));
        becomes(gateway, "/a", "two");
    }
}
