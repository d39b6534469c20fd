//! The head that each server of a chain gets: its own, to the last byte, whoever was asked before.

use std::net::SocketAddr;

use crate::harness::{Gateway, Upstream};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// What differs from link to link: the keys of the upstream, the `Host` it is sent (`None`: its
/// address), and the model. The first is asked twice.
const LINKS: [(&str, Option<&str>, &str); 3] = [
    (
        "host = \"first.example\"\nmodel = \"one\"\nretry = { attempts = 2, on = [\"503\"], backoff = \"0s\" }",
        Some("first.example"),
        "one",
    ),
    (
        "host = \"endpoint\"\nmodel = \"the-second-has-a-long-name\"",
        None,
        "the-second-has-a-long-name",
    ),
    ("host = \"preserve\"", Some("own"), "asked"),
];

/// Two paths: one is rewritten, one is not.
fn gateway(upstreams: &[Upstream; 3]) -> Gateway {
    let mut config = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nforwarded = \"off\"\n\
                      [limits]\nconnections = 100\n[trace]\ncontext = \"continue\"\n"
        .to_owned();
    for (index, (upstream, (keys, ..))) in upstreams.iter().zip(LINKS).enumerate() {
        let retry = if index == 0 { "" } else { "retry = { attempts = 1, on = [\"503\"] }\n" };
        config += &format!(
            "[[upstream]]\nname = \"link-{index}\"\nendpoints = [\"{}\"]\nbreaker = \"off\"\n{retry}{keys}\n",
            upstream.address()
        );
    }
    let links = "upstream = [\"link-0\", \"link-1\", \"link-2\"]\n";
    config += &format!("[[route]]\npath = \"/old/*\"\nrewrite = \"/new/*\"\n{links}");
    config += &format!("[[route]]\npath = \"/kept/*\"\n{links}");
    Gateway::start(&config)
}

fn body(model: &str) -> String {
    format!(r#"{{"messages":[{{"model":"no"}}],"model":"{model}","n":1}}"#)
}

/// A request: its line, its version, its body as the client frames it.
#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Length,
    /// Chunks of so many bytes.
    Chunks(usize),
}

impl Body {
    /// The field of the framing, and the body, with this model.
    fn framed(self, model: &str) -> (String, String) {
        let body = body(model);
        match self {
            Body::None => (String::new(), String::new()),
            Body::Length => (format!("Content-Length: {}\r\n", body.len()), body),
            Body::Chunks(length) => {
                let mut chunks = String::new();
                for chunk in body.as_bytes().chunks(length) {
                    let chunk = std::str::from_utf8(chunk).expect("ASCII");
                    chunks += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
                }
                ("Transfer-Encoding: chunked\r\n".to_owned(), chunks + "0\r\n\r\n")
            }
        }
    }

    /// As a server gets it: what was held until the model was known is one chunk.
    fn arrives(self, model: &str) -> (String, String) {
        match self {
            Body::Chunks(_) => Body::Chunks(usize::MAX).framed(model),
            other => other.framed(model),
        }
    }
}

fn span_of(head: &str) -> &str {
    let start = head.find(&format!("traceparent: 00-{TRACE}-")).expect("it is part of the trace");
    &head[start + "traceparent: 00-".len() + TRACE.len() + 1..][..SPAN.len()]
}

#[test]
fn each_try_carries_its_own_opening_and_nothing_of_the_one_before() {
    let upstreams = [Upstream::listen(), Upstream::listen(), Upstream::listen()];
    let gateway = gateway(&upstreams);
    for (method, asked, arrives, framing) in [
        ("POST", "/old/chat?x=1", "/new/chat?x=1", Body::Length),
        ("POST", "/kept/chat", "/kept/chat", Body::Length),
        ("POST", "/old/a", "/new/a", Body::Chunks(7)),
        ("GET", "/old/a?", "/new/a?", Body::None),
    ] {
        let mut client = gateway.connect();
        let (field, sent) = framing.framed("asked");
        client.send(format!(
            "{method} {asked} HTTP/1.1\r\nA: 1\r\nHost: own\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\
             {field}B: 2\r\nX-Request-Id: id-1\r\n\r\n{sent}"
        ));
        let mut spans = vec![SPAN.to_owned()];
        for link in [0, 0, 1, 2] {
            let (_, host, model) = LINKS[link];
            let address = upstreams[link].address().to_string();
            let host = host.unwrap_or(&address);
            let mut server = upstreams[link].accept();
            server.read_request();
            let got = String::from_utf8_lossy(server.received()).into_owned();
            let span = span_of(&got).to_owned();
            assert!(!spans.contains(&span), "{span} is the second of its name");
            let (field, body) = framing.arrives(model);
            let expected = format!(
                "{method} {arrives} HTTP/1.1\r\nHost: {host}\r\nA: 1\r\n{field}B: 2\r\n\
                 Via: 1.1 sluicegate\r\nX-Request-Id: id-1\r\n\
                 traceparent: 00-{TRACE}-{span}-01\r\n\r\n{body}"
            );
            assert_eq!(got, expected, "{asked} at link {link}");
            spans.push(span);
            server.send(if link == 2 { OK } else { BUSY });
        }
        assert_eq!(client.read_response().text(), "ok");
    }
}

/// An HTTP/1.0 client may name no host: each server is then sent its own name.
#[test]
fn a_request_without_a_host_has_that_of_each_server() {
    let upstreams = [Upstream::listen(), Upstream::listen(), Upstream::listen()];
    let gateway = gateway(&upstreams);
    let mut client = gateway.connect();
    client.send("GET /kept/ HTTP/1.0\r\nA: 1\r\n\r\n");
    let address = |link: usize| -> SocketAddr { upstreams[link].address() };
    let hosts =
        [LINKS[0].1.expect("a name").to_owned(), address(1).to_string(), address(2).to_string()];
    for link in [0, 0, 1, 2] {
        let mut server = upstreams[link].accept();
        let request = server.read_request();
        assert_eq!(request.all("host"), [&hosts[link]], "{link}");
        server.send(if link == 2 { OK } else { BUSY });
    }
    assert_eq!(client.read_response().text(), "ok");
}
