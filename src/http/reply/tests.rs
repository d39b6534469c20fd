use super::*;
use crate::http::explained;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, ResponseHead, parse_response};

const DATE: &DateLine = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

const REPLY: ErrorReply<'static> = ErrorReply {
    form: ErrorForm::OpenAi,
    status: 502,
    kind: "upstream_error",
    code: "upstream_refused",
    message: "the upstream refused the connection",
    allow: None,
    challenge: None,
    retry_after: None,
    date: DATE,
    close: false,
    request_id: None,
    upstream: None,
    attempts: None,
    head_request: false,
    client: Version::Http11,
};

fn written(reply: &ErrorReply<'_>) -> String {
    let mut out = Vec::new();
    error(reply, &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed<T>(reply: &str, head_request: bool, check: impl FnOnce(&ResponseHead<'_>) -> T) -> T {
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 4096, fields: 50 };
    let context = ResponseContext { head_request, upgrade_asked: false };
    let head = parse_response(reply.as_bytes(), &mut slots, &limits, &context);
    check(&head.unwrap().unwrap())
}

#[test]
fn an_error_is_a_complete_response() {
    let expected = "HTTP/1.1 502 Bad Gateway\r\n\
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
        Content-Length: 109\r\n\r\n\
        {\"error\":{\"message\":\"the upstream refused the connection\",\
        \"type\":\"upstream_error\",\"code\":\"upstream_refused\"}}";
    assert_eq!(written(&REPLY), expected);
}

#[test]
fn an_error_has_the_shape_of_its_api() {
    for (form, expected) in [
        (
            ErrorForm::Sentence,
            r#"{"error":"the upstream refused the connection","code":"upstream_refused"}"#,
        ),
        (
            ErrorForm::Gemini,
            r#"{"error":{"code":502,"message":"the upstream refused the connection","status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"upstream_refused","domain":"sluicegate"}]}}"#,
        ),
        (
            ErrorForm::LlamaCpp,
            r#"{"error":{"code":502,"message":"the upstream refused the connection","type":"upstream_error","reason":"upstream_refused"}}"#,
        ),
    ] {
        let text = written(&ErrorReply { form, ..REPLY });
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, expected);
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }
}

#[test]
fn an_error_says_what_its_status_asks_for() {
    let reply = ErrorReply {
        status: 405,
        allow: Some("GET, POST"),
        retry_after: Some(7),
        close: true,
        request_id: Some(b"id-1"),
        upstream: Some("models"),
        attempts: Some(12),
        ..REPLY
    };
    let text = written(&reply);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{head:?}");
    for field in [
        "Allow: GET, POST",
        "Retry-After: 7",
        "Connection: close",
        "X-Request-Id: id-1",
        "X-Sluice-Upstream: models",
        "X-Sluice-Attempts: 12",
    ] {
        assert!(head.lines().any(|line| line == field), "{field}: {head:?}");
    }
}

#[test]
fn a_kept_http10_client_is_told_so() {
    let text = written(&ErrorReply { client: Version::Http10, ..REPLY });
    assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text:?}");
}

#[test]
fn an_answer_to_head_announces_the_body_it_leaves_out() {
    let whole = written(&REPLY);
    let head = written(&ErrorReply { head_request: true, ..REPLY });
    let (expected, _) = whole.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, format!("{expected}\r\n\r\n"));
}

#[test]
fn any_text_is_escaped_and_counted() {
    let message: String =
        (0..0x80u8).map(char::from).chain("\u{7f}é\u{2028}\u{1f600}".chars()).collect();
    let text = written(&ErrorReply { message: &message, ..REPLY });
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    parsed(&text, false, |head| assert_eq!(head.framing, Framing::Length(body.len() as u64)));
    assert!(body.bytes().all(|byte| byte >= 0x20), "{body:?}");
    assert!(body.contains(r#"\u0000\u0001"#) && body.contains(r#"\t\n\u000b\u000c\r"#), "{body:?}");
    assert!(body.contains(r##" !\"#"##) && body.contains(r"[\\]"), "{body:?}");
    assert!(body.contains("\u{7f}é\u{2028}\u{1f600}"), "{body:?}");
}

#[test]
fn a_reply_head_states_its_framing_and_its_connection() {
    let fields = [("Cache-Control".into(), "no-store".to_owned())];
    let reply = ReplyHead {
        status: 200,
        content_type: "text/event-stream",
        fields: &fields,
        framing: Framing::Chunked,
        date: DATE,
        connection: ConnectionField::Close,
        client: Version::Http11,
        request_id: Some(b"id-1"),
    };
    let mut out = Vec::new();
    head(&reply, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\
        Cache-Control: no-store\r\nX-Request-Id: id-1\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_reply_head_without_a_body_or_a_name_is_still_a_head() {
    let reply = ReplyHead {
        status: 299,
        content_type: "",
        fields: &[],
        framing: Framing::UntilClose,
        date: DATE,
        connection: ConnectionField::KeepAlive,
        client: Version::Http11,
        request_id: None,
    };
    let mut out = Vec::new();
    head(&reply, &mut out);
    assert_eq!(out, [b"HTTP/1.1 299 \r\n", &DATE[..], b"\r\n"].concat());
}

#[test]
fn a_chunk_has_its_size_and_no_chunk_is_empty() {
    let mut out = Vec::new();
    chunk(&[b'x'; 26], &mut out);
    chunk(b"", &mut out);
    assert_eq!(out, [b"1a\r\n".as_slice(), &[b'x'; 26], b"\r\n"].concat());
}

#[test]
fn every_status_of_a_refusal_has_a_reason() {
    for status in [400, 404, 405, 408, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505] {
        assert_ne!(reason(status), "", "{status}");
    }
}

#[test]
fn an_error_has_the_shape_that_its_sdk_reads() {
    let (message, code) = ("a \"b\"", "c");
    for (form, expected) in [
        (
            ErrorForm::OpenAi,
            r#"{"error":{"message":"a \"b\"","type":"upstream_error","code":"c"}}"#,
        ),
        (
            ErrorForm::Anthropic,
            r#"{"type":"error","error":{"type":"upstream_error","message":"a \"b\"","code":"c"}}"#,
        ),
        (ErrorForm::Sentence, r#"{"error":"a \"b\"","code":"c"}"#),
        (ErrorForm::Tgi, r#"{"error":"a \"b\"","error_type":"c"}"#),
    ] {
        let text = written(&ErrorReply { form, message, code, ..REPLY });
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, expected);
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        // A code that is explained has a hint beside it.
        let text = written(&ErrorReply { form, message, code: "no_route", ..REPLY });
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let inner = if told["error"].is_object() { &told["error"] } else { &told };
        assert_eq!(inner["hint"], explained::hint("no_route"), "{body}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }
}
