//! Parts of an exchange that most exchanges do not have.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::Instant;
use crate::config::snapshot::EndpointId;
use crate::gate::Principal;
use crate::gate::refusal::GateRefusal;
use crate::gateway::record::kept_stream::Continuation;
use crate::gateway::record::plugged::PluggedExchange;
use crate::gateway::record::translation::Translation;
use crate::measure::journal::WastedTokens;
use crate::proxy::cors::AskingPage;
use crate::proxy::route::PossibleRoute;

/// Leave to send the body of a request, the 100 of `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The client does not wait for it.
    Unasked,
    Awaited,
    /// It is told once, whoever has told it and however many servers are asked.
    Given,
}

/// Fields that only some configurations need.
#[derive(Debug, Default)]
pub struct Aside {
    /// Why the predefined answer was decided on. It is given when the whole request is here.
    pub degraded: Option<&'static str>,
    /// The key of the request, where the upstream's balance hashes one.
    pub key: Option<u64>,
    /// What is kept of a request whose route is not known before its body has said more.
    pub undecided: Option<Undecided>,
    /// What is known of a response that its servers store, where an upstream of its route has `stored`.
    pub storing: Option<Storing>,
    /// The head of a request in a coding that has to be read, until it is decoded.
    pub encoded: Option<Box<[u8]>>,
    /// Its body was decoded, and is all here.
    pub decoded: bool,
    /// Who asks, where the route has `cors`.
    pub page: Option<AskingPage>,
    /// The model that answers, once the answer has named it.
    pub model: Option<Box<str>>,
    /// The model that the client has asked for, once it is known.
    pub asked: Option<Box<str>>,
    /// The model that its path names, where its route says so.
    pub model_in_path: Option<Box<str>>,
    /// What of it is translated, where upstreams of its route have `translate_to`.
    pub translation: Option<Box<Translation>>,
    /// The client's address, where a proxy that is trusted has told another than its own.
    pub client: Option<IpAddr>,
    /// Who has come, where keys matter.
    pub visitor: Option<Box<Visitor>>,
    /// Its plugins, where its route has any.
    pub plugged: Option<Box<PluggedExchange>>,
    /// The request was made to ask for usage: its answer is to lose that.
    pub usage_asked: bool,
    /// Its route has `include_usage`, and its body may have to ask.
    pub may_ask_usage: bool,
    /// What attempts have cost that no client got the answer of.
    pub wasted: Vec<WastedTokens>,
    /// What is kept so that another server can continue the stream.
    pub continuation: Option<Box<Continuation>>,
    /// The last 429 or 503 of a server, when another attempt followed it.
    pub busy: Option<Busy>,
    /// That it waits at its upstream for the model, once it has begun to.
    pub model_wait: Option<ModelWait>,
    /// It has come back to an upstream that it had passed over; no other upstream follows.
    pub came_back: bool,
}

/// Who a request is from.
#[derive(Debug)]
pub struct Visitor {
    /// By a key of ours; why not, else.
    pub known: Result<Principal, GateRefusal>,
    /// What the authoriser says has to be shown instead.
    pub challenge: Option<Arc<str>>,
    pub client: IpAddr,
    /// Who the client has proved to be by a certificate.
    pub certificate: Option<Box<str>>,
    /// The second of the clock in which it came.
    pub unix: u64,
}

/// What an exchange has to do with stored responses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Storing {
    /// Its answer is one that its server may store.
    pub answers: bool,
    /// Its body may name one that it goes on from.
    pub sought: bool,
    /// The server that made the one it goes on from, or asks for: nobody else is asked.
    pub maker: Option<EndpointId>,
}

/// A request whose body decides about its route.
#[derive(Debug)]
pub struct Undecided {
    pub head: Box<[u8]>,
    /// The first route that asks for something in the body.
    pub first: usize,
    /// The routes that it may take, where one of them asks for another member than the model.
    pub candidates: Vec<PossibleRoute>,
    /// Who its client has proved to be.
    pub certificate: Option<Box<str>>,
}

/// A request that waits for the model of its upstream, and is sent there now and then.
#[derive(Clone, Copy, Debug)]
pub struct ModelWait {
    /// How long it may wait.
    pub until: Instant,
    /// When the client was last sent a sign of life, or the wait began. What moves while its server is
    /// asked whether the model is there is none.
    pub heard: Instant,
}

/// A server's word that it has not acted, and that the request may come again.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    pub status: u16,
    /// By its `Retry-After`.
    pub until: Option<Instant>,
}

/// How much of a request's body is read before its first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    Nothing,
    /// What the endpoint is chosen by.
    Key(KeyIn),
    /// Up to the name of the model, which is replaced, and what the endpoint is chosen by.
    Model {
        key: Option<KeyIn>,
    },
    /// All of it, to be translated, and what the endpoint is chosen by.
    Translated {
        key: Option<KeyIn>,
    },
    /// All of it, to be decoded: after that it is looked at anew.
    Encoded,
    /// All of it, as far as it is kept: a predefined answer follows, or it waits in line.
    Whole,
}

impl Gather {
    /// The key that is wanted of the body.
    pub fn key(self) -> Option<KeyIn> {
        match self {
            Gather::Key(key) => Some(key),
            Gather::Model { key } | Gather::Translated { key } => key,
            Gather::Nothing | Gather::Encoded | Gather::Whole => None,
        }
    }
}

/// Where in a body the key lies by which an endpoint is chosen. Four bytes, as it is a part of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIn(NonZeroU32);

impl KeyIn {
    /// A field of its JSON, wherever that comes: all of it is read, as far as it is kept.
    pub const FIELD: KeyIn = KeyIn(NonZeroU32::MAX);

    /// So many bytes of the prompt, one at least.
    pub fn prompt(bytes: u32) -> KeyIn {
        KeyIn(NonZeroU32::new(bytes.min(u32::MAX - 1)).unwrap_or(NonZeroU32::MIN))
    }

    /// How many bytes of the prompt; `None`: it is a field.
    pub fn prompt_bytes(self) -> Option<u32> {
        (self != KeyIn::FIELD).then_some(self.0.get())
    }
}

/// Which ends of a tunnel were sent a FIN.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnel {
    pub upstream_shut: bool,
    pub downstream_shut: bool,
}
