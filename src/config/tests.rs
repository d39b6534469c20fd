//! The configuration as a whole: what is accepted, each refusal with its line, and the round trip.

mod accepted;
mod authoriser;
mod cors;
mod discover;
mod documented;
mod fitted;
mod gate;
mod headers;
mod hostile;
mod issuers;
mod models;
mod plugins;
mod policies;
mod refused;
mod registries;
mod reloaded;
mod routing;
mod tls;
mod wake;

use std::net::SocketAddr;
use std::path::Path;

use super::{Environment, Loaded, Problem};

/// The sample of the documentation, every key with its default.
const SAMPLE: &str = r#"[server]
listen     = ["127.0.0.1:8080"]
cpus       = [0]
half_close = "cancel"
accept     = "reuseport"
spin       = "0us"
forwarded  = "append"
[limits]
connections = 10000
head_bytes  = "64KiB"
headers     = 100
body_bytes  = "unlimited"
replay_bytes = "32MiB"
requests_per_connection = 10000
buffer_bytes = "256MiB"
[timeouts]
head         = "10s"
body         = "60s"
client_idle  = "75s"
client_write = "30s"
connect      = "5s"
ttft         = "10m"
inter_event  = "5m"
total        = "off"
tunnel_idle  = "1h"
drain        = "10m"
[[upstream]]
name      = "llama"
endpoints = ["127.0.0.1:8081"]
host      = "preserve"
pool      = { idle_per_endpoint = 20, connections = 10_000, idle_timeout = "4s", max_age = "5m", max_requests = 10000, replay_stale_post = true }
retry     = { attempts = 2, on = ["connect", "reset", "bad_answer", "ttft_timeout", "empty_stream", "429", "502", "503"], backoff = "25ms", backoff_max = "1s", retry_after_max = "2s", budget = 20, post = true }
balance   = "least_outstanding"
breaker   = { consecutive = 5, rate = 50, window = "10s", volume = 10, open = "5s", open_max = "2m", slow_start = "10s", cooldown = "5s", unauthorized = "off", panic = 50 }
health    = "off"
admission = { max_concurrency = "unlimited", endpoint_concurrency = "unlimited", queue = 256, queue_timeout = "30s", priority = 1 }
[[route]]
path      = "/inference"
methods   = ["POST"]
upstream  = "llama"
rewrite   = "/stream"
commit    = "first_event"
heartbeat = "off"
server_timing = false
[admin]
listen    = "off"
[access_log]
to        = "off"
format    = "json"
[trace]
context   = "off"
sample    = 1
export    = "off"
service   = "sluicegate"
interval  = "1s"
timeout   = "10s"
queue     = 2048
[recorder]
streams   = "off"
keep      = 32
"#;

/// The least a configuration can say.
const LEAST: &str = r#"[server]
listen = ["127.0.0.1:8080"]
[[upstream]]
name = "llama"
endpoints = ["127.0.0.1:8081"]
[[route]]
path = "/inference"
upstream = "llama"
"#;

/// A machine with four cores and a few names.
fn environment() -> Environment {
    let cpus = vec![0, 1, 2, 3];
    Environment {
        cpus,
        parallelism: 4,
        descriptors: |wanted| wanted,
        memory: None,
        resolve,
        folder: "/etc".into(),
        read,
        variable,
        load_plugin: plugins::load,
        ..Environment::current()
    }
}

fn resolve(authority: &str, _: &crate::dns::DnsSettings) -> Result<Vec<SocketAddr>, String> {
    let (name, port) = authority.split_once(':').unwrap();
    let at = |last| SocketAddr::from(([10, 0, 0, last], port.parse().unwrap()));
    match name {
        "llama.internal" => Ok(vec![at(7)]),
        "llamas.internal" => Ok(vec![at(8), at(9)]),
        "myself.internal" => Ok(vec![([127, 0, 0, 1], 8080).into()]),
        _ => Err("no such name".to_owned()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some("/etc/sorry.txt") => Ok("Sorry, no model answers.\nTry again.\n".to_owned()),
        Some("/etc/sorry.json") => Ok("{\"sorry\": true}\n".to_owned()),
        Some("/etc/admin.token") => Ok("correct-horse-battery\n".to_owned()),
        Some("/etc/keys.toml") => Ok(format!("[keys.filed]\nhash = \"sha256:{:064}\"\n", 7)),
        Some("/etc/odd-keys.toml") => Ok("[keys.\"a b\"]\nhash = \"sk-secret\"\n".to_owned()),
        Some("/etc/certificate-keys.toml") => {
            Ok("[keys.filed]\ncertificate = \"filed-*\"\n".to_owned())
        }
        Some("/etc/no-keys.toml") => Ok("# none\n".to_owned()),
        Some("/etc/jwks.json") => Ok(
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"qOkMWBMQbFOENAj4jb651Fmq0Zeha6EJMhEto7ISA5o"}]}"#.to_owned()
        ),
        Some("/etc/api.key") => Ok("from-a-file\n".to_owned()),
        Some("/etc/short") => Ok("short\n".to_owned()),
        Some("/etc/two") => Ok("correct-horse-battery\nand more\n".to_owned()),
        Some("/etc/broken.json") => Ok("{\"sorry\"\n".to_owned()),
        _ => Err("no such file".to_owned()),
    }
}

/// The environment has two keys, one of them empty.
fn variable(name: &str) -> Option<String> {
    match name {
        "API_KEY" => Some("sesame".to_owned()),
        "EMPTY" => Some(String::new()),
        "TWO_LINES" => Some("a\nb".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Loaded, Vec<Problem>> {
    super::parse(text, &environment())
}

#[track_caller]
fn accepted(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|problems| panic!("refused:\n{}", told(&problems)))
}

/// The problems of a text that must be refused, one a line.
#[track_caller]
fn refused(text: &str) -> String {
    told(&parse(text).expect_err("must be refused"))
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

pub(crate) fn snapshot_of(text: &str) -> super::snapshot::Snapshot {
    accepted(text).snapshot
}

/// A snapshot has no equality (it may hold services), but everything in it can be printed.
fn content(loaded: &Loaded) -> String {
    format!("{:#?}", loaded.snapshot)
}
