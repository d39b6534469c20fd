//! What an event is, by its name and its members: one of the dialect's, a part of the answer, its end.

use super::staging::Said;
use super::words::*;
use super::{Marks, Seen};
use crate::http::json::Word;
use crate::service::Dialect;

impl Marks {
    /// The first event that says something: whether it is one of the expected dialect's.
    pub(super) fn claim(&mut self, said: Said, event: Word) -> bool {
        let failed = said.has(Said::ERROR) || matches!(event, ERROR | ERROR_LINE);
        let fits = match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => {
                said.has(Said::SHAPE) || failed || self.seen.has(Seen::DONE)
            }
            Dialect::OpenAiResponses => {
                let named = matches!(
                    event,
                    CREATED
                        | QUEUED
                        | IN_PROGRESS
                        | ITEM_ADDED
                        | PART_ADDED
                        | OUTPUT_TEXT_DELTA
                        | COMPLETED
                        | RESPONSE_DONE
                        | INCOMPLETE
                        | FAILED
                );
                named || failed || self.seen.has(Seen::DONE)
            }
            Dialect::Anthropic => {
                let named = matches!(
                    event,
                    MESSAGE_START
                        | CONTENT_BLOCK_START
                        | CONTENT_BLOCK_DELTA
                        | MESSAGE_DELTA
                        | MESSAGE_STOP
                );
                named || failed
            }
            // Either of the two members alone is many a server's.
            Dialect::Tgi => {
                let error = said.has(Said::ERROR) && said.has(Said::ERROR_TYPE);
                let named = matches!(event, ERROR | ERROR_LINE);
                said.has(Said::SHAPE) && said.has(Said::BESIDE) || error || named
            }
            Dialect::Ollama => said.has(Said::SHAPE) && said.has(Said::BESIDE) || failed,
            Dialect::Gemini
            | Dialect::KServe
            | Dialect::Triton
            | Dialect::LlamaCpp
            | Dialect::Sglang
            | Dialect::Text
            | Dialect::Generic => false,
        };
        if fits {
            self.seen.add(Seen::CLAIMED);
        }
        fits
    }

    /// Whether an event holds a part of the answer: text, a tool call, reasoning, a refusal, and not
    /// only that there will be one. Behind the first such event all that go on are progress: a token
    /// may have no text yet.
    pub(super) fn answers(&self, said: Said, event: Word, whole: bool) -> bool {
        let under_way = self.seen.has(Seen::ANSWER);
        match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::Tgi | Dialect::Ollama => {
                said.has(Said::ANSWER) || under_way && (said.has(Said::GOES_ON) || !whole)
            }
            Dialect::OpenAiResponses => match event {
                CREATED | QUEUED | IN_PROGRESS => false,
                COMPLETED | RESPONSE_DONE | INCOMPLETE | FAILED | ERROR | ERROR_LINE => false,
                ITEM_ADDED | PART_ADDED | SUMMARY_ADDED | UNNAMED => {
                    said.has(Said::ANSWER) || under_way
                }
                _ => said.has(Said::ANSWER) || under_way || !said.has(Said::EMPTY),
            },
            Dialect::Anthropic => match event {
                MESSAGE_START | ERROR | ERROR_LINE => false,
                CONTENT_BLOCK_START | CONTENT_BLOCK_DELTA => said.has(Said::ANSWER) || under_way,
                CONTENT_BLOCK_STOP | MESSAGE_DELTA | MESSAGE_STOP | UNNAMED => under_way,
                _ => true,
            },
            Dialect::Gemini
            | Dialect::KServe
            | Dialect::Triton
            | Dialect::LlamaCpp
            | Dialect::Sglang
            | Dialect::Text
            | Dialect::Generic => true,
        }
    }

    /// What the name of an event says of the end, and what only the whole of it can say.
    pub(super) fn conclude(&self, said: &mut Said, event: Word, answers: bool) {
        match (self.dialect, event) {
            (_, ERROR | ERROR_LINE) => said.add(Said::ERROR),
            (Dialect::Anthropic, MESSAGE_STOP) => said.add(Said::END),
            (Dialect::Anthropic, MESSAGE_DELTA) => {}
            // Where else a reason to stop, or a count, may stand.
            (
                Dialect::Anthropic,
                CONTENT_BLOCK_START | CONTENT_BLOCK_DELTA | CONTENT_BLOCK_STOP,
            ) => {
                said.remove(Said::END);
                said.add(Said::UNCOUNTED);
            }
            (Dialect::OpenAiResponses, COMPLETED | RESPONSE_DONE | INCOMPLETE) => {
                said.add(Said::END)
            }
            // The last event of its stream, and the server's own word that there is no answer.
            (Dialect::OpenAiResponses, FAILED) => said.add(Said::ERROR),
            // All that was generated, which is nothing.
            (Dialect::Tgi, _)
                if said.has(Said::EMPTY) && !answers && !self.seen.has(Seen::ANSWER) =>
            {
                said.add(Said::END);
            }
            _ => {}
        }
    }
}
