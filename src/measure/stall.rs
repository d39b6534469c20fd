//! Stalls: whose fault it is that a stream waits.
//!
//! At any moment of an exchange exactly one of three is waited for, and the time goes to its
//! account:
//!
//! | owner | what has to happen |
//! |---|---|
//! | upstream | a connection, the taking of a request, an event |
//! | client | the rest of its request, the reading of its answer |
//! | gateway | a place in a queue to come free, a buffer, a turn: something of ours |
//!
//! The ledger is charged at the end of every drive with the clock of the turn: what passed since
//! the last charge was the account of whom was waited for then.
//!
//! Absent on purpose: reading a clock, and knowing what an exchange is.

use std::time::Duration;

use crate::clock::Instant;
use crate::proxy::exchange::{Phase, Waiting};

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Upstream = 0,
    Client = 1,
    Gateway = 2,
}

impl Owner {
    pub const ALL: [Owner; 3] = [Owner::Upstream, Owner::Client, Owner::Gateway];

    pub fn name(self) -> &'static str {
        match self {
            Owner::Upstream => "upstream",
            Owner::Client => "client",
            Owner::Gateway => "gateway",
        }
    }

    /// Who is waited for at the end of a drive. `held_up`: it would go on if we let it.
    pub fn of(waiting: &Waiting, client_blocked: bool, held_up: bool) -> Owner {
        match waiting.phase {
            _ if held_up => Owner::Gateway,
            _ if client_blocked => Owner::Client,
            Phase::Queued | Phase::Pausing => Owner::Gateway,
            Phase::WritingRequest if waiting.for_upstream_write => Owner::Upstream,
            Phase::Gathering | Phase::WritingRequest => Owner::Client,
            Phase::AwaitingModel
            | Phase::Connecting
            | Phase::AwaitingFirst
            | Phase::Streaming
            | Phase::Tunnel => Owner::Upstream,
        }
    }
}

/// The three accounts of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    owner: Owner,
    since: Instant,
    spent: [u64; 3],
}

impl Ledger {
    /// An exchange begins in our hands.
    pub fn new(now: Instant) -> Ledger {
        Ledger { owner: Owner::Gateway, since: now, spent: [0; 3] }
    }

    /// `owner` is waited for from here on. Returns who was until now, and for how many nanoseconds.
    #[inline]
    pub fn charge(&mut self, owner: Owner, now: Instant) -> (Owner, u64) {
        let passed = now.as_nanos().saturating_sub(self.since.as_nanos());
        let before = self.owner;
        self.spent[before as usize] += passed;
        (self.owner, self.since) = (owner, now);
        (before, passed)
    }

    /// Who is waited for.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// What was charged to `owner` so far.
    pub fn spent(&self, owner: Owner) -> Duration {
        Duration::from_nanos(self.spent[owner as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::exchange::Awaited;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_accounts_add_up_to_the_age_of_the_exchange() {
        let mut ledger = Ledger::new(at(100));
        ledger.charge(Owner::Upstream, at(101));
        ledger.charge(Owner::Upstream, at(131));
        ledger.charge(Owner::Client, at(151));
        ledger.charge(Owner::Upstream, at(451));
        assert_eq!(ledger.charge(Owner::Gateway, at(455)), (Owner::Upstream, 4_000_000));
        let spent = Owner::ALL.map(|owner| ledger.spent(owner).as_millis());
        assert_eq!(spent, [54, 300, 1]);
        assert_eq!(spent.iter().sum::<u128>(), 355);
    }

    #[test]
    fn whose_move_it_is() {
        let waiting = |phase, for_upstream_write| Waiting {
            phase,
            awaited: Awaited::Stream,
            by_bytes: false,
            for_request: false,
            for_upstream_write,
        };
        for (phase, upstream_write, blocked, held_up, expected) in [
            (Phase::Queued, false, false, false, Owner::Gateway),
            (Phase::AwaitingModel, false, false, false, Owner::Upstream),
            (Phase::Connecting, true, false, false, Owner::Upstream),
            (Phase::WritingRequest, true, false, false, Owner::Upstream),
            (Phase::WritingRequest, false, false, false, Owner::Client),
            (Phase::AwaitingFirst, false, false, false, Owner::Upstream),
            (Phase::Streaming, false, false, false, Owner::Upstream),
            (Phase::Streaming, false, true, false, Owner::Client),
            (Phase::Streaming, false, false, true, Owner::Gateway),
            (Phase::Streaming, false, true, true, Owner::Gateway),
            (Phase::Tunnel, false, false, false, Owner::Upstream),
        ] {
            let owner = Owner::of(&waiting(phase, upstream_write), blocked, held_up);
            assert_eq!(owner, expected, "{phase:?} {blocked} {held_up}");
        }
    }
}
