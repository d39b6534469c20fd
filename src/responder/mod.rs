//! Responders: something inside the process that answers an exchange.
//!
//! A [`Service`] is asked once per exchange and makes a [`Responder`], which lives as long as that
//! exchange. A responder takes body bytes and a clock and gives pieces of body; framing, back-pressure,
//! keep-alive and timeouts are the reactor's, the same as for a proxied answer.
//!
//! Absent on purpose: sockets, threads, HTTP framing, and any way to block.

pub mod admin;
pub mod canned;
pub mod finished;
pub mod mock;
pub mod models;
pub mod preflight;
pub mod replay;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::clock::Instant;
use crate::http::head::Fields;
use crate::http::pattern::Pattern;

/// What a responder may know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Origin-form path, no query.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Whom the client believes it is talking to; empty: it did not say.
    pub authority: &'a [u8],
    pub fields: Fields<'a>,
    /// The models that its key opens; `None`: all.
    pub models: Option<&'a [Pattern]>,
}

impl<'a> Request<'a> {
    /// A request without fields.
    pub fn bare(method: &'a str, path: &'a str, query: Option<&'a str>) -> Request<'a> {
        Request { method, path, query, authority: b"", fields: Fields::default(), models: None }
    }
}

/// Makes a responder for each exchange. Shared by every worker.
pub trait Service: fmt::Debug + Send + Sync {
    fn respond(&self, request: &Request<'_>, now: Instant) -> Box<dyn Responder>;
}

/// The start of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub content_type: &'static str,
    /// Bytes that will follow; `None`: unknown, the body is chunked (until close for HTTP/1.0).
    pub length: Option<u64>,
    /// Further fields, written as they are.
    pub fields: Vec<(Cow<'static, str>, String)>,
}

/// What a responder wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer's head. Exactly once, before any data.
    Head(Head),
    /// A piece of the body, never empty. Each becomes one chunk, written in this turn.
    Data(Bytes),
    /// Nothing before this instant; asked again then, or when request bytes arrive.
    Sleep(Instant),
    /// Nothing before more of the request has arrived.
    NeedBody,
    /// The answer is complete.
    End,
    /// The answer is complete, and the connection is closed behind it, whatever the head promised.
    HangUp,
    /// Break off: the connection is closed without the end of the message.
    Cut,
    /// Break off with bytes that are no chunk; where there are no chunks, as [`Action::Cut`].
    Garble,
    /// Break off with a RST.
    Reset,
}

/// One answer in the making.
pub trait Responder: fmt::Debug + Send {
    /// Bytes of the request body. The default drops them.
    fn on_body(&mut self, _data: &[u8]) {}

    /// The request has arrived in full.
    fn on_request_end(&mut self, _now: Instant) {}

    /// It tells something for as long as somebody listens: that its listener leaves is how it ends.
    fn is_feed(&self) -> bool {
        false
    }

    /// The next step. Called until it sleeps, needs the request, or ends; after [`Action::End`] or
    /// [`Action::HangUp`], and after breaking off, it is not called again.
    fn step(&mut self, now: Instant) -> Action;
}
