//! A stored response is found again at the server that made it, whichever worker is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;

use crate::harness::{Gateway, Message, Peer, Upstream, signal};

/// A server that stores what it answers, and knows nothing that others have stored.
struct Storing {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Storing {
    fn named(name: &'static str) -> Storing {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (known, made) = (Arc::clone(&asked), AtomicU32::new(0));
        let address = Upstream::serve(move |mut peer| {
            while let Some(request) = peer.next_request() {
                let answer = answer(name, &made, &request);
                known.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                if peer.try_send(answer).is_err() {
                    return;
                }
            }
        });
        Storing { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Streamed where the request says so; a request for something that is stored is answered by name.
fn answer(name: &str, made: &AtomicU32, request: &Message) -> String {
    let text = request.text();
    let made = made.fetch_add(1, Ordering::Relaxed);
    let kind = if request.start.contains("/conversations") { "conv" } else { "resp" };
    let id = format!("{kind}_{name}_{made}");
    if text.contains("\"stream\":true") {
        let events = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"{id}\",\
             \"object\":\"response\"}}}}\n\n\
             event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":\
             {{\"id\":\"{id}\",\"status\":\"completed\"}}}}\n\n"
        );
        return format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{events}",
            events.len()
        );
    }
    let body = format!("{{\"id\":\"{id}\",\"object\":\"response\",\"by\":\"{name}\"}}");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn config(servers: &[&Storing], keys: &str) -> String {
    let endpoints: Vec<String> =
        servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"all\"\nendpoints = [{}]\nbalance = \"round_robin\"\n{keys}\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"all\"\n",
        endpoints.join(", ")
    )
}

fn ask(gateway: &Gateway, method: &str, path: &str, body: &str) -> Message {
    // Each on a connection of its own, so that both workers are asked.
    let mut client: Peer = gateway.connect();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.read_response()
}

/// The id that an answer names.
fn id_of(answer: &Message) -> String {
    let text = answer.text();
    let (_, behind) = text.split_once("\"id\":\"").expect("an id");
    behind.split('"').next().expect("its end").to_owned()
}

/// Whose id it is: `resp_NAME_1`.
fn maker(id: &str) -> String {
    id.split('_').nth(1).expect("a name").to_owned()
}

#[test]
fn what_goes_on_from_a_stored_response_is_asked_of_the_server_that_made_it() {
    let servers = [Storing::named("a"), Storing::named("b"), Storing::named("c")];
    let gateway = Gateway::start(&config(&servers.each_ref(), "stored = \"1h\""));
    for round in 0..6 {
        let first = match round % 3 {
            0 => ask(&gateway, "POST", "/v1/responses", r#"{"input":"x"}"#),
            1 => ask(&gateway, "POST", "/v1/responses", r#"{"input":"x","stream":true}"#),
            _ => ask(&gateway, "POST", "/v1/conversations", "{}"),
        };
        let mut id = id_of(&first);
        let by = maker(&id);
        for again in 0..8 {
            let (kind, name) = match id.starts_with("resp") {
                true => ("responses", "previous_response_id"),
                false => ("conversations", "conversation"),
            };
            let path = format!("/v1/{kind}/{id}");
            for (method, path) in [
                ("GET", path.clone()),
                ("GET", format!("{path}/input_items")),
                ("POST", format!("{path}/cancel")),
                ("DELETE", path),
            ] {
                let answer = ask(&gateway, method, &path, "");
                assert_eq!(maker(&id_of(&answer)), by, "{method} {path}");
            }
            let stream = again % 2 == 0;
            let body = format!(r#"{{"input":"y","{name}":"{id}","stream":{stream}}}"#);
            id = id_of(&ask(&gateway, "POST", "/v1/responses", &body));
            assert_eq!(maker(&id), by, "{again}");
        }
    }
    // What nobody has told is for whoever is next.
    let before: Vec<usize> = servers.iter().map(Storing::asked).collect();
    for _ in 0..12 {
        ask(&gateway, "GET", "/v1/responses/resp_unknown", "");
    }
    assert!(servers.iter().zip(before).all(|(server, before)| server.asked() > before));
}

#[test]
fn a_reload_keeps_who_has_made_what_and_who_leaves_the_file_is_forgotten() {
    let servers = [Storing::named("a"), Storing::named("b")];
    let text = config(&servers.each_ref(), "stored = \"1h\"");
    let gateway = Gateway::start(&text);
    let id = id_of(&ask(&gateway, "POST", "/v1/responses", r#"{"input":"x"}"#));
    let path = format!("/v1/responses/{id}");
    gateway.rewrite(&text.replace("\"1h\"", "\"2h\""));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    for _ in 0..6 {
        assert_eq!(maker(&id_of(&ask(&gateway, "GET", &path, ""))), maker(&id));
    }
    let other = if maker(&id) == "a" { &servers[1] } else { &servers[0] };
    gateway.rewrite(&config(&[other], "stored = \"1h\""));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 2 is in force");
    // It is for the server that is left to say that it knows nothing of it.
    assert_ne!(maker(&id_of(&ask(&gateway, "GET", &path, ""))), maker(&id));
}

#[test]
fn while_the_server_that_made_it_is_out_the_client_is_told_and_nobody_else_is_asked() {
    let lasting = Storing::named("lasting");
    let leaving = Upstream::listen();
    let address = leaving.address();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"first\"\nendpoints = [\"{address}\", \"{}\"]\nbalance = \"round_robin\"\n\
         stored = \"1h\"\n[[upstream]]\nname = \"second\"\nendpoints = [\"{}\"]\nstored = \"1h\"\n\
         [[route]]\npath = \"/v1/*\"\nupstream = [\"first\", \"second\"]\n",
        lasting.address, lasting.address,
    );
    let gateway = Gateway::start(&text);
    // Until it is the turn of the one that leaves.
    let id = loop {
        let mut client = gateway.connect();
        client.send("POST /v1/responses HTTP/1.1\r\nHost: own\r\nContent-Length: 2\r\n\r\n{}");
        if let Some(mut server) = leaving.accept_within(std::time::Duration::from_millis(300)) {
            server.read_request();
            let body = r#"{"id":"resp_leaving_1","object":"response"}"#;
            server.send(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            break id_of(&client.read_response());
        }
        client.read_response();
    };
    drop(leaving);
    let before = lasting.asked();
    for _ in 0..4 {
        let path = format!("/v1/responses/{id}");
        let answer = ask(&gateway, "GET", &path, "");
        assert!(matches!(answer.status(), 502 | 503), "{answer:?}");
        let body = format!(r#"{{"previous_response_id":"{id}"}}"#);
        let answer = ask(&gateway, "POST", "/v1/responses", &body);
        assert!(matches!(answer.status(), 502 | 503), "{answer:?}");
    }
    assert_eq!(lasting.asked(), before, "nobody else knows it");
    assert_eq!(ask(&gateway, "POST", "/v1/responses", "{}").status(), 200);
}
