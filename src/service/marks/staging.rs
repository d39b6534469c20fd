//! What the event that comes now says, member by member.

use super::choices::Choices;
use super::words::*;
use super::{Count, Counts, Marks};
use crate::http::json::{Found, ITEM, Word};
use crate::service::Dialect;
use crate::service::refusal::{Blame, NAMES, SENTENCES, says_something};

/// Things an event has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said(u16);

impl Said {
    pub const NOTHING: Said = Said(0);
    pub const END: Said = Said(1);
    pub const ERROR: Said = Said(2);
    /// "It goes on".
    pub const GOES_ON: Said = Said(4);
    /// An error in front of that.
    pub const ERROR_IN_FRONT: Said = Said(8);
    /// What opens the list of choices stands where the list began in the deltas before.
    pub const IN_PLACE: Said = Said(16);
    /// What it says of tokens is not said of the answer.
    pub const UNCOUNTED: Said = Said(32);
    /// A part of the answer.
    pub const ANSWER: Said = Said(64);
    /// A text is there, and empty.
    pub const EMPTY: Said = Said(128);
    /// A member that only events of its dialect have, or have beside another one.
    pub const SHAPE: Said = Said(256);
    /// That other one.
    pub const BESIDE: Said = Said(512);
    /// The value that comes now has a letter at least.
    const REASON: Said = Said(1024);
    /// By its type it is no more than that.
    pub const SIGN_OF_LIFE: Said = Said(2048);
    /// TGI's companion of an error.
    pub const ERROR_TYPE: Said = Said(4096);
    /// In three bits, beside an error: whose fault it is. 0: the server's.
    const BLAME: Said = Said(7 << Said::BLAME_AT);
    const BLAME_AT: u32 = 13;

    /// What a mark that goes on does not take back.
    const LASTING: u16 = Said::IN_PLACE.0
        | Said::BLAME.0
        | Said::ANSWER.0
        | Said::SHAPE.0
        | Said::BESIDE.0
        | Said::ERROR_TYPE.0
        | Said::ERROR_IN_FRONT.0;

    pub fn has(self, what: Said) -> bool {
        self.0 & what.0 != 0
    }

    pub fn add(&mut self, what: Said) {
        self.0 |= what.0;
    }

    pub fn remove(&mut self, what: Said) {
        self.0 &= !what.0;
    }

    /// Whose fault the error is, if this is one.
    pub fn blame(self) -> Blame {
        Blame::of_number((self.0 >> Said::BLAME_AT) as u8)
    }

    fn add_blame(&mut self, blame: Blame) {
        let blame = self.blame().max(blame) as u16;
        self.0 = self.0 & !Said::BLAME.0 | blame << Said::BLAME_AT;
    }
}

/// Where findings go.
pub(super) struct Staging<'a> {
    pub dialect: Dialect,
    pub event: &'a mut Word,
    pub choices: &'a mut Choices,
    pub counts: &'a mut Counts,
    pub said: &'a mut Said,
    pub begins: &'a mut u16,
}

impl Staging<'_> {
    /// One finding, `at` so many bytes of the data.
    pub fn take(&mut self, path: &[Word], at: usize, found: Found<'_>, note: &mut u32) {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => self.openai(path, at, found),
            Dialect::OpenAiResponses => self.responses(path, found),
            Dialect::Anthropic => self.anthropic(path, found),
            Dialect::Tgi => self.tgi(path, at, found),
            Dialect::Ollama => self.ollama(path, at, found),
            Dialect::Gemini
            | Dialect::KServe
            | Dialect::Triton
            | Dialect::LlamaCpp
            | Dialect::Sglang
            | Dialect::Text
            | Dialect::Generic => {}
        }
        self.error(path, found, note);
    }

    fn openai(&mut self, path: &[Word], at: usize, found: Found<'_>) {
        match path {
            [.., FINISH_REASON] if found == Found::Null => self.choice_goes_on(),
            [CHOICES, ITEM, FINISH_REASON] => match self.reason(found) {
                // OpenRouter's way to say that a provider broke off.
                Some(ERROR) => self.said.add(Said::ERROR),
                Some(_) if self.choices.are_several() => self.choices.end(),
                Some(_) => self.said.add(Said::END),
                None => {}
            },
            [CHOICES] if found == Found::Container => self.begin(at),
            [CHOICES, ITEM] => self.choices.begin(),
            [CHOICES, ITEM, INDEX] => {
                if let Found::Number(Some(index)) = found {
                    self.choices.index(index);
                }
            }
            [CHOICES, ITEM, TEXT]
            | [CHOICES, ITEM, MESSAGE, CONTENT]
            | [CHOICES, ITEM, DELTA, FUNCTION_CALL, NAME | ARGUMENTS]
            | [CHOICES, ITEM, DELTA, AUDIO, DATA | TRANSCRIPT] => self.text(found),
            // Who speaks, and by what name, is no part of what is said.
            [CHOICES, ITEM, DELTA, member] if !matches!(*member, ROLE | NAME) => self.text(found),
            [CHOICES, ITEM, DELTA, TOOL_CALLS | CONTENT | IMAGES | REASONING_DETAILS, ITEM] => {
                self.said.add(Said::ANSWER);
            }
            [OBJECT] => match found {
                Found::StringEnd(CHUNK | TEXT_COMPLETION) => self.said.add(Said::SHAPE),
                // Older vLLM and SGLang: the error object itself, not wrapped.
                Found::StringEnd(ERROR) => self.said.add(Said::ERROR),
                _ => {}
            },
            [TYPE] if found == Found::StringEnd(ERROR) => self.said.add(Said::ERROR),
            // Groq's and Moonshot's stand elsewhere.
            [USAGE, counted @ ..]
            | [X_GROQ, USAGE, counted @ ..]
            | [CHOICES, ITEM, USAGE, counted @ ..] => self.usage(counted, found),
            _ => {}
        }
    }

    fn usage(&mut self, counted: &[Word], found: Found<'_>) {
        match counted {
            [PROMPT_TOKENS] => count(found, &mut self.counts.prompt),
            [COMPLETION_TOKENS] => count(found, &mut self.counts.completion),
            [PROMPT_TOKENS_DETAILS, CACHED_TOKENS] | [PROMPT_CACHE_HIT] => {
                count(found, &mut self.counts.cached);
            }
            [COMPLETION_TOKENS_DETAILS, REASONING_TOKENS] => count(found, &mut self.counts.apart),
            _ => {}
        }
    }

    fn responses(&mut self, path: &[Word], found: Found<'_>) {
        match path {
            [TYPE] => self.name(found),
            [DELTA] if found == Found::String => self.said.add(Said::EMPTY),
            [DELTA] | [OUTPUT_ITEM, NAME] | [PART, TEXT] => self.text(found),
            [DELTA, member] if *member != TYPE => self.text(found),
            [USAGE, INPUT_TOKENS] | [RESPONSE, USAGE, INPUT_TOKENS] => {
                count(found, &mut self.counts.prompt);
            }
            [USAGE, OUTPUT_TOKENS] | [RESPONSE, USAGE, OUTPUT_TOKENS] => {
                count(found, &mut self.counts.completion);
            }
            [USAGE, INPUT_TOKENS_DETAILS, CACHED_TOKENS]
            | [RESPONSE, USAGE, INPUT_TOKENS_DETAILS, CACHED_TOKENS] => {
                count(found, &mut self.counts.cached);
            }
            [USAGE, OUTPUT_TOKENS_DETAILS, REASONING_TOKENS]
            | [RESPONSE, USAGE, OUTPUT_TOKENS_DETAILS, REASONING_TOKENS] => {
                count(found, &mut self.counts.apart);
            }
            _ => {}
        }
    }

    fn anthropic(&mut self, path: &[Word], found: Found<'_>) {
        match path {
            [TYPE] => self.name(found),
            [DELTA, STOP_REASON] => self.ends(found),
            // A call of a tool, or its result: there is something, by whatever name.
            [CONTENT_BLOCK, TYPE] => {
                if matches!(found, Found::StringEnd(word) if !matches!(word, TEXT | THINKING)) {
                    self.said.add(Said::ANSWER);
                }
            }
            [CONTENT_BLOCK, TEXT | THINKING] => self.text(found),
            [DELTA, member] if *member != TYPE => {
                self.text(found);
                if found == Found::Container {
                    self.said.add(Said::ANSWER);
                }
            }
            [USAGE, INPUT_TOKENS] | [MESSAGE, USAGE, INPUT_TOKENS] => {
                count(found, &mut self.counts.prompt);
            }
            [USAGE, CACHE_CREATION] | [MESSAGE, USAGE, CACHE_CREATION] => {
                count(found, &mut self.counts.apart);
            }
            [USAGE, CACHE_READ] | [MESSAGE, USAGE, CACHE_READ] => {
                count(found, &mut self.counts.cached);
            }
            [USAGE, OUTPUT_TOKENS] | [MESSAGE, USAGE, OUTPUT_TOKENS] => {
                count(found, &mut self.counts.completion);
            }
            _ => {}
        }
    }

    fn tgi(&mut self, path: &[Word], at: usize, found: Found<'_>) {
        match path {
            [.., GENERATED_TEXT] if found == Found::Null => {
                if path.len() == 1 {
                    self.said.add(Said::BESIDE);
                }
                self.choice_goes_on();
            }
            [GENERATED_TEXT] => {
                self.said.add(Said::BESIDE);
                match found {
                    Found::String => self.said.add(Said::EMPTY),
                    Found::Text(_) => {
                        self.said.remove(Said::EMPTY);
                        self.said.add(Said::END);
                    }
                    _ => {}
                }
            }
            [TOKEN] if found == Found::Container => self.begin(at),
            [TOKEN, TEXT] => self.text(found),
            [DETAILS, FINISH_REASON] => self.ends(found),
            [DETAILS, INPUT_LENGTH] => count(found, &mut self.counts.prompt),
            [DETAILS, GENERATED_TOKENS] => count(found, &mut self.counts.completion),
            [ERROR_TYPE] => {
                self.said.add(Said::ERROR_TYPE);
                self.code(found);
            }
            _ => {}
        }
    }

    fn ollama(&mut self, path: &[Word], at: usize, found: Found<'_>) {
        match path {
            [.., DONE] if found == Found::False => {
                if path.len() == 1 {
                    self.said.add(Said::BESIDE);
                }
                self.choice_goes_on();
            }
            [DONE] if found == Found::True => self.said.add(Said(Said::BESIDE.0 | Said::END.0)),
            [MESSAGE] if found == Found::Container => self.begin(at),
            [RESPONSE] if found == Found::String => {
                self.begin(at);
                *self.begins |= Marks::TEXT;
            }
            [RESPONSE | THINKING] | [MESSAGE, CONTENT | THINKING] => self.text(found),
            [MESSAGE, TOOL_CALLS | IMAGES, ITEM] => self.said.add(Said::ANSWER),
            [PROMPT_EVAL_COUNT] => count(found, &mut self.counts.prompt),
            [EVAL_COUNT] => count(found, &mut self.counts.completion),
            _ => {}
        }
    }

    /// What all dialects say of errors. Whose fault one is counts beside an error only.
    fn error(&mut self, path: &[Word], found: Found<'_>, note: &mut u32) {
        match path {
            [ERROR, below @ ..] => {
                if says_something(found) {
                    self.said.add(Said::ERROR);
                }
                self.words_of_error(below, found, note);
            }
            [RESPONSE, ERROR, below @ ..] | [CHOICES, ITEM, ERROR, below @ ..] => {
                self.words_of_error(below, found, note);
            }
            [TYPE] => {
                if matches!(found, Found::StringEnd(PING | KEEPALIVE | HEARTBEAT)) {
                    self.said.add(Said::SIGN_OF_LIFE);
                }
                self.code(found);
            }
            [CODE] => self.code(found),
            [MESSAGE | DETAIL] => self.sentence(found, note),
            _ => {}
        }
    }

    /// What stands in an error, `below` its name.
    fn words_of_error(&mut self, below: &[Word], found: Found<'_>, note: &mut u32) {
        if matches!(below, [.., CODE | TYPE]) {
            self.code(found);
        }
        // There some repeat the request: those are the client's words.
        if !below.contains(&INPUT) {
            self.sentence(found, note);
        }
    }

    /// The code or the type of an error.
    fn code(&mut self, found: Found<'_>) {
        let blame = match found {
            Found::StringEnd(name) => {
                let place = CODE_WORDS.iter().position(|code| *code == name);
                place.map(|place| NAMES[place].1)
            }
            Found::Number(Some(status)) => Some(Blame::of_status(status)),
            _ => None,
        };
        if let Some(blame) = blame {
            self.said.add_blame(blame);
        }
    }

    /// The words of an error, `note`: how far they go with the sentences of refusals.
    fn sentence(&mut self, found: Found<'_>, note: &mut u32) {
        if let Found::Text(words) = found
            && let Some(blame) = Blame::of_words(SENTENCES.find(note, words))
        {
            self.said.add_blame(blame);
        }
    }

    fn choice_goes_on(&mut self) {
        *self.counts = Counts::UNKNOWN;
        if self.said.has(Said::ERROR) {
            self.said.add(Said::ERROR_IN_FRONT);
        }
        *self.said = Said(self.said.0 & Said::LASTING | Said::GOES_ON.0);
    }

    /// What opens the list of choices, or stands for it, has come.
    fn begin(&mut self, at: usize) {
        self.said.add(Said::SHAPE);
        *self.begins = match u16::try_from(at) {
            Ok(at) if at < Marks::TEXT => at,
            _ => Marks::NOWHERE,
        };
    }

    /// Where a part of the answer stands, if there is any.
    fn text(&mut self, found: Found<'_>) {
        if matches!(found, Found::Text(_)) {
            self.said.add(Said::ANSWER);
        }
    }

    /// Why something has ended; an empty text, or `"null"`, is no reason.
    fn reason(&mut self, found: Found<'_>) -> Option<Word> {
        match found {
            Found::String => self.said.remove(Said::REASON),
            Found::Text(_) => self.said.add(Said::REASON),
            Found::StringEnd(word) => {
                return (self.said.has(Said::REASON) && word != NULL).then_some(word);
            }
            _ => {}
        }
        None
    }

    /// Where a reason to have ended stands, if there is one.
    fn ends(&mut self, found: Found<'_>) {
        if self.reason(found).is_some() {
            self.said.add(Said::END);
        }
    }

    /// The type of an event whose line has not named it.
    fn name(&mut self, found: Found<'_>) {
        if let Found::StringEnd(name) = found
            && *self.event == UNNAMED
        {
            *self.event = name;
        }
    }
}

fn count(found: Found<'_>, count: &mut Count) {
    if let Found::Number(Some(number)) = found {
        *count = Count::of(number);
    }
}
