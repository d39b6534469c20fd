//! Conversations as servers hold them, through a gateway: what it passes, tells and writes.

use serde_json::{Value, json};

use crate::faults::stage::*;
use crate::telling::Heard;

/// A recorded stream.
struct Recorded {
    /// Of the upstream.
    service: &'static str,
    path: &'static str,
    body: &'static str,
    /// What is behind each event.
    blank: &'static str,
    model: &'static str,
    tokens: Option<(u64, u64)>,
    /// The end, by the log.
    end: &'static str,
}

const GEMINI: Recorded = Recorded {
    service: "",
    path: "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    body: include_str!("../../src/service/dialects/gemini/recorded/stream.txt"),
    blank: "\r\n\r\n",
    model: "gemini-2.5-flash",
    tokens: Some((391, 145)),
    end: "complete",
};
const LLAMA_CPP: Recorded = Recorded {
    service: "",
    path: "/completion",
    body: include_str!("../../src/service/dialects/llama_cpp/recorded/stream.txt"),
    blank: "\n\n",
    model: "tiny",
    tokens: Some((18, 4)),
    end: "complete",
};
const SGLANG: Recorded = Recorded {
    service: "",
    path: "/generate",
    body: include_str!("../../src/service/dialects/sglang/recorded/stream.txt"),
    blank: "\n\n",
    model: "",
    tokens: Some((5, 18)),
    end: "complete",
};
const SGLANG_NAMED: Recorded = Recorded { service: "service = \"sglang\"", ..SGLANG };
const TRITON: Recorded = Recorded {
    service: "",
    path: "/v2/models/ensemble/generate_stream",
    body: include_str!("../../src/service/dialects/kserve/recorded/triton_stream.txt"),
    blank: "\n\n",
    model: "ensemble",
    tokens: None,
    end: "unobserved",
};
const MLSERVER: Recorded = Recorded {
    service: "service = \"kserve\"",
    path: "/v2/models/echo/infer_stream",
    body: include_str!("../../src/service/dialects/kserve/recorded/generate_stream.txt"),
    blank: "\n\n",
    model: "echo",
    tokens: None,
    end: "unobserved",
};

fn heard(server: &Server, service: &str, route: &str) -> Heard {
    let primary = format!("breaker = \"off\"\n{service}");
    let timeouts = "ttft = \"20s\"\ninter_event = \"20s\"";
    Heard::before(server, None, &Knobs { primary: &primary, route, timeouts, ..Knobs::default() })
}

fn said(body: &str) -> String {
    format!("{EVENTS}{}", chunk(body))
}

#[test]
fn a_whole_stream_is_passed_and_told_with_what_it_cost() {
    for recorded in [GEMINI, LLAMA_CPP, SGLANG, SGLANG_NAMED, TRITON, MLSERVER] {
        let server = Server::playing(move |_| vec![say(said(recorded.body) + LAST_CHUNK)]);
        let heard = heard(&server, recorded.service, "");
        let response = heard.ask(recorded.path, "{}").read_response();
        assert_eq!((response.status(), response.text()), (200, recorded.body));
        let line = &heard.lines(1)[0];
        let path = recorded.path;
        assert_eq!(line["end"], recorded.end, "{path}: {line}");
        assert_eq!(line["model"].as_str().unwrap_or_default(), recorded.model, "{path}");
        match recorded.tokens {
            Some((prompt, completion)) => {
                assert_eq!(line["tokens_in"], json!(prompt), "{path}: {line}");
                assert_eq!(line["tokens_out"], json!(completion), "{path}: {line}");
                assert_eq!(line["tokens_estimated"], json!(false), "{path}");
            }
            None => assert_eq!(line["tokens_estimated"], json!(true), "{path}: {line}"),
        }
        assert_eq!(heard.metric("gen_ai_server_time_to_first_token_seconds_count"), 1, "{path}");
    }
}

/// The error that ends what a client has got.
fn last_error(payload: &str) -> Value {
    let at = payload.rfind("data: {\"error\"").unwrap_or_else(|| panic!("no error: {payload}"));
    serde_json::from_str(payload[at + 6..].trim_end()).expect("JSON")
}

#[test]
fn a_stream_without_its_end_is_told_so_in_its_dialect() {
    for recorded in [GEMINI, LLAMA_CPP, SGLANG] {
        let first = recorded.body.split_inclusive(recorded.blank).next().unwrap_or_default();
        let server = Server::playing(move |_| vec![say(said(first) + LAST_CHUNK)]);
        let heard = heard(&server, recorded.service, "");
        let payload = expect_cut(&mut heard.ask(recorded.path, "{}"));
        assert!(payload.starts_with(first), "{payload}");
        let error = &last_error(&payload)["error"];
        let code = match recorded.path {
            "/completion" => &error["reason"],
            "/generate" => &error["code"],
            _ => &error["details"][0]["reason"],
        };
        assert_eq!(code, "upstream_unfinished", "{payload}");
        // Google's own SDKs look for it behind no `data:`.
        let (bare, event) = payload[first.len()..].rsplit_once("data: ").unwrap_or_default();
        let expected = if recorded.path == GEMINI.path { event } else { "" };
        assert_eq!(bare, expected, "{payload}");
        assert_eq!(heard.lines(1)[0]["end"], "upstream_unfinished", "{}", recorded.path);
    }
}

#[test]
fn a_stream_that_breaks_where_only_http_tells_gets_an_error_too() {
    let first = TRITON.body.split_inclusive("\n\n").next().unwrap_or_default();
    let server = Server::playing(move |_| vec![say(said(first)), Act::Close]);
    let heard = heard(&server, "", "");
    let payload = expect_cut(&mut heard.ask(TRITON.path, "{}"));
    let error = last_error(&payload);
    assert!(error["error"].is_string() && error["code"] == "upstream_truncated", "{payload}");
}

#[test]
fn an_error_event_of_a_server_is_told_as_one() {
    for (path, event) in [
        (GEMINI.path, r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#),
        (LLAMA_CPP.path, r#"{"error":{"code":500,"message":"m","type":"server_error"}}"#),
        (TRITON.path, r#"{"error":"out of memory"}"#),
    ] {
        let event = format!("data: {event}\n\n");
        let told = event.clone();
        let server = Server::playing(move |_| vec![say(said(&told) + LAST_CHUNK)]);
        let heard = heard(&server, "", "");
        assert_eq!(heard.ask(path, "{}").read_response().text(), event, "{path}");
        assert_eq!(heard.lines(1)[0]["end"], "upstream_error_event", "{path}");
    }
}

#[test]
fn a_silent_stream_gets_heartbeats() {
    for recorded in [GEMINI, TRITON, LLAMA_CPP, SGLANG] {
        let first = recorded.body.split_inclusive(recorded.blank).next().unwrap_or_default();
        let rest = &recorded.body[first.len()..];
        let acts = vec![say(said(first)), Act::Wait(ms(1500)), say(chunk(rest) + LAST_CHUNK)];
        let server = Server::playing(move |_| acts.clone());
        let heard = heard(&server, recorded.service, "heartbeat = \"1s\"");
        let response = heard.ask(recorded.path, "{}").read_response();
        // Google's own SDKs fail on comments.
        let beat = match recorded.path {
            path if path == GEMINI.path => "data: {\"candidates\":[]}\n\n",
            _ => ": hb\n\n",
        };
        assert_eq!(response.text(), format!("{first}{beat}{rest}"));
    }
}

#[test]
fn an_error_of_ours_has_the_shape_of_the_api() {
    let server = Server::playing(|_| vec![Act::Reset]);
    for (path, service, place) in [
        (GEMINI.path, "", "/error/details/0/reason"),
        ("/v2/models/m/infer", "", "/code"),
        (TRITON.path, "", "/code"),
        (LLAMA_CPP.path, "", "/error/reason"),
        (SGLANG.path, "service = \"sglang\"", "/error/code"),
        ("/inference", "service = \"text\"", "/error/code"),
    ] {
        let heard = heard(&server, service, "");
        let response = heard.ask(path, "{}").read_response();
        let error: Value = serde_json::from_str(response.text()).expect("JSON");
        let code = error.pointer(place).and_then(Value::as_str).unwrap_or_default();
        assert!(code.starts_with("upstream_"), "{path}: {error}");
        assert_eq!(response.status(), 502, "{path}");
    }
}

#[test]
fn documents_are_told_with_their_model_and_cost() {
    for (path, body, model, tokens) in [
        (
            "/v2/models/echo/infer",
            include_str!("../../src/service/dialects/kserve/recorded/infer.txt"),
            "echo",
            None,
        ),
        (
            "/completion",
            include_str!("../../src/service/dialects/llama_cpp/recorded/document.txt"),
            "tiny",
            Some(4),
        ),
        (
            "/generate",
            include_str!("../../src/service/dialects/sglang/recorded/document.txt"),
            "",
            Some(18),
        ),
        (
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
            include_str!("../../src/service/dialects/gemini/recorded/list.txt"),
            "gemini-2.5-flash",
            Some(145),
        ),
    ] {
        let server =
            Server::playing(|_| answer("200 OK", "Content-Type: application/json\r\n", body));
        let heard = heard(&server, "", "");
        assert_eq!(heard.ask(path, "{}").read_response().text(), body);
        let line = &heard.lines(1)[0];
        assert_eq!(line["end"], "complete", "{path}: {line}");
        assert_eq!(line["model"].as_str().unwrap_or_default(), model, "{path}: {line}");
        assert_eq!(line["tokens_estimated"], json!(tokens.is_none()), "{path}: {line}");
        assert_eq!(line["tokens_out"], json!(tokens.unwrap_or(0)), "{path}: {line}");
        if path.contains("/models/") {
            assert_eq!(line["model_asked"], model, "{path}: {line}");
        }
    }
}

#[test]
fn plain_text_passes_piece_by_piece() {
    let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let acts = vec![
        say(format!("{text}{}", chunk("Water "))),
        Act::Wait(ms(300)),
        say(chunk("comes.\n") + LAST_CHUNK),
    ];
    let server = Server::playing(move |_| acts.clone());
    let heard = heard(&server, "service = \"text\"", "heartbeat = \"1s\"");
    let mut client = heard.ask("/inference", "{}");
    client.read_until(&chunk("Water "));
    client.read_until(LAST_CHUNK);
    let line = &heard.lines(1)[0];
    assert_eq!(line["end"], "unobserved", "{line}");
    assert_eq!(heard.metric("gen_ai_server_time_to_first_token_seconds_count"), 1);
}

/// OpenAI's other streams: nobody here knows what their events mean, and HTTP alone judges them.
#[test]
fn speech_and_pictures_are_passed_and_counted() {
    for (path, events) in [
        ("/v1/audio/transcriptions", ["transcript.text.delta", "transcript.text.done"]),
        ("/v1/audio/speech", ["speech.audio.delta", "speech.audio.done"]),
        (
            "/v1/images/generations",
            ["image_generation.partial_image", "image_generation.completed"],
        ),
    ] {
        let body: String = events
            .iter()
            .map(|name| {
                let data = json!({"type": name, "delta": "a", "usage": {"input_tokens": 3}});
                format!("event: {name}\ndata: {data}\n\n")
            })
            .collect();
        let sent = body.clone();
        let server = Server::playing(move |_| vec![say(said(&sent) + LAST_CHUNK)]);
        for service in ["", "service = \"openai\""] {
            let heard = heard(&server, service, "");
            assert_eq!(heard.ask(path, "{}").read_response().text(), body, "{path}");
            let line = &heard.lines(1)[0];
            assert!(matches!(line["end"].as_str(), Some("complete" | "unobserved")), "{line}");
            assert_eq!(line["tokens_out"], json!(2), "{path}: {line}");
            assert_eq!(line["tokens_estimated"], json!(true), "{path}: {line}");
        }
    }
}
