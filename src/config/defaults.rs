//! What holds where the file says nothing. `docs/configuration.md` lists the same values, and a
//! test compares the two.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::{
    AcceptEncoding, AcceptMode, AccessFormat, AccessLog, AccessTarget, Admin, Admission, Balance,
    Belief, BreakerSettings, CommitAt, Condition, Continue, ExchangeTimeouts, Forwarded,
    GateSettings, HalfClose, HealthCheck, HostField, Keepalive, KeyMode, Limits, PoolLimits,
    ProcessSettings, ProgressBy, Recorder, Retry, Timeouts, TraceContext, TraceSettings,
    UsageSettings, WakeBy, WakeSettings, WhileLoading,
};
use crate::service::continuation::Prefill;

/// What a reload may name is not known when the process begins, and a program that is started here needs
/// files of its own: for those who know theirs.
pub const LANDLOCK: bool = false;
/// Keys, prompts and answers are in memory.
pub const CORE_DUMPS: bool = false;
/// Where no program is started here.
pub const PROCESS: ProcessSettings = ProcessSettings {
    user: None,
    group: None,
    no_new_privs: true,
    seccomp: true,
    landlock: LANDLOCK,
    core_dumps: CORE_DUMPS,
};
pub const HALF_CLOSE: HalfClose = HalfClose::Cancel;
pub const ACCEPT: AcceptMode = AcceptMode::Reuseport;
pub const FORWARDED: Forwarded = Forwarded::Append;
pub const HOST: HostField = HostField::Preserve;
pub const ACCESS_LOG: AccessLog =
    AccessLog { target: AccessTarget::Off, format: AccessFormat::Json };
pub const ADMIN: Admin =
    Admin { listen: None, token: None, tls: None, hosts: Vec::new(), playground: false };
pub const RECORDER: Recorder = Recorder { streams: None, keep: 32 };
pub const SPIN: Duration = Duration::ZERO;
pub const COALESCE: Option<Duration> = None;
pub const WATCH: Option<Duration> = None;
pub const RESOLVE: Option<Duration> = Some(Duration::from_secs(30));
/// How often sources are asked at least, where names are not looked up again.
pub const DISCOVER_AGAIN: Duration = Duration::from_secs(300);
/// What sources tell of endpoints: half of them may go at once, more is doubted for half a minute, and
/// all of them never go.
pub const BELIEF: Belief = Belief { shrink: 0.5, confirm: Duration::from_secs(30), empty: false };
/// A model that was pulled or loaded is in the list after half a minute, and a server answers two
/// small requests a minute for it.
pub const LIST_MODELS: Duration = Duration::from_secs(30);
pub const WEIGHT: u32 = 1;
/// A peer that has vanished is known after two minutes. Routers and load balancers forget a silent
/// connection after 240 s (Azure), 350 s (AWS) or more: a probe a minute keeps it in their tables.
pub const TCP_KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };

pub fn trace() -> TraceSettings {
    TraceSettings {
        context: TraceContext::Off,
        sample: 1.0,
        export: None,
        service: "sluicegate".to_owned(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
        queue: 2048,
    }
}

pub fn usage() -> UsageSettings {
    UsageSettings { series: 1_000, currency: "USD".to_owned() }
}

/// In microseconds: a token of a busy stream comes every few thousand.
pub const PLUGIN_BUDGET_US: u64 = 1_000;
pub const PLUGIN_TIMEOUT: Duration = Duration::from_secs(1);

pub const LIMITS: Limits = Limits {
    connections: 10_000,
    fitted_to: None,
    // A handshake takes a worker some hundred microseconds: so many are done in a tenth of a second.
    handshakes: 256,
    idle_keeps_place: true,
    head_bytes: 64 << 10,
    headers: 100,
    // A server is not a stranger: what it sets, a hundred cookies for one, is to reach its client.
    response_head_bytes: 256 << 10,
    response_headers: 500,
    body_bytes: None,
    // A chat with a few pictures; kept only while buffers are plenty.
    replay_bytes: 32 << 20,
    model_search_bytes: 32 << 20,
    translate_bytes: 32 << 20,
    stored_responses: 1_000_000,
    requests_per_connection: 10_000,
    buffer_bytes: 256 << 20,
    continue_bytes: 64 << 20,
};

pub const TIMEOUTS: Timeouts = Timeouts {
    head: Some(Duration::from_secs(10)),
    client_idle: Some(Duration::from_secs(75)),
    drain: Some(Duration::from_secs(10 * 60)),
    exchange: ExchangeTimeouts {
        body: Some(Duration::from_secs(60)),
        client_write: Some(Duration::from_secs(30)),
        connect: Some(Duration::from_secs(5)),
        // What openai-python and the like wait for by default. A model that is loaded, or a long
        // prompt on a laptop, takes minutes, and so does a place in the queue of a busy server.
        ttft: Some(Duration::from_secs(10 * 60)),
        response: Some(Duration::from_secs(10 * 60)),
        progress: ProgressBy::Data,
        // A server that holds a call of a tool back until it is whole is silent for as long.
        inter_event: Some(Duration::from_secs(5 * 60)),
        total: None,
        tunnel_idle: Some(Duration::from_secs(3_600)),
    },
};

pub const POOL: PoolLimits = PoolLimits {
    idle_per_endpoint: 20,
    // One for every client, as many as there may be: a gateway holds as many streams as it has
    // clients, and what its servers can do at once is for `max_concurrency` to say.
    connections: LIMITS.connections,
    // Below the five seconds after which uvicorn closes an idle connection: whoever closes last
    // races with the next request.
    idle_timeout: Duration::from_secs(4),
    max_age: Some(Duration::from_secs(5 * 60)),
    max_requests: 10_000,
    replay_stale_post: true,
};

pub const BALANCE: Balance = Balance::LeastOutstanding;
pub const SERVER_TIMING: bool = false;
pub const INCLUDE_USAGE: bool = false;
pub const DECODE_REQUESTS: bool = false;
pub const ACCEPT_ENCODING: AcceptEncoding = AcceptEncoding::Client;
/// For those who switch it on: a page that may call acts for nobody but itself.
pub const CORS_CREDENTIALS: bool = false;
/// Chromium keeps an answer for two hours at most, WebKit for ten minutes.
pub const CORS_MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// What we say of an answer, and what the SDKs read of one.
pub const CORS_EXPOSE: [&str; 9] = [
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server-timing",
    "x-request-id",
    "x-should-retry",
    "x-sluice-attempts",
    "x-sluice-degraded",
    "x-sluice-upstream",
];
pub const COMMIT: CommitAt = CommitAt::FirstEvent;
/// Whose server leaves TCP_NODELAY out would wait for them.
pub const DELAYED_ACKS: bool = false;
/// A prompt is a prompt, whoever wrote its end: every server of completions takes one.
pub const PREFILL: Prefill = Prefill::Prompt;
/// For those who switch it on.
pub const CONTINUE: Continue = Continue { attempts: 1, text_bytes: 64 << 10 };
pub const FALLBACK_STATUS: u16 = 200;
pub const FALLBACK_PACE: Duration = Duration::from_millis(20);

/// Its conditions are [`RETRY_ON`].
pub const RETRY_ATTEMPTS: u32 = 2;
pub const RETRY_ON: [Condition; 8] = [
    Condition::Connect,
    Condition::Reset,
    Condition::BadAnswer,
    Condition::TtftTimeout,
    Condition::EmptyStream,
    Condition::Status(429),
    Condition::Status(502),
    Condition::Status(503),
];

pub fn retry() -> Retry {
    Retry {
        attempts: RETRY_ATTEMPTS,
        on: super::snapshot::Conditions::new(RETRY_ON.to_vec()),
        backoff: Duration::from_millis(25),
        backoff_max: Duration::from_secs(1),
        retry_after_max: Duration::from_secs(2),
        budget: 20,
        post: true,
    }
}

pub const BREAKER: BreakerSettings = BreakerSettings {
    consecutive: 5,
    rate: 50,
    window: Duration::from_secs(10),
    volume: 10,
    open: Duration::from_secs(5),
    open_max: Duration::from_secs(120),
    slow_start: Duration::from_secs(10),
    cooldown: Duration::from_secs(5),
    // Whose credentials are refused only the operator knows: by default those of the client.
    unauthorized: None,
    panic: 50,
};

/// What holds where a `health` table says nothing. Without one there are no checks.
pub fn health() -> HealthCheck {
    HealthCheck {
        // vLLM, SGLang, TGI and llama.cpp's server all have it.
        path: "/health".to_owned(),
        statuses: 200..=299,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        unhealthy: 3,
        healthy: 2,
        plugin: None,
    }
}

/// Ten gigabytes come from a disk at 100 MB a second within it, and the SDKs wait for ten minutes.
pub const WHILE_LOADING: WhileLoading = WhileLoading { wait: Duration::from_secs(120) };

/// What holds where a `wake` table says nothing. It has to say what starts the server.
pub fn wake() -> WakeSettings {
    WakeSettings {
        start: WakeBy::Command(Vec::new()),
        stop: None,
        // vLLM, SGLang, TGI and llama.cpp's server all have it.
        health: Some("/health".to_owned()),
        timeout: Duration::from_secs(120),
        idle: None,
        grace: Duration::from_secs(10),
        group: None,
    }
}

/// Without keys.
pub fn gate() -> GateSettings {
    GateSettings {
        gate: Arc::default(),
        key_sources: Vec::new(),
        auth_place: None,
        keys: KeyMode::Off,
        keys_file: None,
        spent_file: None,
        fleet: None,
    }
}

pub const IPV4_PREFIX: u8 = 32;
/// What one household has.
pub const IPV6_PREFIX: u8 = 64;
pub const PASS_KEYS: bool = false;
/// By how much the clocks of an issuer and of this machine may differ.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(60);
pub const KEYS_REFRESH: Duration = Duration::from_secs(300);
/// An issuer that is away for longer may have withdrawn a key.
pub const KEYS_AGE_MAX: Duration = Duration::from_secs(86_400);
/// What oauth2-proxy and others call who has come.
pub const AUTH_NAME: &str = "x-auth-request-user";
pub const AUTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Who was withdrawn comes in for so long.
pub const AUTH_YES_FOR: Duration = Duration::from_secs(60);
/// Who is new waits for so long.
pub const AUTH_NO_FOR: Duration = Duration::from_secs(5);
pub const AUTH_SIZE: usize = 10_000;
pub const AUTH_CONCURRENCY: usize = 16;
/// About what a chat answer has.
pub const GUESS_TOKENS: u64 = 1_000;

pub const ADMISSION: Admission = Admission {
    max_concurrency: None,
    endpoint_concurrency: None,
    queue: 256,
    queue_timeout: Duration::from_secs(30),
    keys: Vec::new(),
    priority_header: None,
    priority: 1,
};

/// Of the leases of a fleet's members.
pub const FLEET_TTL: Duration = Duration::from_secs(10);
/// What members find of endpoints makes others look for themselves; nothing is out by hearsay.
pub const FLEET_HINTS: bool = true;
