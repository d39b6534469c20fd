//! Kubernetes: the EndpointSlices of a service, listed once and then watched.
//!
//! ```text
//!   list ──resourceVersion──▶ watch ──▶ ADDED, MODIFIED, DELETED, BOOKMARK ──▶ the slices that there are
//!    ▲                          │ ends: watched again from the last resourceVersion
//!    └──────── 410, ERROR ──────┘
//! ```
//!
//! * A service has several slices, and an endpoint may stand in two of them while it moves.
//! * An endpoint is taken while it is ready. Where none is, those are taken that end and still serve.
//!   One that has begun to end is not ready any more: it leaves, and drains.
//! * The token is read anew for each question: a cluster renews it every hour.
//!
//! Sources: Kubernetes' documentation, "EndpointSlices", "API Concepts: efficient detection of changes",
//! "Accessing the API from a Pod".

mod slice;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::slice::Slice;
use super::api::{Api, Refusal, away, escaped};
use super::{FoundMember, Provider, Stop, Trouble};
use crate::config::snapshot::{ApiServer, KubernetesSource, TokenPlace};
use crate::control::client::{AskFailure, Lines};
use crate::files;
use crate::tls::ClientFiles;

/// Where a pod finds who it is.
const OURS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// For a page of a list, and for the head of a watch.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long the API server keeps up a watch.
const WATCH_SECONDS: u64 = 240;
/// A watch without a word for so long is begun anew: a bookmark comes every minute.
const SILENCE: Duration = Duration::from_secs(90);
/// How often it is looked whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(250);
/// A watch that ends at once, or is too old at once, is not begun again at once.
const PAUSE: Duration = Duration::from_millis(500);
const PAGE: usize = 200;
/// Slices of a service: each has up to 1,000 endpoints, of which no upstream takes as many.
const SLICES_MAX: usize = 256;
const PAGE_BYTES_MAX: usize = 16 << 20;
/// An event has a slice in it.
const EVENT_BYTES_MAX: usize = 4 << 20;

pub(super) struct KubernetesProvider {
    source: KubernetesSource,
    /// `None`: where the API is, is not known yet.
    asked: Option<Asked>,
    slices: BTreeMap<String, Slice>,
    /// From where a watch goes on; `None`: everything is listed anew.
    version: Option<String>,
    running: Option<RunningSlices>,
    known: Option<Vec<FoundMember>>,
}

struct Asked {
    api: Api,
    authority: String,
    namespace: String,
}

/// A watch that has begun.
struct RunningSlices {
    lines: Lines,
    began: Instant,
    heard: Instant,
}

/// What a step of a watch has come to.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A slice is another one, or is gone.
    Changed,
    Nothing,
    /// What the watch went on from is too old.
    Expired,
}

impl KubernetesProvider {
    pub fn new(source: KubernetesSource) -> KubernetesProvider {
        let (slices, version) = (BTreeMap::new(), None);
        KubernetesProvider { source, asked: None, slices, version, running: None, known: None }
    }

    fn asked(&mut self) -> Result<&mut Asked, Trouble> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => self.find_api()?,
        };
        Ok(self.asked.insert(asked))
    }

    /// Where the API is, and which namespace is meant: as configured, or as the cluster tells its pods.
    fn find_api(&self) -> Result<Asked, Trouble> {
        let server = match &self.source.api {
            Some(server) => server.clone(),
            None => in_cluster(|name| std::env::var(name).ok())?,
        };
        let namespace = match &self.source.namespace {
            Some(namespace) => namespace.clone(),
            None => {
                let path = PathBuf::from(format!("{OURS}/namespace"));
                let bytes = files::read(&path, 1 << 10).map_err(|why| {
                    Trouble::new(format!("no namespace is told, and {}: {why}", path.display()))
                })?;
                String::from_utf8_lossy(&bytes).trim().to_owned()
            }
        };
        let authority = server.authority.clone();
        Ok(Asked { api: Api::new(server, "Authorization: Bearer "), authority, namespace })
    }

    fn path(&self, namespace: &str, query: &str) -> String {
        let selector = format!("kubernetes.io/service-name={}", self.source.service);
        format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={}&{query}",
            escaped(namespace),
            escaped(&selector)
        )
    }

    /// Lists all slices, page by page.
    fn list(&mut self) -> Result<(), Trouble> {
        let mut slices = BTreeMap::new();
        let mut query = format!("limit={PAGE}");
        loop {
            let namespace = self.asked()?.namespace.clone();
            let path = self.path(&namespace, &query);
            let asked = self.asked()?;
            let answer = asked.api.get(&path, TIMEOUT).map_err(|refusal| refusal.trouble)?;
            let text = answer
                .document(PAGE_BYTES_MAX)
                .map_err(|failure| Trouble::new(away(&asked.authority, &failure)))?;
            let page: Value = serde_json::from_slice(&text).map_err(|error| nonsense(&error))?;
            let items = page["items"].as_array().ok_or_else(|| nonsense(&"it has no items"))?;
            slices.extend(items.iter().filter_map(Slice::read));
            if slices.len() > SLICES_MAX {
                return Err(Trouble::new(format!("there are more than {SLICES_MAX} slices")));
            }
            match page["metadata"]["continue"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => query = format!("limit={PAGE}&continue={}", escaped(next)),
                None => {
                    let version = page["metadata"]["resourceVersion"].as_str();
                    let version = version.ok_or_else(|| nonsense(&"it has no resourceVersion"))?;
                    (self.slices, self.version) = (slices, Some(version.to_owned()));
                    return Ok(());
                }
            }
        }
    }

    /// Begins a watch where the last one ended.
    fn begin(&mut self, stop: &Stop) -> Result<(), Trouble> {
        let Some(version) = &self.version else { return Ok(()) };
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}",
            escaped(version)
        );
        let namespace = self.asked()?.namespace.clone();
        let path = self.path(&namespace, &query);
        match self.asked()?.api.get(&path, TIMEOUT) {
            Ok(answer) => {
                let (lines, now) = (answer.lines(EVENT_BYTES_MAX), Instant::now());
                self.running = Some(RunningSlices { lines, began: now, heard: now });
                Ok(())
            }
            Err(Refusal { status: 410, .. }) => {
                self.version = None;
                stop.wait(PAUSE);
                Ok(())
            }
            Err(refusal) => Err(refusal.trouble),
        }
    }

    /// Listens until something has changed, the watch is over, or it is to stop. Whether something has.
    fn listen(&mut self, stop: &Stop) -> Result<bool, Trouble> {
        while let Some(running) = self.running.as_mut().filter(|_| !stop.is_stopped()) {
            match running.lines.next(Instant::now() + LOOK) {
                Ok(Some(line)) => {
                    running.heard = Instant::now();
                    match self.take(&line)? {
                        Event::Changed => return Ok(true),
                        Event::Nothing => {}
                        Event::Expired => {
                            (self.running, self.version) = (None, None);
                            stop.wait(PAUSE);
                        }
                    }
                }
                Err(AskFailure::Timeout) if running.heard.elapsed() < SILENCE => {}
                Err(AskFailure::TooLong) => {
                    self.forget();
                    return Err(nonsense(&"an event is longer than 4 MiB"));
                }
                // It is over, as it is by and by, or broken: the next one goes on from where it ended.
                Ok(None) | Err(_) => {
                    let pause = PAUSE.saturating_sub(running.began.elapsed());
                    self.running = None;
                    stop.wait(pause);
                }
            }
        }
        Ok(false)
    }

    /// Takes one event.
    fn take(&mut self, line: &[u8]) -> Result<Event, Trouble> {
        let told: Value = serde_json::from_slice(line).map_err(|error| nonsense(&error))?;
        let object = &told["object"];
        if told["type"] == "ERROR" {
            if object["code"] == 410 {
                return Ok(Event::Expired);
            }
            let why = object["message"].as_str().unwrap_or("no reason is told");
            return Err(Trouble::new(format!("the watch has failed: {why:.200?}")));
        }
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            self.version = Some(version.to_owned());
        }
        let read = Slice::read(object);
        match (told["type"].as_str(), read) {
            (Some("ADDED" | "MODIFIED"), Some((name, slice))) => {
                if self.slices.len() >= SLICES_MAX && !self.slices.contains_key(&name) {
                    return Err(Trouble::new(format!("there are more than {SLICES_MAX} slices")));
                }
                self.slices.insert(name, slice);
                Ok(Event::Changed)
            }
            (Some("DELETED"), Some((name, _))) => {
                self.slices.remove(&name);
                Ok(Event::Changed)
            }
            // A bookmark, and what a later API may say.
            _ => Ok(Event::Nothing),
        }
    }

    fn forget(&mut self) {
        (self.running, self.version, self.known, self.asked) = (None, None, None, None);
    }

    /// What of the slices is new to who asks.
    fn news(&mut self) -> Result<Option<Vec<FoundMember>>, Trouble> {
        let found = slice::members(self.slices.values(), self.source.port.as_deref());
        let found = found.map_err(Trouble::new)?;
        if self.known.as_ref() == Some(&found) {
            return Ok(None);
        }
        self.known = Some(found.clone());
        Ok(Some(found))
    }

    fn step(&mut self, stop: &Stop) -> Result<Option<Vec<FoundMember>>, Trouble> {
        if self.version.is_none() {
            self.list()?;
            return self.news();
        }
        if self.running.is_none() {
            self.begin(stop)?;
        }
        if self.listen(stop)? { self.news() } else { Ok(None) }
    }
}

/// The API of the cluster in which we run.
fn in_cluster(variable: impl Fn(&str) -> Option<String>) -> Result<ApiServer, Trouble> {
    let told = |name: &str| {
        variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            Trouble::new(format!("{name} is not set: this is no pod of Kubernetes; name its URL"))
        })
    };
    let host = told("KUBERNETES_SERVICE_HOST")?;
    let port = told("KUBERNETES_SERVICE_PORT")?.parse().map_err(|error| nonsense(&error))?;
    let ca = Some(PathBuf::from(format!("{OURS}/ca.crt")));
    Ok(ApiServer {
        authority: super::api::authority(&host, port),
        base: String::new(),
        tls: Some(ClientFiles { ca, ..ClientFiles::default() }),
        token: Some(TokenPlace::File(PathBuf::from(format!("{OURS}/token")))),
    })
}

fn nonsense(why: &dyn std::fmt::Display) -> Trouble {
    Trouble::new(format!("this is no answer of Kubernetes: {why}"))
}

impl Provider for KubernetesProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        while !stop.is_stopped() {
            match self.step(stop) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(trouble) => {
                    self.forget();
                    return Err(trouble);
                }
            }
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn provider() -> KubernetesProvider {
        KubernetesProvider::new(KubernetesSource {
            api: None,
            service: "llama".to_owned(),
            namespace: Some("models".to_owned()),
            port: None,
        })
    }

    #[test]
    fn a_watch_is_followed_event_by_event() {
        let mut provider = provider();
        let slice = |name: &str, version: &str, address: &str| {
            json!({
                "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
                "metadata": { "name": name, "resourceVersion": version },
                "addressType": "IPv4",
                "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
                "ports": [{ "name": "http", "port": 8000, "protocol": "TCP" }],
            })
        };
        let mut take = |kind: &str, object: Value| {
            let line = json!({ "type": kind, "object": object }).to_string();
            let event = provider.take(line.as_bytes()).map_err(|trouble| trouble.reason);
            (event, provider.version.clone().unwrap_or_default(), provider.slices.len())
        };
        let is = |event, version: &str, slices| (Ok(event), version.to_owned(), slices);
        assert_eq!(take("ADDED", slice("a", "5", "10.0.0.1")), is(Event::Changed, "5", 1));
        assert_eq!(take("ADDED", slice("b", "6", "10.0.0.2")), is(Event::Changed, "6", 2));
        assert_eq!(take("MODIFIED", slice("b", "8", "10.0.0.3")), is(Event::Changed, "8", 2));
        let mark = json!({ "kind": "EndpointSlice", "metadata": { "resourceVersion": "20" } });
        assert_eq!(take("BOOKMARK", mark), is(Event::Nothing, "20", 2));
        assert_eq!(take("DELETED", slice("b", "21", "10.0.0.3")), is(Event::Changed, "21", 1));
        let expired = json!({ "kind": "Status", "code": 410, "reason": "Expired",
            "message": "too old resource version: 5 (10)" });
        assert_eq!(take("ERROR", expired), is(Event::Expired, "21", 1));
        let (failed, ..) = take("ERROR", json!({ "code": 500, "message": "etcd is away" }));
        assert_eq!(failed, Err("the watch has failed: \"etcd is away\"".to_owned()));
        assert!(provider.take(b"not JSON").is_err());
    }

    #[test]
    fn who_runs_in_a_cluster_is_told_where_its_api_is() {
        let told = |pairs: &[(&str, &str)]| {
            in_cluster(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
            .map(|api| api.authority)
            .map_err(|trouble| trouble.reason)
        };
        let port = ("KUBERNETES_SERVICE_PORT", "443");
        assert_eq!(
            told(&[("KUBERNETES_SERVICE_HOST", "10.96.0.1"), port]),
            Ok("10.96.0.1:443".into())
        );
        assert_eq!(
            told(&[("KUBERNETES_SERVICE_HOST", "fd00::1"), port]),
            Ok("[fd00::1]:443".into())
        );
        let refused = told(&[port]).expect_err("no host");
        assert!(refused.starts_with("KUBERNETES_SERVICE_HOST is not set"), "{refused}");
    }
}
