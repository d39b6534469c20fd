//! Consul: a service's healthy instances, by blocking queries of its health API.
//!
//! * `GET /v1/health/service/NAME?passing` answers at once where no `index` is given, and else when
//!   something has changed, or `wait` is over: an answer need not be another one.
//! * The index is where the catalogue stands, `X-Consul-Index`. One that has gone backwards, or is 0, is
//!   of a catalogue that was restored: it is asked for from the beginning.
//! * Between two questions some time passes, so that a catalogue that changes all the time is not asked all the
//!   time.
//!
//! Sources: Consul's documentation, "Health HTTP Endpoint", "Blocking Queries".

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::api::{Api, authority, away, escaped};
use super::{FoundMember, Provider, Stop, Trouble};
use crate::config::snapshot::ConsulSource;

/// How long a question is held where nothing changes.
const WAIT_SECONDS: u64 = 8;
/// For an answer: Consul adds up to a sixteenth.
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// From one question to the next, at least.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct ConsulProvider {
    source: ConsulSource,
    api: Api,
    /// Where the catalogue stood in the last answer; `None`: it is to be asked at once.
    index: Option<u64>,
    known: Option<Vec<FoundMember>>,
}

/// An instance, of which only this is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    node: Node,
    service: Service,
    checks: Option<Vec<Check>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    /// Empty: that of its node.
    #[serde(default)]
    address: String,
    port: u64,
    weights: Option<Weights>,
    locality: Option<Locality>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    #[serde(default)]
    passing: u32,
    #[serde(default)]
    warning: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Locality {
    #[serde(default)]
    zone: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(default)]
    status: String,
}

impl ConsulProvider {
    pub fn new(source: ConsulSource) -> ConsulProvider {
        let api = Api::new(source.api.clone(), "X-Consul-Token: ");
        ConsulProvider { source, api, index: None, known: None }
    }

    fn path(&self) -> String {
        let ConsulSource { service, tags, datacenter, .. } = &self.source;
        let mut path = format!("/v1/health/service/{}?passing=true", escaped(service));
        for tag in tags {
            path.push_str(&format!("&tag={}", escaped(tag)));
        }
        if let Some(datacenter) = datacenter {
            path.push_str(&format!("&dc={}", escaped(datacenter)));
        }
        if let Some(index) = self.index {
            path.push_str(&format!("&index={index}&wait={WAIT_SECONDS}s"));
        }
        path
    }

    /// One question.
    fn ask(&mut self) -> Result<Vec<FoundMember>, Trouble> {
        let path = self.path();
        let answer = self.api.get(&path, TIMEOUT).map_err(|refusal| refusal.trouble)?;
        let index = answer.field("x-consul-index").and_then(|text| text.parse().ok());
        let filtered = answer.field("x-consul-results-filtered-by-acls").as_deref() == Some("true");
        let text = answer
            .document(ANSWER_BYTES_MAX)
            .map_err(|failure| Trouble::new(away(&self.source.api.authority, &failure)))?;
        let found = members(&text)?;
        if filtered && found.is_empty() {
            return Err(Trouble::new("the token may not read this service, or its nodes"));
        }
        self.index = next_index(self.index, index);
        Ok(found)
    }
}

/// What is asked for next: nothing, where what was told cannot be gone on from.
fn next_index(before: Option<u64>, told: Option<u64>) -> Option<u64> {
    told.filter(|told| *told > 0 && before.is_none_or(|before| *told >= before))
}

/// The members of an answer, in an order of their own.
fn members(text: &[u8]) -> Result<Vec<FoundMember>, Trouble> {
    let instances: Vec<Instance> = serde_json::from_slice(text)
        .map_err(|error| Trouble::new(format!("this is no answer of Consul: {error}")))?;
    let mut found: Vec<FoundMember> = instances.iter().filter_map(member).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn member(instance: &Instance) -> Option<FoundMember> {
    let Instance { node, service, checks } = instance;
    let address = if service.address.is_empty() { &node.address } else { &service.address };
    // A service without a port is not for connecting to.
    if address.is_empty() || !(1..=65_535).contains(&service.port) {
        return None;
    }
    let mut checks = checks.iter().flatten();
    let warned = checks.any(|check| check.status == "warning");
    let weight = service.weights.as_ref();
    let weight = weight.map_or(1, |weight| if warned { weight.warning } else { weight.passing });
    let zone = service.locality.as_ref().map(|locality| locality.zone.clone());
    Some(FoundMember {
        weight: weight.clamp(1, FoundMember::WEIGHT_MAX),
        zone: zone.filter(|zone| !zone.is_empty()),
        ..FoundMember::at(authority(address, service.port))
    })
}

impl Provider for ConsulProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        loop {
            let began = Instant::now();
            match self.ask() {
                Ok(found) if self.known.as_ref() != Some(&found) => {
                    self.known = Some(found.clone());
                    return Ok(found);
                }
                Ok(_) => {}
                Err(trouble) => {
                    // What comes next is told whole, and at once.
                    (self.index, self.known) = (None, None);
                    return Err(trouble);
                }
            }
            // One that stands at no index answers at once.
            let pause = if self.index.is_none() { 10 * PAUSE } else { PAUSE };
            if stop.wait(pause.saturating_sub(began.elapsed())) {
                return Ok(Vec::new());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_consul_writes_it() {
        // As of Consul 1.17; shortened by what is not read.
        let text = br#"[
          {"Node":{"ID":"40e4a748-2192-161a-0510-9bf59fe950b5","Node":"gpu-1","Address":"10.1.10.12",
            "Datacenter":"dc1","TaggedAddresses":{"lan":"10.1.10.12"},"Meta":{"rack":"7"}},
           "Service":{"ID":"llama-1","Service":"llama","Tags":["gpu"],"Address":"","Meta":{},"Port":8000,
            "Weights":{"Passing":10,"Warning":1},"Locality":{"Region":"eu","Zone":"eu-1"}},
           "Checks":[{"Node":"gpu-1","CheckID":"serfHealth","Status":"passing"},
                     {"Node":"gpu-1","CheckID":"service:llama","Status":"passing"}]},
          {"Node":{"Node":"gpu-2","Address":"10.1.10.13","Datacenter":"dc1"},
           "Service":{"ID":"llama-2","Service":"llama","Tags":null,"Address":"fd00::2","Port":8001,
            "Weights":{"Passing":5,"Warning":2}},
           "Checks":[{"CheckID":"service:llama","Status":"warning"}]},
          {"Node":{"Node":"gpu-3","Address":"10.1.10.14"},
           "Service":{"ID":"sidecar","Service":"llama","Address":"gpu-3.internal","Port":0},
           "Checks":null}
        ]"#;
        let found = members(text).map_err(|trouble| trouble.reason).expect("it is one");
        let told: Vec<_> =
            found.iter().map(|it| (&*it.address, it.weight, it.zone.as_deref())).collect();
        assert_eq!(told, [("10.1.10.12:8000", 10, Some("eu-1")), ("[fd00::2]:8001", 2, None)]);
        assert_eq!(members(b"[]").map_err(|trouble| trouble.reason), Ok(vec![]));
        for bad in [&b""[..], b"{}", b"[{}]", b"[{\"Node\":{}}]", b"<html>", b"[1"] {
            assert!(members(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn an_index_that_cannot_be_gone_on_from_is_forgotten() {
        for (before, told, next) in [
            (None, Some(7), Some(7)),
            (Some(7), Some(7), Some(7)),
            (Some(7), Some(9), Some(9)),
            (Some(7), Some(6), None),
            (Some(7), Some(0), None),
            (Some(7), None, None),
            (None, None, None),
        ] {
            assert_eq!(next_index(before, told), next, "{before:?} {told:?}");
        }
    }
}
