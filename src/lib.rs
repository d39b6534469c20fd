#![forbid(unsafe_code)]
//! Sluicegate: a streaming inference gateway.
//!
//! Clients hold long HTTP/1.1 connections to it, it holds pooled connections to inference servers,
//! and every token a server sends is at the client in the same turn of the event loop. One
//! single-threaded reactor runs per core and shares nothing with the others on the data path.
//!
//! ```text
//!            core 0                                core 1
//!   clients ═▶ listener ─▶ downstreams            the same again,
//!                              │ exchange          on the same port
//!              pool ─▶ upstreams ═▶ servers
//! ```
//!
//! # The house
//!
//! | module | what lives there | what never does |
//! |---|---|---|
//! | [`cli`] | the commands: run, check, demo, mock, bench, top, turns | decisions |
//! | [`bench`] | the latency tool: a reactor of clients | a server's work |
//! | [`config`] | TOML → checked → an immutable [`config::snapshot::Snapshot`] | defaults anywhere else |
//! | [`lifecycle`] | reload and hand-over: a gateway that changes while it serves | ending it, a byte of traffic |
//! | [`server`] | listeners, worker threads, their common fate | a byte of traffic |
//! | [`control`] | what is not traffic: health checks, the admin address | a token |
//! | [`observe`] | metrics, the live view, the log: what was counted, made readable | sockets |
//! | [`sys`] | [`reactor::net::Net`] on Linux, pinning, signals | decisions |
//! | [`gateway`] | clients, servers and the exchanges between them: what is done | a policy |
//! | [`fleet`] | gateways that share limits by a store: who has which share | sockets, clocks |
//! | [`flow`] | one body from the socket it arrives on to the one it leaves by | what follows a fault |
//! | [`wire`] | the bytes of one connection, and the calls that move them | messages, roles |
//! | [`tls`] | sessions that seal and open: rustls, certificates, keys | sockets, threads |
//! | [`measure`] | counters and records | text, clocks |
//! | [`reactor`] | readiness, tokens, timers, the mailbox: what a turn is made of | mio, HTTP, a policy |
//! | [`proxy`] | routing, pooling, retry, timers: what is decided | sockets, clocks |
//! | [`responder`] | who answers inside the process: the mock inference server, the admin pages | sockets, HTTP |
//! | [`service`] | dialects of inference APIs: ends, errors, usage | what to do about them |
//! | [`http`] | heads, bodies, chunks, events: what bytes mean | roles, clocks, sockets |
//! | [`sim`] | [`reactor::net::Net`] in memory, seeded, with a clock of its own | the real clock |
//! | [`turns`] | one worker in a simulated world, drawn turn by turn | traffic |
//! | [`files`] | the one way to open a file that somebody has named | waiting |
//! | [`clock`] | an instant | reading it |
//! | `properties` | how many cases a property test tries, and where one that failed is kept | anything outside tests |
//! | [`escape`] | text of others, made fit to be shown | quotes |
//!
//! Dependencies point one way: `cli → lifecycle → server → control → observe → measure`,
//! `server → gateway → flow → wire → {reactor, measure}`, `gateway → {proxy, responder, service,
//! http}`, `sys`, `sim` and `bench` → `reactor`. Below the gateway, of `config` only the compiled
//! snapshot is known. `tests/tidy/` has the whole table and keeps it.
//!
//! # An afternoon's reading
//!
//! From [`reactor::net`] to [`gateway::drive`]: `docs/ARCHITECTURE.md`, "Reading order".

pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dns;
pub mod escape;
pub mod files;
pub mod fleet;
pub mod flow;
pub mod gate;
pub mod gateway;
pub mod http;
pub mod lifecycle;
pub mod measure;
pub mod observe;
pub mod plugins;
#[cfg(test)]
mod properties;
pub mod proxy;
pub mod reactor;
pub mod responder;
pub mod server;
pub mod service;
pub mod sim;
pub mod sys;
pub mod tls;
pub mod turns;
pub mod wire;
