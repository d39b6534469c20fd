//! `sluicegate register`: an inference server in the store, as long as it is well.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Exit, complain, gateway_name};
use crate::config::units;
use crate::control::register::{
    self, HealthQuestion, RegisterSettings, RegisterTimes, RegisteredEndpoint, port_of,
};
use crate::lifecycle::place::StorePlace;
use crate::sys;
use crate::tls::ClientFiles;

/// `sluicegate register`
#[derive(Args, Clone, Debug)]
pub struct RegisterArguments {
    /// etcd://[USER@]HOST:PORT[,HOST:PORT]/PREFIX, etcds:// under TLS; the password stands in
    /// SLUICEGATE_STORE_PASSWORD
    #[arg(long, value_name = "STORE")]
    store: StorePlace,
    /// The upstream that the server is an endpoint of
    #[arg(long, value_name = "NAME", value_parser = gateway_name)]
    upstream: String,
    /// Where gateways reach the server: HOST:PORT, or a URL as in `endpoints`
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    address: String,
    /// The name of the key, which two servers of an upstream must not share [default: the address]
    #[arg(long, value_name = "NAME", value_parser = gateway_name)]
    id: Option<String>,
    /// Its share of the traffic, from 1 to 1,000
    #[arg(long, value_name = "WEIGHT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    weight: u32,
    /// Endpoints with the least number are asked first
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    priority: u16,
    /// Where it stands, for people
    #[arg(long, value_name = "NAME", value_parser = gateway_name)]
    zone: Option<String>,
    /// Without a word of this process the key is gone after this: whole seconds, from 2s to 1h
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = ttl)]
    ttl: Duration,
    /// How the server is asked whether it is well: PATH, http[s]://HOST:PORT/PATH, or connect; a status
    /// from 200 to 299 says yes
    #[arg(long, value_name = "QUESTION", default_value = "/health")]
    health: HealthQuestion,
    /// Whose signatures are believed where it is asked under TLS [default: those the system trusts]
    #[arg(long, value_name = "FILE")]
    health_ca: Option<PathBuf>,
    /// From one such question to the next
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = span)]
    health_interval: Duration,
    /// For an answer
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = span)]
    health_timeout: Duration,
    /// So many in a row without one make the server unwell: it is withdrawn until it is well
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    health_failures: u32,
    /// Until the server is well for the first time; then it is ended, with exit code 1
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    start: Duration,
    /// From the withdrawal to SIGTERM, so that gateways notice and streams end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    drain: Duration,
    /// From SIGTERM to SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    grace: Duration,
    /// The server and its arguments; without, one is registered that somebody else runs
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<String>,
}

fn duration(told: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(24 * 3_600);
    match units::duration(told).map_err(|mistake| mistake.to_string())? {
        duration if duration <= most => Ok(duration),
        _ => Err("24h at most".to_owned()),
    }
}

fn span(told: &str) -> Result<Duration, String> {
    match duration(told)? {
        short if short < Duration::from_millis(10) => Err("10ms at least".to_owned()),
        duration => Ok(duration),
    }
}

fn ttl(told: &str) -> Result<Duration, String> {
    let ttl = duration(told)?;
    match ttl.subsec_nanos() == 0 && (2..=3_600).contains(&ttl.as_secs()) {
        true => Ok(ttl),
        false => Err("whole seconds, from 2s to 1h".to_owned()),
    }
}

/// `host:port`, or a URL.
fn address(told: &str) -> Result<String, String> {
    if told.bytes().all(|byte| byte.is_ascii_graphic()) && authority_of(told).is_some() {
        return Ok(told.to_owned());
    }
    Err("write HOST:PORT, http://HOST:PORT or https://HOST".to_owned())
}

/// The `host:port` of an address.
fn authority_of(address: &str) -> Option<String> {
    let (rest, port) = match (address.strip_prefix("http://"), address.strip_prefix("https://")) {
        (Some(rest), _) => (rest, Some(80)),
        (_, Some(rest)) => (rest, Some(443)),
        _ => return port_of(address).map(|_| address.to_owned()),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match (port_of(authority), port) {
        (Some(_), _) => Some(authority.to_owned()),
        (None, Some(port)) => {
            let whole = format!("{authority}:{port}");
            port_of(&whole).map(|_| whole)
        }
        (None, None) => None,
    }
}

pub fn execute(arguments: &RegisterArguments) -> Exit {
    let done = settings(arguments).and_then(|settings| {
        let signals = sys::Signals::of_a_service();
        let signals = signals.map_err(|error| format!("signals cannot be handled: {error}"))?;
        register::run(settings, signals)
    });
    match done {
        Ok(code) => Exit::Code(code),
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn settings(arguments: &RegisterArguments) -> Result<RegisterSettings, String> {
    let arguments = arguments.clone();
    let authority =
        authority_of(&arguments.address).ok_or_else(|| "the address has no port".to_owned())?;
    let sealed = match &arguments.health {
        HealthQuestion::Path(_) => arguments.address.starts_with("https://"),
        HealthQuestion::Url(.., sealed) => *sealed,
        HealthQuestion::Connect => false,
    };
    let files = ClientFiles { ca: arguments.health_ca, ..ClientFiles::default() };
    if sealed {
        // A file that is wrong is told before anything is begun.
        files.dialer(arguments.health.authority(&authority), sys::time_of_day())?;
    } else if files.ca.is_some() {
        return Err("--health-ca is for a server that is asked under TLS".to_owned());
    }
    let id = arguments.id.unwrap_or_else(|| authority.clone());
    Ok(RegisterSettings {
        key: format!("{}/.endpoints/{}/{id}", arguments.store.prefix, arguments.upstream),
        store: arguments.store.etcd,
        endpoint: RegisteredEndpoint {
            address: arguments.address,
            weight: arguments.weight,
            priority: arguments.priority,
            zone: arguments.zone,
        },
        authority,
        health: arguments.health,
        health_tls: sealed.then_some(files),
        interval: arguments.health_interval,
        timeout: arguments.health_timeout,
        failures: arguments.health_failures,
        ttl_seconds: arguments.ttl.as_secs(),
        times: RegisterTimes {
            start: arguments.start,
            drain: arguments.drain,
            grace: arguments.grace,
            lease: arguments.ttl,
        },
        command: arguments.command,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_authority() {
        for (told, expected) in [
            ("10.0.0.1:8000", Some("10.0.0.1:8000")),
            ("[::1]:80", Some("[::1]:80")),
            ("http://gpu-1/v1", Some("gpu-1:80")),
            ("https://gpu-1", Some("gpu-1:443")),
            ("https://gpu-1:8443/v1", Some("gpu-1:8443")),
            ("gpu-1", None),
            ("gpu-1:0", None),
            ("ftp://gpu-1", None),
            ("http://", None),
        ] {
            assert_eq!(authority_of(told).as_deref(), expected, "{told}");
        }
    }
}
