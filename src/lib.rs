#![forbid(unsafe_code)]
//! Sluicegate: a streaming inference gateway.

pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod proxy;
pub mod reactor;
pub mod responder;
pub mod server;
pub mod sim;
pub mod sys;
