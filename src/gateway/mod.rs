//! The gateway: clients on one side, inference servers on the other, and exchanges between them.
//!
//! Cut by lifetime. A room knows those below it, and none above:
//!
//! ```text
//!   handler ──▶ life, report ──▶ drive, steady ──▶ exchange ──▶ attempt, answer ──▶ client, server
//!                                                                      └──▶ record
//! ```
//!
//! * A step never calls what decides about it. It returns a [`record::verdict`], and `drive` acts on
//!   that: it calls *failed* and *end*.
//! * Nothing here decides a policy: that is `proxy`'s.

pub mod answer;
pub mod attempt;
mod chance;
pub mod client;
pub mod command;
pub mod crew;
mod date;
pub mod drive;
pub mod exchange;

mod handler;
mod handshake;
pub mod nudge;

use std::sync::{Arc, mpsc};

pub use handler::SAMPLED_TURNS;

use crate::config::snapshot::Snapshot;
use crate::gate::token::memory::TokenMemory;
use crate::gateway::chance::Chance;
use crate::gateway::command::Command;
use crate::gateway::crew::Crew;
use crate::gateway::life::stage::Life;
use crate::gateway::nudge::{Nudge, NudgeSender};
use crate::gateway::record::authorising::Authorising;
use crate::gateway::record::downstream::Downstream;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::generations::Generations;
use crate::gateway::record::handshakes::Handshakes;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::upstream::UpstreamConnection;
use crate::gateway::report::reporter::Reporter;
use crate::gateway::scratch::Scratch;
use crate::gateway::server::upkeep::Upkeep;
use crate::gateway::thirst::Thirst;
use crate::measure::journal::Journal;
use crate::measure::stats::{Counters, Tally};
use crate::proxy::group::Groups;
use crate::proxy::health::DownEndpoint;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::Mailbox;
use crate::reactor::net::Net;
use crate::reactor::run::Run;
use crate::reactor::slots::Slots;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::{Cx, Handler, Loop, Pace};
use crate::service::continuation::Purse;
use crate::service::decoding::DECODERS_BYTES;
use crate::wire::buffers::BufferPool;
use crate::wire::socket::{Desk, Socket};
use crate::wire::transport::{Sealing, Sessions};

pub mod life;
pub mod record;
pub mod report;
mod scratch;
pub mod server;
mod steady;
mod thirst;

/// A worker: one single-threaded reactor with a gateway in it.
pub type Worker<N> = Loop<N, Gateway<N>>;

/// What a worker is made of.
pub struct Setup<S> {
    pub snapshot: Arc<Snapshot>,
    /// The exchanges at each endpoint of this snapshot, counted by all workers together.
    pub loads: Loads,
    /// Differs from worker to worker and from start to start: ids and chance are made from it.
    pub seed: u64,
    pub counters: Arc<Counters>,
    pub mailbox: Mailbox<Command<S>>,
    /// All workers of the process, where there are several.
    pub crew: Option<Crew<S>>,
    /// Keeps the records of exchanges, if there is one.
    pub journal: Option<Arc<dyn Journal>>,
    /// The lookout that is told which ports to look at, if there is one.
    pub lookout: Option<mpsc::Sender<DownEndpoint>>,
    /// Makes sessions in place of those of the configuration: in a simulation.
    pub sessions: Option<Box<dyn Sessions + Send>>,
    /// How other threads have a connection of this worker driven, if they can.
    pub nudge: Option<NudgeSender>,
    /// Of each listener, whether its clients speak TLS.
    pub sealed_listeners: Vec<bool>,
}

/// Everything one worker knows of its clients and servers. In memory as it is written here: what
/// every turn looks at comes first.
///
/// Any file below `gateway/` may call the methods of any field, because a step needs several at once. What
/// is inside a field only the file that owns its type reads or writes; of the desk both halves are open,
/// since one is borrowed while the other counts. `docs/exchange.md` has the table of owners; a test holds
/// this struct to it.
#[repr(C)]
pub struct Gateway<N: Net> {
    downstreams: Slots<Downstream<N::Stream>>,
    upstreams: Slots<UpstreamConnection<N::Stream>>,
    desk: Desk,
    generations: Generations,
    thirst: Thirst,
    upkeep: Upkeep,
    life: Life<N::Stream>,
    // From here on what not every turn needs.
    /// What is known of the upstreams of all generations.
    groups: Groups<Token, Token>,
    scratch: Scratch,
    /// The memory for what is kept to continue streams.
    purse: Purse,
    /// The memory for decoders of compressed answers.
    decoders: Purse,
    reporter: Reporter,
    sealing: Sealing,
    handshakes: Handshakes,
    chance: Chance,
    nudge: Nudge,
    tokens: TokenMemory,
    authorising: Authorising,
}

/// A worker over a network whose listeners are open.
pub fn worker<N: Net>(net: N, setup: Setup<N::Stream>) -> Worker<N> {
    worker_in(net, setup, |gateway| gateway)
}

/// A worker whose gateway stands inside another handler, which passes on what the loop tells it.
pub fn worker_in<N: Net, H: Handler<N, Mail = Command<N::Stream>>>(
    mut net: N,
    setup: Setup<N::Stream>,
    wrap: impl FnOnce(Gateway<N>) -> H,
) -> Loop<N, H> {
    let Setup { snapshot, loads, seed, counters, mailbox, crew, journal, lookout, .. } = setup;
    let Setup { sessions, nudge, sealed_listeners, .. } = setup;
    net.keep_alive(snapshot.server.tcp_keepalive);
    let mut buffers = BufferPool::new(snapshot.limits.buffer_bytes);
    if sessions.is_some() || snapshot.speaks_tls() {
        buffers.serve_sessions();
    }
    let pace = snapshot.pace();
    let gateway = |cx: &mut Cx<N>| Gateway {
        downstreams: Slots::new(Kind::Downstream),
        upstreams: Slots::new(Kind::Upstream),
        desk: Desk { buffers, tally: Tally::new(counters) },
        thirst: Thirst::default(),
        upkeep: Upkeep::new(lookout),
        life: Life::begin(crew, cx.now),
        groups: Groups::new(&snapshot, &loads, seed),
        scratch: Scratch::new(),
        purse: Purse::new(snapshot.limits.continue_bytes),
        decoders: Purse::new(DECODERS_BYTES),
        reporter: Reporter::new(journal),
        sealing: Sealing::new(sessions),
        handshakes: Handshakes::new(sealed_listeners),
        chance: Chance::new(seed),
        nudge: Nudge::new(nudge),
        tokens: TokenMemory::default(),
        authorising: Authorising::default(),
        generations: Generations::new(Arc::unwrap_or_clone(snapshot)),
    };
    Loop::with(net, mailbox, pace, |cx| wrap(gateway(cx)))
}

impl Snapshot {
    /// How its workers wait for events.
    fn pace(&self) -> Pace {
        Pace { spin: self.server.spin, coalesce: self.server.coalesce }
    }
}

impl<N: Net> Gateway<N> {
    /// Puts a downstream in the ready queue, once.
    fn enqueue(&mut self, token: Token, run: &mut Run) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        if !std::mem::replace(&mut downstream.queued, true) {
            run.push(token);
        }
    }

    fn exchange_mut(&mut self, token: Token) -> Option<&mut Exchange> {
        self.downstreams.get_mut(token)?.exchange.as_deref_mut()
    }

    /// Whether the request can be sent again, to its first byte.
    fn keeps_request(&self, exchange: &Exchange) -> bool {
        match exchange.peer {
            Peer::Upstream(connection) => {
                self.upstreams.get(connection).is_some_and(|up| up.socket.outbox.keeps())
            }
            _ => exchange.outbox.keeps(),
        }
    }

    /// Whether somebody wants to know which models are asked for, and which answer.
    fn tells_models(&self) -> bool {
        self.reporter.journal().is_some() || self.generations.latest().admin.listen.is_some()
    }

    /// Whether bytes of the request lie in the client's buffer, cleared and not taken.
    fn has_unsent_request(&self, token: Token) -> bool {
        let inbound = self.downstreams.get(token).and_then(|down| down.socket.inbound.as_ref());
        inbound.is_some_and(|buffer| !buffer.pending().is_empty())
    }
}

/// The client's socket, the exchange and the connection to its server, borrowed at once: the reason
/// why there are two tables.
fn both<'a, S>(
    downstreams: &'a mut Slots<Downstream<S>>,
    upstreams: &'a mut Slots<UpstreamConnection<S>>,
    token: Token,
    connection: Token,
) -> Option<(&'a mut Socket<S>, &'a mut Exchange, &'a mut UpstreamConnection<S>)> {
    let Downstream { socket, exchange, .. } = downstreams.get_mut(token)?;
    Some((socket, exchange.as_deref_mut()?, upstreams.get_mut(connection)?))
}
