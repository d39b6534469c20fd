//! Timers: the lazy alarm of a connection, and the wheel that it keeps quiet.
//!
//! Deadlines move with every token; the wheel does not. A connection stores its [`Alarm::deadline`]
//! and has one entry in the wheel. An entry that fires before the deadline is put back at the
//! deadline. Moving the deadline away is one store; moving it *nearer* takes another entry.
//!
//! Absent on purpose: cancelling. An entry for a closed socket fires, finds nobody, and is gone.

use crate::clock::Instant;
use crate::reactor::token::Token;

mod wheel;

pub use wheel::TimerWheel;

/// One entry per armed connection.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub token: Token,
    /// When it is to fire, as it was put in.
    pub at: Instant,
}

/// One connection's deadline, and where its entry in the wheel stands.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    deadline: Instant,
    /// When the latest entry will fire; [`Instant::NEVER`]: there is none.
    armed: Instant,
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm { deadline: Instant::NEVER, armed: Instant::NEVER }
    }
}

impl Alarm {
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When its entry in the wheel fires; [`Instant::NEVER`]: there is none.
    pub fn armed(&self) -> Instant {
        self.armed
    }

    /// Whether it needs an entry and has none: the last one has fired.
    #[inline]
    pub fn is_spent(&self) -> bool {
        self.armed == Instant::NEVER && self.deadline != Instant::NEVER
    }

    /// Moves the deadline. A later one is a store; one before the entry fires needs another entry.
    pub fn set(&mut self, deadline: Instant, token: Token, wheel: &mut TimerWheel) {
        self.deadline = deadline;
        if deadline < self.armed {
            self.armed = deadline;
            wheel.insert(token, deadline);
        }
    }

    /// An entry of this connection has fired. Returns whether the deadline is over; if it is not, the
    /// alarm is armed anew. An entry that was overtaken by an earlier one means nothing.
    pub fn fired(&mut self, entry: Entry, now: Instant, wheel: &mut TimerWheel) -> bool {
        if entry.at != self.armed {
            return false;
        }
        self.armed = Instant::NEVER;
        if self.deadline <= now {
            return true;
        }
        let deadline = self.deadline;
        self.set(deadline, entry.token, wheel);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::token::{Kind, Token};

    fn token(index: usize) -> Token {
        Token::new(Kind::Downstream, 1, index)
    }

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    #[test]
    fn a_moved_deadline_costs_no_entry_and_fires_once() {
        let mut wheel = TimerWheel::new(at(0));
        let mut alarm = Alarm::default();
        for step in 1..=1000 {
            alarm.set(at(step * 1_000 + 60_000_000), token(0), &mut wheel);
        }
        assert_eq!(wheel.len(), 1);
        let (mut fired, mut last) = (0, at(0));
        while let Some(next) = wheel.next() {
            let mut due = Vec::new();
            wheel.advance(next, &mut due);
            for entry in due {
                if alarm.fired(entry, next, &mut wheel) {
                    (fired, last) = (fired + 1, next);
                }
            }
        }
        assert_eq!(fired, 1);
        assert!(last >= at(61_000_000));
    }

    #[test]
    fn an_earlier_deadline_overtakes_the_entry() {
        let mut wheel = TimerWheel::new(at(0));
        let mut alarm = Alarm::default();
        alarm.set(at(60_000_000), token(0), &mut wheel);
        alarm.set(at(5_000), token(0), &mut wheel);
        let mut due = Vec::new();
        wheel.advance(at(8_000), &mut due);
        assert!(alarm.fired(due[0], at(8_000), &mut wheel));
        due.clear();
        wheel.advance(at(70_000_000), &mut due);
        assert!(!alarm.fired(due[0], at(70_000_000), &mut wheel), "the overtaken entry is mute");
    }
}
