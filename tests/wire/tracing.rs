//! Traces: what an upstream is told of them, what the log has, and where the time went.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Config, Message, PATIENCE, Peer, Upstream};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A file that is gone when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(kind: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-{kind}-{}-{number}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its lines, once there are so many.
    pub fn lines(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.0).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
            }
            assert!(Instant::now() < deadline, "{count} lines are not there: {text:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What the server gets when a client sends these fields.
fn passed(server: &mut Peer, client: &mut Peer, fields: &str) -> Message {
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    let request = server.read_request();
    server.send(OK);
    client.read_response();
    request
}

/// Trace, span and flags of a `traceparent`.
fn parts(request: &Message) -> (String, String, String) {
    let field = request.field("traceparent").expect("it is part of a trace");
    let parts: Vec<&str> = field.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{field}") };
    assert_eq!((version, trace.len(), span.len(), flags.len()), ("00", 32, 16, 2), "{field}");
    assert!(field.bytes().all(|byte| b"0123456789abcdef-".contains(&byte)), "{field}");
    (trace.into(), span.into(), flags.into())
}

#[test]
fn without_tracing_the_fields_pass_untouched() {
    let upstream = Upstream::listen();
    let gateway = Config::to(upstream.address()).start();
    let mut client = gateway.connect();
    let fields = "traceparent: nonsense\r\ntracestate: a=1\r\n";
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    let request = upstream.accept().read_request();
    assert_eq!(request.field("traceparent"), Some("nonsense"));
    assert_eq!(request.field("tracestate"), Some("a=1"));
}

#[test]
fn a_trace_goes_on_under_a_span_of_ours_and_stands_in_the_log() {
    let upstream = Upstream::listen();
    let log = Scratch::new("traced");
    let more = format!(
        "[trace]\ncontext = \"continue\"\nsample = 0\n[access_log]\nto = \"{}\"\n",
        log.path().display()
    );
    let gateway = Config { more, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: x\r\nTraceParent: 00-{TRACE}-{SPAN}-01\r\n\
         tracestate: a=1\r\nTracestate: b=2\r\n\r\n"
    ));
    let mut server = upstream.accept();
    let request = server.read_request();
    server.send(OK);
    client.read_response();
    let (trace, span, flags) = parts(&request);
    assert_eq!((&*trace, &*flags), (TRACE, "01"));
    assert_ne!(span, SPAN);
    assert_eq!(request.all("tracestate"), ["a=1", "b=2"]);
    assert_eq!(log.lines(1)[0]["trace_id"], TRACE);

    let mut seen = vec![TRACE.to_owned()];
    let parent = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n");
    for fields in [
        "tracestate: a=1\r\n".to_owned(),
        parent.replace(SPAN, "0000000000000000") + "tracestate: a=1\r\n",
        parent.replace("00-", "ff-"),
        format!("{parent}{parent}"),
        parent.to_uppercase(),
    ] {
        let request = passed(&mut server, &mut client, &fields);
        let (trace, _, flags) = parts(&request);
        assert!(!seen.contains(&trace), "{fields:?}: a trace begins here");
        assert_eq!(flags, "00", "{fields:?}: none of ours is sampled");
        assert_eq!(request.all("tracestate"), [""; 0], "{fields:?}: it belongs to another trace");
        seen.push(trace);
    }
    let logged = log.lines(6);
    let logged: Vec<&str> = logged.iter().filter_map(|line| line["trace_id"].as_str()).collect();
    assert_eq!(logged, seen);
    // What a later version says, as far as this one goes; and a state that nobody could read.
    let later = parent.replace("00-", "cc-").replace("-01", "-03-more");
    let request = passed(&mut server, &mut client, &(later + "tracestate: a=1,a=2\r\n"));
    let (trace, _, flags) = parts(&request);
    assert_eq!((&*trace, &*flags, request.field("tracestate")), (TRACE, "01", None));
}

#[test]
fn a_stranger_does_not_choose_the_trace() {
    let upstream = Upstream::listen();
    let more = "[trace]\ncontext = \"restart\"\n".to_owned();
    let gateway = Config { more, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{TRACE}-{SPAN}-00\r\ntracestate: a=1\r\n\r\n"
    ));
    let request = upstream.accept().read_request();
    let (trace, _, flags) = parts(&request);
    assert_ne!(trace, TRACE);
    assert_eq!((&*flags, request.field("tracestate")), ("01", None));
}

#[test]
fn each_attempt_has_a_span_of_its_own() {
    let upstream = Upstream::listen();
    let more = "[trace]\ncontext = \"continue\"\n".to_owned();
    let retry = "retry = { attempts = 3, on = [\"503\"], backoff = \"0s\" }\nbreaker = \"off\"";
    let config = Config { upstream: retry.into(), more, ..Config::to(upstream.address()) };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\
         Content-Length: 2\r\n\r\nhi"
    ));
    let mut spans = vec![SPAN.to_owned()];
    for answer in ["HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", OK] {
        let mut server = upstream.accept();
        let request = server.read_request();
        let (trace, span, _) = parts(&request);
        assert_eq!((&*trace, &*request.body), (TRACE, &b"hi"[..]));
        assert!(!spans.contains(&span), "{span} is the second of its name");
        spans.push(span);
        server.send(answer);
    }
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn the_client_is_told_where_the_time_went() {
    let upstream = Upstream::listen();
    let route = "path = \"/v1/*\"\nserver_timing = true".to_owned();
    let more = "[[route]]\npath = \"/untold\"\nupstream = \"scripted\"\n".to_owned();
    let gateway = Config { route, more, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send("GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut server = upstream.accept();
    server.read_request();
    std::thread::sleep(Duration::from_millis(40));
    server.send(OK);
    let answer = client.read_response();
    let field = answer.field("server-timing").expect("the route says so");
    let spans: Vec<(&str, f64)> = field
        .split(", ")
        .map(|entry| {
            let (name, span) = entry.split_once(";dur=").expect("a duration");
            (name, span.parse().expect("a number"))
        })
        .collect();
    let [("queue", queue), ("connect", connect), ("upstream", upstream), ("total", total)] =
        spans[..]
    else {
        panic!("{field}")
    };
    assert!((40.0..2_000.0).contains(&upstream), "{field}");
    assert!((total - queue - connect - upstream).abs() < 2.0, "the parts are the whole: {field}");
    client.send("GET /untold HTTP/1.1\r\nHost: x\r\n\r\n");
    server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().field("server-timing"), None);
}
