//! The pages, asked without a process behind them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::snapshot::Secret;
use crate::http::head::{FieldSlots, HeadLimits, parse_request};
use crate::responder::Action;

const TOKEN: &str = "correct-horse-battery";

/// A process that answers at the second look.
#[derive(Debug, Default)]
struct Fake {
    draining: AtomicBool,
    level: Mutex<String>,
}

#[derive(Debug)]
struct Later(Option<Reply>, bool);

impl Pending for Later {
    fn poll(&mut self, _now: Instant) -> Option<Reply> {
        if std::mem::replace(&mut self.1, true) { self.0.take() } else { None }
    }
}

#[derive(Debug)]
struct Script(Vec<Next>);

impl Feed for Script {
    fn poll(&mut self, _now: Instant) -> Next {
        if self.0.is_empty() { Next::End } else { self.0.remove(0) }
    }
}

impl Process for Fake {
    fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }

    fn configuration(&self) -> String {
        "[server]\n".into()
    }

    fn configuration_state(&self) -> Reply {
        Reply::json(200, &serde_json::json!({ "in_force": true }))
    }

    fn log_level(&self) -> &'static str {
        "info"
    }

    fn set_log_level(&self, level: &str) -> bool {
        *self.level.lock().unwrap() = level.to_owned();
        level == "debug"
    }

    fn recordings(&self) -> Reply {
        Reply::json(200, &serde_json::json!([]))
    }

    fn recording(&self, id: &str, plain: bool) -> Option<Reply> {
        (id == "1").then(|| Reply::json(200, &serde_json::json!({ "plain": plain })))
    }

    fn usage(&self) -> Reply {
        Reply::json(200, &serde_json::json!({ "series": [] }))
    }

    fn history(&self, range: &str, upstream: Option<&str>) -> Reply {
        Reply::json(200, &serde_json::json!([range, upstream]))
    }

    fn exchanges(&self, request_id: Option<&str>) -> Reply {
        Reply::json(200, &serde_json::json!([request_id]))
    }

    fn errors(&self) -> Reply {
        Reply::json(200, &serde_json::json!({ "codes": [] }))
    }

    fn fleet(&self) -> Reply {
        Reply::json(200, &serde_json::json!({ "configured": false }))
    }

    fn plugins(&self) -> Reply {
        Reply::json(200, &serde_json::json!({ "plugins": [] }))
    }

    fn adjust(&self, endpoint: &Adjust) -> Result<(), &'static str> {
        if endpoint.upstream == "a" { Ok(()) } else { Err("no such endpoint") }
    }

    fn has_playground(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }

    fn play(&self, call: PlaygroundCall) -> Result<Box<dyn Feed>, Reply> {
        Ok(Box::new(Script(vec![Next::Event(call.path)])))
    }

    fn ask(&self, question: Question) -> Box<dyn Pending> {
        Box::new(Later(Some(Reply::text(200, format!("{question:?}"))), false))
    }

    fn view(&self, _period: Duration) -> Box<dyn Feed> {
        Box::new(Script(vec![Next::Event("{}".into()), Next::Event("[1]".into())]))
    }

    fn tail(&self, stream: &str, TailForm { plain, timed }: TailForm) -> Box<dyn Feed> {
        match stream {
            "none" => Box::new(Script(vec![Next::Refused(Reply::error(404, "gone", "gone"))])),
            _ => Box::new(Script(vec![Next::Event(format!("{stream} {plain} {timed}"))])),
        }
    }
}

/// What a page answers: its status, its fields and its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: Vec<(std::borrow::Cow<'static, str>, String)>,
    body: String,
}

/// Asks as the reactor would: by the route, with the request's head parsed.
fn ask(process: &Arc<dyn Process>, policy: &Policy, head: &str, body: &str) -> Answer {
    let text = format!("{head}\r\n\r\n");
    let limits = HeadLimits { bytes: 4096, fields: 32 };
    let mut slots = FieldSlots::new();
    let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("a head").expect("whole");
    let route = routes(process, policy, 100).into_iter().find(|route| {
        route.path.matches(head.path) && route.methods.iter().any(|method| method == head.method)
    });
    let Target::Service(service) = route.expect("a route").target else { panic!("a service") };
    let request = Request {
        method: head.method,
        path: head.path,
        query: head.query,
        authority: head.authority,
        fields: head.lookup(),
        models: None,
    };
    let now = Instant::ZERO;
    let mut responder = service.respond(&request, now);
    responder.on_body(body.as_bytes());
    responder.on_request_end(now);
    let mut answer = Answer { status: 0, fields: Vec::new(), body: String::new() };
    for _ in 0..100 {
        match responder.step(now) {
            Action::Head(head) => {
                answer.status = head.status;
                answer.fields = head.fields;
            }
            Action::Data(data) => answer.body += str::from_utf8(&data).expect("text"),
            Action::Sleep(_) => {}
            Action::End => return answer,
            step => panic!("{step:?}"),
        }
    }
    panic!("it does not end: {answer:?}")
}

fn fake() -> Arc<dyn Process> {
    Arc::new(Fake::default())
}

fn policy(token: bool, loopback: bool) -> Policy {
    let hosts = vec!["gate.example".to_owned()];
    Policy { token: token.then(|| Secret::new(TOKEN)), loopback, hosts, proven: false }
}

#[test]
fn who_may_ask_for_what() {
    let look = "GET /config HTTP/1.1\r\nHost: localhost:9090";
    let foreign = "GET /config HTTP/1.1\r\nHost: evil.example";
    let change = "PUT /loglevel HTTP/1.1\r\nHost: localhost";
    let health = "GET /healthz HTTP/1.1\r\nHost: evil.example";
    let right = format!("\r\nAuthorization: Bearer {TOKEN}");
    let wrong = "\r\nAuthorization: Bearer correct-horse-batterz";
    let basic = format!("\r\nAuthorization: Basic {TOKEN}");
    for (token, loopback, head, shown, expected) in [
        // Loopback, no token: look, and that only under a local name.
        (false, true, health, "", 200),
        (false, true, look, "", 200),
        (false, true, foreign, "", 403),
        (false, true, change, "", 403),
        (false, true, change, right.as_str(), 403),
        // Loopback with a token.
        (true, true, look, "", 200),
        (true, true, look, wrong, 401),
        (true, true, foreign, "", 403),
        (true, true, foreign, &right, 200),
        (true, true, change, "", 401),
        (true, true, change, wrong, 401),
        (true, true, change, &basic, 401),
        (true, true, change, &right, 200),
        // Reachable from elsewhere.
        (true, false, health, "", 200),
        (true, false, look, "", 401),
        (true, false, look, wrong, 401),
        (true, false, look, &right, 200),
        (true, false, change, &right, 200),
    ] {
        let head = format!("{head}{shown}");
        let answer = ask(&fake(), &policy(token, loopback), &head, "debug");
        assert_eq!(answer.status, expected, "token {token}, loopback {loopback}: {head}");
        let challenged = answer.fields.iter().any(|(name, _)| *name == "WWW-Authenticate");
        assert_eq!(challenged, expected == 401, "{head}");
        assert!(!answer.body.contains(TOKEN));
    }
}

#[test]
fn what_a_browser_sends_for_a_strangers_page_changes_nothing() {
    const HERE: &str = "127.0.0.1:9090";
    for (host, fields, expected) in [
        // No browser: curl, a script, an operator's tool.
        (HERE, "", "ok"),
        ("gw1.internal:9090", "", "ok"),
        // The dashboard, under an address or a name of ours.
        (HERE, "Origin: http://127.0.0.1:9090", "ok"),
        ("LOCALHOST:9090", "Origin: http://localhost:9090\r\nSec-Fetch-Site: same-origin", "ok"),
        ("[::1]:9090", "Origin: http://[::1]:9090", "ok"),
        ("gate.example", "Origin: https://gate.example", "ok"),
        // Behind a proxy that writes Host anew.
        (HERE, "Origin: https://gate.example", "ok"),
        (HERE, "Sec-Fetch-Site: same-origin", "ok"),
        (HERE, "Sec-Fetch-Site: none", "ok"),
        // A page of a stranger, at its own place.
        (HERE, "Origin: http://evil.example", "foreign_origin"),
        (HERE, "Origin: http://127.0.0.1:8000", "foreign_origin"),
        (HERE, "Origin: http://127.0.0.1", "foreign_origin"),
        (HERE, "Origin: http://127.0.0.1:9090.evil.example", "foreign_origin"),
        (HERE, "Origin: https://gate.example.evil.example", "foreign_origin"),
        (HERE, "Origin: http://evil.example/gate.example", "foreign_origin"),
        (HERE, "Origin: file://127.0.0.1:9090", "foreign_origin"),
        (HERE, "Origin: null", "foreign_origin"),
        (HERE, "Origin: http://127.0.0.1:9090\r\nOrigin: http://evil.example", "foreign_origin"),
        (HERE, "Origin: ", "foreign_origin"),
        (HERE, "Sec-Fetch-Site: cross-site", "foreign_origin"),
        (HERE, "Sec-Fetch-Site: same-site", "foreign_origin"),
        // A page of a stranger, whose name has come to lead here.
        ("evil.example:9090", "Origin: http://evil.example:9090", "foreign_host"),
        ("evil.example:9090", "Sec-Fetch-Site: same-origin", "foreign_host"),
        ("localhost.evil.example", "Origin: http://localhost.evil.example", "foreign_host"),
    ] {
        let fields = if fields.is_empty() { String::new() } else { format!("\r\n{fields}") };
        for (head, loopback) in [
            ("PUT /loglevel", true),
            ("PUT /loglevel", false),
            ("POST /reload", true),
            ("DELETE /streams/1", true),
            ("PUT /endpoints", true),
        ] {
            let head = format!("{head} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}");
            let answer = ask(&fake(), &policy(true, loopback), &format!("{head}{fields}"), "debug");
            let denied = [403, 401].contains(&answer.status);
            assert_eq!(denied, expected != "ok", "{head}{fields}: {answer:?}");
            assert!(!denied || answer.body.contains(&format!("\"{expected}\"")), "{answer:?}");
        }
        // Without the token nothing is changed anyway, and which page it was is told first.
        let head = format!("PUT /loglevel HTTP/1.1\r\nHost: {host}{fields}");
        let answer = ask(&fake(), &policy(true, true), &head, "debug");
        assert_eq!(answer.status, if expected == "ok" { 401 } else { 403 }, "{head}");
    }
    // A look has no page that could be told from another: Host decides, or the token.
    let look = |host: &str| {
        let head = format!("GET /streams HTTP/1.1\r\nHost: {host}");
        ask(&fake(), &policy(true, true), &head, "").status
    };
    assert_eq!((look("gate.example:9090"), look("evil.example"), look(HERE)), (200, 403, 200));
}

#[test]
fn what_changes_something_always_needs_the_token() {
    for (path, methods, page) in PAGES {
        for method in *methods {
            let request = Request::bare(method, path, None);
            let expected = match (*method, *path) {
                ("GET" | "HEAD", _) => false,
                // It changes nothing here: whoever is here could ask the gateway itself.
                (_, "/playground") => false,
                _ => true,
            };
            assert_eq!(page.need(&request) == Need::Change, expected, "{method} {path}");
        }
    }
    let tail = |query| Page::Stream.need(&Request::bare("GET", "/streams/1/tail", query));
    assert_eq!((tail(None), tail(Some("text=1"))), (Need::Look, Need::Change));
}

#[test]
fn a_drain_shows_in_readiness_and_not_in_health() {
    let process = Arc::new(Fake::default());
    let shared: Arc<dyn Process> = process.clone();
    let status = |path: &str| {
        ask(&shared, &policy(false, true), &format!("GET {path} HTTP/1.1\r\nHost: [::1]"), "")
            .status
    };
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    process.draining.store(true, Ordering::Relaxed);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
}

#[test]
fn the_log_level_is_a_word() {
    let put = |body: &str| {
        let head = format!("PUT /loglevel HTTP/1.1\r\nHost: a\r\nAuthorization: bearer {TOKEN}");
        ask(&fake(), &policy(true, true), &head, body).status
    };
    assert_eq!((put("debug\n"), put("loud"), put(&"x".repeat(1025))), (200, 400, 413));
}

#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let body = |accept: &str| {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}");
        ask(&fake(), &policy(false, true), &head, "").body
    };
    assert_eq!(body("*/*"), "Metrics(Prometheus)");
    assert_eq!(
        body("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1"),
        "Metrics(OpenMetrics)"
    );
}

#[test]
fn feeds_are_event_streams_or_refused_before_they_begin() {
    let get = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}");
        let answer = ask(&fake(), &policy(true, true), &head, "");
        (answer.status, answer.body)
    };
    assert_eq!(get("/events"), (200, "data: {}\n\ndata: [1]\n\n".into()));
    assert_eq!(get("/streams/7/tail"), (200, "data: 7 false false\n\n".into()));
    assert_eq!(get("/streams/7/tail?text=1"), (200, "data: 7 true false\n\n".into()));
    let both = get("/streams/7/tail?times=1&text=1");
    assert_eq!(both, (200, "data: 7 true true\n\n".into()));
    assert_eq!(get("/streams/none/tail").0, 404);
    assert_eq!(get("/streams/7").0, 404);
}

#[test]
fn the_dashboard_names_nothing_outside_this_process() {
    let files = assets::FILES.iter().map(|(name, asset)| (*name, asset));
    for (name, asset) in files.chain([("/", &assets::HTML)]) {
        let text = asset.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        // What comes from others is never read as markup.
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
    let answer = ask(&fake(), &policy(true, false), "GET / HTTP/1.1\r\nHost: x", "");
    let policy = answer.fields.iter().find(|(name, _)| *name == "Content-Security-Policy");
    assert!(policy.is_some_and(|(_, policy)| policy.contains("default-src 'none'")));
    // The policy forbids what these would do.
    assert!(!assets::HTML.body.contains(" style=") && !assets::HTML.body.contains(" onclick="));
}

/// No build step puts the modules together: each names its neighbours, and they have to be there.
#[test]
fn each_file_that_the_dashboard_names_is_served() {
    let mut named = 0;
    let files = assets::FILES.iter().map(|(name, asset)| (format!("/dashboard/{name}"), asset));
    for (name, asset) in files.chain([("/index".to_owned(), &assets::HTML)]) {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let words = asset.body.split(['"', '\'']);
        let paths = words.filter(|word| word.ends_with(".js") || word.ends_with(".css"));
        for path in paths {
            let mut parts: Vec<&str> = match path.starts_with('/') {
                true => Vec::new(),
                false => folder.split('/').filter(|part| !part.is_empty()).collect(),
            };
            for part in path.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let path = format!("/{}", parts.join("/"));
            assert!(assets::file(&path).is_some(), "{name} names {path}");
            named += 1;
        }
    }
    assert!(named >= assets::FILES.len() - 1, "the names were found: {named}");
    let get = |path: &str| {
        let answer =
            ask(&fake(), &policy(true, false), &format!("GET {path} HTTP/1.1\r\nHost: x"), "");
        answer.status
    };
    assert_eq!((get("/dashboard/js/main.js"), get("/dashboard/js/no.js")), (200, 404));
}

#[test]
fn the_playground_is_for_whoever_may_look_and_for_no_strangers_page() {
    let post = |fake: &Arc<dyn Process>, fields: &str, body: &str| {
        let head = format!("POST /playground HTTP/1.1\r\nHost: {fields}");
        let answer = ask(fake, &policy(true, true), &head, body);
        (answer.status, answer.body)
    };
    let call = r#"{"path":"/v1/x"}"#;
    let fake = fake();
    assert_eq!(post(&fake, "localhost", call), (200, "data: /v1/x\n\n".into()));
    let ours = "localhost\r\nOrigin: http://localhost";
    assert_eq!(post(&fake, ours, call).0, 200);
    for strange in ["localhost\r\nOrigin: http://evil.example", "evil.example"] {
        assert_eq!(post(&fake, strange, call).0, 403, "{strange}");
    }
    assert_eq!(post(&fake, "localhost", "{}").0, 400);
    assert_eq!(post(&fake, "localhost", &" ".repeat(PLAYGROUND_BYTES + 1)).0, 413);
    let off = Fake::default();
    off.draining.store(true, Ordering::Relaxed);
    let off: Arc<dyn Process> = Arc::new(off);
    let (status, body) = post(&off, "localhost", call);
    assert!(status == 404 && body.contains("playground_off"), "{body}");
    // From elsewhere it needs the token.
    let head = "POST /playground HTTP/1.1\r\nHost: x";
    assert_eq!(ask(&fake, &policy(true, false), head, call).status, 401);
}

#[test]
fn parameters_are_decoded() {
    let get = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost");
        ask(&fake(), &policy(false, true), &head, "").body
    };
    assert_eq!(get("/history?range=1h&upstream=a%20%3Cb%3E"), "[\"1h\",\"a <b>\"]\n");
    assert_eq!(get("/history"), "[\"\",null]\n");
    assert_eq!(get("/exchanges?request_id=%ff"), "[null]\n");
}
