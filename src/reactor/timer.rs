//! Timers: a hierarchical wheel, and the lazy alarm that keeps it quiet.
//!
//! The wheel has four levels of 64 slots. A slot of level 0 is one tick (2²⁰ ns, about a
//! millisecond, which is what `epoll_wait` can sleep), a slot of each further level is 64 slots of
//! the one below; an entry moves down as its time comes near. One word of bits per level tells
//! which slots are taken, so the next deadline costs four look-ups.
//!
//! ```text
//!   level 0   1 ms × 64      level 2   4.3 s × 64
//!   level 1  67 ms × 64      level 3   4.6 min × 64 = 4.9 h, and whatever is longer waits there
//! ```
//!
//! Deadlines move with every token; the wheel does not. A connection stores its [`Alarm::deadline`]
//! and has one entry in the wheel. An entry that fires before the deadline is put back at the
//! deadline. Moving the deadline away is one store; moving it *nearer* takes another entry.
//!
//! All entries lie in one table, and those of a slot are a list through it: a slot that was full
//! once holds no memory for ever, and an entry that moves down is linked anew, not copied.
//!
//! Absent on purpose: cancelling. An entry for a closed socket fires, finds nobody, and is gone.

use crate::clock::Instant;
use crate::reactor::token::Token;

const TICK_SHIFT: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;

/// One entry per armed connection.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub token: Token,
    /// When it is to fire, as it was put in.
    pub at: Instant,
}

/// All alarms of one worker. In memory as it is written here: each turn looks at the first line.
#[repr(C)]
pub struct TimerWheel {
    /// Every tick up to and including this one has been served, except entries put in since.
    now: u64,
    /// Of each level, a bit for each slot with entries.
    taken: [u64; LEVELS],
    entries: usize,
    nodes: Vec<Node>,
    /// The first of the nodes that hold no entry.
    free: u32,
    /// Of each level, the first node of each slot.
    slots: [[u32; SLOTS]; LEVELS],
}

/// An entry, and which one follows it in its slot.
struct Node {
    entry: Entry,
    next: u32,
}

/// No node.
const END: u32 = u32::MAX;

/// The first tick at which `at` has passed.
fn tick(at: Instant) -> u64 {
    at.as_nanos().div_ceil(1 << TICK_SHIFT)
}

impl TimerWheel {
    pub fn new(now: Instant) -> TimerWheel {
        TimerWheel {
            now: now.as_nanos() >> TICK_SHIFT,
            taken: [0; LEVELS],
            entries: 0,
            nodes: Vec::new(),
            free: END,
            slots: [[END; SLOTS]; LEVELS],
        }
    }

    pub fn insert(&mut self, token: Token, at: Instant) {
        self.entries += 1;
        let entry = Entry { token, at };
        let node = self.free;
        if let Some(free) = self.nodes.get_mut(node as usize) {
            self.free = free.next;
            free.entry = entry;
            self.place(node);
        } else {
            // There are as many entries as connections at most, and a few: far fewer than 2³².
            self.nodes.push(Node { entry, next: END });
            self.place(self.nodes.len() as u32 - 1);
        }
    }

    /// Puts a node that is in no list into the slot of its time.
    fn place(&mut self, node: u32) {
        let entry = self.nodes[node as usize].entry;
        // Farther than the wheel reaches: wait in its last slot, and be placed again from there.
        // One slot farther would be the slot of this very moment again.
        let reach = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));
        let due = tick(entry.at).clamp(self.now, self.now + reach);
        // The highest bit in which `due` differs from now names the level: below it, both are in
        // the same slot, so a lower level can tell the rest.
        let highest = u64::BITS - 1 - ((due ^ self.now) | 1).leading_zeros();
        let level = ((highest / SLOT_BITS) as usize).min(LEVELS - 1);
        let slot = (due >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.taken[level] |= 1 << slot;
        self.nodes[node as usize].next = std::mem::replace(&mut self.slots[level][slot], node);
    }

    /// The first taken slot: its level, its number, and the tick at which it begins.
    fn first(&self) -> Option<(usize, usize, u64)> {
        self.taken.iter().enumerate().find_map(|(level, taken)| {
            let shift = SLOT_BITS * level as u32;
            let here = (self.now >> shift) as u32 % SLOTS as u32;
            let ahead = taken.rotate_right(here);
            (ahead != 0).then(|| {
                let distance = u64::from(ahead.trailing_zeros());
                let begins = ((self.now >> shift) + distance) << shift;
                (level, (here as usize + distance as usize) % SLOTS, begins.max(self.now))
            })
        })
    }

    /// When the wheel wants to be advanced next.
    pub fn next(&self) -> Option<Instant> {
        self.first().map(|(_, _, begins)| Instant::from_nanos(begins << TICK_SHIFT))
    }

    /// Appends every entry that is due at `now` to `due`.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let target = now.as_nanos() >> TICK_SHIFT;
        while let Some((level, slot, begins)) = self.first().filter(|(.., at)| *at <= target) {
            self.now = begins;
            self.taken[level] &= !(1 << slot);
            let mut moving = std::mem::replace(&mut self.slots[level][slot], END);
            while moving != END {
                let Node { entry, next } = &mut self.nodes[moving as usize];
                let following = *next;
                if tick(entry.at) <= self.now {
                    due.push(*entry);
                    *next = std::mem::replace(&mut self.free, moving);
                    self.entries -= 1;
                } else {
                    self.place(moving);
                }
                moving = following;
            }
        }
        self.now = self.now.max(target);
    }

    /// How many entries the wheel holds.
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
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
    use std::time::Duration;

    fn token(index: usize) -> Token {
        Token::new(Kind::Downstream, 1, index)
    }

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    const TICK: Duration = Duration::from_nanos(1 << TICK_SHIFT);

    /// Fires each of `delays` (microseconds) and checks that it came neither early nor late.
    fn check(start: Instant, delays: &[u64], sleep: impl Fn(&TimerWheel, Instant) -> Instant) {
        let mut wheel = TimerWheel::new(start);
        for (index, delay) in delays.iter().enumerate() {
            wheel.insert(token(index), start + Duration::from_micros(*delay));
        }
        let (mut now, mut fired) = (start, 0);
        while !wheel.is_empty() {
            now = sleep(&wheel, now);
            let mut due = Vec::new();
            wheel.advance(now, &mut due);
            for entry in due {
                assert!(entry.at <= now, "{entry:?} early at {now:?}");
                assert!(now <= entry.at + TICK + TICK, "{entry:?} late at {now:?}");
                fired += 1;
            }
        }
        assert_eq!(fired, delays.len());
    }

    #[test]
    fn entries_fire_in_time_from_a_millisecond_to_a_day() {
        let delays: Vec<u64> = (0..37).map(|bit| (1 << bit) + 17).collect();
        for start in [0, 1, 63_999, 1_234_567_890] {
            check(at(start), &delays, |wheel, now| {
                wheel.next().expect("the wheel is not empty").max(now)
            });
        }
    }

    #[test]
    fn a_late_sleeper_misses_nothing() {
        let mut wheel = TimerWheel::new(at(0));
        for index in 0..1000 {
            wheel.insert(token(index), at(index as u64 * 9_973));
        }
        let mut due = Vec::new();
        wheel.advance(at(1000 * 9_973), &mut due);
        assert_eq!((due.len(), wheel.len()), (1000, 0));
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
