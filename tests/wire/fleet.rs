//! Gateways that share limits by a store: what all of them let through together, while load moves, one is
//! killed, and the store goes and comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{EtcdCluster, Gateway, PATIENCE, Peer, Upstream, signal, sluicegate};

/// `printf SECRET | sha256sum`
const KEYS: [(&str, &str, &str); 3] = [
    (
        "sk-1",
        "sha256:0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3",
        "requests_per_minute = 600",
    ),
    (
        "sk-2",
        "sha256:bbaae8c99d8c9710a6792d27c9e3b6f65987175efc8e6600ad0da28da597f110",
        "tokens_per_minute = 12000",
    ),
    (
        "sk-3",
        "sha256:4d89207fc2eafddf7d8fa040f066b3f2bf58900e58095149520d88267d85ca66",
        "concurrency = 6",
    ),
];
/// Of 40 tokens.
const ANSWER: &str = r#"{"object":"chat.completion","model":"llama-3","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":30}}"#;
/// Of the leases, in seconds.
const TTL: u64 = 3;
/// How long a fleet may take to agree on something: leases end, rounds pass, on a busy machine.
const AGREEMENT: Duration = Duration::from_secs(30);

/// A server that answers chats at once, and streams at \`/v1/stream\` for as long as somebody listens.
fn server() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            if request.start.contains("/v1/stream") {
                peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                     Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
                );
                peer.wait_end();
                return;
            }
            let length = ANSWER.len();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{ANSWER}"
            ));
        }
    })
}

/// A gateway of the fleet at this place.
fn gateway(place: &str, name: &str, upstream: SocketAddr) -> Gateway {
    let keys = KEYS.iter().enumerate().map(|(number, (_, hash, limit))| {
        format!("[keys.k{}]\nhash = \"{hash}\"\nacross = \"fleet\"\n{limit}\n", number + 1)
    });
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [gate]\nguess_tokens = 0\n[fleet]\nstore = \"{place}\"\nname = \"{name}\"\nttl = \"{TTL}s\"\n{}\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{upstream}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n",
        keys.collect::<String>()
    ))
}

pub fn admin(gateway: &Gateway) -> SocketAddr {
    let line = gateway.wait_for_log("admin on http://");
    line.rsplit_once("http://").expect("an address").1.parse().expect("an address")
}

fn page(gateway: &Gateway, path: &str) -> String {
    let address = admin(gateway);
    let mut client = Peer::connect(address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client.read_response().text().to_owned()
}

fn fleet(gateway: &Gateway) -> Value {
    serde_json::from_str(&page(gateway, "/fleet")).expect("JSON")
}

/// What of a limit is in force at a gateway.
fn share(gateway: &Gateway, kind: &str) -> u64 {
    let fleet = fleet(gateway);
    let limits = fleet["limits"].as_array().cloned().unwrap_or_default();
    let limit = limits.iter().find(|limit| limit["limit_of"] == kind);
    limit.and_then(|limit| limit["in_force_here"].as_u64()).unwrap_or(0)
}

/// Waits until it is so.
#[track_caller]
fn agree(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + AGREEMENT;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn members(gateway: &Gateway) -> usize {
    fleet(gateway)["members"].as_array().map_or(0, Vec::len)
}

/// A fleet of three, whose shares are settled and equal.
fn three(place: &str, upstream: SocketAddr) -> [Gateway; 3] {
    let all = ["g1", "g2", "g3"].map(|name| gateway(place, name, upstream));
    agree("three equal shares", || {
        all.iter().all(|one| {
            fleet(one)["settling"] == false && members(one) == 3 && share(one, "requests") == 200
        })
    });
    all
}

/// A client that asks one gateway after the other, as it is told, and counts what passes.
struct Load {
    at: Arc<[AtomicBool; 3]>,
    passed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    /// One client for each gateway, with this key.
    fn start(gateways: [SocketAddr; 3], secret: &'static str) -> Load {
        let at: Arc<[AtomicBool; 3]> = Arc::default();
        let (passed, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let threads = gateways.into_iter().enumerate().map(|(place, address)| {
            let (at, passed, stop) = (Arc::clone(&at), Arc::clone(&passed), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if at[place].load(Ordering::Relaxed) && asks(address, secret) == Some(200) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                    thread::sleep(Duration::from_millis(10));
                }
            })
        });
        let threads = threads.collect();
        Load { at, passed, stop, threads }
    }

    /// From now on this gateway alone is asked.
    fn move_to(&self, place: usize) {
        self.at
            .iter()
            .enumerate()
            .for_each(|(one, asked)| asked.store(one == place, Ordering::Relaxed));
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        self.passed.load(Ordering::Relaxed)
    }
}

/// One request on a connection of its own; `None`: nobody answers.
fn asks(address: SocketAddr, secret: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let body = r#"{"model":"llama-3"}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn three_gateways_let_no_more_through_than_one_would_wherever_the_load_is() {
    let cluster = EtcdCluster::start(1);
    let place = cluster.place("f");
    let all = three(&place, server());
    let addresses = [0, 1, 2].map(|at| all[at].address());
    let began = Instant::now();
    let (requests, tokens) = (Load::start(addresses, "sk-1"), Load::start(addresses, "sk-2"));
    for place in [0, 1] {
        requests.move_to(place);
        tokens.move_to(place);
        agree("the shares follow the load", || {
            share(&all[place], "requests") > 500 && share(&all[place], "tokens") > 10_000
        });
    }
    // It is gone without a word, with most of both limits.
    signal(&all[1], Signal::KILL);
    requests.move_to(2);
    tokens.move_to(2);
    agree("the fleet is two", || members(&all[0]) == 2 && members(&all[2]) == 2);
    agree("the share of the dead is taken over", || {
        share(&all[2], "requests") > 500 && share(&all[2], "tokens") > 10_000
    });
    let shown = sluicegate(&["top", "--fleet", "--admin", &admin(&all[2]).to_string()]);
    assert!(shown.status.success() && shown.stdout.contains("gateways 2"), "{shown:?}");
    assert!(shown.stdout.contains("g1 ") && shown.stdout.contains("g3* "), "{shown:?}");
    let metrics = page(&all[2], "/metrics");
    assert!(metrics.contains("\nsluicegate_fleet_members 2\n"), "{metrics}");
    // Of thirds it would be 3 a second, and 2 a second of tokens.
    let (before, since) = (requests.passed.load(Ordering::Relaxed), Instant::now());
    thread::sleep(Duration::from_secs(6));
    let moved = requests.passed.load(Ordering::Relaxed) - before;
    let each_second = moved as f64 / since.elapsed().as_secs_f64();
    assert!(each_second > 5.0, "{each_second} requests a second where the load is");
    let (requests, tokens) = (requests.end(), tokens.end());
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    // What one bucket would let through: it is full, and fills up.
    let most = 600.0 * (1.0 + minutes);
    assert!(requests as f64 <= most, "{requests} requests in {minutes} minutes");
    // The same, and each of three may end with an answer that has cost more than was reserved.
    let most = 12_000.0 * (1.0 + minutes) + 3.0 * 40.0;
    assert!(tokens as f64 * 40.0 <= most, "{tokens} answers of 40 tokens in {minutes} minutes");
}

/// Opens a stream, if it is let in.
fn stream(address: SocketAddr) -> Option<Peer> {
    let mut client = Peer::connect(address);
    client.send("GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-3\r\n\r\n");
    match client.read_head().status() {
        200 => Some(client),
        status => {
            assert_eq!(status, 429);
            None
        }
    }
}

#[test]
fn six_streams_are_under_way_at_most_wherever_they_are() {
    let cluster = EtcdCluster::start(1);
    let all = three(&cluster.place("f"), server());
    let mut open: [Vec<Peer>; 3] = Default::default();
    let fill = |open: &mut [Vec<Peer>; 3], place: usize| {
        open[place].extend(stream(all[place].address()));
        let count: usize = open.iter().map(Vec::len).sum();
        assert!(count <= 6, "{:?}", open.iter().map(Vec::len).collect::<Vec<_>>());
        open[place].len()
    };
    agree("the first has most of the places", || fill(&mut open, 0) >= 4);
    // The others are asked all the while, and have what is left.
    agree("all places are taken", || {
        [1, 2].map(|place| fill(&mut open, place)).iter().sum::<usize>() + open[0].len() == 6
    });
    for _ in 0..20 {
        for place in 0..3 {
            fill(&mut open, place);
        }
        thread::sleep(Duration::from_millis(50));
    }
    // What ends at the first can begin at the third.
    open[0].clear();
    agree("the places have moved", || fill(&mut open, 2) >= 4);
    // The third dies with its streams: its places come back with the end of its lease.
    signal(&all[2], Signal::KILL);
    open[2].clear();
    agree("the places of the dead have come back", || fill(&mut open, 0) >= 4);
}

#[test]
fn shares_stay_while_the_store_is_away_and_nobody_takes_more_when_it_has_lost_all() {
    let mut cluster = EtcdCluster::start(1);
    let all = three(&cluster.place("f"), server());
    let shares = || all.iter().map(|one| share(one, "requests")).collect::<Vec<_>>();
    let away = |is_so: bool| all.iter().all(|one| fleet(one)["away"] == is_so);
    cluster.kill(0);
    agree("the store is away", || away(true));
    thread::sleep(Duration::from_secs(2 * TTL));
    assert_eq!(shares(), [200, 200, 200], "longer than the leases");
    let passed = (0..3).filter(|place| asks(all[*place].address(), "sk-1") == Some(200)).count();
    assert_eq!(passed, 3);
    cluster.start_member(0);
    cluster.wait_until_ready();
    agree("the store is back", || away(false));
    assert!(shares().iter().sum::<u64>() <= 600);

    // What comes back knows nothing of anybody.
    cluster.renew();
    for _ in 0..40 {
        assert!(shares().iter().sum::<u64>() <= 600, "{:?}", shares());
        thread::sleep(Duration::from_millis(100));
    }
    agree("all have said what they hold", || {
        all.iter().all(|one| members(one) == 3 && fleet(one)["settling"] == false)
    });
    assert_eq!(shares(), [200, 200, 200]);
    // Who ends in good order leaves its share at once.
    all[0].terminate();
    agree("the others have it", || {
        all[1..].iter().all(|one| share(one, "requests") == 300 && members(one) == 2)
    });
}

/// The thread that looks at the store needs what a reload holds: for two seconds each waited for the other.
#[test]
fn a_reload_does_not_hold_up_who_settles_its_shares() {
    let cluster = EtcdCluster::start(1);
    let gateway = gateway(&cluster.place("p"), "one", server());
    agree("it is alone", || members(&gateway) == 1);
    let late = "the shares are not settled yet";
    // A machine that is as slow as that once is not so each time.
    let reloads = 4;
    for number in 1..=reloads {
        signal(&gateway, Signal::HUP);
        gateway.wait_for_log(&format!("generation {number} is in force"));
    }
    assert!(gateway.count_in_log(late) < reloads, "{:?}", gateway.log());
}

#[test]
fn every_gateway_sends_a_key_to_the_same_endpoint() {
    let endpoints: Vec<SocketAddr> = (0..5)
        .map(|_| {
            Upstream::serve(|mut peer| {
                let own = peer.stream().local_addr().expect("it is connected").to_string();
                while peer.next_request().is_some() {
                    let length = own.len();
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{own}"));
                }
            })
        })
        .collect();
    let gateway = |endpoints: &[SocketAddr]| {
        let list: Vec<String> = endpoints.iter().map(|one| format!("\"{one}\"")).collect();
        Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n\
             [[upstream]]\nname = \"a\"\nendpoints = [{}]\nbalance = {{ hash = {{ header = \"x-session\" }} }}\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n",
            list.join(", ")
        ))
    };
    let places = |gateway: &Gateway| -> Vec<String> {
        // One after the other: who is busy is not asked.
        let mut client = gateway.connect();
        let asked = (0..60).map(|session| {
            client.send(format!("GET /x HTTP/1.1\r\nHost: x\r\nx-session: s{session}\r\n\r\n"));
            client.read_response().text().to_owned()
        });
        asked.collect()
    };
    let backwards: Vec<SocketAddr> = endpoints.iter().rev().copied().collect();
    let first = places(&gateway(&endpoints));
    assert_eq!(first, places(&gateway(&backwards)), "whatever order they are told in");
    assert!(endpoints.iter().all(|one| first.contains(&one.to_string())), "{first:?}");
    // One that knows an endpoint less sends its keys elsewhere, and no others.
    let gone = endpoints[2].to_string();
    let fewer: Vec<SocketAddr> = [0, 1, 3, 4].map(|at| endpoints[at]).into();
    for (before, after) in first.iter().zip(places(&gateway(&fewer))) {
        assert!(*before == gone || *before == after, "{before} has become {after}");
        assert_ne!(after, gone);
    }
}

/// A server that answers everything, or ends each connection unanswered; and how many requests it has had.
fn counted(answers: bool) -> (SocketAddr, Arc<AtomicU64>) {
    let count = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&count);
    let address = Upstream::serve(move |mut peer| {
        while peer.next_request().is_some() {
            counter.fetch_add(1, Ordering::Relaxed);
            if !answers || peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err()
            {
                return;
            }
        }
    });
    (address, count)
}

/// How an endpoint stands with a gateway.
fn breaker(gateway: &Gateway, endpoint: SocketAddr) -> String {
    let status: Value = serde_json::from_str(&page(gateway, "/endpoints")).expect("JSON");
    let upstreams = status["upstreams"].as_array().cloned().unwrap_or_default();
    let endpoints =
        upstreams.iter().flat_map(|it| it["endpoints"].as_array().into_iter().flatten());
    let mut named = endpoints.filter(|it| it["endpoint"] == endpoint.to_string());
    named.next().and_then(|it| it["breaker"].as_str()).unwrap_or("?").to_owned()
}

#[test]
fn what_breaks_at_one_gateway_is_tried_by_one_request_at_another_and_hearsay_puts_nobody_out() {
    let cluster = EtcdCluster::start(1);
    let place = cluster.place("f");
    let wells = [counted(true), counted(true)];
    let (broken, asked) = counted(false);
    let gateway = |name: &str, hints: bool| {
        Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [fleet]\nstore = \"{place}\"\nname = \"{name}\"\nttl = \"{TTL}s\"\nhints = {hints}\n\
             [[upstream]]\nname = \"llama\"\nendpoints = [\"{}\", \"{}\", \"{broken}\"]\n\
             breaker = {{ open = \"10m\", open_max = \"10m\" }}\n\
             [[route]]\npath = \"/*\"\nupstream = \"llama\"\n",
            wells[0].0, wells[1].0
        ))
    };
    let [first, second, deaf] =
        [("g1", true), ("g2", true), ("g3", false)].map(|(name, hints)| gateway(name, hints));
    agree("all are there", || [&first, &second, &deaf].iter().all(|one| members(one) == 3));
    agree("its breaker opens", || {
        asks(first.address(), "x");
        breaker(&first, broken) == "open"
    });
    let before = asked.load(Ordering::Relaxed);
    assert!(before >= 5, "by its own faults: {before}");
    second.wait_for_log(&format!("llama: other gateways call {broken} broken"));
    agree("the second doubts it", || breaker(&second, broken) == "suspect");
    let told = fleet(&second);
    assert_eq!(told["hints"][0]["endpoint"], broken.to_string(), "{told}");
    assert_eq!(
        (&told["hints"][0]["told_by"], &told["hints"][0]["heard"]),
        (&1.into(), &true.into())
    );
    let metrics = page(&second, "/metrics");
    assert!(metrics.contains("\nsluicegate_fleet_hints{heard=\"yes\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nsluicegate_fleet_hints_heard_total 1\n"), "{metrics}");
    let said = fleet(&first);
    let own = said["members"].as_array().and_then(|all| all.iter().find(|one| one["self"] == true));
    assert_eq!(
        own.map(|own| &own["broken"]["llama"][0]),
        Some(&broken.to_string().into()),
        "{said}"
    );
    // Who does not listen knows of nothing.
    assert_eq!((breaker(&deaf, broken).as_str(), &fleet(&deaf)["hints"]), ("closed", &Value::Null));
    assert!(!page(&deaf, "/metrics").contains("sluicegate_fleet_hints"));

    // One request finds out.
    agree("the second has found out itself", || {
        asks(second.address(), "x");
        breaker(&second, broken) == "open"
    });
    second.wait_for_log(&format!("{broken} is out for"));
    assert_eq!(second.count_in_log("its probe failed"), 1);
    assert_eq!(asked.load(Ordering::Relaxed), before + 1, "a trial, and nothing else");

    // What a gateway has said goes with it.
    signal(&first, Signal::KILL);
    signal(&second, Signal::KILL);
    agree("the third is alone", || members(&deaf) == 1);
    let late = gateway("g4", true);
    agree("it knows the other", || members(&late) == 2);
    assert_eq!(
        (fleet(&late)["hints"].as_array().map(Vec::len), breaker(&late, broken)),
        (Some(0), "closed".into())
    );
}
