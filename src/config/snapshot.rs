//! One immutable, compiled generation of the configuration: what the workers read.
//!
//! Everything is resolved here once: defaults are filled in, names have become indices, a route's
//! timeouts are the ones in force.
//!
//! Absent on purpose: text, line numbers and units. `check` has dealt with them.

mod generation;
mod members;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::generation::{EndpointId, Generation, UpstreamId};
pub use self::members::{ADDRESSES_MAX, Addresses, Listed};
pub use super::secret::Secret;
pub use crate::dns::DnsSettings;
pub use crate::http::rewrite::Forwarded;
pub use crate::plugins::settings::{ActivePlugin, PluginTable};
use crate::responder::Service;
use crate::service::Setting;
use crate::service::continuation::Prefill;

mod chain;
mod cors;
mod discover;
mod endpoint;
mod gate;
mod headers;
mod models;
mod observing;
mod path;
mod prices;
mod process;
mod registry;
mod resilience;
mod stored;
mod tls;
mod translate;
pub mod unix_path;
mod wake;
mod when;

pub use chain::{Chain, Link};
pub use cors::Cors;
pub use discover::{Belief, DialTemplate, Discover, DiscoverySource, FoundMember, MEMBERS_MAX};
pub use endpoint::Endpoint;
pub use gate::{
    Across, AddressLimits, Algorithm, ApiKey, AuthPlace, Authoriser, AuthoriserSettings, Cidr,
    ClaimNames, ClaimPath, ClientField, FleetSettings, Gate, GateSettings, Issuer, IssuerKeys,
    IssuerSettings, KeyDigest, KeyHolder, KeyMode, KeySettings, KeySource, KeyTable, KeyUse,
    KeysPlace, SECRET_PREFIX, Tells, Tiers,
};
pub use headers::{AcceptEncoding, HeaderRules};
pub use models::{ModelRoute, ModelSource};
pub use observing::{Collector, Recorder, TraceContext, TraceSettings, UsageSettings};
pub use path::{PathPattern, PathPiece, Rewrite, Template};
pub use prices::{ModelPrice, Money, PaidTokens, PriceTable, TokenPrice};
pub use process::ProcessSettings;
pub use registry::{ApiServer, ConsulSource, EtcdSource, KubernetesSource, TokenPlace};
pub use resilience::{
    Admission, Balance, BreakerSettings, CommitAt, Condition, Conditions, Continue, Fallback,
    FallbackAnswer, HashKey, HealthCheck, Heartbeat, KeyPriority, PRIORITIES, Retry, WhileLoading,
};
pub use stored::{ENTRY_BYTES, StoredResponses};
pub use tls::{CertificateFiles, ClientAuth, ServerTls, TlsDialer, UpstreamTls};
pub use translate::TranslateTo;
pub use wake::{WakeBy, WakeSettings, WakeUrl};
pub use when::{Pattern, Share, ShareBy, When};

/// A compiled configuration.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub generation: Generation,
    pub server: ServerSettings,
    pub gate: GateSettings,
    pub process: ProcessSettings,
    pub admin: Admin,
    pub access_log: AccessLog,
    pub trace: TraceSettings,
    pub recorder: Recorder,
    pub usage: UsageSettings,
    /// What tokens cost; `None`: nothing is told of that.
    pub prices: Option<Arc<PriceTable>>,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub plugins: PluginTable,
    pub upstreams: Vec<Upstream>,
    /// Who has made which stored response, where an upstream has `stored`: shared by all workers, and kept
    /// by the generation that follows.
    pub stored: Option<Arc<StoredResponses>>,
    /// In matching order: exact paths first, then prefixes from the longest to the shortest.
    pub routes: Vec<Route>,
    /// Every file that it names, but those that are only written.
    pub files: Vec<PathBuf>,
}

impl Snapshot {
    /// Whether a listener on `address` takes IPv4 too: `[::]` does, unless the port has a listener
    /// for IPv4.
    pub fn takes_both_families(&self, address: SocketAddr) -> bool {
        let mut all = self.server.listen.iter().chain(&self.admin.listen);
        let port = address.port();
        let everywhere = address.is_ipv6() && address.ip().is_unspecified();
        everywhere && (port == 0 || !all.any(|one| one.is_ipv4() && one.port() == port))
    }
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Every worker listens on every one of these.
    pub listen: Vec<SocketAddr>,
    /// `None`: all of them speak plain HTTP.
    pub tls: Option<ServerTls>,
    pub workers: Workers,
    pub half_close: HalfClose,
    pub accept: AcceptMode,
    /// How long a worker polls without sleeping before it parks. Zero: it parks at once.
    pub spin: Duration,
    /// How long a worker may sleep before it polls, where many events are to be expected. `None`:
    /// it never does.
    pub coalesce: Option<Duration>,
    pub forwarded: Forwarded,
    /// How often the file is looked at for a change. `None`: only SIGHUP reloads it.
    pub watch: Option<Duration>,
    /// How often the names of endpoints are looked up. `None`: when the file is read.
    pub resolve: Option<Duration>,
    /// Who looks them up.
    pub dns: DnsSettings,
    /// How often servers are asked for their models, where a route tells them.
    pub list_models: Duration,
    /// `None`: the kernel asks nobody.
    pub tcp_keepalive: Option<Keepalive>,
}

/// How the kernel finds out that the peer of a silent connection has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between two probes.
    pub interval: Duration,
    /// Unanswered ones that end the connection.
    pub probes: u32,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `None`: there is no admin address.
    pub listen: Option<SocketAddr>,
    pub token: Option<AdminToken>,
    /// Names that it is reached by beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The dashboard has a page that talks to the models.
    pub playground: bool,
    /// `None`: it speaks no TLS.
    pub tls: Option<ServerTls>,
}

/// `[access_log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub target: AccessTarget,
    pub format: AccessFormat,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    Stderr,
    File(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    Json,
    Logfmt,
}

/// The bearer token of the admin address.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// Where it was read; empty: it was made by the program.
    pub file: String,
    pub secret: Secret,
}

/// How many workers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One worker per entry, pinned to that core.
    Pinned(Vec<usize>),
    /// This many workers, wherever the scheduler puts them.
    Unpinned(usize),
}

/// What a FIN from a client that waits for its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// It left: cancel the exchange and free the inference server.
    Cancel,
    /// It only finished sending; RST or a failed write tells that it left.
    Allow,
    /// An HTTP/1.1 client is sent an interim response, which a client that has left answers with
    /// RST; until then, and without one, as `Allow`.
    Probe,
}

/// How connections are spread over workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptMode {
    /// The kernel hashes each connection to one worker's SO_REUSEPORT listener.
    Reuseport,
    /// As `Reuseport`, then handed to the least loaded worker if the loads differ.
    Balanced,
}

/// `[limits]`, per worker unless told otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open client connections.
    pub connections: usize,
    /// The descriptors that the process may have, where the defaults have shrunk to them.
    pub fitted_to: Option<u64>,
    /// Clients whose TLS handshake is under way.
    pub handshakes: usize,
    /// Whether a client that has been answered keeps its place where others wait outside. It is no
    /// key: it does, but at the admin address.
    pub idle_keeps_place: bool,
    /// Bytes of a request head, start line included.
    pub head_bytes: usize,
    /// Fields of a request head; at most [`crate::http::head::FIELDS_MAX`].
    pub headers: usize,
    /// The same of a response head.
    pub response_head_bytes: usize,
    pub response_headers: usize,
    /// Bytes of a request body, `None`: unlimited.
    pub body_bytes: Option<u64>,
    /// Bytes of a request kept for a replay; a longer request is not replayed.
    pub replay_bytes: usize,
    /// Bytes of a request's body that are held while its model, which is to be replaced, has not come.
    pub model_search_bytes: usize,
    /// How long the body of a request may be that is translated.
    pub translate_bytes: usize,
    /// How many stored responses are remembered, all workers together.
    pub stored_responses: usize,
    pub requests_per_connection: u32,
    /// Memory for buffers that hold bytes.
    pub buffer_bytes: usize,
    /// Memory for requests and texts that are kept to continue streams.
    pub continue_bytes: usize,
}

/// `[timeouts]`. `None` is "off".
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// The whole request head.
    pub head: Option<Duration>,
    /// Between two requests of a connection.
    pub client_idle: Option<Duration>,
    /// How long a drain may take before the rest is aborted.
    pub drain: Option<Duration>,
    /// The ones a route or an upstream may override; here without any override.
    pub exchange: ExchangeTimeouts,
}

/// What counts as progress of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressBy {
    /// Data events.
    Data,
    /// Any byte, comments and pings included.
    Bytes,
}

impl ProgressBy {
    pub const ALL: [(&'static str, ProgressBy); 2] =
        [("data", ProgressBy::Data), ("bytes", ProgressBy::Bytes)];

    pub fn name(self) -> &'static str {
        match self {
            ProgressBy::Data => "data",
            ProgressBy::Bytes => "bytes",
        }
    }
}

/// The timeouts of one exchange. `None` is "off".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeTimeouts {
    /// Silence inside a request body.
    pub body: Option<Duration>,
    /// A client that does not read.
    pub client_write: Option<Duration>,
    /// Until a connection to the upstream stands, waiting for a free one included.
    pub connect: Option<Duration>,
    /// Request written → first data event (first body byte where the body is no event stream).
    pub ttft: Option<Duration>,
    /// For what is no stream, in place of `ttft`.
    pub response: Option<Duration>,
    /// Between data events (between bytes where the body is no event stream).
    pub inter_event: Option<Duration>,
    /// What of a stream `ttft` and `inter_event` count as progress.
    pub progress: ProgressBy,
    /// The whole exchange.
    pub total: Option<Duration>,
    /// Silence in both directions of a tunnel.
    pub tunnel_idle: Option<Duration>,
}

impl ExchangeTimeouts {
    /// No timeout at all.
    pub const OFF: ExchangeTimeouts = ExchangeTimeouts {
        body: None,
        client_write: None,
        connect: None,
        ttft: None,
        response: None,
        inter_event: None,
        progress: ProgressBy::Data,
        total: None,
        tunnel_idle: None,
    };
}

/// `[[upstream]]`: a named group of endpoints.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub id: UpstreamId,
    pub name: String,
    /// Its endpoints as they stand in the file.
    pub listed: Vec<Listed>,
    /// Who tells more of them; `None`: nobody.
    pub discover: Option<Arc<Discover>>,
    /// What was told.
    pub found: Vec<Listed>,
    /// What all of these come to now. Never empty. Workers go on from here by messages: what they have
    /// is in their groups.
    pub endpoints: Vec<Endpoint>,
    /// Those that have left, with the ids they have if they come back; the youngest last.
    pub departed: Vec<Endpoint>,
    /// Which set of endpoints of this process it is: the later, the higher.
    pub version: u64,
    pub pool: PoolLimits,
    /// Tokens of its streams are acknowledged two by two: its servers do not wait for that.
    pub delayed_acks: bool,
    pub host: HostField,
    /// `None`: no endpoint speaks TLS.
    pub tls: Option<UpstreamTls>,
    /// The upstream's own, else `[timeouts]`: in force for its links unless their route overrides
    /// them.
    pub timeouts: ExchangeTimeouts,
    /// The dialect its servers speak.
    pub service: Setting,
    /// What the request's `model` is replaced by on its way here, unless its route says another.
    pub model: Option<String>,
    pub models: ModelSource,
    /// What requests of other dialects are translated to; `None`: all go as they came.
    pub translate_to: Option<TranslateTo>,
    pub request_headers: HeaderRules,
    /// For how long a response that its servers have stored is found again at the one that made it;
    /// `None`: nothing is remembered.
    pub stored: Option<Duration>,
    /// How its servers take the text so far of a stream that is continued.
    pub prefill: Prefill,
    pub retry: Retry,
    pub balance: Balance,
    /// `None`: off.
    pub breaker: Option<BreakerSettings>,
    /// `None`: off.
    pub health: Option<HealthCheck>,
    pub admission: Admission,
    /// `None`: an answer that says that the model is being loaded is one like any other.
    pub while_loading: Option<WhileLoading>,
    /// `None`: its servers are there.
    pub wake: Option<Arc<WakeSettings>>,
}

/// Which `Host` an upstream is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostField {
    /// The client's own.
    Preserve,
    /// The endpoint's address.
    Endpoint,
    /// This one.
    Fixed(String),
}

/// Limits of the connections to one upstream, per worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    pub idle_per_endpoint: usize,
    /// Open connections to the whole upstream, idle ones included; not those that will not come
    /// back, as tunnels.
    pub connections: usize,
    pub idle_timeout: Duration,
    pub max_age: Option<Duration>,
    /// Requests one connection may carry.
    pub max_requests: u32,
    /// Whether a POST is replayed when a *reused* connection dies before a response byte.
    pub replay_stale_post: bool,
}

/// `[[route]]`
#[derive(Clone, Debug)]
pub struct Route {
    pub path: PathPattern,
    /// Empty: every method.
    pub methods: Vec<String>,
    /// `None`: every request of the path and method is for this route.
    pub when: Option<Box<When>>,
    pub target: Target,
    pub rewrite: Option<Rewrite>,
    pub request_headers: HeaderRules,
    /// What is changed in the heads of answers that are passed on.
    pub response_headers: HeaderRules,
    /// In force before an upstream is chosen and where none is: the route's, else `[timeouts]`.
    pub timeouts: ExchangeTimeouts,
    pub commit: CommitAt,
    pub heartbeat: Option<Heartbeat>,
    /// `None`: a stream that breaks has ended.
    pub continues: Option<Continue>,
    /// The client is told, in `Server-Timing`, where the time went.
    pub server_timing: bool,
    pub accept_encoding: AcceptEncoding,
    /// Streams are asked for their usage, which is hidden from who has not asked.
    pub include_usage: bool,
    /// A request in a coding is decoded, whether or not anything else has its body read.
    pub decode_requests: bool,
    /// The name in its path that stands for the model; `None`: where the dialect of the path says, or else
    /// the body names it.
    pub model_in_path: Option<String>,
    /// `None`: what is said of CORS is between browsers and servers.
    pub cors: Option<Box<Cors>>,
    /// The route's own, else that of `[gate]`.
    pub keys: KeyMode,
}

/// Who answers.
#[derive(Clone, Debug)]
pub enum Target {
    Chain(Chain),
    /// Something inside this process.
    Service(Arc<dyn Service>),
    /// The list of models.
    Models(ModelRoute),
}

impl Route {
    /// Whether it takes only a part of the requests that it could take.
    pub fn is_share(&self) -> bool {
        let share = self.when.as_deref().and_then(|when| when.share.as_ref());
        share.is_some_and(|share| share.of_ten_thousand < Share::WHOLE)
    }

    /// Whether it takes requests with this method.
    pub fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|one| one == method)
    }

    /// Whether path, host, query and method alone say whether a request is for it.
    pub fn is_told_by_target(&self) -> bool {
        let asks =
            |when: &When| !when.headers.is_empty() || when.asks_body() || when.share.is_some();
        !self.when.as_deref().is_some_and(asks)
    }

    /// The timeouts in force at an upstream.
    pub fn timeouts_at(&self, upstream: usize) -> &ExchangeTimeouts {
        let Target::Chain(chain) = &self.target else { return &self.timeouts };
        let link = chain.links.iter().find(|link| link.upstream == upstream);
        link.map_or(&self.timeouts, |link| &link.timeouts)
    }
}
