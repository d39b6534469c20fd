//! Control: everything that is not traffic.
//!
//! | file | owns |
//! |---|---|
//! | [`health`] | active health checks of the endpoints |
//! | `client` | a request of our own to a server: one client for all who ask, `client/connection.rs` its connection |
//! | [`etcd`] | a distributed store: keys, changes, leases |
//! | `client` | a request of our own to a server, for all of those that ask |
//! | [`discovery`] | who tells the endpoints of an upstream |
//! | [`fleet`] | this gateway's place among others, and its shares of their limits |
//! | [`identify`] | which server it is that listens on a port |
//! | [`authoriser`] | the authoriser, asked who comes |
//! | [`issuers`] | the keys of those whose tokens open |
//! | [`models`] | which models the servers say they have |
//! | [`lookout`] | whether the port of an endpoint that took no connection answers again |
//! | [`names`] | the names of endpoints, looked up again and again |
//! | [`register`] | an inference server that tells gateways of itself by a store |
//! | [`spans`] | the spans of exchanges, on their way to a collector |
//! | [`spent`] | what keys have spent of their budgets, over a restart |
//! | [`admin`] | the admin address: metrics, live streams, the dashboard |
//!
//! What happens here may block. It reaches the workers as messages and never makes one wait.

pub mod admin;
pub mod authoriser;
mod client;
pub mod discovery;
pub mod etcd;
pub mod fleet;
pub mod health;
pub mod identify;
pub mod issuers;
pub mod lookout;
pub mod models;
pub mod names;
pub mod register;
pub mod spans;
pub mod spent;
pub mod wake;
