//! One real request to a server, in its own dialect: how its answer streams.

use std::time::{Duration, Instant};

use serde_json::json;

use super::ServerPlace;
use crate::config::snapshot::{TranslateTo, Upstream};
use crate::control::client::{Ask, AskFailure};
use crate::service::translate::{self, Pair, TensorNames};
use crate::service::{Dialect, Observer, Setting};

/// How one real request went: when what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    pub status: u16,
    /// What it was asked for.
    pub path: String,
    /// Events of the stream that said something, `[DONE]` and comments not counted.
    pub events: u64,
    /// From the request to the first event.
    pub first: Duration,
    /// The longest time between two events.
    pub longest_gap: Duration,
    /// Reads that held an event: one for all of them means that somebody collects them.
    pub pieces: usize,
    /// The end of the dialect was there.
    pub is_whole: bool,
}

/// In what the servers of `upstream` are asked for a stream; `None`: they have none, or none that is known.
pub fn spoken(upstream: &Upstream) -> Option<TranslateTo> {
    let own = |dialect| TranslateTo { dialect, path: None, tensors: TensorNames::default() };
    let spoken = match (&upstream.translate_to, upstream.service) {
        (Some(to), _) => to.clone(),
        (None, Setting::Anthropic) => own(Dialect::Anthropic),
        (None, Setting::Tgi) => own(Dialect::Tgi),
        (None, Setting::Ollama) => own(Dialect::Ollama),
        (None, Setting::Gemini) => own(Dialect::Gemini),
        (None, Setting::Triton) => own(Dialect::Triton),
        (None, Setting::KServe | Setting::Text) => return None,
        // Those with a path of their own have OpenAI's too.
        (
            None,
            Setting::Auto | Setting::OpenAi | Setting::LlamaCpp | Setting::Sglang | Setting::None,
        ) => own(Dialect::OpenAiChat),
    };
    (spoken.dialect != Dialect::KServe).then_some(spoken)
}

/// Asks this model for a few tokens as a stream, and looks how they come.
pub fn stream(
    place: ServerPlace<'_>,
    spoken: &TranslateTo,
    model: &str,
    patience: Duration,
) -> Result<Streamed, AskFailure> {
    let (path, post) = question(spoken, model);
    let place_path = place.path(&path);
    let lines = format!("{}{}", place.key_lines, lines_of(spoken.dialect));
    let ask = Ask { post: Some(&post), lines: &lines, ..place.ask(&place_path, patience) };
    let began = Instant::now();
    let mut seen = Streamed { path, ..Streamed::default() };
    let mut observer = Observer::of_stream(spoken.dialect);
    let mut last = began;
    seen.status = ask.listen(|data| {
        observer.feed(data);
        let events = observer.data_events().saturating_sub(observer.saw_done().into());
        if events > seen.events {
            let now = Instant::now();
            match seen.events {
                0 => seen.first = now - began,
                _ => seen.longest_gap = seen.longest_gap.max(now - last),
            }
            last = now;
            seen.events = events;
            seen.pieces += 1;
        }
        Ok(())
    })?;
    seen.is_whole = observer.is_whole();
    Ok(seen)
}

/// Lines of the head that servers of this dialect want in each request.
pub fn lines_of(dialect: Dialect) -> String {
    let field = Pair::of(Dialect::OpenAiChat, dialect).and_then(Pair::field);
    field.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default()
}

/// The path, and the body.
fn question(spoken: &TranslateTo, model: &str) -> (String, String) {
    let chat = json!({
        "model": model,
        "stream": true,
        "max_tokens": 16,
        "messages": [{ "role": "user", "content": "Count from one to ten." }],
    })
    .to_string();
    let asked = Pair::of(Dialect::OpenAiChat, spoken.dialect).and_then(|pair| {
        let made = translate::request_in(pair, chat.as_bytes(), Some(model), &spoken.tensors);
        let made = made.ok()?;
        let path = pair.target(spoken.path.as_deref(), &made);
        Some((path, String::from_utf8(made.body).ok()?))
    });
    asked.unwrap_or_else(|| {
        let path = spoken.path.as_deref().unwrap_or("/v1/chat/completions");
        (path.to_owned(), chat)
    })
}
