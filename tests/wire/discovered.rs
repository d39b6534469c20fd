//! Endpoints that a store tells: servers that register themselves, come, die and are written by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::handover::says;
use crate::harness::chat::sized;
use crate::harness::{EtcdCluster, Gateway, encoded};
use crate::members::{ask, expect_answers};
use crate::register::{Registrar, free_port, until};

const BODY: &str = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;

/// A gateway that finds its endpoints by `discover`.
fn gateway(discover: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nconnections = 200\n\
         [[upstream]]\nname = \"llama\"\nbalance = \"round_robin\"\n{more}\n\
         discover = {{ {discover} }}\n\
         [[route]]\npath = \"/*\"\nupstream = \"llama\"\n"
    ))
}

fn of_store(cluster: &EtcdCluster) -> Gateway {
    gateway(&format!("etcd = \"{}\"", cluster.place("p")), "")
}

fn write(cluster: &EtcdCluster, key: &str, value: &[u8]) {
    cluster.put(format!("/p/.endpoints/llama/{key}").as_bytes(), value);
}

fn take_out(cluster: &EtcdCluster, key: &[u8]) {
    let key = [b"/p/.endpoints/llama/", key].concat();
    cluster.ask("/v3/kv/deleterange", &json!({ "key": encoded(&key) })).expect("it answers");
}

/// Clients that ask without a pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(gateway: &Gateway, clients: usize) -> Load {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..clients).map(|_| {
            let (stop, asked, address) = (Arc::clone(&stop), Arc::clone(&asked), gateway.address());
            thread::spawn(move || {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let mut client = crate::harness::Peer::connect(address);
                    // What may be asked twice, and what costs money each time.
                    match asked.load(Ordering::Relaxed) % 2 {
                        0 => client.send("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"),
                        _ => client.send(sized("", BODY)),
                    }
                    let answer = client.read_response();
                    if answer.status() != 200 {
                        lost.push(format!("{} {}", answer.status(), answer.text()));
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(2));
                }
                lost
            })
        });
        let threads = threads.collect();
        Load { stop, asked, threads }
    }

    /// What was not answered, and how many there were in all.
    fn end(self) -> (Vec<String>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let lost = self.threads.into_iter().flat_map(|it| it.join().expect("no panic")).collect();
        (lost, self.asked.load(Ordering::Relaxed))
    }
}

#[test]
fn servers_that_are_killed_leave_with_their_lease_and_no_request_is_lost() {
    let cluster = EtcdCluster::start(3);
    let store = cluster.place("p");
    let register = |ttl: &str| Registrar::of_mock(&store, free_port(), &["--ttl", ttl]);
    let (mut one, mut two) = (register("2s"), register("2s"));
    let gateway = of_store(&cluster);
    for registrar in [&one, &two] {
        registrar.wait_for("registered, on a lease of 2 s");
    }
    until("somebody is known", || ask(&gateway).0 != 503);
    thread::sleep(Duration::from_millis(300));
    let load = Load::start(&gateway, 8);
    thread::sleep(Duration::from_millis(500));
    let killed = Instant::now();
    one.kill();
    let left = || cluster.values("/p/.endpoints/llama/").len();
    until("its key is gone", || left() == 1);
    assert!(killed.elapsed() < Duration::from_millis(3_500), "it took {:?}", killed.elapsed());
    // Another one joins, and the first two are gone in the end.
    let three = register("2s");
    until("the third one is there", || left() == 2);
    // The gateway is told at once, but not in the same instant.
    thread::sleep(Duration::from_millis(300));
    two.kill();
    until("the second one's key is gone", || left() == 1);
    thread::sleep(Duration::from_millis(300));
    let (lost, asked) = load.end();
    assert!(lost.is_empty() && asked > 50, "of {asked} {} were lost: {lost:?}", lost.len());
    drop(three);
}

#[test]
fn a_server_that_is_told_to_end_is_asked_no_more_before_it_ends() {
    let cluster = EtcdCluster::start(1);
    let store = cluster.place("p");
    let mut one = Registrar::of_mock(&store, free_port(), &["--drain", "1s"]);
    let two = Registrar::of_mock(&store, free_port(), &[]);
    // Nothing is sent twice here: whoever asks a server that has ended gets an error.
    let gateway = gateway(&format!("etcd = \"{store}\""), "retry = \"off\"\nbreaker = \"off\"");
    let left = || cluster.values("/p/.endpoints/llama/").len();
    until("both are there", || left() == 2);
    until("somebody is known", || ask(&gateway).0 != 503);
    let load = Load::start(&gateway, 8);
    thread::sleep(Duration::from_millis(400));
    one.signal(rustix::process::Signal::TERM);
    assert_eq!(one.ends().code(), Some(0));
    thread::sleep(Duration::from_millis(300));
    let (lost, asked) = load.end();
    assert!(lost.is_empty() && asked > 20, "of {asked} {} were lost: {lost:?}", lost.len());
    drop(two);
}

#[test]
fn what_makes_no_sense_is_told_and_left_out() {
    let cluster = EtcdCluster::start(1);
    let (one, two) = (says("one"), says("two"));
    let gateway = of_store(&cluster);
    assert_eq!(ask(&gateway).0, 503, "nobody is there yet");
    write(&cluster, "one", format!("{{\"address\": \"{one}\", \"since\": 7}}").as_bytes());
    expect_answers(&gateway, &["one"]);
    let long = vec![b'x'; 2 << 20];
    for (value, why) in [
        (&b"\xff\xfe"[..], "it is no UTF-8"),
        (b"{", "EOF while parsing"),
        (b"{\"weight\": 1}", "missing field `address`"),
        (b"{\"address\": \"h:1\", \"weight\": 0}", "the weight of h:1 must be from 1 to 1000"),
        (b"two words", "it is neither a JSON object nor an address"),
        (b"", "it is neither a JSON object nor an address"),
        (&long, "it is longer than 64 KiB"),
    ] {
        write(&cluster, "bad", value);
        gateway.wait_for_log(&format!("\"/p/.endpoints/llama/bad\" is no endpoint: {why}"));
    }
    cluster.put(b"/p/.endpoints/llama/\xff", b"");
    gateway.wait_for_log("\"/p/.endpoints/llama/\u{fffd}\" is no endpoint");
    // The address of one that makes no sense as such.
    write(&cluster, "odd", b"nowhere");
    gateway.wait_for_log("\"nowhere\" is no endpoint");
    write(&cluster, "two", two.to_string().as_bytes());
    expect_answers(&gateway, &["one", "two"]);
    take_out(&cluster, b"one");
    expect_answers(&gateway, &["two"]);

    // More keys than an upstream may have: what was known stays.
    for number in 0..1_100 {
        write(&cluster, &format!("many-{number}"), b"127.0.0.1:1");
    }
    gateway.wait_for_log("there are more than 1024 keys; the endpoints it has told are kept");
    expect_answers(&gateway, &["two"]);
    let end = encoded(b"/p/.endpoints/llama/many.");
    let many = json!({ "key": encoded(b"/p/.endpoints/llama/many-"), "range_end": end });
    cluster.ask("/v3/kv/deleterange", &many).expect("it answers");
    gateway.wait_for_log("etcd:/p/.endpoints/llama answers again");
    expect_answers(&gateway, &["two"]);
    // So are some that are far too long: they are not even read.
    for number in 0..6 {
        write(&cluster, &format!("long-{number}"), &long);
    }
    gateway.wait_for_log("the answer is longer than 16 MiB; the endpoints it has told are kept");
    expect_answers(&gateway, &["two"]);
}

#[test]
fn a_store_that_goes_compacts_or_forgets_takes_no_endpoint_away() {
    let mut cluster = EtcdCluster::start(3);
    let (one, two) = (says("one"), says("two"));
    write(&cluster, "one", one.to_string().as_bytes());
    let gateway = of_store(&cluster);
    expect_answers(&gateway, &["one"]);
    // The member that is watched may be the leader, and may be any.
    let leader = cluster.leader();
    cluster.kill(leader);
    write(&cluster, "two", two.to_string().as_bytes());
    expect_answers(&gateway, &["one", "two"]);
    let second = (leader + 1) % 3;
    cluster.kill(second);
    gateway.wait_for_log("the endpoints it has told are kept");
    expect_answers(&gateway, &["one", "two"]);
    cluster.start_member(leader);
    cluster.start_member(second);
    cluster.wait_until_ready();
    gateway.wait_for_log("etcd:/p/.endpoints/llama answers again");
    take_out(&cluster, b"one");
    expect_answers(&gateway, &["two"]);

    // Everything that was missed is compacted away.
    let still = crate::harness::Standstill::of(&gateway);
    for _ in 0..20 {
        write(&cluster, "one", one.to_string().as_bytes());
    }
    let told = cluster.ask("/v3/kv/range", &json!({ "key": encoded(b"x") })).expect("it answers");
    let compacted = json!({ "revision": told["header"]["revision"], "physical": true });
    cluster.ask("/v3/kv/compaction", &compacted).expect("it compacts");
    still.end();
    expect_answers(&gateway, &["one", "two"]);

    cluster.renew();
    thread::sleep(Duration::from_secs(1));
    expect_answers(&gateway, &["one", "two"]);
    write(&cluster, "one", one.to_string().as_bytes());
    write(&cluster, "two", two.to_string().as_bytes());
    let three = says("three");
    write(&cluster, "three", three.to_string().as_bytes());
    expect_answers(&gateway, &["one", "two", "three"]);
}
