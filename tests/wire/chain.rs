//! A route with several upstreams: who is asked next, with which request, and what is said when
//! nobody is left.

use crate::harness::{Gateway, Peer, Upstream, whoever_is_asked};

const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A gateway whose route leads to `first`, then to `second`.
fn chain(first: &Upstream, second: &Upstream, keys: [&str; 3]) -> Gateway {
    let [of_first, of_second, of_route] = keys;
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"first\"\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n{of_first}\n\
         [[upstream]]\nname = \"second\"\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n{of_second}\n\
         [[route]]\npath = \"/*\"\nupstream = [\"first\", \"second\"]\n{of_route}\n",
        first.address(),
        second.address(),
    ))
}

fn ask(client: &mut Peer, body: &str) {
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
}

/// What a server reads as one request, answered with `answer`.
fn serve(upstream: &Upstream, answer: &str) -> (Peer, String) {
    let mut server = upstream.accept();
    let request = server.read_request();
    server.send(answer);
    let body = request.text().to_owned();
    (server, body)
}

#[test]
fn the_next_upstream_gets_its_own_host_and_its_own_model() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let keys = ["model = \"one\"", "model = \"the-second\"\nhost = \"second.test\"", ""];
    let gateway = chain(&first, &second, keys);
    let mut client = gateway.connect();
    ask(&mut client, r#"{"messages":[{"model":"no"}],"model":"asked","x":1}"#);
    let (_one, at_first) = serve(&first, REFUSED);
    assert_eq!(at_first, r#"{"messages":[{"model":"no"}],"model":"one","x":1}"#);
    let mut server = second.accept();
    let request = server.read_request();
    assert_eq!(request.field("host"), Some("second.test"));
    assert_eq!(request.text(), r#"{"messages":[{"model":"no"}],"model":"the-second","x":1}"#);
    server.send(OK);
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    assert_eq!(answer.field("x-sluice-upstream"), Some("second"));
    assert_eq!(answer.field("x-sluice-attempts"), Some("2"));
}

#[test]
fn a_chunked_request_whose_model_is_replaced_stays_chunked() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = chain(&first, &second, ["model = \"longer-name\"", "", ""]);
    let mut client = gateway.connect();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         8\r\n{\"model\"\r\n",
    );
    client.send("5\r\n:\"a\"}\r\n0\r\n\r\n");
    let (_server, body) = serve(&first, REFUSED);
    assert_eq!(body, r#"{"model":"longer-name"}"#);
    // The second upstream has no model of its own: the request has its own again.
    let (_server, body) = serve(&second, OK);
    assert_eq!(body, r#"{"model":"a"}"#);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn a_prompt_that_is_too_long_goes_to_who_takes_longer_ones() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = chain(&first, &second, ["", "", "larger = \"second\""]);
    let too_long = r#"{"error":{"message":"This model's maximum context length is 8 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let refusal = |body: &str| {
        format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut client = gateway.connect();
    ask(&mut client, "{}");
    let (mut one, _) = serve(&first, &refusal(too_long));
    let (_two, _) = serve(&second, OK);
    assert_eq!(client.read_response().field("x-sluice-upstream"), Some("second"));
    // Another 400 is the client's.
    one.read_end();
    ask(&mut client, "{}");
    let (_one, _) = serve(&first, &refusal(r#"{"error":{"message":"temperature"}}"#));
    let answer = client.read_response();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("temperature"), "{answer:?}");
}

#[test]
fn when_nobody_is_left_the_predefined_answer_is_given() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let fallback = "fallback = { text = \"Sorry, later.\", model = \"none\", pace = \"10ms\" }";
    let gateway = chain(&first, &second, ["", "", fallback]);
    let mut client = gateway.connect();
    for stream in [true, false] {
        ask(&mut client, &format!(r#"{{"model":"m","stream":{stream},"messages":[]}}"#));
        let (_one, _) = serve(&first, REFUSED);
        let (_two, _) = serve(&second, REFUSED);
        let answer = client.read_response();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("x-sluice-degraded"), Some("upstream_status"));
        let text = answer.text();
        if stream {
            assert!(text.contains("\"content\":\"later.\""), "{text}");
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        } else {
            assert_eq!(answer.json()["choices"][0]["message"]["content"], "Sorry, later.");
        }
    }
}

#[test]
fn alike_prompts_go_to_the_same_endpoint_however_they_arrive() {
    let (one, two) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"{}\", \"{}\"]\n\
         balance = {{ hash = {{ prompt = \"64B\" }} }}\n[[route]]\npath = \"/*\"\nupstream = \"u\"\n",
        one.address(),
        two.address(),
    ));
    // The ports decide which topic lives where, so new topics come until both have one; that all of
    // these live at one of two is as likely as one and the same side of a coin a hundred times.
    let mut homes = [false; 2];
    for topic in 0..100 {
        let prompt = format!(r#"{{"model":"m","messages":["topic {topic} {:80}"]}}"#, "");
        let mut home = None;
        for piece in [1, 40, usize::MAX] {
            let mut client = gateway.connect();
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                prompt.len()
            );
            client.send(head);
            for bytes in prompt.as_bytes().chunks(piece) {
                client.send(bytes);
            }
            let (at, mut server) = whoever_is_asked([&one, &two]);
            assert_eq!(server.read_request().text(), prompt);
            server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(client.read_response().status(), 200);
            assert_eq!(*home.get_or_insert(at), at, "topic {topic} in pieces of {piece}");
        }
        homes[home.expect("it was asked")] = true;
        if topic >= 5 && homes == [true; 2] {
            break;
        }
    }
    assert_eq!(homes, [true; 2], "a hundred topics lived at one endpoint");
}
