//! DNS: the addresses of a name, or the servers that its SRV records tell, asked for again when they are out
//! of date.
//!
//! * Again after the least time to live, from [`AGAIN_MIN`] to the longest that the configuration allows.
//! * A name that does not exist is an empty set. It is asked for again after the time that the zone says
//!   for that (SOA), within the same bounds.
//! * SRV: the least priority is asked first, weights hold within one priority, and a weight of 0 is as 1. A
//!   target without an address is left out; where none has one, that is trouble.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{FoundMember, Provider, Stop, Trouble};
use crate::dns::{LookedUp, LookupFailure, Resolver, SrvTarget};

/// No name is asked for more often, whatever its time to live.
pub const AGAIN_MIN: Duration = Duration::from_secs(1);

/// Targets of SRV records that are looked up at once: one whose name server is silent takes seconds.
const AT_ONCE: usize = 32;

/// What is asked for.
pub(super) enum DnsQuestion {
    /// Of a `name:port`.
    Addresses(String),
    Services(String),
}

pub(super) struct DnsProvider {
    question: DnsQuestion,
    resolver: Arc<Resolver>,
    again_max: Duration,
    known: Option<Vec<FoundMember>>,
    /// When it is to be asked.
    wait: Duration,
}

impl DnsProvider {
    pub fn new(question: DnsQuestion, resolver: Arc<Resolver>, again_max: Duration) -> DnsProvider {
        DnsProvider { question, resolver, again_max, known: None, wait: Duration::ZERO }
    }

    fn bounded(&self, ttl: Option<Duration>) -> Duration {
        ttl.unwrap_or(self.again_max).clamp(AGAIN_MIN.min(self.again_max), self.again_max)
    }

    /// The members now, and for how long that is so.
    fn look_up(&self) -> Result<(Vec<FoundMember>, Option<Duration>), LookupFailure> {
        match &self.question {
            DnsQuestion::Addresses(authority) => {
                let found = self.resolver.endpoints(authority)?;
                let named = |address: &SocketAddr| FoundMember {
                    name: Some(authority.clone()),
                    ..FoundMember::at(address.to_string())
                };
                Ok((found.records.iter().map(named).collect(), found.ttl))
            }
            DnsQuestion::Services(name) => {
                let found = self.resolver.services(name)?;
                self.servers(&found.records, found.ttl)
            }
        }
    }

    fn servers(
        &self,
        services: &[SrvTarget],
        mut ttl: Option<Duration>,
    ) -> Result<(Vec<FoundMember>, Option<Duration>), LookupFailure> {
        let most = services.iter().map(|one| one.weight).max().unwrap_or(1).max(1);
        let (mut members, mut failure) = (BTreeMap::new(), None);
        // "." means that there is no such service (RFC 2782).
        let asked: Vec<_> = services.iter().filter(|one| !one.target.is_empty()).collect();
        for (service, found) in asked.chunks(AT_ONCE).flat_map(|some| self.addresses_of(some)) {
            let found = match found {
                Ok(found) => found,
                Err(why) => {
                    failure = Some(why);
                    continue;
                }
            };
            ttl = [ttl, found.ttl].into_iter().flatten().min();
            for ip in found.records {
                let address = SocketAddr::new(ip, service.port);
                let member = FoundMember {
                    name: Some(format!("{}:{}", service.target, service.port)),
                    weight: scaled(service.weight, most),
                    priority: service.priority,
                    ..FoundMember::at(address.to_string())
                };
                members.insert(address, member);
            }
        }
        match failure {
            Some(why) if members.is_empty() => Err(match why {
                LookupFailure::Nothing(_) => LookupFailure::Failed(
                    "no server that its SRV records name has an address".into(),
                ),
                failed => failed,
            }),
            _ => Ok((members.into_values().collect(), ttl)),
        }
    }

    /// The addresses of targets, asked for side by side.
    fn addresses_of<'s>(
        &self,
        some: &[&'s SrvTarget],
    ) -> Vec<(&'s SrvTarget, Result<LookedUp<IpAddr>, LookupFailure>)> {
        thread::scope(|scope| {
            let threads: Vec<_> = some
                .iter()
                .map(|service| {
                    let ask = || self.resolver.addresses(&service.target);
                    (
                        *service,
                        thread::Builder::new().name("lookup".into()).spawn_scoped(scope, ask),
                    )
                })
                .collect();
            let found = threads.into_iter().map(|(service, thread)| {
                let found = match thread.map(|thread| thread.join()) {
                    Ok(Ok(found)) => found,
                    Ok(Err(_)) => Err(LookupFailure::Failed("a look-up has broken off".into())),
                    Err(error) => Err(LookupFailure::Failed(format!("no thread: {error}"))),
                };
                (service, found)
            });
            found.collect()
        })
    }
}

/// A weight of 16 bits as one of ours.
fn scaled(weight: u16, most: u16) -> u32 {
    let (weight, most) = (u32::from(weight), u32::from(most));
    let ours = match most > FoundMember::WEIGHT_MAX {
        true => weight * FoundMember::WEIGHT_MAX / most,
        false => weight,
    };
    ours.max(1)
}

impl Provider for DnsProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        loop {
            if stop.wait(std::mem::take(&mut self.wait)) {
                return Ok(Vec::new());
            }
            let (mut found, ttl) = match self.look_up() {
                Ok(found) => found,
                Err(LookupFailure::Nothing(again)) => (Vec::new(), Some(again)),
                Err(LookupFailure::Failed(reason)) => {
                    // That it answers again is news, whatever it says.
                    self.known = None;
                    return Err(Trouble::new(reason));
                }
            };
            self.wait = self.bounded(ttl);
            // Servers turn their answers round.
            found.sort();
            if self.known.as_ref() != Some(&found) {
                self.known = Some(found.clone());
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_sixteen_bits_become_ours() {
        let rows =
            [(0, 0, 1), (0, 9, 1), (5, 9, 5), (1_000, 1_000, 1_000), (65_535, 65_535, 1_000)];
        for (weight, most, ours) in rows {
            assert_eq!(scaled(weight, most.max(1)), ours, "{weight} of {most}");
        }
        assert_eq!(scaled(1, 65_535), 1);
    }

    #[test]
    fn a_time_to_live_is_bounded() {
        let provider = |most: u64| {
            let question = DnsQuestion::Services(String::new());
            DnsProvider::new(question, Arc::default(), Duration::from_millis(most))
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (most, ttl, again) in [
            (30_000, seconds(0), 1_000),
            (30_000, seconds(7), 7_000),
            (30_000, seconds(86_400), 30_000),
            (30_000, None, 30_000),
            (100, seconds(5), 100),
        ] {
            assert_eq!(provider(most).bounded(ttl), Duration::from_millis(again));
        }
    }
}
