//! Pool: the connections to one upstream, and which of them are idle. One per worker and upstream.
//!
//! * Last in, first out per endpoint: the warm connection is used, the cold end can be trimmed.
//! * Every open connection counts against the upstream's limit, idle ones included, until it is
//!   known that it will not come back: tunnels, and answers that end with their connection. What a
//!   client holds for hours is limited with the clients, and bounds on what a server does at once
//!   are those of admission.
//! * A connection enters only if it is clean and complete ([`fit`]) and is looked at
//!   again when it leaves: an assertion on both ends, because a mistake here would give one
//!   client's bytes to another.
//!
//! Absent on purpose: sockets. The pool keeps names (`C`), its caller does what it says.

pub mod fit;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, PoolLimits};

/// The bookkeeping of one upstream. `C` names a connection.
#[derive(Debug)]
pub struct Pool<C> {
    /// Per endpoint that ever had one, the coldest first.
    idle: BTreeMap<EndpointId, Vec<C>>,
    /// Open connections, idle ones included.
    open: usize,
}

/// How somebody gets a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkout<C> {
    /// Try this one: look at it once more, and come again if it is dead.
    Idle(C),
    /// Open another.
    Open,
    /// Close this one, idle to another endpoint, to make place, and come again.
    Evict(C),
    /// The upstream is at its limit: wait.
    Wait,
}

impl<C> Default for Pool<C> {
    fn default() -> Pool<C> {
        Pool { idle: BTreeMap::new(), open: 0 }
    }
}

impl<C: Copy + PartialEq> Pool<C> {
    /// A connection to `endpoint`; with `fresh`, not one that was used before.
    pub fn checkout(
        &mut self,
        endpoint: EndpointId,
        fresh: bool,
        limits: &PoolLimits,
    ) -> Checkout<C> {
        if !fresh && let Some(connection) = self.idle.get_mut(&endpoint).and_then(Vec::pop) {
            return Checkout::Idle(connection);
        }
        if self.open < limits.connections {
            return Checkout::Open;
        }
        match self.idle.values_mut().find(|idle| !idle.is_empty()) {
            Some(idle) => Checkout::Evict(idle.remove(0)),
            None => Checkout::Wait,
        }
    }

    pub fn opened(&mut self) {
        self.open += 1;
    }

    /// A connection that is in use will not come back, and is nobody's to limit from here on.
    /// [`Pool::closed`] is not asked for it.
    pub fn uncount(&mut self) {
        debug_assert!(self.open > self.idle());
        self.open -= 1;
    }

    /// A connection is gone, wherever it was.
    pub fn closed(&mut self, endpoint: EndpointId, connection: C) {
        debug_assert!(self.open > 0);
        self.open -= 1;
        if let Some(idle) = self.idle.get_mut(&endpoint) {
            idle.retain(|idle| *idle != connection);
        }
    }

    /// Takes a connection back. Returns the coldest of its endpoint if that is one too many.
    pub fn release(
        &mut self,
        endpoint: EndpointId,
        connection: C,
        limits: &PoolLimits,
    ) -> Option<C> {
        let idle = self.idle.entry(endpoint).or_default();
        assert!(!idle.contains(&connection), "a connection is idle once");
        idle.push(connection);
        (idle.len() > limits.idle_per_endpoint).then(|| idle.remove(0))
    }

    /// Forgets the endpoints that are not to be kept. Returns their idle connections, which are
    /// still open.
    pub fn retain(&mut self, keep: impl Fn(EndpointId) -> bool) -> Vec<C> {
        let mut gone = Vec::new();
        self.idle.retain(|endpoint, idle| {
            let kept = keep(*endpoint);
            if !kept {
                gone.append(idle);
            }
            kept
        });
        gone
    }

    /// Whether whoever comes has to [wait](Checkout::Wait), to whatever endpoint.
    pub fn is_full(&self, limits: &PoolLimits) -> bool {
        self.room(limits) == 0 && self.idle() == 0
    }

    /// How many more could be opened.
    pub fn room(&self, limits: &PoolLimits) -> usize {
        limits.connections.saturating_sub(self.open)
    }

    pub fn open(&self) -> usize {
        self.open
    }

    pub fn idle(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }
}

/// When an idle connection is to be closed. A server that announces `Keep-Alive: timeout=N` closes
/// after N seconds; we leave one second earlier, so that no request meets its FIN half-way.
pub fn idle_until(
    now: Instant,
    opened: Instant,
    announced: Option<u32>,
    limits: &PoolLimits,
) -> Instant {
    let announced = announced
        .map_or(Duration::MAX, |seconds| Duration::from_secs(u64::from(seconds).saturating_sub(1)));
    (now + limits.idle_timeout.min(announced)).min(opened.after(limits.max_age))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const LIMITS: PoolLimits = PoolLimits {
        idle_per_endpoint: 2,
        connections: 3,
        idle_timeout: Duration::from_secs(4),
        max_age: Some(Duration::from_secs(300)),
        max_requests: 10,
        replay_stale_post: true,
    };

    const HERE: EndpointId = EndpointId(1);
    const THERE: EndpointId = EndpointId(2);

    fn pool() -> Pool<u32> {
        Pool::default()
    }

    #[test]
    fn the_warmest_connection_is_used_first_and_the_coldest_trimmed() {
        let mut pool = pool();
        for _ in 0..3 {
            assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Open);
            pool.opened();
        }
        assert_eq!(pool.release(HERE, 1, &LIMITS), None);
        assert_eq!(pool.release(HERE, 2, &LIMITS), None);
        assert_eq!(pool.release(HERE, 3, &LIMITS), Some(1), "two may be idle");
        pool.closed(HERE, 1);
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Idle(3));
        assert_eq!((pool.open(), pool.idle()), (2, 1));
    }

    #[test]
    fn a_fresh_connection_is_never_an_idle_one() {
        let mut pool = pool();
        pool.opened();
        pool.release(HERE, 1, &LIMITS);
        assert_eq!(pool.checkout(HERE, true, &LIMITS), Checkout::Open);
    }

    #[test]
    fn at_the_limit_an_idle_one_elsewhere_gives_way_else_one_waits() {
        let mut pool = pool();
        for _ in 0..3 {
            pool.opened();
        }
        assert!(pool.is_full(&LIMITS));
        pool.release(THERE, 7, &LIMITS);
        assert!(!pool.is_full(&LIMITS), "7 can give way");
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Evict(7));
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Wait, "7 is not closed yet");
        pool.closed(THERE, 7);
        assert!(!pool.is_full(&LIMITS));
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Open);
    }

    #[test]
    fn what_will_not_come_back_is_not_the_pools_to_limit() {
        let mut pool = pool();
        for _ in 0..3 {
            pool.opened();
        }
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Wait);
        pool.uncount();
        assert_eq!(pool.checkout(HERE, false, &LIMITS), Checkout::Open);
        assert_eq!((pool.open(), pool.room(&LIMITS)), (2, 1));
    }

    #[test]
    fn an_idle_connection_leaves_before_the_server_does() {
        let (now, opened) = (Instant::from_nanos(10_000_000_000), Instant::ZERO);
        let idle = |announced, limits| (idle_until(now, opened, announced, limits) - now).as_secs();
        assert_eq!(idle(None, &LIMITS), 4);
        assert_eq!(idle(Some(3), &LIMITS), 2);
        assert_eq!(idle(Some(0), &LIMITS), 0);
        assert_eq!(idle(Some(60), &LIMITS), 4);
        let old = PoolLimits { max_age: Some(Duration::from_secs(11)), ..LIMITS };
        assert_eq!(idle(None, &old), 1);
    }
}
