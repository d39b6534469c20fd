//! What a gateway tells of an exchange: its log, its metrics and its live view tell one story.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::faults::stage::*;
use crate::harness::{Gateway, Message, PATIENCE, Peer};

/// A gateway whose every word is heard.
pub struct Heard {
    pub gateway: Gateway,
    log: PathBuf,
}

impl Heard {
    pub fn before(primary: &Server, second: Option<&Server>, knobs: &Knobs<'_>) -> Heard {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-telling-{}-{number}.log", std::process::id());
        let log = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&log);
        let route = format!(
            "{}\n[admin]\nlisten = \"127.0.0.1:0\"\n[access_log]\nto = \"{}\"\n",
            knobs.route,
            log.display()
        );
        let knobs = Knobs { route: &route, ..knobs.clone() };
        let gateway = knobs.gateway(&[primary.address], second.map(|server| server.address));
        Heard { gateway, log }
    }

    pub fn alone(primary: &Server) -> Heard {
        Heard::before(primary, None, &Knobs { primary: "breaker = \"off\"", ..Knobs::default() })
    }

    pub fn ask(&self, path: &str, body: &str) -> Peer {
        let mut client = self.gateway.connect();
        client.send(post(path, body));
        client
    }

    /// The lines of the access log, once there are so many.
    pub fn lines(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.lines().count() >= count && log.ends_with('\n') {
                let lines = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
                return lines.collect();
            }
            assert!(Instant::now() < deadline, "{count} lines are expected: {log}");
            std::thread::sleep(ms(1));
        }
    }

    pub fn page(&self, path: &str) -> Message {
        let line = self.gateway.wait_for_log("admin on http://");
        let address = line.split_once("admin on http://").expect("an address").1.trim().parse();
        let mut peer = Peer::connect(address.expect("an address"));
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        peer.read_response()
    }

    /// The sample of `/metrics` that begins so.
    pub fn metric(&self, sample: &str) -> u64 {
        let page = self.page("/metrics");
        let value =
            page.text().lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {sample}"))
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.log);
    }
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

const CHAT: &str = "/v1/chat/completions";
const JSON: &str = "Content-Type: application/json\r\n";

fn document(body: &str) -> Vec<Act> {
    answer("200 OK", JSON, body)
}

fn playing(acts: Vec<Act>) -> Server {
    Server::playing(move |_| acts.clone())
}

/// Failures that a service tells inside a 200.
const FAILURES: [(&str, &str); 9] = [
    (CHAT, r#"{"error":{"message":"oom","type":"server_error","code":500}}"#),
    (CHAT, r#"{"object":"error","message":"oom","type":"InternalServerError","code":500}"#),
    (CHAT, r#"{"id":"g","choices":[{"index":0,"finish_reason":"error","error":{"code":502}}]}"#),
    (CHAT, "{\n  \"detail\": null,\n  \"error\": \"oom\"\n}\n"),
    ("/v1/completions", r#"{"error":{"message":"oom"}}"#),
    (
        "/v1/responses",
        r#"{"id":"r","status":"failed","error":{"code":"server_error"},"output":[]}"#,
    ),
    ("/v1/messages", r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#),
    ("/generate", r#"{"error":"overloaded","error_type":"overloaded"}"#),
    ("/api/chat", r#"{"error":"model runner has unexpectedly stopped"}"#),
];

#[test]
fn a_failure_told_in_a_document_is_one_in_log_and_metrics() {
    for (path, body) in FAILURES {
        let server = playing(document(body));
        let heard = Heard::alone(&server);
        let response = heard.ask(path, "{}").read_response();
        assert_eq!((response.status(), response.text()), (200, body), "it is the server's answer");
        let line = &heard.lines(1)[0];
        assert_eq!(line["end"], "upstream_error_event", "{path} {body}");
        assert_eq!(line["status"], 200);
        let ends = "sluicegate_exchange_ends_total{reason=\"upstream_error_event\"}";
        assert_eq!(heard.metric(ends), 1);
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"upstream\"}"), 1);
        let cut: u64 = heard.metric("sluicegate_answers_cut_total{worker=\"0\"}");
        assert_eq!(cut, 0, "every byte of it came");
    }
}

#[test]
fn a_failure_told_in_a_document_is_retried_where_that_is_listed() {
    for (path, body) in FAILURES {
        let (primary, second) = (playing(document(body)), playing(document(r#"{"ok":true}"#)));
        let knobs = Knobs {
            primary: "retry = { attempts = 1, on = [\"error_event\"] }",
            ..Knobs::default()
        };
        let heard = Heard::before(&primary, Some(&second), &knobs);
        let response = heard.ask(path, "{}").read_response();
        assert_eq!(response.text(), r#"{"ok":true}"#, "{path} {body}");
        let line = &heard.lines(1)[0];
        assert_eq!((&line["end"], &line["upstream"]), (&json!("complete"), &json!("second")));
        assert_eq!(heard.metric("sluicegate_retry_causes_total{cause=\"error_event\"}"), 1);
        // And not where it is not.
        let heard = Heard::before(&primary, Some(&second), &Knobs::default());
        assert_eq!(heard.ask(path, "{}").read_response().text(), body);
    }
}

#[test]
fn a_refusal_in_a_document_goes_nowhere_and_a_long_prompt_to_larger() {
    let refusals = [
        r#"{"error":{"message":"filtered","code":"content_filter"}}"#,
        r#"{"error":{"message":"Your request was rejected as a result of our safety system."}}"#,
        r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#,
    ];
    let knobs = Knobs {
        primary: "retry = { attempts = 2, on = [\"error_event\"] }",
        route: "larger = \"second\"",
        ..Knobs::default()
    };
    for body in refusals {
        let (primary, second) = (playing(document(body)), playing(document("{}")));
        let heard = Heard::before(&primary, Some(&second), &knobs);
        assert_eq!(heard.ask(CHAT, "{}").read_response().text(), body);
        let line = &heard.lines(1)[0];
        assert_eq!(
            (&line["end"], &line["attempts"]),
            (&json!("request_refused"), &json!(1)),
            "{body}"
        );
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"client\"}"), 1);
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"upstream\"}"), 0);
        assert!(second.requests().is_empty(), "{body}");
    }
    for body in [
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"This model's maximum context length is 8 tokens."}}"#,
    ] {
        let (primary, second) = (playing(document(body)), playing(document("{\"long\":1}")));
        // Whatever is retried: it is nobody's failure.
        for knobs in [&knobs, &Knobs { route: "larger = \"second\"", ..Knobs::default() }] {
            let heard = Heard::before(&primary, Some(&second), knobs);
            let response = heard.ask(CHAT, "{}").read_response();
            assert_eq!(response.text(), "{\"long\":1}", "{body}");
            expect_way(&response, "second", 2);
        }
    }
}

/// As often as it may be repeated: it opens no breaker.
#[test]
fn a_refusal_in_a_stream_is_the_clients_by_its_code_its_type_or_its_words() {
    const LINES: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    let event = |error: &str| format!("event: error\ndata: {error}\n\n");
    for (path, head, payload) in [
        (
            "/api/chat",
            LINES,
            "{\"error\":\"the request exceeds the available context size\"}\n".to_owned(),
        ),
        (
            "/v1/messages",
            EVENTS,
            event(
                r#"{"type":"error","error":{"type":"api_error","message":"Output blocked by content filtering policy"}}"#,
            ),
        ),
        (
            "/v1/messages",
            EVENTS,
            event(r#"{"type":"error","error":{"type":"authentication_error","message":"m"}}"#),
        ),
        (
            "/v1/messages",
            EVENTS,
            event(r#"{"type":"error","error":{"type":"not_found_error","message":"m"}}"#),
        ),
        (
            CHAT,
            EVENTS,
            "data: {\"error\":{\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}\n\n"
                .to_owned(),
        ),
        (CHAT, EVENTS, event(r#"{"message":"This model's maximum context length is 10 tokens"}"#)),
        (CHAT, EVENTS, "data: {\"error\":{\"message\":\"bad\",\"code\":\"400\"}}\n\n".to_owned()),
    ] {
        let primary = playing(vec![say(format!("{head}{}{LAST_CHUNK}", chunk(&payload)))]);
        let second = Server::well("second");
        let knobs = Knobs {
            primary: "retry.on = [\"error_event\"]\nbreaker = { consecutive = 2 }",
            ..Knobs::default()
        };
        let heard = Heard::before(&primary, Some(&second), &knobs);
        for _ in 0..4 {
            assert_eq!(heard.ask(path, "{\"stream\":true}").read_response().text(), payload);
        }
        for line in heard.lines(4) {
            assert_eq!(line["end"], "request_refused", "{payload}: {line}");
            assert_eq!(line["tokens_out"], 0, "an error is no token: {line}");
        }
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"client\"}"), 4);
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"upstream\"}"), 0);
        second.expect_asked(0);
    }
}

/// Documents are held back as long as they may still be errors, and not for longer.
#[test]
fn a_document_waits_for_no_more_than_its_first_words() {
    let begun = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"#;
    let rest = r#""content":"x"}}]}"#;
    let length = begun.len() + rest.len();
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: {length}\r\n\r\n");
    let retried = "retry = { attempts = 2, on = [\"error_event\"] }";
    // What the client has of it while the server says nothing more.
    for (primary, said, seen) in
        [("", head.clone(), "\r\n\r\n"), (retried, format!("{head}{begun}"), begun)]
    {
        let server = playing(vec![say(said), Act::Hold]);
        let knobs = Knobs {
            primary,
            timeouts: "ttft = \"30s\"\ninter_event = \"30s\"",
            ..Knobs::default()
        };
        let heard = Heard::before(&server, Some(&server), &knobs);
        let mut client = heard.ask(CHAT, "{}");
        client.read_until(seen);
    }
}

#[test]
fn what_a_document_cost_is_read() {
    let floats = vec!["0.0125"; 40_000].join(",");
    let embedding = format!(
        "{{\"object\":\"list\",\"data\":[{{\"object\":\"embedding\",\"embedding\":[{floats}],\
         \"index\":0}}],\"model\":\"m-1\",\"usage\":{{\"prompt_tokens\":7,\"total_tokens\":7}}}}"
    );
    let path_of_a_model = format!("/models/{}/snapshots/0123456789abcdef", "long-name".repeat(12));
    let long = format!(
        "{{\"choices\":[{{\"message\":{{\"content\":\"hi\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":900}},\"model\":\"{path_of_a_model}\"}}"
    );
    for (path, body, model, completion) in [
        (CHAT, long.as_str(), path_of_a_model.as_str(), Some(900)),
        (
            "/v1/completions",
            r#"{"model":"m-1","choices":[{"text":"a"}],"usage":{"prompt_tokens":7,"completion_tokens":9}}"#,
            "m-1",
            Some(9),
        ),
        (
            "/v1/responses",
            r#"{"id":"r","model":"m-1","status":"completed","error":null,"output":[{"content":[]}],"usage":{"input_tokens":7,"output_tokens":9}}"#,
            "m-1",
            Some(9),
        ),
        (
            "/v1/messages",
            r#"{"type":"message","model":"m-1","content":[{"type":"text","text":"a"}],"usage":{"input_tokens":7,"output_tokens":9}}"#,
            "m-1",
            Some(9),
        ),
        (
            "/api/chat",
            r#"{"model":"m-1","message":{"content":"a"},"done":true,"prompt_eval_count":7,"eval_count":9}"#,
            "m-1",
            Some(9),
        ),
        (
            "/generate",
            r#"{"generated_text":"a","details":{"generated_tokens":9,"prefill":[]}}"#,
            "",
            Some(9),
        ),
        ("/v1/embeddings", embedding.as_str(), "m-1", None),
        (
            "/v1/rerank",
            r#"{"id":"r","model":"m-1","usage":{"total_tokens":7},"results":[{"index":0}]}"#,
            "m-1",
            None,
        ),
        (
            "/v2/rerank",
            r#"{"results":[{"index":0}],"meta":{"tokens":{"input_tokens":7,"output_tokens":0}}}"#,
            "",
            Some(0),
        ),
        (
            "/api/embed",
            r#"{"model":"m-1","embeddings":[[0.1,0.2]],"prompt_eval_count":7}"#,
            "m-1",
            None,
        ),
    ] {
        let server = playing(document(body));
        let heard = Heard::alone(&server);
        let asked = r#"{"messages":[{"content":"{\"model\":\"no\"}"}],"model":"alias"}"#;
        assert_eq!(heard.ask(path, asked).read_response().text(), body, "{path}");
        let line = &heard.lines(1)[0];
        assert_eq!(line["end"], "complete", "{path}");
        assert_eq!(
            (&line["model_asked"], line["model"].as_str().unwrap_or_default()),
            (&json!("alias"), model),
            "{path}"
        );
        let prompt = if path == "/generate" { Value::Null } else { json!(7) };
        assert_eq!(line["tokens_in"], prompt, "{path}: {line}");
        assert_eq!(line["tokens_out"], json!(completion.unwrap_or(0)), "{path}: {line}");
        assert_eq!(line["tokens_estimated"], json!(completion.is_none()), "{path}: {line}");
        let output = "gen_ai_client_token_usage_sum{gen_ai_token_type=\"output\"}";
        assert_eq!(heard.metric(output), completion.unwrap_or(0), "{path}");
    }
}

#[test]
fn only_streams_have_a_first_token() {
    let server = Server::playing(|nth| match nth {
        0 => document(r#"{"choices":[{"message":{}}]}"#),
        1 => error("400 Bad Request", "", "no"),
        2 => document(r#"{"object":"list","data":[]}"#),
        3 => error("500 Internal Server Error", "", "no"),
        _ => stream("primary"),
    });
    let heard = Heard::alone(&server);
    let mut client = heard.gateway.connect();
    for nth in 0..5 {
        match nth {
            2 => client.send("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => client.send(post(CHAT, PROMPT)),
        }
        client.read_response();
    }
    let ends: Vec<_> = heard.lines(5).iter().map(|line| line["end"].clone()).collect();
    assert_eq!(ends, ["complete", "complete", "complete", "upstream_status", "complete"]);
    assert_eq!(heard.metric("gen_ai_server_time_to_first_token_seconds_count"), 1);
    assert_eq!(heard.metric("sluicegate_faults_total{owner=\"upstream\"}"), 1);
}

#[test]
fn an_error_in_a_stream_is_one_whoever_ends_it() {
    let failed = "data: {\"error\":{\"message\":\"oom\",\"code\":500}}\n\n";
    let head = format!("{EVENTS}{}{}", chunk(&token("primary", 0)), chunk(failed));
    for (acts, leaves) in [
        (vec![say(format!("{head}{LAST_CHUNK}"))], false),
        (vec![say(head.clone()), Act::Hold], true),
    ] {
        let server = playing(acts);
        let heard = Heard::alone(&server);
        let mut client = heard.ask(CHAT, PROMPT);
        client.read_until(failed);
        if leaves {
            drop(client);
        }
        let line = &heard.lines(1)[0];
        assert_eq!((&line["end"], &line["status"]), (&json!("upstream_error_event"), &json!(200)));
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"upstream\"}"), 1);
        assert_eq!(heard.metric("sluicegate_faults_total{owner=\"client\"}"), 0);
    }
}

#[test]
fn who_cannot_tell_says_so() {
    let gzip = |kind: &str| format!("Content-Type: {kind}\r\nContent-Encoding: gzip\r\n");
    for (path, fields, body) in [
        (CHAT, gzip("text/event-stream"), "\x1f\u{8b}..."),
        (CHAT, gzip("application/json"), "\x1f\u{8b}..."),
        (CHAT, "Content-Type: text/plain\r\n".into(), "hello"),
        (CHAT, JSON.into(), "{nothing of JSON}"),
        ("/unknown", "Content-Type: text/event-stream\r\n".into(), "data: 1\n\n"),
        ("/unknown", gzip("text/event-stream"), "\x1f\u{8b}..."),
        ("/unknown", "Content-Type: application/x-ndjson\r\n".into(), "{\"a\":1}\n{\"a\":2}\n"),
    ] {
        let server = playing(answer("200 OK", &fields, body));
        let heard = Heard::alone(&server);
        assert_eq!(heard.ask(path, "{}").read_response().text(), body);
        assert_eq!(heard.lines(1)[0]["end"], "unobserved", "{path} {fields} {body}");
        assert_eq!(heard.metric("sluicegate_exchange_ends_total{reason=\"unobserved\"}"), 1);
        assert_eq!(
            heard.metric("gen_ai_server_time_to_first_token_seconds_count"),
            u64::from(body.starts_with("data"))
        );
    }
    // What is not to be judged is told by HTTP alone.
    for (path, fields, body) in [
        ("/unknown", "Content-Type: text/plain\r\n", "hello"),
        ("/unknown", JSON, r#"{"jsonrpc":"2.0","error":{"code":-32601}}"#),
    ] {
        let server = playing(answer("200 OK", fields, body));
        let heard = Heard::alone(&server);
        heard.ask(path, "{}").read_response();
        assert_eq!(heard.lines(1)[0]["end"], "complete", "{path} {body}");
    }
}

/// As a proxy does whose server has crashed: the chunks end as they should, the JSON does not.
#[test]
fn a_document_that_breaks_off_is_not_made_whole() {
    let half = r#"{"choices":[{"message":{"content":"ab"#;
    let head = EVENTS.replace("text/event-stream", "application/json");
    let heard = Heard::alone(&playing(vec![say(format!("{head}{}{LAST_CHUNK}", chunk(half)))]));
    assert_eq!(expect_broken(&mut heard.ask(CHAT, "{}")), half);
    assert_eq!(heard.lines(1)[0]["end"], "upstream_unfinished");
}

/// An event stream is one by its bytes, whatever its type says.
#[test]
fn a_stream_under_another_type_is_watched() {
    for kind in ["application/json", "text/plain; charset=utf-8", "application/octet-stream"] {
        let head = EVENTS.replace("text/event-stream", kind);
        let whole = format!("{head}{}{LAST_CHUNK}", chunk(&spoken("primary")));
        let heard = Heard::alone(&playing(vec![say(whole)]));
        assert_eq!(heard.ask(CHAT, PROMPT).read_response().text(), spoken("primary"));
        let line = &heard.lines(1)[0];
        assert_eq!((&line["end"], &line["model"]), (&json!("complete"), &json!("primary")));
        assert_eq!(heard.metric("gen_ai_server_time_to_first_token_seconds_count"), 1);

        let cut = format!("{head}{}{LAST_CHUNK}", chunk(&token("primary", 0)));
        let heard = Heard::alone(&playing(vec![say(cut)]));
        let payload = expect_broken(&mut heard.ask(CHAT, PROMPT));
        assert_eq!(split_error(&payload).0, "upstream_unfinished");
        assert_eq!(heard.lines(1)[0]["end"], "upstream_unfinished", "{kind}");
    }
}

#[test]
fn models_are_told_of_failures_and_wherever_they_are_named() {
    let late = "data: {\"choices\":[]}\n\ndata: {\"model\":\"late\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
    let server = Server::playing(move |nth| match nth {
        0 => vec![Act::Reset],
        1 => vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(late)))],
        _ => error("500 Internal Server Error", "", "no"),
    });
    let knobs =
        Knobs { primary: "breaker = \"off\"\nretry = { attempts = 1 }", ..Knobs::default() };
    let heard = Heard::before(&server, None, &knobs);
    for _ in 0..3 {
        heard.ask(CHAT, PROMPT).read_response();
    }
    let lines = heard.lines(3);
    let told: Vec<_> =
        lines.iter().map(|line| (&line["end"], &line["model_asked"], &line["model"])).collect();
    let asked = json!("asked");
    assert_eq!(
        told,
        [
            (&json!("upstream_reset"), &asked, &Value::Null),
            (&json!("complete"), &asked, &json!("late")),
            (&json!("upstream_status"), &asked, &Value::Null),
        ]
    );
}

#[test]
fn tokens_are_those_the_server_tells() {
    // Three events, forty tokens.
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":40}}\n\n";
    let body = [&token("primary", 0), usage].concat();
    let server = Server::playing(move |nth| match nth {
        0 => vec![say(format!("{EVENTS}{}", chunk(&token("primary", 0)))), Act::Hold],
        _ => vec![say(format!("{EVENTS}{}", chunk(&body))), Act::Hold],
    });
    let knobs = Knobs { timeouts: "ttft = \"30s\"\ninter_event = \"30s\"", ..Knobs::default() };
    let heard = Heard::before(&server, None, &knobs);
    let mut first = heard.ask(CHAT, PROMPT);
    first.read_until("primary-0");
    let stream = heard.page("/streams").json()["streams"][0].clone();
    assert_eq!((&stream["tokens"], &stream["tokens_estimated"]), (&json!(1), &json!(true)));
    assert_eq!(stream["model_asked"], "asked");
    drop(first);
    heard.lines(1);
    let mut second = heard.ask(CHAT, PROMPT);
    second.read_until("40}}\n\n");
    let stream = heard.page("/streams").json()["streams"][0].clone();
    assert_eq!((&stream["tokens"], &stream["tokens_estimated"]), (&json!(40), &json!(false)));
}

/// Late or not, an answer that may have to follow a head of ours is asked for as it can follow.
#[test]
fn behind_a_head_of_ours_a_stream_follows_however_it_is_framed() {
    let before_head = "heartbeat = { every = \"1s\", before_head = true }";
    let body = spoken("primary");
    let length = body.len();
    let whole = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    for pause in [0, 1_300] {
        let server = playing(vec![Act::Wait(ms(pause)), say(whole.clone())]);
        let knobs = Knobs { timeouts: "ttft = \"30s\"", route: before_head, ..Knobs::default() };
        let heard = Heard::before(&server, None, &knobs);
        let mut client = heard.gateway.connect();
        client.send(request().replace("Host: x\r\n", "Host: x\r\nAccept-Encoding: gzip, br\r\n"));
        let response = client.read_response();
        assert_eq!(response.text().replace(": hb\n\n", ""), body, "{response:?}");
        let asked = &server.requests()[0];
        assert_eq!(asked.field("accept-encoding"), Some("identity"));
        assert_eq!(heard.lines(1)[0]["end"], "complete");
    }
    // Elsewhere it is the client's to choose.
    let server = Server::well("primary");
    let heard = Heard::alone(&server);
    let mut client = heard.gateway.connect();
    client.send(request().replace("Host: x\r\n", "Host: x\r\nAccept-Encoding: gzip, br\r\n"));
    client.read_response();
    assert_eq!(server.requests()[0].field("accept-encoding"), Some("gzip, br"));
}

#[test]
fn who_asked_nobody_has_made_no_attempt() {
    let knobs = Knobs { route: "methods = [\"POST\"]", ..Knobs::default() };
    let heard = Heard::before(&playing(document("{}")), None, &knobs);
    assert_eq!(heard.ask(CHAT, "{}").read_response().status(), 200);
    let line = &heard.lines(1)[0];
    assert_eq!((&line["end"], &line["attempts"]), (&json!("complete"), &json!(1)));
    let mut client = heard.gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().status(), 405);
    let line = &heard.lines(2)[1];
    assert_eq!((&line["status"], &line["attempts"]), (&json!(405), &json!(0)));
}
