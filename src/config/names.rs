//! Names, when a configuration is read: all are looked up at once, and nobody waits for long.
//!
//! What cannot be looked up now is no mistake of the file. The endpoint is down, a warning says so,
//! and `control::names` goes on asking.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::dns::{DnsSettings, Resolver};

/// What became of a look-up: addresses, at least one, or why there are none.
pub type Resolved = Result<Vec<SocketAddr>, String>;

/// Looks a `name:port` up, with these servers. It may block for as long as they are silent.
pub type Resolve = fn(&str, &DnsSettings) -> Resolved;

/// How long a start or a reload waits for names.
const PATIENCE: Duration = Duration::from_secs(5);
/// Look-ups that may be under way at once.
const THREADS_MAX: usize = 16;

/// Asks what the system would ask: `/etc/hosts`, and name servers.
pub fn system(authority: &str, settings: &DnsSettings) -> Resolved {
    let resolver = Resolver::new(settings.clone());
    resolver.endpoints(authority).map(|found| found.records).map_err(|why| why.to_string())
}

/// Looks all of these up. One that is not answered in time has failed.
pub(super) fn look_up(
    names: BTreeSet<String>,
    resolve: Resolve,
    settings: &DnsSettings,
) -> BTreeMap<String, Resolved> {
    look_up_within(names, resolve, settings, PATIENCE)
}

fn look_up_within(
    names: BTreeSet<String>,
    resolve: Resolve,
    settings: &DnsSettings,
    patience: Duration,
) -> BTreeMap<String, Resolved> {
    let late = || Err(format!("no answer within {} s", patience.as_secs()));
    let mut found: BTreeMap<String, Resolved> =
        names.iter().map(|name| (name.clone(), late())).collect();
    let threads = names.len().min(THREADS_MAX);
    let left = Arc::new(Mutex::new(names));
    let (answer, answers) = mpsc::channel();
    for _ in 0..threads {
        let (left, answer, settings) = (Arc::clone(&left), answer.clone(), settings.clone());
        let next = move || left.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        // A look-up cannot be called off. Who comes too late finds nobody who listens, and ends.
        let spawned = thread::Builder::new().name("names".into()).spawn(move || {
            while let Some(name) = next() {
                let found = resolve(&name, &settings);
                if answer.send((name, found)).is_err() {
                    return;
                }
            }
        });
        if spawned.is_err() {
            break;
        }
    }
    drop(answer);
    let until = Instant::now() + patience;
    while let Ok((name, answer)) =
        answers.recv_timeout(until.saturating_duration_since(Instant::now()))
    {
        found.insert(name, answer);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(authority: &str, _: &DnsSettings) -> Resolved {
        match authority {
            "slow:1" => {
                thread::sleep(Duration::from_secs(30));
                Err("it was slow".to_owned())
            }
            "unknown:1" => Err("no such name".to_owned()),
            _ => Ok(vec![([10, 0, 0, 1], 1).into()]),
        }
    }

    #[test]
    fn one_that_hangs_costs_the_others_nothing() {
        let mut names: BTreeSet<String> = (0..40).map(|n| format!("host-{n}:1")).collect();
        names.extend(["slow:1".to_owned(), "unknown:1".to_owned()]);
        let found = look_up_within(names, resolve, &DnsSettings::default(), Duration::from_secs(2));
        assert_eq!(found.len(), 42);
        assert_eq!(found["slow:1"], Err("no answer within 2 s".to_owned()));
        assert_eq!(found["unknown:1"], Err("no such name".to_owned()));
        assert_eq!(found.values().filter(|found| found.is_ok()).count(), 40);
    }

    #[test]
    fn the_system_knows_this_machine_and_no_invalid_name() {
        let nobody =
            DnsSettings { servers: vec![([127, 0, 0, 1], 1).into()], ..DnsSettings::default() };
        let local =
            system("localhost:80", &DnsSettings::default()).expect("every machine knows it");
        assert!(local.contains(&([127, 0, 0, 1], 80).into()), "{local:?}");
        assert!(system("name.invalid:80", &nobody).is_err());
    }
}
