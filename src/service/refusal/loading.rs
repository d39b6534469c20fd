//! Whether an error says that the model is being loaded: the server is there, and will answer.
//!
//! A status alone does not tell: a 503 is most often one of a server that has too much to do. So the
//! words are compared, whole, with those that servers say while they load. `docs/services.md` names the
//! places.
//!
//! | who | status | says |
//! |---|---|---|
//! | llama.cpp | 503 | `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}` |
//! | Hugging Face's inference API | 503 | `{"error":"Model NAME is currently loading","estimated_time":20.0}` |
//! | KServe | 503 | `{"error":"Model with name NAME is not ready."}` |
//! | Ollama | 500 | `{"error":"unexpected server status: llm server loading model"}` |
//!
//! Absent on purpose: servers whose port refuses connections while they start (vLLM, SGLang, TGI). A
//! port that is shut says nothing of a model.

use serde_json::Value;

/// Whether an answer with this status may say it: its body has to be read.
pub fn may_say_loading(status: u16) -> bool {
    matches!(status, 500 | 503)
}

/// Whether the document of an answer with this status says that the model is being loaded.
pub fn says_loading(status: u16, body: &[u8]) -> bool {
    let Ok(Value::Object(document)) = serde_json::from_slice(body) else { return false };
    let words = match document.get("error") {
        Some(Value::String(words)) => Some(words.as_str()),
        Some(Value::Object(error)) => error.get("message").and_then(Value::as_str),
        _ => None,
    };
    words.is_some_and(|words| match status {
        503 => {
            words == "Loading model"
                || words.starts_with("Model") && words.ends_with(" is currently loading")
                || words.starts_with("Model with name ") && words.contains(" is not ready.")
        }
        500 => words == "unexpected server status: llm server loading model",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_load_are_told_from_servers_that_are_busy() {
        for (status, body, loading) in [
            (
                503,
                r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                true,
            ),
            // The same in the words of Anthropic: a translated answer is read in the client's.
            (
                503,
                r#"{"type":"error","error":{"type":"api_error","message":"Loading model"}}"#,
                true,
            ),
            (503, r#"{"error":"Model gpt2 is currently loading","estimated_time":20.0}"#, true),
            (503, r#"{"error":"Model is currently loading","estimated_time":45.2}"#, true),
            (503, r#"{"error":"Model with name iris is not ready."}"#, true),
            (500, r#"{"error":"unexpected server status: llm server loading model"}"#, true),
            (500, r#"{"error":{"message":"Loading model"}}"#, false),
            (503, r#"{"error":"unexpected server status: llm server loading model"}"#, false),
            (
                503,
                r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
                false,
            ),
            (503, r#"{"error":{"message":"Service Unavailable","type":"server_error"}}"#, false),
            (503, r#"{"error":{"message":"Loading model failed"}}"#, false),
            (503, r#"{"message":"Loading model"}"#, false),
            (503, r#"["Loading model"]"#, false),
            (503, "Loading model", false),
            (503, r#"{"error":{"message":"Loading mod"#, false),
            (503, "", false),
            (200, r#"{"error":{"message":"Loading model"}}"#, false),
        ] {
            assert_eq!(says_loading(status, body.as_bytes()), loading, "{status} {body}");
        }
    }
}
