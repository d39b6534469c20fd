//! What holds where the file says nothing. `docs/configuration.md` lists the same values, and a
//! test compares the two.

use std::time::Duration;

use super::snapshot::{
    AcceptMode, Admin, ExchangeTimeouts, Forwarded, HalfClose, HostField, Limits, PoolLimits,
    Timeouts,
};

pub const HALF_CLOSE: HalfClose = HalfClose::Cancel;
pub const ACCEPT: AcceptMode = AcceptMode::Reuseport;
pub const FORWARDED: Forwarded = Forwarded::Append;
pub const HOST: HostField = HostField::Preserve;
pub const ADMIN: Admin = Admin { listen: None, token: None };
pub const SPIN: Duration = Duration::ZERO;
pub const WEIGHT: u32 = 1;

pub const LIMITS: Limits = Limits {
    connections: 10_000,
    head_bytes: 64 << 10,
    headers: 100,
    body_bytes: None,
    replay_bytes: 1 << 20,
    requests_per_connection: 10_000,
    buffer_bytes: 256 << 20,
};

pub const TIMEOUTS: Timeouts = Timeouts {
    head: Some(Duration::from_secs(10)),
    client_idle: Some(Duration::from_secs(75)),
    drain: Some(Duration::from_secs(10 * 60)),
    exchange: ExchangeTimeouts {
        body: Some(Duration::from_secs(60)),
        client_write: Some(Duration::from_secs(30)),
        connect: Some(Duration::from_secs(5)),
        ttft: Some(Duration::from_secs(60)),
        inter_event: Some(Duration::from_secs(60)),
        total: None,
        tunnel_idle: Some(Duration::from_secs(3_600)),
    },
};

pub const POOL: PoolLimits = PoolLimits {
    idle_per_endpoint: 20,
    connections: 200,
    // Below the five seconds after which uvicorn closes an idle connection: whoever closes last
    // races with the next request.
    idle_timeout: Duration::from_secs(4),
    max_age: Some(Duration::from_secs(5 * 60)),
    max_requests: 10_000,
    replay_stale_post: true,
};
