//! What the system says of names: `/etc/resolv.conf`, `/etc/hosts`, `/etc/nsswitch.conf`.
//!
//! Read for each look-up: a few small files, and what an operator changes holds from the next one on. Sources:
//! resolv.conf(5), hosts(5), nsswitch.conf(5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::LookedUp;
use crate::files;

const FILE_BYTES_MAX: u64 = 4 << 20;
/// As many as glibc takes.
const SERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;
/// Where resolv.conf does not say: shorter than glibc's 5 s, for a server that is well takes far less.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;

/// What the system says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct System {
    pub servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with so many dots is tried as it stands at first.
    dots: usize,
    pub timeout: Duration,
    pub attempts: u32,
    /// `use-vc`
    pub tcp_only: bool,
    hosts: String,
    /// `/etc/hosts` is asked at all.
    uses_hosts: bool,
    /// There are sources besides files and DNS.
    pub has_others: bool,
}

impl System {
    pub fn read() -> System {
        let text = |path: &str| {
            let bytes = files::read(Path::new(path), FILE_BYTES_MAX).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        System::of(&text("/etc/resolv.conf"), text("/etc/hosts"), &text("/etc/nsswitch.conf"))
    }

    pub(super) fn of(resolv: &str, hosts: String, nsswitch: &str) -> System {
        let mut system = System {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: TIMEOUT,
            attempts: ATTEMPTS,
            tcp_only: false,
            hosts,
            uses_hosts: true,
            has_others: false,
        };
        for line in resolv.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => system.servers.extend(words.next().and_then(server)),
                // The last line of the two wins.
                Some("search" | "domain") => {
                    let domains = words.map(|domain| domain.trim_matches('.').to_owned());
                    system.search = domains.filter(|domain| !domain.is_empty()).collect();
                }
                Some("options") => words.for_each(|option| system.obey(option)),
                _ => {}
            }
        }
        system.servers.truncate(SERVERS_MAX);
        system.search.truncate(SEARCH_MAX);
        if system.servers.is_empty() {
            system.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        let sources = nsswitch.lines().find_map(|line| line.trim().strip_prefix("hosts:"));
        if let Some(sources) = sources {
            let sources = sources.split('#').next().unwrap_or_default().split_whitespace();
            let sources: Vec<&str> = sources.filter(|word| !word.starts_with('[')).collect();
            system.uses_hosts = sources.contains(&"files");
            system.has_others =
                sources.iter().any(|source| !["files", "dns", "myhostname"].contains(source));
        }
        system
    }

    fn obey(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        match (name, value.parse::<u32>()) {
            ("ndots", Ok(dots)) => self.dots = dots.min(15) as usize,
            ("timeout", Ok(seconds)) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, 10).into());
            }
            ("attempts", Ok(attempts)) => self.attempts = attempts.clamp(1, 5),
            ("use-vc", _) => self.tcp_only = true,
            _ => {}
        }
    }

    /// What `/etc/hosts` has of a name. `localhost` is this machine, whatever anybody says (RFC 6761).
    pub fn hosts(&self, name: &str) -> Option<LookedUp<IpAddr>> {
        let name = name.trim_end_matches('.');
        let lines = self.hosts.lines().filter(|_| self.uses_hosts);
        let records: Vec<IpAddr> = lines
            .filter_map(|line| {
                let mut words = line.split('#').next()?.split_whitespace();
                let address: IpAddr = words.next()?.parse().ok()?;
                words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
            })
            .collect();
        if !records.is_empty() {
            return Some(LookedUp { records, ttl: None });
        }
        let is_local = name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost");
        let local = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        is_local.then(|| LookedUp { records: local.to_vec(), ttl: None })
    }

    /// The names that this one may stand for, in the order in which they are tried.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        match dots >= self.dots {
            true => std::iter::once(name.to_owned()).chain(searched).collect(),
            false => searched.chain([name.to_owned()]).collect(),
        }
    }
}

/// `10.0.0.2`, `fe80::1%eth0` without its zone, which needs the interface's number.
fn server(word: &str) -> Option<SocketAddr> {
    let address: IpAddr = word.split('%').next()?.parse().ok()?;
    Some(SocketAddr::new(address, 53))
}
