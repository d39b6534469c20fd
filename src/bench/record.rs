//! What one round has seen: histograms of nanoseconds, and counts.
//!
//! Everything is kept with three digits, so a percentile is right to a thousandth of itself,
//! wherever it lies between a nanosecond and ten minutes.
//!
//! Nothing before [`Record::from`] is kept.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Instant;

const DIGITS: u8 = 3;
const LONGEST: Duration = Duration::from_secs(600);

/// Why a request has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke off before the answer was complete.
    Broken,
    /// The answer was no HTTP, or more than one answer.
    Protocol,
    /// Nothing was heard for too long.
    Silent,
}

/// Requests that failed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub connect: u64,
    pub broken: u64,
    pub protocol: u64,
    pub silent: u64,
    /// Answers that were complete and had another status than 2xx.
    pub status: u64,
}

impl Failures {
    pub fn total(&self) -> u64 {
        self.connect + self.broken + self.protocol + self.silent + self.status
    }
}

/// The measurements of one round, or of several together.
#[derive(Clone, Debug)]
pub struct Record {
    /// The beginning of the measurement.
    from: Instant,
    /// Open loop: requests count if they were due in the measurement, however late they end.
    by_start: bool,
    /// First tokens count at any time.
    every_first_token: bool,
    /// Sender's stamp → read here.
    pub token: Histogram<u64>,
    /// Request written (open loop: due) → first token.
    pub first_token: Histogram<u64>,
    /// Token → next token of the same answer.
    pub gap: Histogram<u64>,
    /// Request begun (open loop: due) → answer complete.
    pub request: Histogram<u64>,
    /// How long the generator was busy each time it woke up.
    pub turn: Histogram<u64>,
    pub tokens: u64,
    /// Tokens that should have had a stamp and had none.
    pub illegible: u64,
    pub requests: u64,
    pub bytes: u64,
    /// Bytes of connections that are not measured.
    pub background_bytes: u64,
    pub failures: Failures,
    /// Open loop: requests that were due and not answered in the end. They are in `request` with
    /// the time they had waited so far.
    pub unfinished: u64,
}

impl Record {
    pub fn new(from: Instant, by_start: bool, every_first_token: bool) -> Record {
        Record {
            from,
            by_start,
            every_first_token,
            token: histogram(),
            first_token: histogram(),
            gap: histogram(),
            request: histogram(),
            turn: histogram(),
            tokens: 0,
            illegible: 0,
            requests: 0,
            bytes: 0,
            background_bytes: 0,
            failures: Failures::default(),
            unfinished: 0,
        }
    }

    pub fn counts(&self, at: Instant) -> bool {
        at >= self.from
    }

    /// A token was read at `now`.
    pub fn on_token(&mut self, sent: Option<Instant>, before: Option<Instant>, now: Instant) {
        if !self.counts(now) {
            return;
        }
        self.tokens += 1;
        if let Some(sent) = sent {
            keep(&mut self.token, now - sent);
        }
        if let Some(before) = before {
            keep(&mut self.gap, now - before);
        }
    }

    pub fn on_illegible(&mut self, now: Instant) {
        self.illegible += u64::from(self.counts(now));
    }

    pub fn on_first_token(&mut self, asked: Instant, now: Instant) {
        if self.every_first_token || self.counts(now) {
            keep(&mut self.first_token, now - asked);
        }
    }

    pub fn on_bytes(&mut self, count: usize, now: Instant) {
        if self.counts(now) {
            self.bytes += count as u64;
        }
    }

    pub fn on_background(&mut self, count: usize, now: Instant) {
        if self.counts(now) {
            self.background_bytes += count as u64;
        }
    }

    /// A request that began (or was due) at `began` has its whole answer.
    pub fn on_answer(&mut self, began: Instant, success: bool, now: Instant) {
        if !self.counts(if self.by_start { began } else { now }) {
            return;
        }
        if success {
            self.requests += 1;
            keep(&mut self.request, now - began);
        } else {
            self.failures.status += 1;
        }
    }

    pub fn on_failure(&mut self, failure: Failure, now: Instant) {
        if !self.counts(now) {
            return;
        }
        *match failure {
            Failure::Connect => &mut self.failures.connect,
            Failure::Broken => &mut self.failures.broken,
            Failure::Protocol => &mut self.failures.protocol,
            Failure::Silent => &mut self.failures.silent,
        } += 1;
    }

    /// Open loop: the round is over and a request that was due at `due` is not answered.
    pub fn on_unfinished(&mut self, due: Instant, now: Instant) {
        if self.counts(due) {
            self.unfinished += 1;
            keep(&mut self.request, now - due);
        }
    }

    pub fn on_turn(&mut self, length: Duration, now: Instant) {
        if self.counts(now) {
            keep(&mut self.turn, length);
        }
    }

    /// Puts another round into this record.
    pub fn merge(&mut self, other: &Record) {
        let pairs = [
            (&mut self.token, &other.token),
            (&mut self.first_token, &other.first_token),
            (&mut self.gap, &other.gap),
            (&mut self.request, &other.request),
            (&mut self.turn, &other.turn),
        ];
        for (mine, theirs) in pairs {
            // It fails only where the bounds differ, and all of ours are made alike.
            let _ = mine.add(theirs);
        }
        self.tokens += other.tokens;
        self.illegible += other.illegible;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.background_bytes += other.background_bytes;
        self.unfinished += other.unfinished;
        let (mine, theirs) = (&mut self.failures, &other.failures);
        mine.connect += theirs.connect;
        mine.broken += theirs.broken;
        mine.protocol += theirs.protocol;
        mine.silent += theirs.silent;
        mine.status += theirs.status;
    }
}

pub(super) fn histogram() -> Histogram<u64> {
    let longest = LONGEST.as_nanos() as u64;
    // Bounds are refused if the low one is 0 or the high one less than twice that, or with more
    // than five digits; these are constants.
    Histogram::new_with_bounds(1, longest, DIGITS).expect("the bounds are sound")
}

pub(super) fn keep(histogram: &mut Histogram<u64>, length: Duration) {
    histogram.saturating_record(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn the_warm_up_counts_for_nothing() {
        let mut record = Record::new(at(1_000), false, false);
        for now in [at(999), at(1_000)] {
            record.on_token(Some(at(990)), Some(at(980)), now);
            record.on_first_token(at(900), now);
            record.on_answer(at(900), true, now);
            record.on_failure(Failure::Broken, now);
            record.on_bytes(5, now);
        }
        assert_eq!((record.tokens, record.requests, record.bytes), (1, 1, 5));
        assert_eq!((record.token.len(), record.token.max()), (1, 10));
        assert_eq!(
            (record.gap.max(), record.first_token.max(), record.request.max()),
            (20, 100, 100)
        );
        assert_eq!(record.failures.total(), 1);
    }

    #[test]
    fn first_tokens_of_outlasting_streams_count_always() {
        let mut record = Record::new(at(1_000), false, true);
        record.on_first_token(at(10), at(40));
        assert_eq!(record.first_token.max(), 30);
    }

    /// A server that answers at once, except that it stands still for one second.
    #[test]
    fn an_open_loop_sees_a_stall_in_every_request_that_was_due_in_it() {
        const SECOND: u64 = 1_000_000_000;
        let mut record = Record::new(Instant::ZERO, true, false);
        for k in 0..1_000 {
            let due = k * SECOND / 100;
            let stalled = (4 * SECOND..5 * SECOND).contains(&due);
            let answered = if stalled { 5 * SECOND } else { due + 1_000 };
            record.on_answer(at(due), true, at(answered));
        }
        assert_eq!(record.request.len(), 1_000);
        // A tenth of all requests waited, half a second on average.
        let p95 = record.request.value_at_quantile(0.95);
        assert!((490_000_000..520_000_000).contains(&p95), "{p95}");
    }

    #[test]
    fn requests_without_an_answer_are_not_forgotten() {
        let mut record = Record::new(at(100), true, false);
        record.on_unfinished(at(50), at(1_000));
        record.on_unfinished(at(200), at(1_000));
        assert_eq!((record.unfinished, record.request.len(), record.request.max()), (1, 1, 800));
    }

    #[test]
    fn rounds_add_up() {
        let mut first = Record::new(Instant::ZERO, false, false);
        let mut second = first.clone();
        first.on_answer(at(0), true, at(10));
        second.on_answer(at(0), true, at(30));
        second.on_answer(at(0), false, at(30));
        first.merge(&second);
        assert_eq!((first.requests, first.request.len(), first.request.max()), (2, 2, 30));
        assert_eq!(first.failures.status, 1);
    }
}
