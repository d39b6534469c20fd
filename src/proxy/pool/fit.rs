//! Fit: whether a connection to a server may carry another request. All that decides it stands here.
//!
//! A connection is asked twice: behind its exchange, before it goes into the pool ([`enters`]), and
//! when it is taken out ([`leaves`]). A mistake in either would give one client's bytes to another,
//! so whatever is not known to be good is not good.

use std::time::Duration;

use crate::config::snapshot::PoolLimits;

/// An idle connection that has rested so long is looked at once more when it is taken. What the
/// poller has told is as old as this turn, and what comes in between is seen only by looking; but
/// servers close connections that have been idle for seconds, so where requests follow each other
/// closely the look is a system call for nothing.
pub const RESTED: Duration = Duration::from_millis(500);

/// Why a connection carries no other request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The answer had no end but that of its connection.
    UntilClose,
    /// The server has said that this answer is its last: `Connection: close`, or HTTP/1.0 without
    /// keep-alive.
    LastAnswer,
    /// The request was not sent to its last byte.
    RequestUnsent,
    /// An upgrade was offered on it. Who declined may have given the connection to a handler that
    /// does not read on, as Node's `upgrade` event does.
    UpgradeOffered,
    /// Bytes are left over behind the answer.
    BytesLeft,
    /// A FIN or an error was seen.
    Ended,
    /// It has carried `pool.max_requests`.
    WornOut,
    /// It is older than `pool.max_age`.
    Old,
    /// The worker drains, or `pool.idle_per_endpoint` is 0: nothing is kept.
    NothingKept,
    /// It has said something that nobody asked for, or its end is here.
    Spoke,
}

impl Unfit {
    /// Every reason, by the name that the documents give it.
    pub const ALL: [(Unfit, &'static str); 10] = [
        (Unfit::UntilClose, "until close"),
        (Unfit::LastAnswer, "last answer"),
        (Unfit::RequestUnsent, "request unsent"),
        (Unfit::UpgradeOffered, "upgrade offered"),
        (Unfit::BytesLeft, "bytes left"),
        (Unfit::Ended, "ended"),
        (Unfit::WornOut, "worn out"),
        (Unfit::Old, "old"),
        (Unfit::NothingKept, "nothing kept"),
        (Unfit::Spoke, "spoke"),
    ];
}

/// A connection behind an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub until_close: bool,
    /// The server keeps the connection, by the head of its answer.
    pub keep_alive: bool,
    pub request_done: bool,
    pub upgrade_offered: bool,
    /// Nothing is left in its buffers.
    pub clean: bool,
    /// A FIN or an error was seen.
    pub ended: bool,
    pub requests: u32,
    pub age: Duration,
    pub draining: bool,
}

/// Whether a connection goes into the pool. `quiet` finds out whether nothing has come behind the
/// answer; it is asked last, as it may cost a system call.
pub fn enters(used: &Used, limits: &PoolLimits, quiet: impl FnOnce() -> bool) -> Result<(), Unfit> {
    match () {
        () if used.until_close => Err(Unfit::UntilClose),
        () if !used.keep_alive => Err(Unfit::LastAnswer),
        () if !used.request_done => Err(Unfit::RequestUnsent),
        () if used.upgrade_offered => Err(Unfit::UpgradeOffered),
        () if !used.clean => Err(Unfit::BytesLeft),
        () if used.ended => Err(Unfit::Ended),
        () if used.requests >= limits.max_requests => Err(Unfit::WornOut),
        () if limits.max_age.is_some_and(|max| used.age >= max) => Err(Unfit::Old),
        () if used.draining || limits.idle_per_endpoint == 0 => Err(Unfit::NothingKept),
        () if !quiet() => Err(Unfit::Spoke),
        () => Ok(()),
    }
}

/// Whether an idle connection carries the next request. `told`: the poller has told of bytes or an
/// end on it. `quiet` looks once more.
pub fn leaves(told: bool, rested: Duration, quiet: impl FnOnce() -> bool) -> Result<(), Unfit> {
    match told || rested >= RESTED && !quiet() {
        true => Err(Unfit::Spoke),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::LIMITS;
    use super::*;

    const GOOD: Used = Used {
        until_close: false,
        keep_alive: true,
        request_done: true,
        upgrade_offered: false,
        clean: true,
        ended: false,
        requests: 9,
        age: Duration::from_secs(299),
        draining: false,
    };

    /// A connection that is good but for this.
    fn with(unfit: Unfit) -> (Used, bool) {
        let used = match unfit {
            Unfit::UntilClose => Used { until_close: true, ..GOOD },
            Unfit::LastAnswer => Used { keep_alive: false, ..GOOD },
            Unfit::RequestUnsent => Used { request_done: false, ..GOOD },
            Unfit::UpgradeOffered => Used { upgrade_offered: true, ..GOOD },
            Unfit::BytesLeft => Used { clean: false, ..GOOD },
            Unfit::Ended => Used { ended: true, ..GOOD },
            Unfit::WornOut => Used { requests: 10, ..GOOD },
            Unfit::Old => Used { age: Duration::from_secs(300), ..GOOD },
            Unfit::NothingKept => Used { draining: true, ..GOOD },
            Unfit::Spoke => GOOD,
        };
        (used, unfit != Unfit::Spoke)
    }

    #[test]
    fn each_row_of_the_table_keeps_a_connection_out_of_the_pool() {
        let documentation = include_str!("../../../docs/streaming.md");
        let (_, table) = documentation.split_once("| unfit | because |").expect("the table");
        let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| "));
        let rows: Vec<&str> = rows.filter_map(|row| row.split(" | ").next()).collect();
        assert_eq!(rows, Unfit::ALL.map(|(_, name)| name));
        assert_eq!(enters(&GOOD, &LIMITS, || true), Ok(()));
        for (unfit, name) in Unfit::ALL {
            let (used, quiet) = with(unfit);
            assert_eq!(enters(&used, &LIMITS, || quiet), Err(unfit), "{name}");
        }
        let none = PoolLimits { idle_per_endpoint: 0, ..LIMITS };
        assert_eq!(enters(&GOOD, &none, || true), Err(Unfit::NothingKept));
    }

    #[test]
    fn an_idle_connection_is_looked_at_once_more_if_it_has_rested() {
        let (young, old) = (RESTED - Duration::from_nanos(1), RESTED);
        let never = || -> bool { panic!("a look for nothing") };
        assert_eq!(leaves(false, young, never), Ok(()));
        assert_eq!(leaves(true, old, never), Err(Unfit::Spoke));
        assert_eq!(leaves(false, old, || true), Ok(()));
        assert_eq!(leaves(false, old, || false), Err(Unfit::Spoke));
    }
}
