//! Wire tests: the real binary, real sockets, raw bytes.
//!
//! What a unit test proves of a parser, these prove of the process: which bytes arrive where, when,
//! and how the connection ends. Nothing here uses an HTTP library, and nothing is shared with
//! `src/`: the harness reads messages by its own few lines, so that a mistake is not made twice.

mod admin;
mod admin_lifecycle;
mod admin_places;
mod bodies;
mod chain;
mod codings;
mod cors;
mod defaults;
mod dialects;
mod doctor;
mod edges;
mod encoded;
mod exchanges;
mod explain;
mod faults;
mod feeds;
mod files;
mod handover;
mod harness;
mod headers;
mod health;
mod hostile;
mod include_usage;
mod init;
mod keepalive;
mod lifecycle;
mod listen;
mod loading;
mod members;
mod mock;
mod model_list;
mod models;
mod names;
mod openings;
mod outages;
mod overload;
mod pairs;
mod plugins;
mod pool;
mod protocol;
mod recordings;
mod reload;
mod restarts;
mod rewriting;
mod routing;
mod selection;
mod shown;
mod smuggling;
mod standstill;
mod store;
mod stored;
mod streaming;
mod telling;
mod timeouts;
mod tls;
mod tracing;
mod translation;
mod tunnels;
mod unix;
mod urls;
mod usage;
mod wake;
