//! What the event that comes now says, member by member.

use super::Marks;
use super::choices::Choices;
use super::counts::Counts;
use crate::http::json::{Found, ITEM, Word};
use crate::service::dialects::words::*;
use crate::service::refusal::{Blame, NAMES, SENTENCES, says_something};

/// Things an event has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) struct Said(u16);

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
    /// A member that is nobody else's: TGI's companion of an error, SGLang's `meta_info`.
    pub const COMPANION: Said = Said(4096);
    /// In three bits, beside an error: whose fault it is. 0: the server's.
    const BLAME: Said = Said(7 << Said::BLAME_AT);
    const BLAME_AT: u32 = 13;

    /// What a mark that goes on does not take back.
    const LASTING: u16 = Said::IN_PLACE.0
        | Said::BLAME.0
        | Said::ANSWER.0
        | Said::SHAPE.0
        | Said::BESIDE.0
        | Said::COMPANION.0
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
pub(in crate::service) struct Staging<'a> {
    pub event: &'a mut Word,
    pub choices: &'a mut Choices,
    pub counts: &'a mut Counts,
    pub said: &'a mut Said,
    pub begins: &'a mut u16,
}

impl Staging<'_> {
    /// What all dialects say of errors. Whose fault one is counts beside an error only.
    pub(super) fn error(&mut self, path: &[Word], found: Found<'_>, note: &mut u32) {
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
    pub fn code(&mut self, found: Found<'_>) {
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

    pub fn choice_goes_on(&mut self) {
        *self.counts = Counts::UNKNOWN;
        if self.said.has(Said::ERROR) {
            self.said.add(Said::ERROR_IN_FRONT);
        }
        *self.said = Said(self.said.0 & Said::LASTING | Said::GOES_ON.0);
    }

    /// What the event speaks of has ended: the answer, or one of several.
    pub fn finish(&mut self) {
        match self.choices.are_several() {
            true => {
                self.choices.speak();
                self.choices.end();
            }
            false => self.said.add(Said::END),
        }
    }

    /// What the event speaks of is one of several, which nobody has announced: none of them ends the
    /// stream for all.
    pub fn one_of_several(&mut self, index: u32) {
        if !self.choices.are_several() {
            *self.choices = Choices::new(None);
        }
        self.choices.speak();
        self.choices.index(index);
        if self.said.has(Said::END) {
            self.said.remove(Said::END);
            self.choices.end();
        }
    }

    /// What opens the list of choices, or stands for it, has come.
    pub fn begin(&mut self, at: usize) {
        self.said.add(Said::SHAPE);
        *self.begins = match u16::try_from(at) {
            Ok(at) if at < Marks::TEXT => at,
            _ => Marks::NOWHERE,
        };
    }

    /// The same, where that is a text.
    pub fn begin_text(&mut self, at: usize) {
        self.begin(at);
        *self.begins |= Marks::TEXT;
    }

    /// Where a part of the answer stands, if there is any.
    pub fn text(&mut self, found: Found<'_>) {
        if matches!(found, Found::Text(_)) {
            self.said.add(Said::ANSWER);
        }
    }

    /// Why something has ended; an empty text, or `"null"`, is no reason.
    pub fn reason(&mut self, found: Found<'_>) -> Option<Word> {
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
    pub fn ends(&mut self, found: Found<'_>) {
        if self.reason(found).is_some() {
            self.said.add(Said::END);
        }
    }

    /// The type of an event whose line has not named it.
    pub fn name(&mut self, found: Found<'_>) {
        if let Found::StringEnd(name) = found
            && *self.event == UNNAMED
        {
            *self.event = name;
        }
    }
}
