//! Accepting: gives a connection its place, with this worker or with a worker that has fewer.
//!
//! At the connection limit the backlog is the back-pressure, and there is hysteresis: accepting goes
//! on when a tenth of the connections has gone.

use std::net::SocketAddr;

use crate::clock::Instant;
use crate::gate::network::any_contains;
use crate::gateway::Gateway;
use crate::gateway::command::Newcomer;
use crate::gateway::record::downstream::{Downstream, State};
use crate::gateway::record::proof::Proof;
use crate::reactor::net::{Net, Stream};
use crate::reactor::timer::Alarm;
use crate::reactor::turn::{Cx, Entrance};
use crate::wire::socket::Socket;
use crate::wire::transport::Acceptor;

impl<N: Net> Gateway<N> {
    /// Whether one more connection may come in by this listener.
    pub(crate) fn entrance(&self, listener: usize, cx: &Cx<N>) -> Entrance {
        match () {
            () if !self.has_room(cx) => Entrance::Full,
            () if self.handshakes.are_made_at(listener) && !self.may_shake_hands() => {
                Entrance::ListenerFull
            }
            () => Entrance::Open,
        }
    }

    /// Whether one more handshake may be under way.
    fn may_shake_hands(&self) -> bool {
        self.handshakes.under_way() < self.generations.latest().limits.handshakes
    }

    fn has_room(&self, cx: &Cx<N>) -> bool {
        let open = self.downstreams.len();
        let room = open < self.generations.latest().limits.connections;
        if !room && !cx.listen.is_full() {
            log::warn!("at limits.connections ({open}): accepting rests");
        }
        room
    }

    /// Accepts again, if enough slots have come free.
    pub(crate) fn reconsider_accepting(&mut self, cx: &mut Cx<N>) {
        let limit = self.generations.latest().limits.connections;
        if cx.listen.is_full() && self.downstreams.len() < limit - limit / 10 {
            cx.listen.reopen();
        }
        if self.sealing.is_on() && self.may_shake_hands() {
            cx.listen.reopen_listeners();
        }
    }

    /// Keeps an accepted connection, or hands it to a worker with fewer.
    pub(crate) fn place(
        &mut self,
        stream: N::Stream,
        address: SocketAddr,
        listener: usize,
        cx: &mut Cx<N>,
    ) {
        let newcomer = Newcomer { address, sealed: self.handshakes.are_made_at(listener) };
        let Some(crew) = self.life.crew() else { return self.adopt(stream, newcomer, cx) };
        if let Err((stream, newcomer)) = crew.hand_over(stream, newcomer) {
            self.adopt(stream, newcomer, cx);
        }
    }

    /// Refuses a connection because of its address, before anything is read of it: with RST, which costs
    /// nothing and leaves nothing behind.
    #[cold]
    fn turn_away(&mut self, mut stream: N::Stream) {
        self.desk.tally.connections_refused.add(1);
        stream.reset_on_drop();
        // It was counted when it was placed.
        if let Some(crew) = self.life.crew() {
            crew.departed();
        }
    }

    /// Gives an accepted connection its place.
    pub(crate) fn adopt(&mut self, stream: N::Stream, newcomer: Newcomer, cx: &mut Cx<N>) {
        let Newcomer { address, sealed } = newcomer;
        self.desk.tally.downstreams_accepted.add(1);
        let peer = address.ip().to_canonical();
        let gate = &self.generations.latest().gate.gate;
        // Of a connection with a preamble it is not known yet whose it is.
        let awaits_preamble = any_contains(&gate.balancers, peer);
        if gate.looks_at_addresses() && !awaits_preamble && !gate.admits_connection(peer, cx.now) {
            return self.turn_away(stream);
        }
        let mut socket = Socket::new(stream);
        let mut state = State::Head { since: cx.now, began: Instant::NEVER };
        let tls = self.generations.latest().server.tls.as_ref().filter(|_| sealed);
        if let Some(session) = self.sealing.accept(tls.map(|tls| &*tls.acceptor as &dyn Acceptor)) {
            socket.begin_session(session, &mut self.desk);
            self.handshakes.begun();
            state = State::Handshake { since: cx.now };
        }
        let token = self.downstreams.insert(Downstream {
            socket,
            state,
            alarm: Alarm::default(),
            address: peer,
            requests: 0,
            examined: 0,
            awaits_preamble,
            proof: Proof::default(),
            queued: false,
            thirst: 0,
            exchange: None,
        });
        self.desk.tally.registers.add(1);
        let registered = match self.downstreams.get_mut(token) {
            Some(downstream) => cx.net.register(&mut downstream.socket.stream, token),
            None => return,
        };
        if let Err(error) = registered {
            log::warn!("register: {error}; the connection is closed");
            self.close_downstream(token, cx);
            return;
        }
        // Registering raises the edge if bytes are there; until then only its deadline matters.
        self.arm(token, cx);
        if self.life.is_draining() {
            self.enqueue(token, &mut cx.run);
        }
    }
}
