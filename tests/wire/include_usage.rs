//! Streams that are asked for their usage, and clients that do not see it.

use crate::admin::Watched;
use crate::harness::chat::{chunked, sized};
use crate::harness::{Config, Gateway, Upstream};
use crate::usage::{numbers, usage};

/// A gateway that asks streams for their usage.
fn asking(upstream: &Upstream, keys: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"{}\"]\n{keys}\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"a\"\ninclude_usage = true\n",
        upstream.address()
    ))
}

#[test]
fn a_stream_is_asked_for_its_usage_and_the_client_does_not_see_it() {
    let upstream = Upstream::listen();
    let keys = ("include_usage = true".into(), "model = \"served\"".into());
    let config = Config::to(upstream.address());
    let watched = Watched::with(Config { route: keys.0, upstream: keys.1, ..config });
    let mut client = watched.gateway.connect();
    client.send(sized("Accept-Encoding: gzip\r\n", r#"{"model":"a","stream":true,"messages":[]}"#));
    let mut server = upstream.accept();
    let request = server.read_request();
    assert_eq!(
        request.text(),
        r#"{"stream_options":{"include_usage":true},"model":"served","stream":true,"messages":[]}"#
    );
    assert_eq!(request.field("accept-encoding"), Some("identity"));
    assert_eq!(request.field("content-length"), Some(&*request.text().len().to_string()));
    let token = |text: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":null}}\n\n"
        )
    };
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    // Each token leaves in the turn it came, whole or in halves.
    server.send(chunk(&token("one")));
    client.read_until("one\"}}],\"usage\":null}\n\n");
    let two = token("two");
    server.send(chunk(&two[..20]));
    server.send(chunk(&two[20..]));
    client.read_until("two\"}}],\"usage\":null}\n\n");
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
    let cost = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
    server.send(chunk(&format!("{end}{cost}data: [DONE]\n\n")) + "0\r\n\r\n");
    let answer = client.reread_response();
    assert_eq!(answer.field("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.text(), format!("{}{two}{end}data: [DONE]\n\n", token("one")));
    let page = usage(&watched, 1);
    assert_eq!(numbers(&page["total"]), [1, 7, 0, 2, 0, 0, 0], "and it counts");
}

#[test]
fn who_asks_for_usage_itself_or_for_no_stream_gets_every_byte() {
    let upstream = Upstream::listen();
    let gateway = asking(&upstream, "");
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n\ndata: [DONE]\n\n";
    for body in [
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"stream":true,"stream_options":{"include_usage":false}}"#,
        r#"{"stream":false}"#,
        "no JSON",
    ] {
        let mut client = gateway.connect();
        client.send(sized("", body));
        let mut server = upstream.accept();
        assert_eq!(server.read_request().text(), body);
        server.send(format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\
             Content-Length: {}\r\n\r\n{usage}",
            usage.len()
        ));
        assert_eq!(client.read_response().text(), usage, "{body}");
    }
}

#[test]
fn a_request_that_asks_for_usage_is_sent_again_as_it_was_changed() {
    let upstream = Upstream::listen();
    let gateway = asking(&upstream, "retry = { attempts = 2, on = [\"503\"], backoff = \"0s\" }");
    let mut client = gateway.connect();
    client.send(sized("", r#"{"stream":true}"#));
    let expected = r#"{"stream_options":{"include_usage":true},"stream":true}"#;
    for status in ["503 Service Unavailable", "200 OK"] {
        let mut server = upstream.accept();
        assert_eq!(server.read_request().text(), expected);
        server
            .send(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
    }
    assert_eq!(client.read_response().text(), "ok");
}

#[test]
fn usage_is_hidden_whoever_answers_and_while_an_answer_is_held() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"{}\"]\nmodel = \"a-model\"\nretry = \"off\"\n\
         [[upstream]]\nname = \"b\"\nendpoints = [\"{}\"]\nmodel = \"longer-model\"\nretry = \"off\"\n\
         [[route]]\npath = \"/v1/*\"\nupstream = [\"a\", \"b\"]\ninclude_usage = true\n",
        first.address(),
        second.address()
    ));
    let mut client = gateway.connect();
    client.send(sized("", r#"{"model":"x","stream":true}"#));
    let asked = |model: &str| {
        format!(
            "{{\"stream_options\":{{\"include_usage\":true}},\"model\":\"{model}\",\"stream\":true}}"
        )
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let cost = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n";
    let token = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let mut server = first.accept();
    assert_eq!(server.read_request().text(), asked("a-model"));
    server.send(format!("{head}{role}"));
    server.finish();
    let mut server = second.accept();
    assert_eq!(server.read_request().text(), asked("longer-model"));
    server.send(format!("{head}{role}{token}{stop}{cost}data: [DONE]\n\n"));
    server.finish();
    let answer = client.read_response();
    assert_eq!(answer.text(), format!("{role}{token}{stop}data: [DONE]\n\n"));
}

const COST: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n";
const SAID: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

#[test]
fn a_request_in_chunks_asks_too_and_one_that_is_too_long_passes_as_it_came() {
    let upstream = Upstream::listen();
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [limits]\nconnections = 100\ntranslate_bytes = \"64KiB\"\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"{}\"]\nmodel = \"served\"\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"a\"\ninclude_usage = true\n",
        upstream.address()
    ));
    let short = r#"{"model":"a","stream":true,"messages":[]}"#;
    let mut client = gateway.connect();
    client.send(chunked("", short, 9));
    let mut server = upstream.accept();
    let request = server.read_request();
    let asked =
        r#"{"stream_options":{"include_usage":true},"model":"served","stream":true,"messages":[]}"#;
    assert_eq!(request.text(), asked);
    assert_eq!(request.field("content-length"), Some(&*asked.len().to_string()));
    server.send(format!("{STREAM}{SAID}{COST}data: [DONE]\n\n"));
    server.finish();
    assert_eq!(client.read_response().text(), format!("{SAID}data: [DONE]\n\n"));

    let long = format!(r#"{{"model":"a","stream":true,"x":"{}"}}"#, "y".repeat(200_000));
    let mut client = gateway.connect();
    client.send(chunked("", &long, 5_000));
    let mut server = upstream.accept();
    let request = server.read_request();
    assert_eq!(request.text(), long.replace("\"a\"", "\"served\""));
    assert_eq!(request.field("transfer-encoding"), Some("chunked"));
    server.send(format!("{STREAM}{SAID}{COST}data: [DONE]\n\n"));
    server.finish();
    let whole = format!("{SAID}{COST}data: [DONE]\n\n");
    assert_eq!(client.read_response().text(), whole, "it has not been made to ask");
}

#[test]
fn beside_a_translated_upstream_the_others_are_asked_in_the_clients_own_words() {
    let (translated, own) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"{}\"]\ntranslate_to = \"ollama\"\nretry = \"off\"\n\
         [[upstream]]\nname = \"b\"\nendpoints = [\"{}\"]\nmodel = \"longer\"\nretry = \"off\"\n\
         [[route]]\npath = \"/v1/*\"\nupstream = [\"a\", \"b\"]\ninclude_usage = true\n",
        translated.address(),
        own.address()
    ));
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi."}]}"#;
    for answers in [true, false] {
        let mut client = gateway.connect();
        client.send(sized("", body));
        let mut server = translated.accept();
        assert!(!server.read_request().text().contains("usage"));
        if answers {
            server.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n\
                 {\"message\":{\"content\":\"a\"},\"done\":true,\"prompt_eval_count\":7,\"eval_count\":1}\n",
            );
            server.finish();
            let got = client.read_response();
            assert!(got.text().ends_with("[DONE]\n\n"), "{}", got.text());
            assert!(!got.text().contains("\"usage\""), "it has not asked: {}", got.text());
            continue;
        }
        server.finish();
        let mut server = own.accept();
        let expected = body.replace("\"m\"", "\"longer\"").replacen(
            '{',
            "{\"stream_options\":{\"include_usage\":true},",
            1,
        );
        assert_eq!(server.read_request().text(), expected);
        server.send(format!("{STREAM}{SAID}{COST}data: [DONE]\n\n"));
        server.finish();
        assert_eq!(client.read_response().text(), format!("{SAID}data: [DONE]\n\n"));
    }
}
