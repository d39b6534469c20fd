//! The fields by which each dialect tells that a stream has ended, has failed, and what it cost.
//!
//! What an event says is *staged* while it comes and counts when the event is dispatched. Its data
//! is one JSON text, over however many lines it is written; what is no complete one says nothing.
//!
//! A delta says nothing either, and nearly every line is one; to walk through each would cost more
//! than to relay it. In the dialects that write `"finish_reason":null` into every delta the last
//! such mark is found by one vector search from the end of the line, and if no `{` comes behind it
//! there is nothing to be found in the line. For this to be exact whatever a server writes, the
//! rule is part of the meaning: a mark with the value that says "it goes on", anywhere in an event,
//! takes back what was staged before it, and an error behind it is none.
//!
//! An answer of several choices has as many ends. Where more than one was asked for each is counted,
//! and a delta with more than one mark is walked; where nobody knows how many were, every line is.

mod choices;
mod search;
mod words;

use self::choices::Choices;
use self::search::{ERROR_SEARCH, OLLAMA_SEARCH, OPENAI_SEARCH, TGI_SEARCH, USAGE_SEARCH};
use self::words::*;
use super::{Dialect, Usage};
use crate::http::json::{Found, ITEM, Matcher, Walker, Word};
use crate::http::sse::Watcher;

/// Counts of tokens, `NONE` where there is none.
#[derive(Clone, Copy, Debug)]
struct Counts {
    prompt: u32,
    completion: u32,
}

impl Counts {
    const NONE: u32 = u32::MAX;
    const UNKNOWN: Counts = Counts { prompt: Counts::NONE, completion: Counts::NONE };
}

/// Things an event, or a stream, has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said(u8);

impl Said {
    const NOTHING: Said = Said(0);
    const END: Said = Said(1);
    const ERROR: Said = Said(2);
    /// Of an event: "it goes on".
    const GOES_ON: Said = Said(4);
    /// Of a stream: a data event.
    const EVENT: Said = Said(8);
    const ERROR_FIRST: Said = Said(16);
    /// Of an event: counts of tokens.
    const COUNTS: Said = Said(32);
    /// Of an error: it is the client's own.
    const CLIENTS: Said = Said(64);

    fn has(self, what: Said) -> bool {
        self.0 & what.0 != 0
    }

    fn add(&mut self, what: Said) {
        self.0 |= what.0;
    }
}

/// What one answer has said so far.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    walker: Walker,
    /// Of dispatched events.
    counts: Counts,
    seen: Said,
    /// Of the event that comes now.
    staged_counts: Counts,
    staged: Said,
    name: Matcher,
    /// The name of the event, [`UNNAMED`] or one of the words.
    event: Word,
    choices: Choices,
    dialect: Dialect,
}

impl Marks {
    pub fn new(dialect: Dialect) -> Marks {
        Marks {
            walker: Walker::new(),
            counts: Counts::UNKNOWN,
            seen: Said::NOTHING,
            staged_counts: Counts::UNKNOWN,
            staged: Said::NOTHING,
            name: Matcher::new(&WORDS),
            event: UNNAMED,
            choices: Choices::ONE,
            dialect,
        }
    }

    /// How many choices the answer is to have; `None`: nobody knows. Only OpenAI's older dialects
    /// have several.
    pub fn expect_choices(&mut self, asked: Option<u32>) {
        if matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions) {
            self.choices = Choices::new(asked);
        }
    }

    pub fn first_event_is_error(&self) -> bool {
        self.seen.has(Said::ERROR_FIRST)
    }

    pub fn saw_error(&self) -> bool {
        self.seen.has(Said::ERROR)
    }

    /// Whether the error was the client's own: a prompt too long, a content filter, a bad request.
    pub fn saw_clients_error(&self) -> bool {
        self.saw_error() && self.seen.has(Said::CLIENTS)
    }

    /// Whether a stream of this dialect may end anywhere.
    pub fn needs_no_end(&self) -> bool {
        self.dialect == Dialect::Generic
    }

    /// Whether the mark of the end has come. `done`: a data line was `[DONE]`.
    pub fn saw_end(&self, done: bool) -> bool {
        let ends = matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
        self.seen.has(Said::END) && self.choices.have_ended() || done && ends
    }

    pub fn usage(&self) -> Option<Usage> {
        let Counts { prompt, completion } = self.counts;
        let told = |count: u32| (count != Counts::NONE).then_some(count);
        let usage = Usage { prompt: told(prompt), completion: told(completion) };
        (usage.prompt.is_some() || usage.completion.is_some()).then_some(usage)
    }

    /// An answer in one piece has ended.
    pub fn end_document(&mut self) {
        self.dispatched(true);
    }

    #[inline(never)]
    fn walk(&mut self, part: &[u8]) {
        let Marks { walker, staged_counts, staged, event, choices, dialect, .. } = self;
        let words = match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => &OPENAI_WORDS,
            Dialect::Tgi => &TGI_WORDS,
            Dialect::Ollama => &OLLAMA_WORDS,
            _ => &OTHER_WORDS,
        };
        let mut staging =
            Staging { dialect: *dialect, event, choices, counts: staged_counts, said: staged };
        walker.feed(words, part, |path, _, found| match found {
            Found::Text(_) | Found::String => {}
            _ => staging.take(path, found),
        });
    }

    /// Whether the data of this event can hold anything of interest.
    fn is_of_interest(&self) -> bool {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::Tgi | Dialect::Ollama => {
                true
            }
            Dialect::Anthropic => {
                matches!(self.event, UNNAMED | MESSAGE_START | MESSAGE_DELTA | ERROR)
            }
            Dialect::OpenAiResponses => {
                matches!(self.event, UNNAMED | COMPLETED | FAILED | INCOMPLETE | ERROR)
            }
            Dialect::Generic => false,
        }
    }

    /// The same where choices are counted.
    #[cold]
    fn says_nothing_of_choices(&self, line: &[u8]) -> bool {
        !self.choices.are_unknown() && OPENAI_SEARCH.stands_once(line)
    }

    /// Whether data that is one complete line can be left aside.
    fn says_nothing(&self, line: &[u8]) -> bool {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => {
                let delta = OPENAI_SEARCH.is_delta(line).unwrap_or_else(|| {
                    // Without the mark: usage at the end, an error, or a server that leaves out
                    // what is null.
                    USAGE_SEARCH.find(line).is_none() && ERROR_SEARCH.find(line).is_none()
                });
                delta && (!self.choices.are_several() || self.says_nothing_of_choices(line))
            }
            Dialect::Tgi => TGI_SEARCH.is_delta(line).unwrap_or(false),
            Dialect::Ollama => OLLAMA_SEARCH.is_delta(line).unwrap_or(false),
            Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Generic => false,
        }
    }
}

/// Where findings go.
struct Staging<'a> {
    dialect: Dialect,
    event: &'a mut Word,
    choices: &'a mut Choices,
    counts: &'a mut Counts,
    said: &'a mut Said,
}

impl Staging<'_> {
    fn take(&mut self, path: &[Word], found: Found<'_>) {
        use Dialect::*;
        match (self.dialect, path) {
            (OpenAiChat | OpenAiCompletions, [.., FINISH_REASON]) => match found {
                Found::Null => self.go_on(),
                _ if path != [CHOICES, ITEM, FINISH_REASON] => {}
                // OpenRouter's way to say that a provider broke off.
                Found::StringEnd(ERROR) => self.said.add(Said::ERROR),
                _ if self.choices.are_several() => self.choices.end(),
                _ => self.said.add(Said::END),
            },
            (OpenAiChat | OpenAiCompletions, [CHOICES, ITEM]) => self.choices.begin(),
            (OpenAiChat | OpenAiCompletions, [CHOICES, ITEM, INDEX]) => {
                if let Found::Number(Some(index)) = found {
                    self.choices.index(index);
                }
            }
            (Tgi, [.., GENERATED_TEXT]) => match found {
                Found::Null => self.go_on(),
                _ if path.len() == 1 => self.said.add(Said::END),
                _ => {}
            },
            (Ollama, [.., DONE]) => match found {
                Found::False => self.go_on(),
                Found::True if path.len() == 1 => self.said.add(Said::END),
                _ => {}
            },
            (OpenAiChat | OpenAiCompletions, [USAGE, PROMPT_TOKENS])
            | (OpenAiResponses | Anthropic, [USAGE, INPUT_TOKENS])
            | (OpenAiResponses, [RESPONSE, USAGE, INPUT_TOKENS])
            | (Anthropic, [MESSAGE, USAGE, INPUT_TOKENS])
            | (Tgi, [DETAILS, INPUT_LENGTH])
            | (Ollama, [PROMPT_EVAL_COUNT]) => {
                self.said.add(Said::COUNTS);
                count(found, &mut self.counts.prompt);
            }
            (OpenAiChat | OpenAiCompletions, [USAGE, COMPLETION_TOKENS])
            | (OpenAiResponses | Anthropic, [USAGE, OUTPUT_TOKENS])
            | (OpenAiResponses, [RESPONSE, USAGE, OUTPUT_TOKENS])
            | (Anthropic, [MESSAGE, USAGE, OUTPUT_TOKENS])
            | (Tgi, [DETAILS, GENERATED_TOKENS])
            | (Ollama, [EVAL_COUNT]) => {
                self.said.add(Said::COUNTS);
                count(found, &mut self.counts.completion);
            }
            (_, [ERROR]) if matches!(found, Found::Null | Found::False) => {}
            (_, [ERROR]) if self.said.has(Said::GOES_ON) => {}
            (_, [ERROR]) => self.said.add(Said::ERROR),
            // Older vLLM and SGLang: the error object itself, not wrapped.
            (OpenAiChat | OpenAiCompletions, [OBJECT])
                if found == Found::StringEnd(ERROR) && !self.said.has(Said::GOES_ON) =>
            {
                self.said.add(Said::ERROR);
            }
            (OpenAiResponses | Anthropic, [TYPE]) if *self.event == UNNAMED => {
                if let Found::StringEnd(name) = found {
                    *self.event = name;
                }
            }
            // Counts beside an error only.
            (_, [ERROR, CODE | TYPE] | [CODE | TYPE])
            | (OpenAiResponses, [RESPONSE, ERROR, CODE | TYPE])
            | (Tgi, [ERROR_TYPE])
                if is_clients_error(found) =>
            {
                self.said.add(Said::CLIENTS);
            }
            _ => {}
        }
    }

    fn go_on(&mut self) {
        *self.counts = Counts::UNKNOWN;
        *self.said = Said::GOES_ON;
    }
}

/// Whether the code or the type of an error says that the request was at fault, and not the server.
fn is_clients_error(found: Found<'_>) -> bool {
    match found {
        Found::StringEnd(name) => CLIENTS_ERRORS.contains(&name),
        Found::Number(Some(status)) => matches!(status, 400..=499) && !matches!(status, 408 | 429),
        _ => false,
    }
}

fn count(found: Found<'_>, count: &mut u32) {
    if let Found::Number(Some(number)) = found {
        // The largest number means that there is none.
        *count = number.min(Counts::NONE - 1);
    }
}

impl Watcher for Marks {
    fn name(&mut self, part: &[u8]) {
        if matches!(self.dialect, Dialect::Anthropic | Dialect::OpenAiResponses) {
            for &byte in part {
                if self.name.is_lost() {
                    return;
                }
                self.name.step(&WORDS, byte);
            }
        }
    }

    fn name_end(&mut self) {
        if matches!(self.dialect, Dialect::Anthropic | Dialect::OpenAiResponses) {
            self.event = self.name.word(&WORDS);
            self.name = Matcher::new(&WORDS);
        }
    }

    #[inline]
    fn object(&mut self, line: &[u8]) {
        debug_assert!(self.walker.is_fresh(), "the first data of its event");
        if self.is_of_interest() && !self.says_nothing(line) {
            self.walk(line);
        }
    }

    fn data(&mut self, part: &[u8]) {
        // What was of interest when it began is followed to its end.
        if !self.walker.is_fresh() || self.is_of_interest() {
            self.walk(part);
        }
    }

    fn data_end(&mut self) {
        if !self.walker.is_fresh() {
            self.walker.end_line();
            self.walk(b"\n");
        }
    }

    #[inline]
    fn dispatched(&mut self, has_data: bool) -> bool {
        if self.walker.is_fresh() && self.event == UNNAMED {
            // Nothing of it was looked at.
            if has_data {
                self.seen.add(Said::EVENT);
            }
            return has_data;
        }
        self.settle(has_data)
    }
}

impl Marks {
    /// An event is dispatched that has a name, or data that was looked at. Returns whether it counts.
    #[inline(never)]
    fn settle(&mut self, has_data: bool) -> bool {
        let mut said = std::mem::replace(&mut self.staged, Said::NOTHING);
        let mut counts = std::mem::replace(&mut self.staged_counts, Counts::UNKNOWN);
        let event = std::mem::replace(&mut self.event, UNNAMED);
        let whole = std::mem::take(&mut self.walker).is_complete();
        if !whole {
            (said, counts) = (Said::NOTHING, Counts::UNKNOWN);
        }
        if self.choices.are_several() && self.choices.settle(whole) {
            said.add(Said::END);
        }
        if !has_data {
            return false;
        }
        match (self.dialect, event) {
            // A sign of life, not of progress.
            (Dialect::Anthropic, PING) => return false,
            (Dialect::Anthropic, MESSAGE_STOP)
            | (Dialect::OpenAiResponses, COMPLETED | INCOMPLETE) => said.add(Said::END),
            // The last event of its stream, and the server's own word that there is no answer.
            (Dialect::OpenAiResponses, FAILED) => said.add(Said::ERROR),
            (Dialect::Anthropic | Dialect::OpenAiResponses, ERROR) => said.add(Said::ERROR),
            _ => {}
        }
        if said.has(Said::ERROR) && !self.seen.has(Said::EVENT) {
            self.seen.add(Said::ERROR_FIRST);
        }
        if !said.has(Said::ERROR) {
            said.0 &= !Said::CLIENTS.0;
        }
        self.seen.add(said);
        self.seen.add(Said::EVENT);
        // In these the counts come with the end.
        let late = matches!(self.dialect, Dialect::Tgi | Dialect::Ollama);
        if said.has(Said::COUNTS) && (said.has(Said::END) || !late) {
            let told =
                |staged: u32, count: u32| if staged == Counts::NONE { count } else { staged };
            self.counts.prompt = told(counts.prompt, self.counts.prompt);
            self.counts.completion = told(counts.completion, self.counts.completion);
        }
        true
    }
}
