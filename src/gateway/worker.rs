//! The worker: everything one single-threaded reactor owns.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use crate::clock::Instant;
use crate::config::snapshot::Snapshot;
use crate::gateway::command::{Command, Idle, Life};
use crate::gateway::date::Date;
use crate::gateway::fleet::Fleet;
use crate::gateway::record::downstream::Downstream;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::upstream::Upstream;
use crate::gateway::record::verdict::Step;
use crate::measure::journal::Journal;
use crate::measure::stats::{Counters, Tally};
use crate::proxy::group::Groups;
use crate::proxy::health::Look;
use crate::proxy::load::Loads;
use crate::proxy::random::Random;
use crate::proxy::trace::Ids;
use crate::reactor::coalesce::Coalesce;
use crate::reactor::listen::AcceptState;
use crate::reactor::mailbox::Mailbox;
use crate::reactor::net::{Event, Net};
use crate::reactor::slots::Slots;
use crate::reactor::spin::Spin;
use crate::reactor::timer::{Entry, TimerWheel};
use crate::reactor::token::{Kind, Token};
use crate::service::continuation::Purse;
use crate::wire::socket::Desk;

/// Whether a worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Running,
    /// Drained or stopped: nothing is open any more.
    Stopped,
}

/// What a worker is made of.
pub struct Setup<S> {
    pub snapshot: Arc<Snapshot>,
    /// Those of this snapshot, shared by all workers.
    pub loads: Loads,
    /// Differs from worker to worker and from start to start: ids and chance are made from it.
    pub seed: u64,
    pub counters: Arc<Counters>,
    pub mailbox: Mailbox<Command<S>>,
    /// All workers of the process, where there are several.
    pub fleet: Option<Fleet<S>>,
    /// Who keeps the records of exchanges, if anybody.
    pub journal: Option<Arc<dyn Journal>>,
    /// Who is told which ports to look at, if anybody looks.
    pub lookout: Option<mpsc::Sender<Look>>,
}

/// In memory as it is written here: what every turn looks at comes first.
#[repr(C)]
pub struct Worker<N: Net> {
    pub(crate) now: Instant,
    /// Downstreams to be driven, each at most once.
    pub(crate) ready: VecDeque<Token>,
    pub(crate) events: Vec<Event>,
    pub(crate) downstreams: Slots<Downstream<N::Stream>>,
    pub(crate) upstreams: Slots<Upstream<N::Stream>>,
    pub(crate) desk: Desk,
    /// The latest generation.
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) accepting: AcceptState,
    pub(crate) coalesce: Coalesce,
    pub(crate) spin: Spin,
    pub(crate) life: Life,
    pub(crate) mailbox: Mailbox<Command<N::Stream>>,
    /// Idle upstreams on which something happened.
    pub(crate) disturbed: Vec<Token>,
    pub(crate) reaped: Vec<Token>,
    pub(crate) due: Vec<Entry>,
    /// Downstreams that wait for a buffer, in the order they came.
    pub(crate) thirsty: VecDeque<Token>,
    /// Earlier generations, as long as an exchange holds them.
    pub(crate) past: Vec<Rc<Snapshot>>,
    pub(crate) wheel: TimerWheel,
    // From here on what not every turn needs.
    pub(crate) net: N,
    /// What is known of the upstreams of all generations.
    pub(crate) groups: Groups<Token, Token>,
    /// Heads and replies are put together here; kept for its capacity.
    pub(crate) scratch: Vec<u8>,
    /// What is kept to continue streams is paid from it.
    pub(crate) purse: Purse,
    /// When the next look for those who only hold room may be.
    pub(crate) shed_at: Instant,
    pub(crate) fleet: Option<Fleet<N::Stream>>,
    pub(crate) journal: Option<Arc<dyn Journal>>,
    pub(crate) lookout: Option<mpsc::Sender<Look>>,
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) trace_ids: Ids,
    pub(crate) date: Date,
    pub(crate) ids: u32,
}

impl<N: Net> Worker<N> {
    pub fn new(mut net: N, setup: Setup<N::Stream>) -> Worker<N> {
        let Setup { snapshot, loads, seed, counters, mailbox, fleet, journal, lookout } = setup;
        net.keep_alive(snapshot.server.tcp_keepalive);
        let now = net.now();
        Worker {
            downstreams: Slots::new(Kind::Downstream),
            upstreams: Slots::new(Kind::Upstream),
            desk: Desk {
                buffers: crate::wire::buffer::BufferPool::new(snapshot.limits.buffer_bytes),
                tally: Tally::new(counters),
            },
            wheel: TimerWheel::new(now),
            ready: VecDeque::new(),
            thirsty: VecDeque::new(),
            disturbed: Vec::new(),
            reaped: Vec::new(),
            scratch: Vec::new(),
            purse: Purse::new(snapshot.limits.continue_bytes),
            accepting: AcceptState::new(net.listeners()),
            fleet,
            coalesce: Coalesce::new(now),
            spin: Spin::new(),
            shed_at: now,
            journal,
            lookout,
            life: Life::Serving,
            now,
            seed,
            ids: 0,
            mailbox,
            events: Vec::with_capacity(1024),
            due: Vec::new(),
            net,
            past: Vec::new(),
            groups: Groups::new(&snapshot, &loads, seed),
            random: Random::new(seed),
            trace_ids: Ids::new(seed),
            date: Date::new(),
            snapshot: Rc::new(Arc::unwrap_or_clone(snapshot)),
        }
    }

    /// Puts a downstream in the ready queue, once.
    pub(crate) fn enqueue(&mut self, token: Token) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        if !std::mem::replace(&mut downstream.queued, true) {
            self.ready.push_back(token);
        }
    }

    pub fn net(&self) -> &N {
        &self.net
    }

    pub fn net_mut(&mut self) -> &mut N {
        &mut self.net
    }

    /// Nothing is kept for another request.
    pub(crate) fn is_draining(&self) -> bool {
        self.life != Life::Serving
    }

    /// Whoever is not being answered is told that nothing more comes.
    pub(crate) fn dismisses_idle(&self) -> bool {
        match self.life {
            Life::Serving => false,
            Life::Draining { idle, .. } => idle == Idle::Leave,
            Life::Stopping => true,
        }
    }

    pub(crate) fn exchange_mut(&mut self, token: Token) -> Option<&mut Exchange> {
        self.downstreams.get_mut(token)?.exchange.as_deref_mut()
    }

    /// Whether the request can be sent again, to its first byte.
    pub(crate) fn keeps_request(&self, exchange: &Exchange) -> bool {
        match exchange.peer {
            Peer::Upstream(connection) => {
                self.upstreams.get(connection).is_some_and(|up| up.socket.outbox.keeps())
            }
            _ => exchange.outbox.keeps(),
        }
    }

    /// Whether anybody is told which models are asked for, and which answer.
    pub(crate) fn tells_models(&self) -> bool {
        self.journal.is_some() || self.snapshot.admin.listen.is_some()
    }

    /// Whether bytes of the request lie in the client's buffer, cleared and not taken.
    pub(crate) fn has_unsent_request(&self, token: Token) -> bool {
        let inbound = self.downstreams.get(token).and_then(|down| down.socket.inbound.as_ref());
        inbound.is_some_and(|buffer| !buffer.pending().is_empty())
    }

    /// The connection is driven again when `needs` buffers can be had.
    pub(crate) fn wait_for_buffer(&mut self, token: Token, needs: usize) -> Step {
        if let Some(downstream) = self.downstreams.get_mut(token)
            && std::mem::replace(&mut downstream.thirst, needs as u32) == 0
        {
            self.desk.tally.buffers_dry.add(1);
            self.thirsty.push_back(token);
        }
        Step::Wait
    }
}

/// Both records of an exchange, borrowed at once: the reason why there are two tables.
pub(crate) fn both<'a, S>(
    downstreams: &'a mut Slots<Downstream<S>>,
    upstreams: &'a mut Slots<Upstream<S>>,
    token: Token,
    connection: Token,
) -> Option<(&'a mut Downstream<S>, &'a mut Upstream<S>)> {
    downstreams.get_mut(token).zip(upstreams.get_mut(connection))
}
