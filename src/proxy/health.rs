//! Active health: what the control thread's checks say of an endpoint, and how it goes together
//! with what the traffic says (the breaker).
//!
//! A check asks a path that costs no inference. So it can prove that a server is away, but not
//! that its model works. Hence the rule:
//!
//! | active | breaker | requests |
//! |---|---|---|
//! | unknown, well | admits | sent |
//! | unknown, well | asks for a probe | one is sent |
//! | unknown, well | open, resting, unauthorized | none |
//! | unwell | whatever it says | none, not even a probe, as long as anybody else could answer |
//! | unwell, and it has answered one all the same | closed | sent, until the breaker opens |
//! | unwell → well | open | half-open at once: the server is another one than before |
//! | unwell → well | resting, unauthorized | none: a check knows nothing of either |
//! | unwell → well | closed | sent, by and by more of them: slow start |
//!
//! Either can take an endpoint out; only traffic closes a breaker, and only traffic overrules a check.
//! Who is sent requests although nobody admits one: [`super::endpoints`]. A check that has been good all
//! along says nothing new, so it does not shorten the time a breaker stays open: the health page
//! of a server whose model has crashed goes on saying 200.
//!
//! Unknown is well: a gateway that starts serves at once, and not after `healthy` checks.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::breaker::Admits;
use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, HealthCheck, UpstreamId};

/// What the checks of one endpoint have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthStatus {
    #[default]
    Unknown,
    Well,
    Unwell,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HealthStatus::Unknown => "unknown",
            HealthStatus::Well => "well",
            HealthStatus::Unwell => "unwell",
        })
    }
}

/// An endpoint that is out, for somebody to see when it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownEndpoint {
    pub upstream: UpstreamId,
    pub endpoint: EndpointId,
    pub address: SocketAddr,
    /// No connection came to stand.
    pub unreachable: bool,
    /// How long it would be out.
    pub open: Duration,
}

/// The checks of one endpoint so far: N of them in a row change the verdict.
#[derive(Clone, Debug, Default)]
pub struct Health {
    verdict: HealthStatus,
    /// Checks in a row that speak against the verdict.
    against: u32,
}

impl Health {
    pub fn new() -> Health {
        Health::default()
    }

    pub fn verdict(&self) -> HealthStatus {
        self.verdict
    }

    /// A check has ended. The verdict, if it takes the endpoint out or brings it back.
    pub fn record(&mut self, passed: bool, settings: &HealthCheck) -> Option<HealthStatus> {
        let (needed, other) = match (self.verdict, passed) {
            (HealthStatus::Unknown, true) => {
                *self = Health { verdict: HealthStatus::Well, against: 0 };
                return None;
            }
            (HealthStatus::Well, true) | (HealthStatus::Unwell, false) => {
                self.against = 0;
                return None;
            }
            (HealthStatus::Unknown | HealthStatus::Well, false) => {
                (settings.unhealthy, HealthStatus::Unwell)
            }
            (HealthStatus::Unwell, true) => (settings.healthy, HealthStatus::Well),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        *self = Health { verdict: other, against: 0 };
        Some(other)
    }
}

/// Whether an endpoint is sent a request, by the table above. `back` tells when the checks may
/// bring it back at the soonest.
pub fn combine(active: HealthStatus, breaker: Admits, back: impl Fn() -> Instant) -> Admits {
    match (active, breaker) {
        (HealthStatus::Unknown | HealthStatus::Well, admits) => admits,
        // Its own word outlasts a judgement about it, in a panic too.
        (HealthStatus::Unwell, Admits::No { until, judged: false }) => {
            Admits::No { until: until.max(back()), judged: false }
        }
        // When the checks bring it back, an open breaker asks for a probe.
        (HealthStatus::Unwell, _) => Admits::No { until: back(), judged: true },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: fn() -> HealthCheck = || HealthCheck {
        path: "/health".to_owned(),
        statuses: 200..=299,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy: 3,
        healthy: 2,
        plugin: None,
    };

    #[test]
    fn so_many_in_a_row_change_the_verdict() {
        use HealthStatus::*;
        // + a good check, - a bad one; the verdict at the end, and the changes on the way.
        for (checks, verdict, changes) in [
            ("", Unknown, vec![]),
            ("+", Well, vec![]),
            ("--", Unknown, vec![]),
            ("---", Unwell, vec![Unwell]),
            ("--+--", Well, vec![]),
            ("--+---", Unwell, vec![Unwell]),
            ("-------", Unwell, vec![Unwell]),
            ("---+", Unwell, vec![Unwell]),
            ("---+-+", Unwell, vec![Unwell]),
            ("---++", Well, vec![Unwell, Well]),
            ("---++++--+--", Well, vec![Unwell, Well]),
            ("---++---++", Well, vec![Unwell, Well, Unwell, Well]),
        ] {
            let mut health = Health::new();
            let found: Vec<_> = checks
                .bytes()
                .filter_map(|check| health.record(check == b'+', &SETTINGS()))
                .collect();
            assert_eq!((health.verdict(), found), (verdict, changes), "{checks}");
        }
    }

    #[test]
    fn one_is_enough_where_one_is_asked_for() {
        let settings = HealthCheck { unhealthy: 1, healthy: 1, ..SETTINGS() };
        let mut health = Health::new();
        assert_eq!(health.record(false, &settings), Some(HealthStatus::Unwell));
        assert_eq!(health.record(true, &settings), Some(HealthStatus::Well));
    }

    #[test]
    fn either_can_take_an_endpoint_out() {
        use Admits::*;
        use HealthStatus::*;
        let at = Instant::from_nanos;
        let open = |until| No { until: at(until), judged: true };
        let resting = |until| No { until: at(until), judged: false };
        for (active, breaker, combined) in [
            (Unknown, Yes, Yes),
            (Well, Yes, Yes),
            (Well, Probe, Probe),
            (Well, open(5), open(5)),
            (Well, resting(5), resting(5)),
            (Unwell, Yes, open(9)),
            (Unwell, Probe, open(9)),
            (Unwell, open(5), open(9)),
            (Unwell, open(12), open(9)),
            (Unwell, resting(5), resting(9)),
            (Unwell, resting(12), resting(12)),
        ] {
            assert_eq!(combine(active, breaker, || at(9)), combined, "{active:?} {breaker:?}");
        }
    }
}
