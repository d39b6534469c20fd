//! What a stream has said so far, as text.
//!
//! It reads beside the observer, where a route asks for it, and knows less of ends and more of
//! what is in between: the text of each delta, without its escapes.
//!
//! * Any cut of the stream into pieces gives the same text.
//! * A text counts when its event has been dispatched, as it does for the client.
//! * Bounded: by the bytes it may have, and by the purse.

use super::{Kept, Purse};
use crate::http::json::{Decoder, Found, ITEM, Walker, Word, Words};
use crate::http::sse::{EventObserver, Watcher};
use crate::service::Dialect;
use crate::service::refusal::says_something;

const WORDS: Words = Words::new(&[
    "choices",
    "content",
    "delta",
    "error",
    "finish_reason",
    "function_call",
    "generated_text",
    "index",
    "reasoning",
    "reasoning_content",
    "refusal",
    "special",
    "text",
    "token",
    "tool_calls",
]);
static READ: Words = WORDS.all_below(ERROR);
const CHOICES: Word = WORDS.word("choices");
const CONTENT: Word = WORDS.word("content");
const DELTA: Word = WORDS.word("delta");
const ERROR: Word = WORDS.word("error");
const FINISH_REASON: Word = WORDS.word("finish_reason");
const FUNCTION_CALL: Word = WORDS.word("function_call");
const GENERATED_TEXT: Word = WORDS.word("generated_text");
const INDEX: Word = WORDS.word("index");
const REASONING: Word = WORDS.word("reasoning");
const REASONING_CONTENT: Word = WORDS.word("reasoning_content");
const REFUSAL: Word = WORDS.word("refusal");
const SPECIAL: Word = WORDS.word("special");
const TEXT: Word = WORDS.word("text");
const TOKEN: Word = WORDS.word("token");
const TOOL_CALLS: Word = WORDS.word("tool_calls");

/// Why a stream has no text that another server could go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// There is more of it than is kept.
    TooLong,
    /// It has said something that is not text, or that nobody here understands.
    NotText,
    /// It has said its end, or an error: there is no more to come.
    Ended,
}

/// Follows one stream.
#[derive(Debug)]
pub struct Transcript {
    events: EventObserver,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    dialect: Dialect,
    walker: Walker,
    decoder: Decoder,
    text: Kept,
    /// Bytes of `text` that dispatched events have said; those behind are of the event that comes.
    said: usize,
    limit: usize,
    tokens: u64,
    lacking: Option<Lacking>,
    event: Event,
}

/// What the event that comes now has said, beside its text.
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    choices: u32,
    /// The members that lead to the text and have come, see [`once`].
    members: u8,
    /// Its text is a mark of the model's and not shown.
    special: bool,
    ended: bool,
    other: bool,
}

impl Transcript {
    /// Of a stream that begins. At most `limit` bytes are kept, as far as the purse goes.
    pub fn new(dialect: Dialect, limit: usize, purse: &Purse) -> Transcript {
        let reader = Reader {
            dialect,
            walker: Walker::new(),
            decoder: Decoder::new(),
            text: Kept::new(purse),
            said: 0,
            limit,
            tokens: 0,
            lacking: None,
            event: Event::default(),
        };
        Transcript { events: EventObserver::new(), reader }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        if self.reader.lacking.is_some() {
            return;
        }
        self.events.feed_to(data, &mut self.reader);
    }

    /// The text of all events so far.
    pub fn text(&self) -> Result<&str, Lacking> {
        let Reader { text, said, lacking, .. } = &self.reader;
        if let Some(lacking) = lacking {
            return Err(*lacking);
        }
        // Each event's text was found to be UTF-8 when it was dispatched.
        std::str::from_utf8(&text.bytes()[..*said]).map_err(|_| Lacking::NotText)
    }

    /// Events that have said some of it: as many tokens at least.
    pub fn tokens(&self) -> u64 {
        self.reader.tokens
    }
}

impl Reader {
    fn give_up(&mut self, lacking: Lacking) {
        self.lacking.get_or_insert(lacking);
        self.text.clear();
        self.said = 0;
    }

    fn walk(&mut self, part: &[u8]) {
        if self.lacking.is_some() {
            return;
        }
        let Reader { dialect, walker, decoder, text, limit, event, .. } = self;
        let (dialect, limit) = (*dialect, *limit);
        let mut full = false;
        walker.feed(&READ, part, |path, _, found| match (found, is_text(dialect, path)) {
            (Found::String, true) => {
                event.meet(path);
                *decoder = Decoder::new();
            }
            (Found::Text(written), true) => decoder.push(written, |bytes| {
                let room = text.bytes().len() + bytes.len() <= limit;
                let kept = room.then(|| text.push(bytes)).flatten();
                full |= kept.is_none();
                kept
            }),
            (Found::StringEnd(_), true) => event.other |= !decoder.is_whole(),
            (Found::Null, true) => event.meet(path),
            (_, true) => event.other = true,
            (found, false) => event.take(dialect, path, found),
        });
        if full {
            self.give_up(Lacking::TooLong);
        }
    }
}

/// Whether this is where a dialect says its text.
fn is_text(dialect: Dialect, path: &[Word]) -> bool {
    match dialect {
        Dialect::OpenAiCompletions => path == [CHOICES, ITEM, TEXT],
        Dialect::OpenAiChat => path == [CHOICES, ITEM, DELTA, CONTENT],
        Dialect::Tgi => path == [TOKEN, TEXT],
        _ => false,
    }
}

/// The bit of a member that leads to the text. Of two with one name a reader may take the first or
/// the last, so an event says each of them once, or nobody knows what it says.
fn once(path: &[Word]) -> u8 {
    match path {
        [CHOICES] | [TOKEN] => 1,
        [CHOICES, ITEM, DELTA] | [TOKEN, SPECIAL] => 2,
        [CHOICES, ITEM, TEXT] | [CHOICES, ITEM, DELTA, CONTENT] | [TOKEN, TEXT] => 4,
        _ => 0,
    }
}

impl Event {
    /// A member begins.
    fn meet(&mut self, path: &[Word]) {
        let member = once(path);
        self.other |= self.members & member != 0;
        self.members |= member;
    }

    /// Something that is not the text.
    fn take(&mut self, dialect: Dialect, path: &[Word], found: Found<'_>) {
        if matches!(path, [ERROR, ..]) && says_something(found) {
            self.ended = true;
        }
        // An empty reason is none.
        if matches!(found, Found::Text(_)) && path == [CHOICES, ITEM, FINISH_REASON] {
            self.ended = true;
        }
        // Parts of strings: what they are was told where they began.
        if matches!(found, Found::Text(_) | Found::StringEnd(_)) {
            return;
        }
        self.meet(path);
        match (dialect, path) {
            (Dialect::Tgi, [GENERATED_TEXT]) => self.ended |= found != Found::Null,
            (Dialect::Tgi, [TOKEN, SPECIAL]) => self.special = found == Found::True,
            (_, [CHOICES, ITEM]) => self.choices += 1,
            (_, [CHOICES, ITEM, FINISH_REASON]) => {
                self.other |= !matches!(found, Found::Null | Found::String);
            }
            (_, [CHOICES, ITEM, INDEX]) => self.other |= found != Found::Number(Some(0)),
            (
                _,
                [
                    CHOICES,
                    ITEM,
                    DELTA,
                    FUNCTION_CALL | REASONING | REASONING_CONTENT | REFUSAL | TOOL_CALLS,
                ],
            ) => self.other |= found != Found::Null,
            _ => {}
        }
    }
}

impl Watcher for Reader {
    fn name_start(&mut self) {}

    fn name(&mut self, _part: &[u8]) {}

    fn name_end(&mut self) {}

    fn error_line(&mut self) {
        self.give_up(Lacking::Ended);
    }

    fn done(&mut self) {
        self.give_up(Lacking::Ended);
    }

    fn object(&mut self, line: &[u8]) {
        self.walk(line);
    }

    fn data(&mut self, part: &[u8]) {
        self.walk(part);
    }

    fn data_end(&mut self) {
        if !self.walker.is_fresh() {
            self.walker.end_line();
            self.walk(b"\n");
        }
    }

    fn dispatched(&mut self, has_data: bool) -> bool {
        let mut event = std::mem::take(&mut self.event);
        let walker = std::mem::take(&mut self.walker);
        event.other |= !walker.is_fresh() && !walker.is_complete();
        if self.lacking.is_some() {
            return has_data;
        }
        if event.special || !has_data {
            self.text.truncate(self.said);
        }
        let said = self.text.bytes().get(self.said..).map(std::str::from_utf8);
        if event.ended {
            self.give_up(Lacking::Ended);
        } else if event.other || event.choices > 1 || !matches!(said, Some(Ok(_))) {
            self.give_up(Lacking::NotText);
        } else {
            let length = self.text.bytes().len();
            self.tokens += u64::from(length > self.said);
            self.said = length;
        }
        has_data
    }
}
