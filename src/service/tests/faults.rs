use super::streams::observe_any_split;
use crate::service::Dialect::*;
use crate::service::fault::{StreamFault, error_event, heartbeat};
use crate::service::{Dialect, Ending};

const ALL: &[Dialect] = Dialect::ALL;

fn written(dialect: Dialect, message: &str) -> Option<String> {
    let fault = StreamFault { code: "upstream_truncated", kind: "upstream_error", message };
    let mut out = Vec::new();
    let is_written = error_event(dialect, &fault, &mut out);
    assert_eq!(is_written, !out.is_empty());
    is_written.then(|| String::from_utf8(out).unwrap())
}

#[test]
fn each_dialect_has_its_error_event() {
    let hint = crate::http::explained::hint("upstream_truncated");
    for (dialect, event) in [
        (
            OpenAiChat,
            "data: {\"error\":{\"message\":\"Cut.\",\"type\":\"upstream_error\",\"param\":null,\
             \"code\":\"upstream_truncated\",\"hint\":\"HINT\"}}\n\n",
        ),
        (
            Anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\
             \"message\":\"Cut.\",\"code\":\"upstream_truncated\",\"hint\":\"HINT\"}}\n\n",
        ),
        (
            Tgi,
            "data:{\"error\":\"Cut.\",\"error_type\":\"upstream_truncated\",\"hint\":\"HINT\"}\n\n",
        ),
        (Ollama, "{\"error\":\"Cut.\",\"code\":\"upstream_truncated\",\"hint\":\"HINT\"}\n"),
        (
            Gemini,
            "{\"error\":{\"code\":503,\"message\":\"Cut.\",\"status\":\"UNAVAILABLE\",\
             \"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\
             \"reason\":\"upstream_truncated\",\"domain\":\"sluicegate\",\
             \"metadata\":{\"hint\":\"HINT\"}}]}}\n\n\
             data: {\"error\":{\"code\":503,\"message\":\"Cut.\",\"status\":\"UNAVAILABLE\",\
             \"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\
             \"reason\":\"upstream_truncated\",\"domain\":\"sluicegate\",\
             \"metadata\":{\"hint\":\"HINT\"}}]}}\n\n",
        ),
        (
            Triton,
            "data: {\"error\":\"Cut.\",\"code\":\"upstream_truncated\",\"hint\":\"HINT\"}\n\n",
        ),
        (
            LlamaCpp,
            "data: {\"error\":{\"code\":500,\"message\":\"Cut.\",\"type\":\"upstream_error\",\
             \"reason\":\"upstream_truncated\",\"hint\":\"HINT\"}}\n\n",
        ),
        (
            Sglang,
            "data: {\"error\":{\"message\":\"Cut.\",\"type\":\"upstream_error\",\
             \"code\":\"upstream_truncated\",\"hint\":\"HINT\"}}\n\n",
        ),
    ] {
        assert_eq!(written(dialect, "Cut."), Some(event.replace("HINT", hint)));
    }
    assert_eq!(written(OpenAiCompletions, "x"), written(OpenAiChat, "x"));
    assert_eq!(written(KServe, "x"), written(Triton, "x"));
    assert_eq!((written(Generic, "x"), written(Text, "x")), (None, None));
}

/// The observer of a gateway behind us understands what we write, whatever the message says.
#[test]
fn an_error_event_is_seen_as_one() {
    for &dialect in ALL {
        for message in ["Cut.", "a \"quote\"\\ and\r\n\r\ndata: a line\u{0}"] {
            let Some(event) = written(dialect, message) else { continue };
            let seen = observe_any_split(dialect, event.as_bytes());
            assert_eq!(seen.ending, Ending::Failed, "{event}");
            assert!(seen.first_event_is_error && seen.at_boundary);
            assert_eq!(seen.data_events, 1);
            for json in event.split("\n\n").filter_map(|event| event.split_once('{')) {
                let json: serde_json::Value =
                    serde_json::from_str(&format!("{{{}", json.1)).unwrap();
                assert!(json.get("error").is_some());
            }
        }
    }
}

#[test]
fn a_heartbeat_is_no_event() {
    for &dialect in ALL {
        match heartbeat(dialect) {
            None => assert!(matches!(dialect, Ollama | Text)),
            Some(heartbeat) => {
                let seen = observe_any_split(dialect, heartbeat);
                assert!(seen.at_boundary);
                assert_eq!(seen.data_events, 0);
            }
        }
    }
}

/// Google's SDKs fail on comments, and one of them on blank lines: a sign of life is an answer that says
/// nothing. An error they look for as JSON alone, behind no `data:`; who reads events has it too.
#[test]
fn what_gemini_is_told_its_sdks_can_read() {
    let beat = heartbeat(Gemini).and_then(|beat| str::from_utf8(beat).ok());
    let beat = beat.unwrap_or_default();
    assert_eq!(beat, "data: {\"candidates\":[]}\n\n");
    // A gateway behind us knows what follows it.
    let answer =
        r#"data: {"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}"#;
    let stream = observe_any_split(Gemini, format!("{beat}{answer}\n\n").as_bytes());
    assert_eq!((stream.ending, stream.data_events), (Ending::Whole, 1));
    let told = written(Gemini, "Cut.").unwrap_or_default();
    let (bare, event) = told.split_once("data: ").unwrap_or_default();
    assert!(bare.starts_with("{\"error\":") && bare == event, "{told}");
}
