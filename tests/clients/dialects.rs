//! Answers as the gateway makes them in each dialect, written to files for the SDKs to read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::{Fallback, FallbackAnswer};
use sluicegate::responder::canned::{Caller, respond};
use sluicegate::responder::{Action, Head};
use sluicegate::service::Dialect;
use sluicegate::service::canned::AnswerForm;
use sluicegate::service::fault::{StreamFault, error_event, heartbeat};

/// What `dialects.py` expects to hear.
const TEXT: &str = "The model is \"out\",\nplease come back.";
/// Pieces with "The model ", and what comes before them.
const HEARD: usize = 2;
const FAULT: StreamFault<'static> = StreamFault {
    code: "upstream_truncated",
    kind: "upstream_error",
    message: "The upstream broke off.",
};

const DIALECTS: [(Dialect, &str); 5] = [
    (Dialect::OpenAiChat, "/v1/chat/completions"),
    (Dialect::OpenAiCompletions, "/v1/completions"),
    (Dialect::OpenAiResponses, "/v1/responses"),
    (Dialect::Anthropic, "/v1/messages"),
    (Dialect::Ollama, "/api/chat"),
];

/// A head and the pieces of a body.
fn answer(dialect: Dialect, path: &str, stream: bool, status: u16) -> (Head, Vec<Vec<u8>>) {
    let fallback = Fallback {
        status,
        headers: Vec::new(),
        answer: FallbackAnswer::Text(TEXT.into()),
        file: None,
        model: None,
        pace: Duration::ZERO,
    };
    let asked = AnswerForm { dialect, path, stream, include_usage: true };
    let caller =
        Caller { asked, model: Some("m"), reason: "no_endpoint", serial: 1, epoch: 1_700_000_000 };
    let mut responder = respond(&fallback, &caller, Instant::ZERO);
    let Action::Head(head) = responder.step(Instant::ZERO) else { panic!("no head") };
    let mut pieces = Vec::new();
    loop {
        match responder.step(Instant::ZERO) {
            Action::Data(piece) => pieces.push(piece.to_vec()),
            Action::End => return (head, pieces),
            step => panic!("{step:?}"),
        }
    }
}

/// Writes `FOLDER/SCENARIO/DIALECT.json` for all of them.
pub fn write(folder: &Path) {
    for (dialect, path) in DIALECTS {
        let store = |scenario: &str, head: &Head, body: &[Vec<u8>]| {
            let body = String::from_utf8(body.concat()).expect("UTF-8");
            let answer = serde_json::json!({
                "status": head.status,
                "content_type": head.content_type,
                "body": body,
            });
            let folder = folder.join(scenario);
            fs::create_dir_all(&folder).expect("a temporary folder");
            let file = folder.join(format!("{}.json", dialect.name()));
            fs::write(file, answer.to_string()).expect("a temporary file");
        };
        let (head, pieces) = answer(dialect, path, true, 200);
        store("stream", &head, &pieces);

        let beat = heartbeat(dialect).unwrap_or_default().to_vec();
        let beats: Vec<_> = pieces.iter().flat_map(|piece| [beat.clone(), piece.clone()]).collect();
        store("heartbeats", &head, &beats);

        let opening = !matches!(dialect, Dialect::OpenAiCompletions | Dialect::Ollama);
        let mut broken = pieces[..HEARD + usize::from(opening)].to_vec();
        broken.push(beat);
        let mut event = Vec::new();
        assert!(error_event(dialect, &FAULT, &mut event));
        broken.push(event);
        store("broken", &head, &broken);

        let (head, pieces) = answer(dialect, path, false, 200);
        store("document", &head, &pieces);
        let (head, pieces) = answer(dialect, path, true, 503);
        store("error", &head, &pieces);
    }
}
