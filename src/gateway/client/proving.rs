//! Proving: a token that this worker has not seen is proven before its request begins, one in a turn.
//!
//! ```text
//!   head ─▶ a token not seen before ─▶ heavy lane ─▶ proven, kept in the memory ─▶ the head once more
//! ```
//!
//! * A drive never checks a signature: it leaves the head where it is, puts the connection in the heavy
//!   lane and waits. One is checked in a turn, behind all light work, so a storm of tokens that nobody has
//!   signed holds up no token of a model.
//! * Nothing of the request has begun meanwhile: it has no exchange, and holds neither a place nor a permit.
//!   A client that leaves is closed as one that sends no head.
//! * Where addresses have limits, the request is counted before, and once. Whether its address is let in at
//!   all is asked again: a reload may have denied it meanwhile.

use std::net::IpAddr;

use crate::clock::Instant;
use crate::config::snapshot::Snapshot;
use crate::gate::forwarded::client_of;
use crate::gate::key::KeyDigest;
use crate::gate::refusal::GateRefusal;
use crate::gate::{Gate, GateTime};
use crate::gateway::Gateway;
use crate::gateway::record::downstream::State;
use crate::gateway::record::proof::Proof;
use crate::http::head::{FieldSlots, HeadLimits, RequestHead, parse_request};
use crate::proxy::fault::DownstreamFault;
use crate::reactor::net::Net;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::Cx;

/// The moment of a turn, on both clocks.
pub(super) fn gate_time<N: Net>(cx: &Cx<N>) -> GateTime {
    GateTime { now: cx.now, unix: cx.net.time_of_day().as_secs() }
}

impl Gate {
    /// Whose request it is, where the connection is from a proxy that is trusted, and whether that address
    /// is let in. `counted`: it was counted before.
    #[cold]
    fn judge_address(
        &self,
        head: &RequestHead<'_>,
        peer: IpAddr,
        counted: bool,
        now: Instant,
    ) -> (IpAddr, Result<(), DownstreamFault>) {
        let client = client_of(head, peer, &self.trusted, self.client_field);
        let admitted = match counted {
            false => self.admits_request(client, now),
            // It has waited, and another configuration may be in force.
            true if self.admits_address(client) => Ok(()),
            true => Err(GateRefusal::Denied),
        };
        (client, admitted.map_err(DownstreamFault::Gate))
    }
}

impl Snapshot {
    /// Whose request it is, and whether that address is let in. `counted`: it was counted before.
    #[inline]
    pub(super) fn admit(
        &self,
        head: &RequestHead<'_>,
        peer: IpAddr,
        counted: bool,
        now: Instant,
    ) -> (IpAddr, Result<(), DownstreamFault>) {
        match self.gate.gate.looks_at_addresses() {
            true => self.gate.gate.judge_address(head, peer, counted, now),
            false => (peer, Ok(())),
        }
    }
}

impl<N: Net> Gateway<N> {
    /// Has the token of a head that has come be proven.
    pub(super) fn await_proof(&mut self, token: Token, cx: &mut Cx<N>) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        downstream.proof = Proof::Awaited;
        downstream.state = State::Head { since: cx.now, began: cx.now };
        cx.run.push_heavy(token);
    }

    /// Whether the connection stands in the heavy lane for its token.
    pub(crate) fn awaits_proof(&self, who: Token) -> bool {
        who.kind() == Kind::Downstream
            && self.downstreams.get(who).is_some_and(|it| it.proof == Proof::Awaited)
    }

    /// Proves the token of a connection, and has its request begin.
    pub(crate) fn prove_token(&mut self, token: Token, cx: &mut Cx<N>) {
        let at = gate_time(cx);
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        downstream.proof = Proof::Over;
        // It may have run out of its time, or have left.
        if !matches!(downstream.state, State::Head { .. }) || downstream.socket.ready.errored() {
            self.enqueue(token, &mut cx.run);
            return;
        }
        let snapshot = self.generations.latest();
        let limits = &snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let mut slots = FieldSlots::new();
        let head = parse_request(downstream.socket.unscanned(), &mut slots, &limits);
        if let Ok(Some(head)) = head
            && let Some(secret) = snapshot.gate.gate.token_to_prove(&head, &self.tokens, at)
        {
            let found = snapshot.gate.gate.prove(secret, at);
            let tally = &self.desk.tally;
            match found {
                Ok(_) => tally.tokens_proven.add(1),
                Err(_) => tally.tokens_refused.add(1),
            }
            self.tokens.keep(KeyDigest::of(secret), found, at);
        }
        self.enqueue(token, &mut cx.run);
    }
}
