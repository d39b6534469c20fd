//! The stage of a row: servers that follow a script, a gateway with a chain of upstreams, a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{End, Gateway, Message, PATIENCE, Peer, Upstream};

/// What a client asks in every row.
pub const PROMPT: &str = r#"{"model":"asked","stream":true,"messages":[]}"#;

/// The head of an event stream.
pub const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                          Transfer-Encoding: chunked\r\n\r\n";
pub const LAST_CHUNK: &str = "0\r\n\r\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// What a server does, one after another.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Vec<u8>),
    Wait(Duration),
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// Nothing more, until the gateway gives up.
    Hold,
}

pub fn say(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Say(bytes.into())
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A token of the server with this name.
pub fn token(server: &str, number: usize) -> String {
    format!(
        "data: {{\"object\":\"chat.completion.chunk\",\"model\":\"{server}\",\"choices\":[\
         {{\"index\":0,\"delta\":{{\"content\":\"{server}-{number} \"}},\"finish_reason\":null}}]}}\n\n"
    )
}

pub fn finish(server: &str) -> String {
    format!(
        "data: {{\"object\":\"chat.completion.chunk\",\"model\":\"{server}\",\"choices\":[\
         {{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
    )
}

/// The payload of a whole stream.
pub fn spoken(server: &str) -> String {
    [token(server, 0), token(server, 1), finish(server), DONE.to_owned()].concat()
}

/// A whole stream.
pub fn stream(server: &str) -> Vec<Act> {
    let pieces = [token(server, 0), token(server, 1), finish(server), DONE.to_owned()];
    let chunks: String = pieces.iter().map(|piece| chunk(piece)).collect();
    vec![say(format!("{EVENTS}{chunks}{LAST_CHUNK}"))]
}

/// The head and two tokens: what comes before something happens in the middle.
pub fn begun(server: &str) -> Act {
    say(format!("{EVENTS}{}{}", chunk(&token(server, 0)), chunk(&token(server, 1))))
}

/// The payload of [`begun`].
pub fn begun_body(server: &str) -> String {
    token(server, 0) + &token(server, 1)
}

/// An answer of one piece; `fields` end in CRLF.
pub fn answer(status: &str, fields: &str, body: &str) -> Vec<Act> {
    let length = body.len();
    vec![say(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))]
}

/// An error as inference servers word it.
pub fn error(status: &str, fields: &str, code: &str) -> Vec<Act> {
    let body = format!(r#"{{"error":{{"message":"no","type":"error","code":"{code}"}}}}"#);
    answer(status, &format!("Content-Type: application/json\r\n{fields}"), &body)
}

/// A server that plays a script for each request, and remembers what it was asked.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<(Message, Instant)>,
    /// Requests whose connection the gateway ended while the server held it.
    cancelled: Vec<usize>,
    connections: usize,
}

impl Server {
    /// `script` is given the number of the request, from 0.
    pub fn playing(script: impl Fn(usize) -> Vec<Act> + Send + Sync + 'static) -> Server {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let notes = Arc::clone(&seen);
        let address = Upstream::serve(move |peer| play(peer, &script, &notes));
        Server { address, seen }
    }

    /// A server that is well, and names itself in what it says.
    pub fn well(name: &'static str) -> Server {
        Server::playing(move |_| stream(name))
    }

    /// A server that plays `acts` for its first `count` requests and then is well.
    pub fn failing(count: usize, acts: Vec<Act>, name: &'static str) -> Server {
        Server::playing(move |nth| if nth < count { acts.clone() } else { stream(name) })
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Message> {
        self.look(|seen| seen.requests.iter().map(|(request, _)| request.clone()).collect())
    }

    /// When each request had arrived.
    pub fn times(&self) -> Vec<Instant> {
        self.look(|seen| seen.requests.iter().map(|(_, at)| *at).collect())
    }

    pub fn connections(&self) -> usize {
        self.look(|seen| seen.connections)
    }

    /// Asserts how many requests came, each of them whole.
    pub fn expect_asked(&self, count: usize) {
        let requests = self.requests();
        assert_eq!(requests.len(), count, "{requests:#?}");
        for request in requests {
            assert_eq!(request.text(), PROMPT, "every attempt has the whole request");
        }
    }

    /// Waits until the gateway has ended the connection of this request.
    pub fn expect_cancelled(&self, nth: usize) {
        let deadline = Instant::now() + PATIENCE;
        while !self.look(|seen| seen.cancelled.contains(&nth)) {
            assert!(Instant::now() < deadline, "request {nth} was not cancelled");
            thread::sleep(ms(1));
        }
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn play(mut peer: Peer, script: &impl Fn(usize) -> Vec<Act>, seen: &Mutex<Seen>) {
    let note = |what: &dyn Fn(&mut Seen) -> usize| {
        what(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
    };
    note(&|seen| {
        seen.connections += 1;
        0
    });
    while let Some(request) = peer.next_request() {
        let nth = note(&|seen| {
            seen.requests.push((request.clone(), Instant::now()));
            seen.requests.len() - 1
        });
        for act in script(nth) {
            match act {
                Act::Say(bytes) => {
                    if peer.try_send(bytes).is_err() {
                        return;
                    }
                }
                Act::Wait(pause) => thread::sleep(pause),
                Act::Close => return,
                Act::Reset => return peer.reset(),
                Act::Hold => {
                    if peer.wait_end().is_some() {
                        note(&|seen| {
                            seen.cancelled.push(nth);
                            0
                        });
                    }
                    return;
                }
            }
        }
    }
}

/// What a row configures beside its servers. Each is TOML for its section.
#[derive(Clone, Debug, Default)]
pub struct Knobs<'a> {
    pub server: &'a str,
    pub limits: &'a str,
    pub timeouts: &'a str,
    pub primary: &'a str,
    pub second: &'a str,
    pub route: &'a str,
}

/// Timers that a test can wait for.
pub const SHORT: &str = "ttft = \"400ms\"\ninter_event = \"400ms\"";

impl Knobs<'_> {
    /// A gateway whose route leads to `primary`, and to `second` if there is one.
    pub fn gateway(&self, primary: &[SocketAddr], second: Option<SocketAddr>) -> Gateway {
        let addresses =
            primary.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
        let more = second.map_or(String::new(), |address| {
            format!(
                "[[upstream]]\nname = \"second\"\nendpoints = [\"{address}\"]\n{}\n",
                self.second
            )
        });
        let names = if second.is_some() { "[\"primary\", \"second\"]" } else { "\"primary\"" };
        let timeouts = if self.timeouts.is_empty() { SHORT } else { self.timeouts };
        Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n{}\n\
             [limits]\nconnections = 1000\n{}\n[timeouts]\n{timeouts}\n\
             [[upstream]]\nname = \"primary\"\nendpoints = [{addresses}]\n{}\n{more}\
             [[route]]\npath = \"/*\"\nupstream = {names}\n{}\n",
            self.server, self.limits, self.primary, self.route
        ))
    }
}

/// A gateway with every default but the timers.
pub fn gateway(primary: &[&Server], second: Option<&Server>) -> Gateway {
    let primary: Vec<SocketAddr> = primary.iter().map(|server| server.address).collect();
    Knobs::default().gateway(&primary, second.map(|server| server.address))
}

/// A client that has asked for a streamed chat.
pub fn ask(gateway: &Gateway) -> Peer {
    let mut client = gateway.connect();
    client.send(request());
    client
}

pub fn request() -> String {
    let length = PROMPT.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{PROMPT}"
    )
}

/// Asserts that the client has the whole stream of `server`, and what the fields tell of its way.
pub fn expect_stream(client: &mut Peer, server: &str, upstream: &str, attempts: u32) {
    let response = client.read_response();
    assert_eq!(response.status(), 200, "{response:?}");
    expect_way(&response, upstream, attempts);
    assert_eq!(response.text(), spoken(server));
    assert!(response.trailers.is_empty());
}

/// Asserts which upstream the answer is said to come from, and after how many attempts.
pub fn expect_way(response: &Message, upstream: &str, attempts: u32) {
    assert_eq!(
        (response.field("x-sluice-upstream"), response.field("x-sluice-attempts")),
        (Some(upstream), Some(&*attempts.to_string())),
        "{response:?}"
    );
}

/// Asserts an error of the gateway's own.
pub fn expect_error(client: &mut Peer, status: u16, code: &str) -> Message {
    let response = client.read_response();
    let json = response.json();
    assert_eq!((response.status(), json["error"]["code"].as_str()), (status, Some(code)));
    response
}

/// A stream that broke off: the payload that came, and that its end did not.
pub fn expect_broken(client: &mut Peer) -> String {
    let payload = expect_cut(client);
    assert!(!payload.contains("[DONE]"), "it looks whole: {payload:?}");
    payload
}

/// The same of a stream of which nobody knows what its events mean.
pub fn expect_cut(client: &mut Peer) -> String {
    let head = client.read_head();
    assert_eq!(head.status(), 200, "{head:?}");
    assert!(matches!(client.read_end(), End::Fin | End::Reset));
    let framed = String::from_utf8_lossy(client.unread()).into_owned();
    assert!(!framed.ends_with(LAST_CHUNK), "it looks whole: {framed:?}");
    payload(&framed)
}

/// The data of chunks that may break off.
fn payload(framed: &str) -> String {
    let (mut data, mut rest) = (String::new(), framed);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let length = size.min(after.len());
        data.push_str(&after[..length]);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    data
}

/// The error event at the end of a broken stream: its code, and what came before it.
pub fn split_error(payload: &str) -> (String, &str) {
    let at = payload.rfind("data: {\"error\"").unwrap_or_else(|| panic!("no error: {payload:?}"));
    let event = payload[at..].strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let event = event.unwrap_or_else(|| panic!("no whole event: {payload:?}"));
    let json: serde_json::Value = serde_json::from_str(event).expect("JSON");
    (json["error"]["code"].as_str().expect("a code").to_owned(), &payload[..at])
}
