//! What a gateway tells the store of itself.

use serde_json::json;

use crate::http::timestamp;
use crate::sys;

/// Sentences told; of more, how many there are.
const SENTENCES_MAX: usize = 20;
/// Bytes of each.
const SENTENCE_BYTES_MAX: usize = 512;

/// What became of the parts that a gateway has read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// In force.
    generation: u32,
    /// The last change of a part that was read.
    revision: i64,
    /// Why what was read is not in force; empty: it is.
    refused: Vec<String>,
    problems: usize,
}

impl StatusLine {
    pub fn new(generation: u32, revision: i64, refused: &[String]) -> StatusLine {
        let short = |sentence: &String| {
            let ends = sentence.char_indices().map(|(at, _)| at).chain([sentence.len()]);
            let end = ends.take_while(|end| *end <= SENTENCE_BYTES_MAX).last().unwrap_or(0);
            sentence[..end].to_owned()
        };
        StatusLine {
            generation,
            revision,
            refused: refused.iter().take(SENTENCES_MAX).map(short).collect(),
            problems: refused.len(),
        }
    }

    /// As it stands in the store.
    pub fn json(&self, gateway: &str) -> String {
        json!({
            "gateway": gateway,
            "version": env!("CARGO_PKG_VERSION"),
            "generation": self.generation,
            "revision": self.revision,
            "in_force": self.problems == 0,
            "problems": self.problems,
            "refused": self.refused,
            "at": timestamp::written(sys::time_of_day().as_secs()),
        })
        .to_string()
    }
}
