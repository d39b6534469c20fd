//! `POST /playground`: a request of the dashboard's that is put to the gateway.
//!
//! ```json
//! { "path": "/v1/chat/completions", "dialect": "openai", "key": "sk-…", "request_id": "…",
//!   "host": "llm.example.com", "body": { … } }
//! ```
//!
//! The answer is server-sent events: how it began, each piece with its time, how it ended.

use std::fmt;
use std::sync::Arc;

use super::answer::{Feeding, answering};
use super::{Process, Reply};
use crate::clock::Instant;
use crate::responder::finished::Finished;
use crate::responder::{Action, Responder};

/// No request is longer: a conversation, without pictures.
pub const PLAYGROUND_BYTES: usize = 1 << 20;
/// A key, an id and a path are no longer.
const WORD_BYTES: usize = 2048;

/// A request as the gateway gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct PlaygroundCall {
    /// With its query.
    pub path: String,
    /// What `Host` says; `None`: the address that it is sent to.
    pub host: Option<String>,
    /// Further fields of the head.
    pub fields: Vec<(&'static str, String)>,
    /// A JSON text; `None`: a `GET`.
    pub body: Option<String>,
}

/// Without the fields: the key is in them.
impl fmt::Debug for PlaygroundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaygroundCall").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PlaygroundCall {
    /// Reads the body of a request; the error says what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<PlaygroundCall, &'static str> {
        let value: serde_json::Value =
            serde_json::from_slice(body).map_err(|_| "the body is no JSON")?;
        let members = value.as_object().ok_or("the body is no object")?;
        let known = ["path", "dialect", "key", "request_id", "host", "body"];
        if members.keys().any(|name| !known.contains(&&**name)) {
            return Err(
                "the body has path, dialect, key, request_id, host and body, and nothing else",
            );
        }
        let word = |name: &str| match &value[name] {
            serde_json::Value::Null => Ok(None),
            serde_json::Value::String(text) if is_word(text) => Ok(Some(text.clone())),
            _ => {
                Err("path, dialect, key, request_id and host are words of visible ASCII characters")
            }
        };
        let path =
            word("path")?.filter(|path| path.starts_with('/')).ok_or("path begins with /")?;
        let mut fields = Vec::new();
        let anthropic = match word("dialect")?.as_deref() {
            None | Some("openai") => false,
            Some("anthropic") => true,
            Some(_) => return Err("dialect is openai or anthropic"),
        };
        if anthropic {
            fields.push(("anthropic-version", "2023-06-01".to_owned()));
        }
        fields.extend(word("key")?.map(|key| match anthropic {
            true => ("x-api-key", key),
            false => ("Authorization", format!("Bearer {key}")),
        }));
        fields.extend(word("request_id")?.map(|id| ("X-Request-Id", id)));
        let body = Some(&value["body"]).filter(|body| !body.is_null());
        if body.is_some_and(|body| !body.is_object()) {
            return Err("body is an object: what the model is asked");
        }
        let host = word("host")?;
        Ok(PlaygroundCall { path, host, fields, body: body.map(ToString::to_string) })
    }
}

/// What may stand in a head without meaning anything else there.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= WORD_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A request of the page, until it can be put; then its answer.
pub(super) struct Calling {
    process: Arc<dyn Process>,
    body: Vec<u8>,
    answer: Option<Answer>,
}

enum Answer {
    Refused(Finished),
    Playing(Feeding),
}

impl Calling {
    pub fn new(process: Arc<dyn Process>) -> Calling {
        Calling { process, body: Vec::new(), answer: None }
    }

    fn call(&self) -> Answer {
        if self.body.len() > PLAYGROUND_BYTES {
            let reason = "a request of the playground has at most a megabyte";
            return Answer::Refused(answering(Reply::error(413, "body_too_large", reason)));
        }
        let call = PlaygroundCall::parse(&self.body)
            .map_err(|reason| Reply::error(400, "no_playground_call", reason));
        match call.and_then(|call| self.process.play(call)) {
            Ok(feed) => Answer::Playing(Feeding::new(feed)),
            Err(reply) => Answer::Refused(answering(reply)),
        }
    }
}

impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("body", &self.body.len()).finish_non_exhaustive()
    }
}

impl Responder for Calling {
    fn on_body(&mut self, data: &[u8]) {
        // One byte over the limit is enough to know that it is over.
        let room = (PLAYGROUND_BYTES + 1).saturating_sub(self.body.len());
        self.body.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn on_request_end(&mut self, _now: Instant) {
        self.answer = Some(self.call());
        self.body = Vec::new();
    }

    fn step(&mut self, now: Instant) -> Action {
        match &mut self.answer {
            None => Action::NeedBody,
            Some(Answer::Refused(refused)) => refused.step(now),
            Some(Answer::Playing(playing)) => playing.step(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_or_it_is_said_what_is_wrong() {
        let parse = |text: &str| PlaygroundCall::parse(text.as_bytes());
        let call = parse(r#"{"path":"/v1/x?a=b","key":"k","request_id":"r","body":{"model":"m"}}"#);
        let call = call.expect("a call");
        assert_eq!(
            (call.path.as_str(), call.body.as_deref()),
            ("/v1/x?a=b", Some(r#"{"model":"m"}"#))
        );
        let fields = [("Authorization", "Bearer k".to_owned()), ("X-Request-Id", "r".to_owned())];
        assert_eq!(call.fields, fields);
        assert!(!format!("{call:?}").contains("Bearer"), "the key is told nobody");
        let at = parse(r#"{"path":"/a","host":"llm.example.com"}"#).expect("a call");
        assert_eq!((call.host, at.host.as_deref()), (None, Some("llm.example.com")));
        let anthropic =
            parse(r#"{"path":"/v1/messages","dialect":"anthropic","key":"k"}"#).expect("a call");
        assert_eq!(anthropic.body, None);
        assert_eq!(anthropic.fields[1], ("x-api-key", "k".to_owned()));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"path":"v1"}"#,
            r#"{"path":"/a b"}"#,
            r#"{"path":"/a\r\nHost: evil"}"#,
            r#"{"path":"/a","key":"k\r\nX: y"}"#,
            r#"{"path":"/a","key":7}"#,
            r#"{"path":"/a","key":""}"#,
            r#"{"path":"/a","request_id":"é"}"#,
            r#"{"path":"/a","dialect":"gemini"}"#,
            r#"{"path":"/a","body":"text"}"#,
            r#"{"path":"/a","host":"a\r\nX: y"}"#,
            r#"{"path":"/a","upstream":"evil.example"}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
