//! One list of models for all servers: what is asked of whom, and what clients are told.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Gateway, Message, PATIENCE, Peer, Upstream, signal};

/// A server with a list of models.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// What is said to whoever asks for anything; `None`: the connection is closed.
    answer: Option<String>,
    asked: Vec<Message>,
}

impl Server {
    fn says(body: impl Into<String>) -> Server {
        let state = State { answer: Some(ok(&body.into())), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let known = Arc::clone(&state);
        let address = Upstream::serve(move |mut peer| {
            while let Some(request) = peer.next_request() {
                let answer = {
                    let mut state = known.lock().unwrap_or_else(PoisonError::into_inner);
                    state.asked.push(request);
                    state.answer.clone()
                };
                let Some(answer) = answer else { return };
                if peer.try_send(answer).is_err() {
                    return;
                }
            }
        });
        Server { address, state }
    }

    /// vLLM and its like.
    fn of(names: &[&str]) -> Server {
        Server::says(openai(names))
    }

    fn look<T>(&self, at: impl FnOnce(&mut State) -> T) -> T {
        at(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answers(&self, answer: Option<String>) {
        self.look(|state| state.answer = answer);
    }

    fn asked(&self) -> Vec<Message> {
        self.look(|state| state.asked.clone())
    }

    /// Waits for this many more questions.
    fn wait_asked(&self, count: usize) {
        let (wanted, deadline) = (self.asked().len() + count, Instant::now() + PATIENCE);
        while self.asked().len() < wanted {
            assert!(Instant::now() < deadline, "nobody asks");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn openai(names: &[&str]) -> String {
    let model =
        |name: &&str| json!({ "id": name, "object": "model", "created": 7, "owned_by": "vllm" });
    json!({ "object": "list", "data": names.iter().map(model).collect::<Vec<_>>() }).to_string()
}

/// Everything is listed, in every form.
const LISTS: &str = "[[route]]\npath = \"/v1/models*\"\nmodels = \"all\"\n\
                     [[route]]\npath = \"/api/tags\"\nmodels = \"all\"\n";

/// Upstreams, each with its endpoint and further keys; a route for each model that begins with its
/// name; and `more`.
fn config(upstreams: &[(&str, SocketAddr, &str)], more: &str) -> String {
    let tables = upstreams.iter().map(|(name, address, keys)| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\n{keys}\n\
             [[route]]\npath = \"/v1/*\"\nwhen = {{ model = \"{name}*\" }}\nupstream = \"{name}\"\n"
        )
    });
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nlist_models = \"100ms\"\n\
         [limits]\nconnections = 100\n{}{more}",
        tables.collect::<String>()
    )
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

fn ask(client: &mut Peer, target: &str, fields: &str) -> Message {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    client.read_response()
}

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    data.iter().map(|model| model["id"].as_str().expect("a name").to_owned()).collect()
}

fn listed(gateway: &Gateway) -> Vec<String> {
    let answer = ask(&mut gateway.connect(), "/v1/models", "");
    assert_eq!(answer.status(), 200, "{answer:?}");
    ids(&answer.json())
}

#[track_caller]
fn wait_listed(gateway: &Gateway, expected: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while listed(gateway) != expected {
        assert!(Instant::now() < deadline, "{:?}, not {expected:?}", listed(gateway));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_models_of_all_servers_are_one_list_and_a_dead_one_is_missing() {
    let (first, second) = (Server::of(&["a-1", "shared", "a-2"]), Server::of(&["b-1", "a-1"]));
    let upstreams = [("a", first.address, ""), ("dead", nobody(), ""), ("b", second.address, "")];
    let gateway = Gateway::start(&config(&upstreams, LISTS));
    wait_listed(&gateway, &["a-1", "a-2", "b-1"]);
    let mut client = gateway.connect();
    let list = ask(&mut client, "/v1/models", "");
    assert_eq!(list.field("content-type"), Some("application/json"));
    let model = json!({ "id": "a-1", "object": "model", "created": 7, "owned_by": "vllm" });
    assert_eq!((&list.json()["object"], &list.json()["data"][0]), (&json!("list"), &model));
    // One of them, on the same connection; one that is not here; and the list as a head alone.
    assert_eq!(ask(&mut client, "/v1/models/a-1", "").json(), model);
    let unknown = ask(&mut client, "/v1/models/shared", "");
    assert_eq!(
        (unknown.status(), &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    client.send("HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.read_head();
    assert_eq!((head.status(), head.field("content-length")), (200, list.field("content-length")));
    client.send("DELETE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
    let refused = client.read_response();
    assert_eq!((refused.status(), refused.field("allow")), (405, Some("GET, HEAD")));
    client.send("POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.read_response().status(), 405);
    // What clients ask for goes to nobody.
    let all_ours = |request: &Message| request.start == "GET /v1/models HTTP/1.1";
    assert!(first.asked().iter().all(all_ours), "{:?}", first.asked());
}

#[test]
fn a_server_that_dies_keeps_its_models_and_one_that_comes_late_is_listed() {
    let late = Upstream::listen();
    let server = Server::of(&["a-1"]);
    let upstreams = [("a", server.address, ""), ("b", late.address(), "")];
    let gateway = Gateway::start(&config(&upstreams, LISTS));
    wait_listed(&gateway, &["a-1"]);
    for answer in [None, Some(ok("<html>502</html>")), Some("HTTP/1.1 500 No\r\n\r\n".to_owned())] {
        server.answers(answer);
        server.wait_asked(3);
        assert_eq!(listed(&gateway), ["a-1"]);
    }
    gateway.expect_in_log("a: no server has a list of models", 1);
    server.answers(Some(ok(&openai(&["a-1"]))));
    gateway.expect_in_log("a: the list of models is read again", 1);
    server.answers(Some(ok(&openai(&["a-2", "a-1"]))));
    wait_listed(&gateway, &["a-2", "a-1"]);
    gateway.expect_in_log("a: 2 models: a-2, a-1", 1);
    // The other one has loaded its model.
    let mut peer = late.accept();
    peer.read_request();
    peer.send(ok(&openai(&["b-1"])));
    wait_listed(&gateway, &["a-2", "a-1", "b-1"]);
}

#[test]
fn ollama_and_anthropic_are_asked_and_told_in_their_forms() {
    let file = json!({ "name": "o:7b", "model": "o:7b", "modified_at": "2025-02-19T00:00:00Z",
        "size": 12, "digest": "0a8c266910232fd3", "details": { "family": "qwen2" } });
    let ollama = Server::says(json!({ "models": [file] }).to_string());
    let claude = json!({ "type": "model", "id": "claude-x", "display_name": "Claude X",
        "created_at": "2025-02-19T00:00:00Z" });
    let claude_list =
        json!({ "data": [claude], "has_more": false, "first_id": "x", "last_id": "x" });
    let anthropic = Server::says(claude_list.to_string());
    let upstreams = [
        ("o", ollama.address, "service = \"ollama\""),
        ("claude", anthropic.address, "service = \"anthropic\""),
    ];
    let gateway = Gateway::start(&config(&upstreams, LISTS));
    wait_listed(&gateway, &["o:7b", "claude-x"]);
    assert_eq!(ollama.asked()[0].start, "GET /api/tags HTTP/1.1");
    let asked = anthropic.asked();
    assert_eq!(asked[0].start, "GET /v1/models?limit=1000 HTTP/1.1");
    assert_eq!(asked[0].field("anthropic-version"), Some("2023-06-01"));
    let mut client = gateway.connect();
    let tags = ask(&mut client, "/api/tags", "").json();
    assert_eq!(tags["models"][0], file);
    let other = &tags["models"][1];
    assert_eq!(
        (&other["name"], &other["modified_at"]),
        (&json!("claude-x"), &claude["created_at"])
    );
    assert_eq!(other["digest"].as_str().map(str::len), Some(64));
    let version = "anthropic-version: 2023-06-01\r\n";
    let page = ask(&mut client, "/v1/models?limit=1", version).json();
    assert_eq!((ids(&page), &page["has_more"]), (vec!["o:7b".to_owned()], &json!(true)));
    let last = page["last_id"].as_str().expect("a name").replace(':', "%3A");
    let page = ask(&mut client, &format!("/v1/models?limit=1&after_id={last}"), version).json();
    assert_eq!(page["data"], json!([claude]));
    assert_eq!((&page["has_more"], &page["first_id"]), (&json!(false), &json!("claude-x")));
    assert_eq!(ask(&mut client, "/v1/models/claude-x", version).json(), claude);
    let unknown = ask(&mut client, "/v1/models/claude-y", version);
    assert_eq!(
        (unknown.status(), &unknown.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    assert_eq!(ask(&mut client, "/v1/models?limit=0", version).status(), 400);
}

#[test]
fn aliases_and_stated_models_are_listed_without_a_question() {
    let (asked, stated) = (Server::of(&["a-1", "other"]), Server::of(&["b-9"]));
    let upstreams =
        [("a", asked.address, ""), ("b", stated.address, "models = [\"b-1\", \"c-1\"]")];
    let alias = "[[route]]\npath = \"/v1/*\"\nwhen = { model = [\"fast\", \"gpt-4o*\"] }\n\
                 model = \"a-1\"\nupstream = \"a\"\n";
    let gateway = Gateway::start(&config(&upstreams, &format!("{alias}{LISTS}")));
    wait_listed(&gateway, &["fast", "a-1", "b-1"]);
    let alias = ask(&mut gateway.connect(), "/v1/models/fast", "").json();
    assert_eq!(alias, json!({ "id": "fast", "object": "model", "created": 7, "owned_by": "vllm" }));
    assert!(stated.asked().is_empty());
}

#[test]
fn a_key_is_sent_to_the_server_and_shown_to_nobody() {
    let server = Server::of(&["a-1"]);
    let keys = "host = \"models.example\"\napi_key = { env = \"MODEL_KEY\" }\n\
                request_headers = { set = { x-team = \"red\" } }";
    let upstreams = [("a", server.address, keys)];
    let gateway = Gateway::start_with(&config(&upstreams, LISTS), |command| {
        command.env("MODEL_KEY", "sesame-open");
    });
    wait_listed(&gateway, &["a-1"]);
    let asked = &server.asked()[0];
    assert_eq!(asked.field("authorization"), Some("Bearer sesame-open"));
    assert_eq!((asked.field("host"), asked.field("x-team")), (Some("models.example"), Some("red")));
    // A failure is told too.
    server.answers(None);
    gateway.wait_for_log("a: no server has a list of models");
    assert_eq!(gateway.count_in_log("sesame-open"), 0);
    let answer =
        ask(&mut gateway.connect(), "/v1/models", "authorization: Bearer of-the-client\r\n");
    assert!(!format!("{answer:?}").contains("sesame"));
    assert!(server.asked().iter().all(|request| !format!("{request:?}").contains("of-the-client")));
}

#[test]
fn nobody_is_asked_where_no_route_lists() {
    let (listed_one, other) = (Server::of(&["a-1"]), Upstream::listen());
    let upstreams = [("a", listed_one.address, ""), ("b", other.address(), "")];
    let list = "[[route]]\npath = \"/v1/models\"\nmodels = [\"a\"]\n";
    let gateway = Gateway::start(&config(&upstreams, list));
    wait_listed(&gateway, &["a-1"]);
    other.expect_nobody();
    // Without such a route the question passes to a server, as any other.
    let upstreams = [("a", listed_one.address, "")];
    let pass = "[[route]]\npath = \"/v1/*\"\nupstream = \"a\"\n";
    let before = listed_one.asked().len();
    let plain = Gateway::start(&config(&upstreams, pass));
    listed_one.answers(Some(ok("the server's own")));
    assert_eq!(ask(&mut plain.connect(), "/v1/models", "x-mine: 1\r\n").text(), "the server's own");
    let asked = listed_one.asked();
    assert!(asked[before..].iter().any(|request| request.field("x-mine") == Some("1")));
}

#[test]
fn a_reload_keeps_what_is_known_and_lists_what_is_new() {
    let (first, second) = (Server::of(&["a-1"]), Server::of(&["b-1"]));
    let a = ("a", first.address, "");
    let gateway = Gateway::start(&config(&[a], LISTS));
    wait_listed(&gateway, &["a-1"]);
    first.answers(None);
    first.wait_asked(2);
    let alias = "[[route]]\npath = \"/v1/*\"\nwhen = { model = \"new\" }\nmodel = \"b-1\"\nupstream = \"b\"\n";
    gateway.rewrite(&config(&[("b", second.address, ""), a], &format!("{alias}{LISTS}")));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    let at_once = listed(&gateway);
    assert!(
        at_once.contains(&"a-1".to_owned()) && at_once.contains(&"new".to_owned()),
        "{at_once:?}"
    );
    wait_listed(&gateway, &["new", "b-1", "a-1"]);
    // A route that lists no more lets the question pass.
    let pass = "[[route]]\npath = \"/v1/*\"\nupstream = \"b\"\n";
    gateway.rewrite(&config(&[("b", second.address, "")], pass));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 2 is in force");
    second.answers(Some(ok("the server's own")));
    assert_eq!(ask(&mut gateway.connect(), "/v1/models", "").text(), "the server's own");
    let (asked, of_first) = (second.asked().len(), first.asked().len());
    thread::sleep(Duration::from_millis(400));
    assert!(second.asked().len() <= asked + 1 && first.asked().len() <= of_first + 1);
}

#[test]
fn a_hostile_answer_hurts_nobody() {
    let server = Server::of(&["a-1"]);
    let gateway = Gateway::start(&config(&[("a", server.address, "")], LISTS));
    wait_listed(&gateway, &["a-1"]);
    let deep = format!("{{\"data\":{}", "[".repeat(900_000));
    let long = format!("{{\"data\":[{{\"id\":\"a-2\"}}],\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n";
    for answer in
        [ok(&deep), ok(&long), ok("{\"data\":[{\"id\":7}]}"), ok("\0\0"), chunks.to_owned()]
    {
        server.answers(Some(answer));
        server.wait_asked(2);
        assert_eq!(listed(&gateway), ["a-1"]);
    }
    // Of one that is half good the good half is taken, and its names act on nobody's terminal.
    let names =
        json!({ "data": [{ "id": "a\u{1b}[2J" }, { "id": "a\u{202e}z" }, { "id": "a\"b" }] });
    server.answers(Some(ok(&names.to_string())));
    wait_listed(&gateway, &["a\u{202e}z", "a\"b"]);
    let answer = ask(&mut gateway.connect(), "/v1/models", "");
    assert!(answer.text().is_ascii());
    gateway.wait_for_log("2 models: a\\u202ez, a\"b");
}

#[test]
fn metrics_tell_how_old_a_list_is() {
    let server = Server::of(&["a-1", "a-2"]);
    let text = config(&[("a", server.address, ""), ("dead", nobody(), "")], LISTS);
    let gateway = Gateway::start(&format!("{text}[admin]\nlisten = \"127.0.0.1:0\"\n"));
    wait_listed(&gateway, &["a-1", "a-2"]);
    let line = gateway.wait_for_log("admin on http://");
    let address = line.rsplit_once("http://").and_then(|(_, behind)| behind.split('/').next());
    let address: SocketAddr =
        address.and_then(|text| text.trim().parse().ok()).expect("an address");
    let mut client = Peer::connect(address);
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let page = client.read_response();
    let of_models = page.text().lines().filter(|line| line.starts_with("sluicegate_models"));
    let told: Vec<&str> = of_models.collect();
    assert_eq!(
        told,
        ["sluicegate_models{upstream=\"a\"} 2", "sluicegate_models_age_seconds{upstream=\"a\"} 0"]
    );
}

#[test]
fn a_page_in_a_browser_may_read_the_list() {
    let server = Server::of(&["a-1"]);
    let cors = "[[route]]\npath = \"/v1/models\"\nmodels = \"all\"\n\
                cors = { origins = [\"https://app.example\"] }\n";
    let gateway = Gateway::start(&config(&[("a", server.address, "")], cors));
    wait_listed(&gateway, &["a-1"]);
    let mut client = gateway.connect();
    let answer = ask(&mut client, "/v1/models", "Origin: https://app.example\r\n");
    assert_eq!(ids(&answer.json()), ["a-1"]);
    assert_eq!(answer.all("access-control-allow-origin"), ["https://app.example"]);
    assert_eq!(answer.field("vary"), Some("Origin"));
    let stranger = ask(&mut client, "/v1/models", "Origin: https://evil.example\r\n");
    assert_eq!((stranger.status(), stranger.field("access-control-allow-origin")), (200, None));
    client.send(
        "OPTIONS /v1/models HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n\
         Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n\r\n",
    );
    let preflight = client.read_response();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.field("access-control-allow-headers"), Some("authorization"));
}

#[test]
fn a_list_is_asked_for_and_told_where_the_file_says_and_its_answer_is_changed() {
    let server = Server::of(&["a"]);
    let gateway = Gateway::start(&config(
        &[("a", server.address, "models = { path = \"/api/v1/models\" }")],
        "[[route]]\npath = \"/{tenant}/v1/models\"\nmodels = \"all\"\n\
         response_headers = { set = { cache-control = \"max-age=60\" } }\n",
    ));
    let deadline = Instant::now() + PATIENCE;
    let mut client = gateway.connect();
    loop {
        let answer = ask(&mut client, "/acme/v1/models", "");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("cache-control"), Some("max-age=60"));
        if ids(&answer.json()) == ["a"] {
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.asked()[0].start, "GET /api/v1/models HTTP/1.1");
}
