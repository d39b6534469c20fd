//! Names, looked up with their time to live: what the system's resolver knows, and does not tell.
//!
//! | file | knows |
//! |---|---|
//! | `message` | one question and one answer, as bytes |
//! | `exchange` | a question to servers: UDP, TCP where that is too short, time limits |
//! | `system` | `/etc/resolv.conf`, `/etc/hosts`, `/etc/nsswitch.conf` |
//!
//! A name is looked for as `getaddrinfo` does: in `/etc/hosts`, then with DNS, with and without the search
//! domains. Where `nsswitch.conf` names other sources too, and DNS has nothing, the system's resolver is
//! asked: its answer has no time to live.
//!
//! * It blocks, ten seconds at most for one question. It belongs on a thread nobody waits for.
//! * One [`Resolver`] serves a process: what it knows of a name is known to all, until it is out of date.
//! * No answer makes it panic, loop or grow: names have an end, chains have [`CHAIN_MAX`] links, and a
//!   name has [`RECORDS_MAX`] records.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

mod exchange;
mod message;
mod system;

#[cfg(test)]
mod tests;

use self::exchange::Exchange;
use self::message::{Answer, Kind, Outcome, Record};
use self::system::System;

/// Links of a chain of aliases.
const CHAIN_MAX: usize = 8;
/// Records of one name that are used.
pub const RECORDS_MAX: usize = 256;
/// Names that are remembered.
const REMEMBERED_MAX: usize = 4_096;
/// An answer that says no, and not for how long.
const NO_FOR: Duration = Duration::from_secs(30);

/// `server.dns`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Who is asked; empty: the system's servers.
    pub servers: Vec<SocketAddr>,
    /// Nothing is believed for longer, whatever its time to live; zero: nothing is remembered.
    pub longest: Duration,
}

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp<T> {
    /// At least one.
    pub records: Vec<T>,
    /// For how long that is so; `None`: nobody has said.
    pub ttl: Option<Duration>,
}

/// A server that an SRV record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvTarget {
    pub target: String,
    pub port: u16,
    pub priority: u16,
    pub weight: u16,
}

/// Why a name has come to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupFailure {
    /// There is no such name, or nothing of the kind that was asked for; for so long at least.
    Nothing(Duration),
    /// Nobody knows: no server has answered, or none would. A clause.
    Failed(String),
}

impl std::fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LookupFailure::Nothing(_) => f.write_str("there is no such name"),
            LookupFailure::Failed(why) => f.write_str(why),
        }
    }
}

type Lookup<T> = Result<LookedUp<T>, LookupFailure>;

/// The addresses, services and aliases that bytes tell of a name, where they are an answer with this id:
/// for whoever tries bytes on what reads them.
pub fn told_by(bytes: &[u8], id: u16, name: &str) -> Vec<String> {
    let read = |kind| match message::read(bytes, id, name, kind) {
        message::Reading::Answer(Answer { outcome: Outcome::Records(records), .. }) => records,
        _ => Vec::new(),
    };
    let kinds = [Kind::A, Kind::Aaaa, Kind::Srv];
    let shown = |record| match record {
        Record::Address(address) => address.to_string(),
        Record::Service(service) => service.target,
    };
    let aliases = kinds.into_iter().filter_map(|kind| match message::read(bytes, id, name, kind) {
        message::Reading::Answer(Answer { outcome: Outcome::Alias(alias), .. }) => Some(alias),
        _ => None,
    });
    kinds.into_iter().flat_map(read).map(shown).chain(aliases).collect()
}

/// Looks names up, and remembers what was answered.
#[derive(Debug, Default)]
pub struct Resolver {
    settings: Mutex<DnsSettings>,
    known: Mutex<BTreeMap<(String, Kind), Remembered>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    lookup: Lookup<Record>,
    until: Instant,
}

impl Resolver {
    pub fn new(settings: DnsSettings) -> Resolver {
        Resolver { settings: Mutex::new(settings), known: Mutex::default() }
    }

    /// Asks these servers from now on. What others have said is forgotten.
    pub fn obey(&self, settings: &DnsSettings) {
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != *settings {
            known.clone_from(settings);
            drop(known);
            self.known().clear();
        }
    }

    /// All addresses of a name, IPv4 and IPv6.
    pub fn addresses(&self, name: &str) -> Lookup<IpAddr> {
        if let Ok(address) = name.parse() {
            return Ok(LookedUp { records: vec![address], ttl: None });
        }
        let system = System::read();
        if let Some(found) = system.hosts(name) {
            return Ok(found);
        }
        let both = [Kind::A, Kind::Aaaa].map(|kind| self.search(&system, name, kind));
        let lookup = either(both);
        match lookup {
            // Who has something says what is true; who has nothing may not know all sources.
            Err(failure) if system.has_others => of_system(name).ok_or(failure),
            lookup => lookup,
        }
    }

    /// The servers that the SRV records of a name tell.
    pub fn services(&self, name: &str) -> Lookup<SrvTarget> {
        let LookedUp { records, ttl } = self.search(&System::read(), name, Kind::Srv)?;
        let services = records.into_iter().filter_map(|record| match record {
            Record::Service(service) => Some(service),
            Record::Address(_) => None,
        });
        Ok(LookedUp { records: services.collect(), ttl })
    }

    /// The addresses of a `name:port`.
    pub fn endpoints(&self, authority: &str) -> Lookup<SocketAddr> {
        let failed = || LookupFailure::Failed(format!("{authority:?} has no port"));
        let (name, port) = authority.rsplit_once(':').ok_or_else(failed)?;
        let port: u16 = port.parse().map_err(|_| failed())?;
        let LookedUp { records, ttl } = self.addresses(name)?;
        let endpoints = records.into_iter().map(|address| SocketAddr::new(address, port));
        Ok(LookedUp { records: endpoints.collect(), ttl })
    }

    /// The same as each of the names that it may stand for. The first that has something decides; where
    /// none has, a failure is told rather than that there is nothing.
    fn search(&self, system: &System, name: &str, kind: Kind) -> Lookup<Record> {
        let mut worst = None;
        for candidate in system.candidates(name) {
            match self.look_up(system, &candidate, kind) {
                Ok(found) => return Ok(found),
                Err(failure @ LookupFailure::Failed(_)) => worst = Some(failure),
                Err(nothing) => worst = worst.or(Some(nothing)),
            }
        }
        Err(worst.unwrap_or(LookupFailure::Nothing(NO_FOR)))
    }

    /// One name, as it stands.
    fn look_up(&self, system: &System, name: &str, kind: Kind) -> Lookup<Record> {
        let key = (name.to_ascii_lowercase(), kind);
        let now = Instant::now();
        if let Some(known) = self.known().get(&key).filter(|known| known.until > now) {
            let mut lookup = known.lookup.clone();
            match &mut lookup {
                Ok(found) => found.ttl = Some(known.until - now),
                Err(LookupFailure::Nothing(again)) => *again = known.until - now,
                Err(LookupFailure::Failed(_)) => {}
            }
            return lookup;
        }
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let servers = if settings.servers.is_empty() { &system.servers } else { &settings.servers };
        let lookup = ask(&Exchange::new(servers, system), name, kind);
        let until = match &lookup {
            Ok(found) => found.ttl,
            Err(LookupFailure::Nothing(again)) => Some(*again),
            Err(LookupFailure::Failed(_)) => None,
        };
        let until = until.map(|ttl| ttl.min(settings.longest));
        let mut known = self.known();
        known.retain(|_, known| known.until > now);
        if let Some(ttl) = until.filter(|_| known.len() < REMEMBERED_MAX) {
            let remembered = Remembered { lookup: lookup.clone(), until: Instant::now() + ttl };
            known.insert(key, remembered);
        }
        lookup
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, Kind), Remembered>> {
        // Held for a look, and in each a change is one insert.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks, and follows aliases to servers that the answer does not tell of.
fn ask(exchange: &Exchange<'_>, name: &str, kind: Kind) -> Lookup<Record> {
    let (mut name, mut least) = (name.to_owned(), u32::MAX);
    for _ in 0..CHAIN_MAX {
        let Answer { outcome, ttl } = exchange.ask(&name, kind).map_err(LookupFailure::Failed)?;
        least = least.min(ttl.unwrap_or(u32::MAX));
        match outcome {
            Outcome::Records(mut records) => {
                records.truncate(RECORDS_MAX);
                let ttl = Some(Duration::from_secs(least.into()));
                return Ok(LookedUp { records, ttl });
            }
            Outcome::Nothing => {
                let known = ttl.map_or(NO_FOR, |ttl| Duration::from_secs(ttl.into()));
                return Err(LookupFailure::Nothing(known));
            }
            Outcome::Alias(target) => name = target,
        }
    }
    Err(LookupFailure::Failed(format!("{name:?} is at the end of more than {CHAIN_MAX} aliases")))
}

/// What is known of both kinds of addresses. One kind is enough: many servers know nothing of the other,
/// and some do not even answer.
fn either([four, six]: [Lookup<Record>; 2]) -> Lookup<IpAddr> {
    let (mut records, mut ttl, mut failure) = (Vec::new(), None, None);
    for lookup in [four, six] {
        match lookup {
            Ok(found) => {
                ttl = [ttl, found.ttl].into_iter().flatten().min();
                records.extend(found.records.into_iter().filter_map(|record| match record {
                    Record::Address(address) => Some(address),
                    Record::Service(_) => None,
                }));
            }
            Err(other) => {
                failure = Some(match (failure, other) {
                    (None, other) => other,
                    (Some(failed @ LookupFailure::Failed(_)), _) => failed,
                    (_, failed @ LookupFailure::Failed(_)) => failed,
                    (Some(LookupFailure::Nothing(one)), LookupFailure::Nothing(other)) => {
                        LookupFailure::Nothing(one.min(other))
                    }
                });
            }
        }
    }
    match (records.is_empty(), failure) {
        (true, failure) => Err(failure.unwrap_or(LookupFailure::Nothing(NO_FOR))),
        (false, _) => Ok(LookedUp { records, ttl }),
    }
}

/// What the system's own resolver says.
fn of_system(name: &str) -> Option<LookedUp<IpAddr>> {
    let found = (name, 0).to_socket_addrs().ok()?;
    let mut records: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    records.dedup();
    (!records.is_empty()).then_some(LookedUp { records, ttl: None })
}
