//! The fields by which each dialect tells that a stream has ended, has failed, and what it cost.
//!
//! What an event says is *staged* while it comes and counts when the event is dispatched. Its data
//! is one JSON text, over however many lines it is written; what is no complete one says nothing.
//!
//! A dialect is only expected until the first event that says something. If that has the shape of
//! one of the dialect's it is *claimed*, else the stream is generic from then on.
//!
//! A delta says nothing but its text, and nearly every line is one; to walk through each would cost
//! more than to relay it. In the dialects that write `"finish_reason":null` into every delta the last
//! such mark is found by one vector search from the end of the line, and if neither a `{` nor an error
//! comes behind it, and the list of choices begins where it did before, there is nothing to be found
//! in the line. For this to be exact whatever a server writes, the rule is part of the meaning:
//!
//! * a mark with the value that says "it goes on", anywhere in an event, takes back the end and the
//!   counts that were staged before it;
//! * an error in front of such a mark counts where the choices begin at another place than in the
//!   deltas before;
//! * behind the first event that said something, an event that goes on is progress, whatever it says.
//!
//! An answer of several choices has as many ends. Where more than one was asked for each is counted,
//! and a delta with more than one mark is walked; where nobody knows how many were, every line is.

mod choices;
pub(super) mod counts;
mod document;
pub(super) mod search;
pub(super) mod staging;

use self::choices::Choices;
use self::counts::{Counts, Usage};
pub(super) use self::document::Document;
use self::staging::{Said, Staging};
use super::Dialect;
use super::dialects::words::{self, ERROR, ERROR_LINE, HEARTBEAT, KEEPALIVE, NAMES, PING, UNNAMED};
use super::dialects::{Dispatched, Knowledge, known};
use super::refusal::Blame;
use crate::http::json::{Found, Walker, Word};
use crate::http::sse::Watcher;

/// What a stream has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen(u8);

impl Seen {
    const NOTHING: Seen = Seen(0);
    const END: Seen = Seen(1);
    /// A data line was `[DONE]`.
    const DONE: Seen = Seen(2);
    /// In three bits: whose fault the first error was. 0: there was none.
    const ERROR: Seen = Seen(4 + 8 + 16);
    const ERROR_AT: u32 = 2;
    /// An event that counts: a part of the answer, its end, or an error.
    const EVENT: Seen = Seen(32);
    /// A part of the answer.
    const ANSWER: Seen = Seen(64);
    /// Its dialect is the one that was expected.
    const CLAIMED: Seen = Seen(128);
    /// What follows is mostly deltas.
    const UNDER_WAY: Seen = Seen(Seen::CLAIMED.0 | Seen::ANSWER.0);

    fn has(self, what: Seen) -> bool {
        self.0 & what.0 == what.0
    }

    fn add(&mut self, what: Seen) {
        self.0 |= what.0;
    }

    #[inline]
    fn has_error(self) -> bool {
        self.0 & Seen::ERROR.0 != 0
    }

    fn error(self) -> Option<Blame> {
        let number = ((self.0 & Seen::ERROR.0) >> Seen::ERROR_AT).checked_sub(1);
        number.map(Blame::of_number)
    }

    fn add_error(&mut self, blame: Blame) {
        if !self.has_error() {
            self.0 |= (blame as u8 + 1) << Seen::ERROR_AT;
        }
    }
}

/// What one answer has said so far.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    walker: Walker,
    /// Of dispatched events.
    counts: Counts,
    /// Of the event that comes now.
    staged_counts: Counts,
    staged: Said,
    /// Bytes of its data that were walked.
    walked: u16,
    /// Where in its data the choices begin, and where they did in the deltas before.
    begins: u16,
    began: u16,
    choices: Choices,
    seen: Seen,
    /// The name of the event, [`UNNAMED`] or one of the words.
    event: Word,
    dialect: Dialect,
}

impl Marks {
    /// No place in the data of an event.
    const NOWHERE: u16 = u16::MAX;
    /// Of a place: a text begins there.
    const TEXT: u16 = 1 << 15;

    pub fn new(dialect: Dialect) -> Marks {
        Marks {
            walker: Walker::new(),
            counts: Counts::UNKNOWN,
            staged_counts: Counts::UNKNOWN,
            staged: Said::NOTHING,
            walked: 0,
            begins: Marks::NOWHERE,
            began: Marks::NOWHERE,
            choices: Choices::ONE,
            seen: Seen::NOTHING,
            event: UNNAMED,
            dialect,
        }
    }

    /// How many choices the answer is to have; `None`: nobody knows.
    pub fn expect_choices(&mut self, asked: Option<u32>) {
        if self.dialect.has_choices() {
            self.choices = Choices::new(asked);
        }
    }

    /// The dialect that is expected, until the stream has shown which it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it has shown that it speaks the dialect that was expected.
    pub fn is_claimed(&self) -> bool {
        self.seen.has(Seen::CLAIMED)
    }

    /// Whether the JSON of a document has ended, and whether it is none.
    pub fn is_complete(&self) -> bool {
        self.walker.is_complete()
    }

    pub fn is_lost(&self) -> bool {
        self.walker.is_lost()
    }

    /// Whether an error came before a part of the answer or its end.
    pub fn first_event_is_error(&self) -> bool {
        // Neither is noted behind an error.
        self.saw_error() && !self.seen.has(Seen::ANSWER) && !self.seen.has(Seen::END)
    }

    pub fn saw_error(&self) -> bool {
        self.seen.has_error()
    }

    /// Whose fault the error was, if there was one.
    pub fn error(&self) -> Option<Blame> {
        self.seen.error()
    }

    /// Whether a part of the answer has come.
    pub fn saw_answer(&self) -> bool {
        self.seen.has(Seen::ANSWER)
    }

    /// Whether a stream of this dialect may end anywhere.
    pub fn needs_no_end(&self) -> bool {
        known!(self.dialect, D => !D::HAS_END)
    }

    /// Whether the mark of the end has come.
    pub fn saw_end(&self) -> bool {
        let ends = known!(self.dialect, D => D::DONE_ENDS);
        self.seen.has(Seen::END) && self.choices.have_ended() || self.seen.has(Seen::DONE) && ends
    }

    /// Whether an event was `[DONE]`, whatever the dialect.
    pub fn saw_done(&self) -> bool {
        self.seen.has(Seen::DONE)
    }

    /// Takes the next bytes of a stream of plain text.
    pub fn read_text(&mut self, data: &[u8]) {
        if !data.trim_ascii().is_empty() {
            self.seen.add(Seen::ANSWER);
            self.seen.add(Seen::EVENT);
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        let usage = known!(self.dialect, D => D::usage(&self.counts));
        (usage.prompt.is_some() || usage.completion.is_some()).then_some(usage)
    }

    #[inline(never)]
    fn walk(&mut self, part: &[u8]) {
        let base = self.walked;
        self.walked = base.saturating_add(part.len().min(u16::MAX.into()) as u16);
        let (place, opening) = known!(self.dialect, D => self.opening::<D>());
        let ahead = place.checked_sub(base.into()).filter(|_| base != u16::MAX);
        if ahead.and_then(|ahead| part.get(ahead)) == Some(&opening) {
            self.staged.add(Said::IN_PLACE);
        }
        let Marks { walker, staged_counts, staged, begins, event, choices, dialect, seen, .. } =
            self;
        let (words, rival) = known!(*dialect, D => (D::words(), D::RIVAL));
        let rival = rival.filter(|_| !seen.has(Seen::CLAIMED));
        let mut staging = Staging { event, choices, counts: staged_counts, said: staged, begins };
        let dialect = *dialect;
        walker.feed_noting(words, part, |path, at, found, note| {
            let at = usize::from(base).saturating_add(at);
            known!(dialect, D => D::take(&mut staging, path, at, found));
            if let Some(rival) = rival {
                take_for_rival(rival, &mut staging, path, at, found);
            }
            staging.error(path, found, note);
        });
    }

    /// Where the list of choices began in the deltas before, or what stands for it, and with which
    /// byte.
    #[inline(always)]
    fn opening<D: Knowledge>(&self) -> (usize, u8) {
        match D::OPENS_WITH_TEXT && self.began & Marks::TEXT != 0 {
            true => (usize::from(self.began & !Marks::TEXT), b'"'),
            false => (self.began.into(), D::OPENING),
        }
    }

    /// Whether the data of this event can hold anything of interest.
    fn is_of_interest(&self) -> bool {
        let all = !self.seen.has(Seen::UNDER_WAY);
        known!(self.dialect, D => D::is_of_interest(self.event, all))
    }

    /// Whether the choices begin in `line` where they did in the deltas before.
    #[inline(always)]
    fn begins_as_before<D: Knowledge>(&self, line: &[u8]) -> bool {
        let (place, opening) = self.opening::<D>();
        line.get(place) == Some(&opening)
    }

    /// Whether data that is one complete line is a delta, and can be left aside. Asked of nearly every
    /// line there is: it is a part of the loop over them.
    #[inline(always)]
    fn is_delta(&self, line: &[u8]) -> bool {
        known!(self.dialect, D => match D::SEARCH {
            Some(search) => {
                self.begins_as_before::<D>(line)
                    && line.starts_with(D::BEGINNING)
                    && search.is_delta(line)
                    && (!D::CHOICES || !self.choices.are_several() || self.says_nothing_of_choices(line))
            }
            None => false,
        })
    }

    /// The same where choices are counted.
    #[cold]
    fn says_nothing_of_choices(&self, line: &[u8]) -> bool {
        let search = known!(self.dialect, D => D::SEARCH);
        !self.choices.are_unknown() && search.is_some_and(|search| search.stands_once(line))
    }
}

impl Watcher for Marks {
    fn name_start(&mut self) {
        self.walker.spell(&NAMES);
    }

    fn name(&mut self, part: &[u8]) {
        if self.dialect != Dialect::Generic {
            self.walker.spell_on(&NAMES, part);
        }
    }

    fn name_end(&mut self) {
        if self.dialect != Dialect::Generic {
            self.event = words::name(self.walker.spelt(&NAMES));
        }
    }

    fn error_line(&mut self) {
        if self.dialect != Dialect::Generic {
            self.event = ERROR_LINE;
        }
    }

    #[inline]
    fn object(&mut self, line: &[u8]) {
        if !self.walker.is_fresh() {
            // Behind a line `error`, whose value is read as data is.
            return self.walk(line);
        }
        if self.seen.has(Seen::UNDER_WAY) && self.is_delta(line) {
            return;
        }
        if self.is_of_interest() {
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

    fn done(&mut self) {
        self.seen.add(Seen::DONE);
    }

    #[inline]
    fn dispatched(&mut self, has_data: bool) -> bool {
        if self.walker.is_fresh() && self.event == UNNAMED && self.seen.has(Seen::EVENT) {
            // Nothing of it was looked at.
            return has_data;
        }
        self.count_event(has_data)
    }
}

impl Marks {
    /// An event is dispatched that has a name, or data that was looked at, or is the first. Returns
    /// whether it counts.
    #[inline(never)]
    fn count_event(&mut self, has_data: bool) -> bool {
        let mut said = std::mem::replace(&mut self.staged, Said::NOTHING);
        let mut counts = std::mem::replace(&mut self.staged_counts, Counts::UNKNOWN);
        let event = std::mem::replace(&mut self.event, UNNAMED);
        let begins = std::mem::replace(&mut self.begins, Marks::NOWHERE);
        let walker = std::mem::take(&mut self.walker);
        let walked = std::mem::take(&mut self.walked);
        let (blank, whole) = (walker.is_fresh(), walker.is_complete());
        if !whole {
            (said, counts) = (Said::NOTHING, Counts::UNKNOWN);
        }
        if said.has(Said::GOES_ON) && !said.has(Said::IN_PLACE) {
            self.began = begins;
            if said.has(Said::ERROR_IN_FRONT) {
                said.add(Said::ERROR);
            }
        }
        if self.choices.are_several() && self.choices.count_event(whole) {
            said.add(Said::END);
        }
        if !has_data && event != ERROR_LINE || self.is_sign_of_life(said, event, blank) {
            return false;
        }
        let may_be_null = whole && said == Said::NOTHING && usize::from(walked) == "null\n".len();
        if may_be_null && known!(self.dialect, D => D::SENDS_NULL) {
            return false;
        }
        let dispatched = Dispatched {
            said,
            event,
            whole,
            done: self.seen.has(Seen::DONE),
            under_way: self.seen.has(Seen::ANSWER),
        };
        if !self.seen.has(Seen::CLAIMED) {
            self.claim(&dispatched);
        }
        if self.dialect == Dialect::Generic {
            self.seen.add(Seen::EVENT);
            self.seen.add(Seen::ANSWER);
            return true;
        }
        let answers = known!(self.dialect, D => D::answers(&dispatched));
        if matches!(event, ERROR | ERROR_LINE) {
            said.add(Said::ERROR);
        } else {
            known!(self.dialect, D => D::conclude(&dispatched, answers, &mut said));
        }
        let done = blank && self.seen.has(Seen::DONE);
        let counts_as_event = answers || done || said.has(Said::END) || said.has(Said::ERROR);
        self.note(said, counts);
        if counts_as_event {
            self.seen.add(Seen::EVENT);
        }
        if answers && !self.saw_error() {
            self.seen.add(Seen::ANSWER);
        }
        counts_as_event
    }

    /// The first event that says something: whether it is one of the expected dialect's.
    fn claim(&mut self, dispatched: &Dispatched) {
        let (claims, rival) = known!(self.dialect, D => (D::claims(dispatched), D::RIVAL));
        let rival = rival.filter(|rival| known!(*rival, D => D::claims_from_rival(dispatched)));
        match (claims, rival) {
            (true, _) => self.seen.add(Seen::CLAIMED),
            (false, Some(rival)) => {
                self.dialect = rival;
                self.seen.add(Seen::CLAIMED);
            }
            (false, None) => self.dialect = Dialect::Generic,
        }
    }

    /// Whether the event that is dispatched says that the server lives, and no more.
    fn is_sign_of_life(&self, said: Said, event: Word, blank: bool) -> bool {
        let named = matches!(event, PING | KEEPALIVE | HEARTBEAT);
        let typed = said.has(Said::SIGN_OF_LIFE) && !said.has(Said::GOES_ON);
        let empty = blank && event == UNNAMED && !self.seen.has(Seen::DONE);
        self.dialect != Dialect::Generic && (named || typed || empty)
    }

    /// Keeps what an event has said.
    fn note(&mut self, said: Said, counts: Counts) {
        if said.has(Said::ERROR) {
            self.seen.add_error(said.blame());
        }
        if said.has(Said::END) && !self.saw_error() {
            self.seen.add(Seen::END);
        }
        let late = known!(self.dialect, D => D::COUNTS_AT_END);
        if late && self.choices.are_several() {
            // Each answer has counted itself, and none of them all.
            self.counts = Counts::UNKNOWN;
        } else if said.has(Said::END) || !late && !said.has(Said::UNCOUNTED) {
            self.counts.update(counts);
        }
    }
}

/// A finding as another dialect takes it. Apart, for it is asked of the first event only.
#[cold]
#[inline(never)]
fn take_for_rival(
    rival: Dialect,
    staging: &mut Staging<'_>,
    path: &[Word],
    at: usize,
    found: Found<'_>,
) {
    known!(rival, D => D::take(staging, path, at, found));
}
