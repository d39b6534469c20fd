//! The machine: cores, descriptors, memory, clock, settings of the kernel, and whether ports are free.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use super::{Finding, FindingLevel};
use crate::config::Environment;
use crate::config::snapshot::unix_path::{UNIX_PREFIX, path_of};
use crate::config::snapshot::{Snapshot, Workers};
use crate::config::{bounds, show};
use crate::control::identify::ServerPlace;
use crate::files;
use crate::sys;
use crate::tls::{DialerSettings, TlsDialer, TlsVersion, Trust};

/// What a listener asks for; the kernel grants at most `somaxconn`.
const BACKLOG: u64 = 4096;
/// 2025-01-01: no clock that was ever set shows less.
const SET_CLOCK: Duration = Duration::from_secs(1_735_689_600);
const TEXT_MAX: u64 = 64 << 10;

/// What holds for every configuration, and for this one.
pub(super) fn findings(snapshot: Option<&Snapshot>) -> Vec<Finding> {
    let environment = Environment::current();
    let mut findings = vec![cores(&environment, snapshot)];
    findings.extend(snapshot.map(|snapshot| descriptors(&environment, snapshot)));
    findings.extend(snapshot.and_then(|snapshot| memory(&environment, snapshot)));
    findings.push(clock(sys::time_of_day()));
    findings.extend(clock_source(text(
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    )));
    findings.extend(backlog(number("/proc/sys/net/core/somaxconn")));
    findings.extend(governor(text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")));
    findings.extend(port_range(text("/proc/sys/net/ipv4/ip_local_port_range"), snapshot));
    findings
}

fn text(path: &str) -> Option<String> {
    let bytes = files::read(Path::new(path), TEXT_MAX).ok()?;
    Some(String::from_utf8(bytes).ok()?.trim().to_owned())
}

fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

fn cores(environment: &Environment, snapshot: Option<&Snapshot>) -> Finding {
    let (cores, granted) = (environment.cpus.len(), environment.parallelism);
    let seen = format!("{cores} cores may be used, and {granted} may be kept busy");
    match snapshot.map(|snapshot| &snapshot.server.workers) {
        Some(Workers::Pinned(cpus)) if cpus.len() > granted => Finding::note(
            "cores",
            format!("{} workers are pinned; {seen}", cpus.len()),
            "list fewer in server.cpus, or leave it out",
        ),
        Some(Workers::Unpinned(count)) if *count > granted => Finding::note(
            "cores",
            format!("{count} workers; {seen}"),
            format!("server.workers = {granted}, or leave it out"),
        ),
        Some(Workers::Pinned(cpus)) => {
            Finding::good("cores", format!("{} workers, each pinned to a core; {seen}", cpus.len()))
        }
        Some(Workers::Unpinned(count)) => {
            Finding::good("cores", format!("{count} workers, not pinned; {seen}"))
        }
        None => Finding::good("cores", seen),
    }
}

fn descriptors(environment: &Environment, snapshot: &Snapshot) -> Finding {
    let (needed, least) =
        (bounds::descriptors_needed(snapshot), bounds::descriptors_least(snapshot));
    let granted = (environment.descriptors)(needed);
    let what = format!("{needed} descriptors are needed at most, and {granted} can be had");
    let change = "raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower limits.connections";
    match granted {
        _ if granted >= needed => Finding::good("descriptors", what),
        _ if granted >= least => Finding::note("descriptors", what, change),
        _ => Finding::bad("descriptors", format!("{what}: it would not start"), change),
    }
}

fn memory(environment: &Environment, snapshot: &Snapshot) -> Option<Finding> {
    let memory = environment.memory?;
    let most = bounds::worker_count(snapshot).saturating_mul(bounds::worker_memory(snapshot));
    let what = format!(
        "connections and buffers take at most {}, of {}",
        show::rounded(most),
        show::rounded(memory)
    );
    Some(match most > memory / 2 {
        true => Finding::note("memory", what, "lower limits.buffer_bytes or limits.connections"),
        false => Finding::good("memory", what),
    })
}

fn clock(now: Duration) -> Finding {
    match now < SET_CLOCK {
        true => Finding::bad(
            "clock",
            format!("it is {} s since 1970: the clock was never set", now.as_secs()),
            "set it (timedatectl set-ntp true): keys and certificates depend on it",
        ),
        false => Finding::good("clock", "the time of day is set"),
    }
}

/// Each turn of a worker reads the clock once; where that is a system call it is dear.
fn clock_source(name: Option<String>) -> Option<Finding> {
    let name = name?;
    let cheap = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
    Some(match cheap.contains(&&*name) {
        true => Finding::good("clock", format!("clock source {name}: read without a system call")),
        false => Finding::note(
            "clock",
            format!("clock source {name}: each look at the clock is a system call"),
            "see whether tsc is in available_clocksource",
        ),
    })
}

fn backlog(somaxconn: Option<u64>) -> Option<Finding> {
    let most = somaxconn?;
    Some(match most < BACKLOG {
        true => Finding::note(
            "kernel",
            format!(
                "net.core.somaxconn is {most}: a burst of more clients waits a second or three"
            ),
            format!("sysctl -w net.core.somaxconn={BACKLOG}"),
        ),
        false => Finding::good("kernel", format!("net.core.somaxconn is {most}")),
    })
}

fn governor(name: Option<String>) -> Option<Finding> {
    let name = name.filter(|name| name == "powersave" || name == "conservative")?;
    Some(Finding::note(
        "kernel",
        format!("the governor of the CPUs is {name}: a worker that wakes up starts slowly"),
        "cpupower frequency-set -g performance, where latency counts",
    ))
}

/// Connections from one address of ours to one endpoint.
fn port_range(range: Option<String>, snapshot: Option<&Snapshot>) -> Option<Finding> {
    let range = range?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else { return None };
    let (ports, snapshot) = ((last + 1).saturating_sub(first), snapshot?);
    let workers = bounds::worker_count(snapshot);
    let endpoints =
        snapshot.upstreams.iter().map(|upstream| upstream.endpoints.len() as u64).min()?;
    let streams = workers.saturating_mul(snapshot.limits.connections as u64) / endpoints.max(1);
    (streams > ports).then(|| {
        Finding::note(
            "kernel",
            format!(
                "{ports} ports for connections to one server, and {streams} streams may want one"
            ),
            "sysctl -w net.ipv4.ip_local_port_range='1024 65535', or more endpoints",
        )
    })
}

const ADMIN: &str = "admin.listen";

/// Whether somebody listens on its ports, and whether that is the gateway.
pub(super) fn ports(snapshot: &Snapshot) -> Vec<Finding> {
    // Whether it is there is asked, and nothing is told: anybody may answer. One that wants a certificate
    // of ours is somebody who listens.
    let trust_nobody = DialerSettings {
        trust: Trust::Nobody,
        credentials: None,
        min_version: TlsVersion::default(),
    };
    let dialer = snapshot.admin.tls.as_ref();
    let dialer = dialer.and_then(|_| TlsDialer::new(&trust_nobody, "localhost").ok());
    let running = snapshot.admin.listen.is_some_and(|address| {
        let (host, tls) = (address.to_string(), dialer.as_ref());
        let place = ServerPlace { address, tls, host: &host, base: "", key_lines: "", rules: None };
        place.get("/healthz").is_ok()
    });
    let listen = snapshot.server.listen.iter().map(|address| ("server.listen", *address));
    let admin = snapshot.admin.listen.iter().map(|address| (ADMIN, *address));
    // A gateway that wants a certificate of ours says nothing to us.
    let told = snapshot.admin.tls.is_none();
    let look = |(key, address)| match path_of(address).map(|path| unix_port(path, key, running)) {
        Some(finding) => finding,
        None if key == ADMIN && told && !running => foreign(tcp_port(address, key, running)),
        None => tcp_port(address, key, running),
    };
    listen.chain(admin).map(look).collect()
}

/// Who is at the admin address and answers no `/healthz` is no gateway: `run` would not start.
fn foreign(finding: Finding) -> Finding {
    match finding.level {
        FindingLevel::Note => Finding::bad(
            "ports",
            format!("{}, and it is no gateway", finding.what),
            "set admin.listen to another port (9090 is Prometheus' own too), or find who with: ss -ltnp",
        ),
        _ => finding,
    }
}

fn tcp_port(address: SocketAddr, key: &str, running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good("ports", format!("{address} ({key}) is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && running => {
            Finding::good("ports", format!("{address} ({key}) is served by a running gateway"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::note(
            "ports",
            format!("somebody listens on {address} ({key})"),
            "good if it is this gateway; else find who with: ss -ltnp",
        ),
        Err(error) => Finding::bad(
            "ports",
            format!("nobody can listen on {address} ({key}): {error}"),
            "take an address of this machine, and a port above 1023 or CAP_NET_BIND_SERVICE",
        ),
    }
}

/// Nothing is made there: a file would stay.
fn unix_port(path: &str, key: &str, running: bool) -> Finding {
    let told = format!("{UNIX_PREFIX}{path} ({key})");
    let folder = Path::new(path).parent().filter(|folder| folder.is_dir());
    match sys::connect_unix(path).map_err(|error| error.kind()) {
        Ok(_) | Err(ErrorKind::ResourceBusy) if running => {
            Finding::good("ports", format!("{told} is served by a running gateway"))
        }
        Ok(_) | Err(ErrorKind::ResourceBusy) => Finding::note(
            "ports",
            format!("somebody listens on {told}"),
            format!("good if it is this gateway; else find who with: ss -xlp src {path}"),
        ),
        Err(ErrorKind::NotFound) if folder.is_some() => {
            Finding::good("ports", format!("{told} is free"))
        }
        Err(ErrorKind::NotFound) => Finding::bad(
            "ports",
            format!("nobody can listen on {told}: its folder is not there"),
            "make the folder, for the user of the gateway",
        ),
        Err(ErrorKind::ConnectionRefused) if is_socket(path) => {
            Finding::good("ports", format!("{told} was left behind, and is replaced at the start"))
        }
        Err(ErrorKind::ConnectionRefused) => Finding::bad(
            "ports",
            format!("nobody can listen on {told}: a file that is no socket is there"),
            "take another path, or move the file",
        ),
        Err(kind) => Finding::bad(
            "ports",
            format!("nobody can listen on {told}: {kind}"),
            "take a path that the user of the gateway may reach",
        ),
    }
}

fn is_socket(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::super::FindingLevel::{self, Bad, Good, Note};
    use super::*;

    #[test]
    fn settings_are_judged() {
        let level = |finding: Option<Finding>| finding.map(|finding| finding.level);
        for (found, expected) in [
            (backlog(Some(128)), Some(Note)),
            (backlog(Some(4096)), Some(Good)),
            (backlog(None), None),
            (clock_source(Some("hpet".into())), Some(Note)),
            (clock_source(Some("tsc".into())), Some(Good)),
            (governor(Some("powersave".into())), Some(Note)),
            (governor(Some("performance".into())), None),
            (Some(clock(Duration::from_secs(12))), Some(Bad)),
            (Some(clock(SET_CLOCK)), Some(Good)),
            (port_range(Some("32768 60999".into()), None), None),
        ] {
            let expected: Option<FindingLevel> = expected;
            assert_eq!(level(found.clone()), expected, "{found:?}");
        }
    }
}
