//! The authoriser: who comes in by its word, and what becomes of requests when it does not answer as it should.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::handover::hand_over;
use crate::harness::{End, Gateway, Message, PATIENCE, Peer, Upstream, signal};

const BODY: &str = r#"{"model":"llama-3"}"#;
const YES: &str = "HTTP/1.1 200 OK\r\nX-Auth-Request-User: ann\r\nContent-Length: 0\r\n\r\n";
const NO: &str =
    "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"us\"\r\nContent-Length: 0\r\n\r\n";
const NEVER: &str = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";

type Says = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// Answers what it is told to, and remembers what it was asked.
struct Judge {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Whether answers are held back.
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Judge {
    fn start() -> Judge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let says: Arc<Mutex<Says>> = Arc::new(Mutex::new(Arc::new(|_| YES.into())));
        let (asked, held) = <(Arc<Mutex<Vec<String>>>, Arc<(Mutex<bool>, Condvar)>)>::default();
        let judge = Judge { address, says, asked, held };
        let Judge { says, asked, held, .. } = &judge;
        let (says, asked, held) = (Arc::clone(says), Arc::clone(asked), Arc::clone(held));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (says, asked, held) =
                    (Arc::clone(&says), Arc::clone(&asked), Arc::clone(&held));
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        match stream.read(&mut byte) {
                            Ok(1) => head.extend(byte),
                            _ => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                    asked.lock().expect("nobody panics").push(head.clone());
                    let mut is_held = held.0.lock().expect("nobody panics");
                    while *is_held {
                        is_held = held.1.wait(is_held).expect("nobody panics");
                    }
                    drop(is_held);
                    let says = Arc::clone(&says.lock().expect("nobody panics"));
                    let _ = stream.write_all(&says(&head));
                });
            }
        });
        judge
    }

    fn says(&self, answer: impl Into<Vec<u8>>) {
        let answer = answer.into();
        self.judges(move |_| answer.clone());
    }

    fn judges(&self, says: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
        *self.says.lock().expect("nobody panics") = Arc::new(says);
    }

    fn hold(&self, held: bool) {
        *self.held.0.lock().expect("nobody panics") = held;
        self.held.1.notify_all();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }

    /// Waits until it was asked so often in all.
    fn wait_for(&self, questions: usize) {
        let watch = Instant::now();
        while self.asked().len() < questions {
            assert!(watch.elapsed() < PATIENCE, "asked: {:#?}", self.asked());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn config(&self, upstream: &Upstream, of_auth: &str, more: &str) -> String {
        let (judge, address) = (self.address, upstream.address());
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n\
             [auth]\nurl = \"http://{judge}/check\"\n{of_auth}\n\
             [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n\
             [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n\
             [[route]]\npath = \"/maybe/*\"\nupstream = \"llama\"\nkeys = \"optional\"\n\
             [[route]]\npath = \"/open/*\"\nupstream = \"llama\"\nkeys = \"off\"\n{more}\n"
        )
    }
}

fn request(path: &str, fields: &str) -> String {
    let length = BODY.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{BODY}")
}

fn chat(secret: &str) -> String {
    request("/v1/chat/completions", &format!("Authorization: Bearer {secret}\r\n"))
}

/// Answers the request that comes to the server next.
fn serve(upstream: &Upstream) -> Message {
    let mut server = upstream.accept();
    let seen = server.read_request();
    server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
    seen
}

/// Sends a request, which has to come to the server: what that and the client get.
fn passes(client: &mut Peer, upstream: &Upstream, request: &str) -> (Message, Message) {
    client.send(request);
    let seen = serve(upstream);
    let answer = client.read_response();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (seen, answer)
}

fn refused(client: &mut Peer, request: &str, status: u16, code: &str) -> Message {
    client.send(request);
    let answer = client.read_response();
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert!(answer.text().contains(code), "{code}: {}", answer.text());
    answer
}

#[test]
fn a_yes_opens_is_asked_once_and_shows_the_server_no_credential() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let log = std::env::temp_dir().join(format!("sluicegate-auth-{}.log", std::process::id()));
    let more = format!(
        "[tiers.gold]\nrequests_per_minute = 100\n[access_log]\nto = \"{}\"\n",
        log.display()
    );
    let claims = "claims = { name = \"x-auth-request-user\", tier = \"x-plan\" }";
    let gateway = Gateway::start(&judge.config(&upstream, claims, &more));
    judge.says(YES.replace("X-Auth", "X-Plan: gold\r\nX-Auth"));
    let mut client = gateway.connect();
    let secret = "super-secret";
    let more = "api-key: other\r\nX-Forwarded-For: 9.9.9.9\r\nX-Auth-Request-User: eve\r\n";
    let fields = format!("Authorization: Bearer {secret}\r\n{more}");
    for left in ["99", "98", "97"] {
        let path = "/v1/chat/completions?a=b";
        let (seen, answer) = passes(&mut client, &upstream, &request(path, &fields));
        assert_eq!((seen.field("authorization"), seen.field("api-key")), (None, None));
        assert_eq!(seen.text(), BODY);
        assert_eq!(answer.field("x-ratelimit-remaining-requests"), Some(left));
    }
    let asked = judge.asked();
    assert_eq!(asked.len(), 1, "the answer holds: {asked:#?}");
    let (line, lines) = asked[0].split_once("\r\n").expect("a head");
    assert_eq!(line, "get /check http/1.1");
    for told in [
        "x-forwarded-method: post\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: x\r\n",
        "x-forwarded-uri: /v1/chat/completions?a=b\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "authorization: bearer super-secret\r\n",
        "api-key: other\r\n",
    ] {
        assert!(lines.contains(told), "{told} in {lines}");
    }
    for untold in ["9.9.9.9", "eve", "content-length"] {
        assert!(!lines.contains(untold), "{untold} in {lines}");
    }
    // What the authoriser was told is another thing: it is asked again, and the subject is the same one.
    let (_, answer) = passes(&mut client, &upstream, &chat(secret));
    assert_eq!(answer.field("x-ratelimit-remaining-requests"), Some("96"));
    assert_eq!(judge.asked().len(), 2);
    drop(client);
    let watch = Instant::now();
    let told = loop {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        if told.lines().count() == 4 {
            break told;
        }
        assert!(watch.elapsed() < PATIENCE, "four lines in: {told}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(told.matches("auth:ann").count(), 4, "{told}");
    assert!(!told.contains(secret), "no credential is in the log");
    assert_eq!(gateway.count_in_log(secret), 0, "no credential is in the log");
}

#[test]
fn a_no_is_ours_in_the_words_of_the_path() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let gateway = Gateway::start(&judge.config(&upstream, "", ""));
    let mut client = gateway.connect();
    judge.says(NO);
    for _ in 0..2 {
        let answer = refused(&mut client, &chat("one"), 401, "auth_denied");
        assert_eq!(answer.field("www-authenticate"), Some("Basic realm=\"us\""));
    }
    assert_eq!(judge.asked().len(), 1, "a no is remembered");
    let anthropic = request("/v1/messages", "x-api-key: one\r\n");
    let answer = refused(&mut client, &anthropic, 401, "authentication_error");
    assert_eq!(answer.json()["type"], "error");
    // Who shows nothing is asked for something, and nobody else is.
    let answer = refused(&mut client, &request("/v1/messages", ""), 401, "authentication_error");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    assert_eq!(judge.asked().len(), 2);
    judge.says(NEVER);
    let answer = refused(&mut client, &chat("two"), 403, "auth_forbidden");
    assert_eq!(answer.field("www-authenticate"), None);
    // Where a stranger may come in, somebody unknown does, and goes on as they came.
    judge.says(NO);
    let maybe = request("/maybe/a", "Authorization: Bearer three\r\n");
    let (seen, _) = passes(&mut client, &upstream, &maybe);
    assert_eq!(seen.field("authorization"), Some("Bearer three"));
    judge.says(NEVER);
    refused(&mut client, &maybe.replace("three", "four"), 403, "auth_forbidden");
    let asked = judge.asked().len();
    let open = request("/open/a", "Authorization: Bearer five\r\n");
    let (seen, _) = passes(&mut client, &upstream, &open);
    assert_eq!(seen.field("authorization"), Some("Bearer five"));
    assert_eq!(judge.asked().len(), asked, "nobody is asked where keys are off");
    upstream.expect_nobody();
}

#[test]
fn keys_of_the_gateway_go_before_it() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    // The SHA-256 of `one`.
    let hash = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let keys = format!("[keys.k]\nhash = \"sha256:{hash}\"\n");
    let gateway = Gateway::start(&judge.config(&upstream, "", &keys));
    let mut client = gateway.connect();
    judge.says(NO);
    passes(&mut client, &upstream, &chat("one"));
    refused(&mut client, &chat("sg-revoked"), 401, "invalid_api_key");
    assert!(judge.asked().is_empty(), "{:#?}", judge.asked());
    refused(&mut client, &chat("two"), 401, "auth_denied");
    assert_eq!(judge.asked().len(), 1);
}

#[test]
fn whatever_does_not_decide_lets_nobody_in() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let of_auth = "claims = { name = \"x-auth-request-user\", tier = \"x-plan\" }";
    let tiers = "[tiers.gold]\npriority = 1\n";
    let gateway = Gateway::start(&judge.config(&upstream, of_auth, tiers));
    let mut client = gateway.connect();
    let gold = YES.replace("X-Auth", "X-Plan: gold\r\nX-Auth");
    let huge = gold.replace("X-Plan", &format!("X-Long: {}\r\nX-Plan", "a".repeat(100_000)));
    let elsewhere = format!("HTTP/1.1 302 Found\r\nLocation: http://{}/yes\r\n\r\n", judge.address);
    for (number, (answer, code)) in [
        (String::new(), "auth_unavailable"),
        ("hello\r\n\r\n".to_owned(), "auth_unavailable"),
        ("HTTP/1.1 200 OK\r\nX-Auth".to_owned(), "auth_unavailable"),
        ("HTTP/2 200 OK\r\n\r\n".to_owned(), "auth_unavailable"),
        ("HTTP/1.1 500 Oops\r\n\r\n".to_owned(), "auth_unavailable"),
        ("HTTP/1.1 429 Slow\r\n\r\n".to_owned(), "auth_unavailable"),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), "auth_unavailable"),
        (elsewhere, "auth_unavailable"),
        (huge, "auth_unavailable"),
        (gold.replace("ann", "a\0nn"), "auth_unavailable"),
        (gold.replace("ann", "ann\r\nX-Auth-Request-User: bob"), "auth_unclear"),
        (gold.replace("X-Auth-Request-User", "X-Other"), "auth_unclear"),
        (gold.replace("gold", "silver"), "auth_unclear"),
        (YES.to_owned(), "auth_unclear"),
    ]
    .into_iter()
    .enumerate()
    {
        judge.says(answer.clone());
        let answer = refused(&mut client, &chat(&format!("secret-{number}")), 503, code);
        assert_eq!(answer.field("retry-after"), Some("2"));
    }
    assert_eq!(judge.asked().len(), 14, "no redirect was followed");
    gateway.wait_for_log("authoriser: 127.0.0.1");
    assert_eq!(gateway.count_in_log("secret-"), 0, "no credential is in the log");
    upstream.expect_nobody();
    // It comes to its senses: nothing of that is remembered. A body is not waited for, nor a length wanted.
    judge.says(gold.replace("Content-Length: 0", "Content-Length: 100"));
    passes(&mut client, &upstream, &chat("secret-0"));
    judge.says(gold.replace("Content-Length: 0\r\n", ""));
    passes(&mut client, &upstream, &chat("secret-1"));
    gateway.wait_for_log("authoriser: it decides again");
}

#[test]
fn who_is_asked_and_stays_silent_is_not_waited_for_longer_than_that() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let gateway = Gateway::start(&judge.config(&upstream, "timeout = \"1s\"", ""));
    judge.hold(true);
    let mut clients: Vec<Peer> = (0..40).map(|_| gateway.connect()).collect();
    let begun = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(chat(&number.to_string()));
    }
    // More than it is asked at once: those behind them do not wait for their turn.
    for client in &mut clients {
        let answer = client.read_response();
        assert_eq!(answer.status(), 503, "{}", answer.text());
        assert!(answer.text().contains("auth_unavailable"), "{}", answer.text());
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    judge.hold(false);
    passes(&mut clients[0], &upstream, &chat("0"));
}

#[test]
fn an_answer_that_holds_no_more_is_asked_for_again() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let gateway = Gateway::start(&judge.config(&upstream, "cache = { yes = \"3s\" }", ""));
    let mut client = gateway.connect();
    passes(&mut client, &upstream, &chat("one"));
    let watch = Instant::now();
    judge.says(NO);
    // It still holds, unless this machine stood still.
    client.send(chat("one"));
    if watch.elapsed() < Duration::from_secs(2) {
        serve(&upstream);
    }
    assert_eq!(client.read_response().status(), 200);
    std::thread::sleep(Duration::from_secs(3));
    refused(&mut client, &chat("one"), 401, "auth_denied");
    // An answer that says so holds for nobody else.
    judge.says(YES.replace("X-Auth", "Cache-Control: no-store\r\nX-Auth"));
    let asked = judge.asked().len();
    for more in 1..=3 {
        passes(&mut client, &upstream, &chat("two"));
        assert_eq!(judge.asked().len(), asked + more);
    }
}

#[test]
fn a_stream_goes_on_while_three_hundred_wait_for_an_answer() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let gateway = Gateway::start(&judge.config(&upstream, "timeout = \"60s\"", ""));
    let mut client = gateway.connect();
    client.send(chat("stream"));
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 0\n\n");
    client.read_until("data: 0");
    judge.judges(|head| if head.contains("same") { NEVER.into() } else { NO.into() });
    judge.hold(true);
    let mut storm: Vec<Peer> = (0..300).map(|_| gateway.connect()).collect();
    for (number, peer) in storm.iter_mut().enumerate() {
        let secret = if number % 2 == 0 { "same".to_owned() } else { number.to_string() };
        peer.send(chat(&secret));
        if number % 30 == 0 {
            server.send(format!("data: {}\n\n", number + 1));
            client.read_until(&format!("data: {}\n", number + 1));
        }
    }
    // As many as are asked at once, and the one of the stream.
    judge.wait_for(17);
    server.send("data: all wait\n\n");
    client.read_until("data: all wait");
    for peer in &mut storm[..4] {
        peer.expect_silence();
    }
    judge.hold(false);
    for (number, peer) in storm.iter_mut().enumerate() {
        let status = if number % 2 == 0 { 403 } else { 401 };
        assert_eq!(peer.read_response().status(), status);
    }
    server.send("data: over\n\n");
    client.read_until("data: over");
    let asked = judge.asked();
    assert_eq!(asked.iter().filter(|head| head.contains("bearer same")).count(), 1);
    assert_eq!(asked.len(), 152);
    upstream.expect_nobody();
}

#[test]
fn who_leaves_or_is_reloaded_or_drained_while_waiting_is_no_trouble() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let text = judge.config(&upstream, "timeout = \"60s\"\nconcurrency = 1", "");
    let mut gateway = Gateway::start(&text);
    judge.hold(true);
    let (mut first, mut second) = (gateway.connect(), gateway.connect());
    first.send(chat("first"));
    judge.wait_for(1);
    second.send(chat("second"));
    // They leave, by FIN and by RST; nobody asks for them when it is their turn.
    let (mut half, mut gone) = (gateway.connect(), gateway.connect());
    half.send(chat("half"));
    gone.send(chat("gone"));
    std::thread::sleep(Duration::from_millis(300));
    half.finish();
    gone.reset();
    half.read_end();
    // Another configuration, in which nobody is asked for anything.
    let open = text.replace("[auth]", "[gate]\nkeys = \"off\"\n[auth]");
    let (before, behind) = open.split_once("[auth]").expect("it is there");
    let (_, behind) = behind.split_once("[[upstream]]").expect("it is there");
    gateway.rewrite(&format!("{before}[[upstream]]{behind}"));
    signal(&gateway, Signal::HUP);
    let seen = [serve(&upstream), serve(&upstream)]
        .map(|it| it.field("authorization").unwrap_or_default().to_owned());
    for client in [&mut first, &mut second] {
        assert_eq!(client.read_response().status(), 200);
    }
    assert!(
        seen.contains(&"Bearer first".to_owned()) && seen.contains(&"Bearer second".to_owned())
    );
    // And back: who waits when the gateway ends gets an answer.
    gateway.rewrite(&text);
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 2");
    first.send(chat("third"));
    judge.wait_for(2);
    gateway.terminate();
    std::thread::sleep(Duration::from_millis(300));
    judge.hold(false);
    serve(&upstream);
    assert_eq!(first.read_response().status(), 200);
    drop((first, second));
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    let asked = judge.asked();
    assert!(!asked.iter().any(|head| head.contains("half") || head.contains("gone")), "{asked:#?}");
}

#[test]
fn an_address_that_is_denied_while_its_request_waits_is_not_let_in() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let text = judge.config(&upstream, "timeout = \"60s\"", "");
    let gateway = Gateway::start(&text);
    judge.hold(true);
    let mut client = gateway.connect();
    client.send(chat("first"));
    judge.wait_for(1);
    gateway.rewrite(&text.replace("[auth]", "[gate]\ndeny = [\"127.0.0.0/8\"]\n[auth]"));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    judge.hold(false);
    let answer = client.read_response();
    assert_eq!(answer.status(), 403, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "address_denied");
    upstream.expect_nobody();
}

#[test]
fn who_waits_for_an_answer_gets_it_from_the_process_that_hands_over() {
    let (upstream, next, judge) = (Upstream::listen(), Upstream::listen(), Judge::start());
    let config = |upstream: &Upstream| {
        let text = judge.config(upstream, "timeout = \"60s\"\nconcurrency = 1", "");
        let text = text.replace("workers = 2", "workers = 1");
        text.replace(
            "[[route]]\npath = \"/v1",
            "pool.idle_timeout = \"10m\"\n[[route]]\npath = \"/v1",
        )
    };
    let mut gateway = Gateway::start(&config(&upstream));
    judge.judges(|head| if head.contains("third") { NO.into() } else { YES.into() });
    judge.hold(true);
    // Each has been served, so its connection is the old process's and not in a queue that both share.
    let [mut first, mut second, mut third] = [(); 3].map(|()| {
        let mut client = gateway.connect();
        passes(&mut client, &upstream, &request("/open/a", ""));
        client
    });
    let mut later = gateway.connect();
    later.send(request("/open/a", ""));
    let mut kept = upstream.accept();
    kept.read_request();
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(later.read_response().status(), 200);
    // One is asked about, and the others stand in line.
    first.send(chat("first"));
    judge.wait_for(1);
    second.send(chat("second"));
    third.send(chat("third"));
    std::thread::sleep(Duration::from_millis(300));
    gateway.rewrite(&config(&next));
    hand_over(&gateway);
    // In the turn in which the old one stops accepting.
    assert_eq!(kept.read_end(), End::Fin, "nothing is pooled any more");
    // The next process asks for those who come to it, and the old one about those who ask it still.
    let mut newcomer = gateway.connect();
    newcomer.send(chat("newcomer"));
    judge.wait_for(2);
    later.send(chat("later"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gateway.wait_exit(Duration::ZERO), None, "they wait for it");
    judge.hold(false);
    (0..3).for_each(|_| drop(serve(&upstream)));
    serve(&next);
    assert_eq!(newcomer.read_response().status(), 200);
    for (client, status) in
        [(&mut first, 200), (&mut second, 200), (&mut third, 401), (&mut later, 200)]
    {
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("connection")), (status, Some("close")));
    }
    drop((first, second, third, later));
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    assert_eq!(judge.asked().len(), 5, "nobody is asked about twice: {:#?}", judge.asked());
    upstream.expect_nobody();
}

#[test]
fn what_the_authoriser_does_is_counted() {
    let (upstream, judge) = (Upstream::listen(), Judge::start());
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let gateway = Gateway::start(&judge.config(&upstream, "", admin));
    let line = gateway.wait_for_log("admin on http://");
    let (_, address) = line.split_once("http://").expect("an address");
    let address = address.split(['/', ' ', ',']).next().expect("an address").trim();
    let mut client = gateway.connect();
    for _ in 0..3 {
        passes(&mut client, &upstream, &chat("one"));
    }
    judge.says(NO);
    refused(&mut client, &chat("two"), 401, "auth_denied");
    judge.says("");
    refused(&mut client, &chat("three"), 503, "auth_unavailable");
    let mut admin = Peer::connect(address.parse().expect("an address"));
    admin.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = admin.read_response().text().to_owned();
    let sum = |start: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert_eq!(sum("sluicegate_auth_questions_total{"), 3.0, "{page}");
    assert_eq!(sum("sluicegate_auth_remembered_total{"), 2.0);
    assert_eq!(sum("sluicegate_auth_wait_seconds_count"), 3.0);
    for answer in ["yes", "no", "failed"] {
        let lines = page.lines().filter(|line| line.starts_with("sluicegate_auth_answers_total"));
        let of = lines.filter(|line| line.contains(&format!("\"{answer}\"")));
        let count: f64 = of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        assert_eq!(count, 1.0, "{answer}");
    }
}
