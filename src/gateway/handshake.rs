//! Handshake: what a session needs before the first plaintext, one step at a time in the heavy lane.
//!
//! ```text
//!   client   adopt ─▶ (preamble) ─▶ Handshake ─▶ Head         nothing is known of it until then
//!   server   open ─▶ attach ─▶ handshake ─▶ the request leaves    `Connecting`, to its timer
//! ```
//!
//! * A drive never makes a step: it puts the socket in the heavy lane and waits. One step is made in a
//!   turn, behind all light work, so a crowd of newcomers does not hold up a token.
//! * A client that does not finish its handshake is closed by a timer, without a word.
//! * So many handshakes of clients are under way at most (`limits.handshakes`): at that, listeners that
//!   speak TLS rest, and who does not go on with a handshake gives way (`life/shed.rs`).
//! * A server's handshake is a part of connecting: the same timer ends it, and where it fails nobody has
//!   heard the request.

use crate::clock::Instant;
use crate::flow::budget::Budget;
use crate::gateway::Gateway;
use crate::gateway::client::preamble::Introduced;
use crate::gateway::record::downstream::State;
use crate::gateway::record::verdict::{Failed, Step};
use crate::proxy::fault::{TlsFault, UpstreamFault};
use crate::reactor::net::Net;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::Cx;
use crate::wire::sealed::Handshake;
use crate::wire::transport::{Alert, AlertCause};

impl<N: Net> Gateway<N> {
    /// One step of the handshake of a socket.
    pub(crate) fn shake_hands(&mut self, who: Token, cx: &mut Cx<N>) {
        match who.kind() {
            Kind::Downstream => self.shake_hands_with_client(who, cx),
            Kind::Upstream => self.shake_hands_with_server(who, cx),
            Kind::Listener | Kind::Waker => {}
        }
    }

    fn shake_hands_with_client(&mut self, token: Token, cx: &mut Cx<N>) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        if !matches!(downstream.state, State::Handshake { .. }) {
            return;
        }
        if downstream.awaits_preamble && !self.is_introduced_in_front(token, cx) {
            return;
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        match downstream.socket.shake_hands(&mut self.desk) {
            Ok(Handshake::Done) => {
                downstream.state = State::Head { since: cx.now, began: Instant::NEVER };
                self.handshakes.ended();
                self.desk.tally.client_handshakes.add(1);
                // There is one less than there was, so another one may begin.
                cx.listen.reopen_listeners();
                self.enqueue(token, &mut cx.run);
                self.arm(token, cx);
            }
            Ok(Handshake::More) => self.await_handshake_of_client(token, cx),
            Ok(Handshake::Waits) => {}
            Ok(Handshake::Dry) => {
                self.wait_for_read(token);
            }
            Err(error) => {
                log::debug!("a client's handshake has failed: {error}");
                self.desk.tally.client_handshakes_failed.add(1);
                self.close_downstream(token, cx);
            }
        }
    }

    /// Reads the preamble of the PROXY protocol that stands in front of a client's handshake. Whether it is
    /// through; else more of it has to come, or the connection is closed.
    #[cold]
    fn is_introduced_in_front(&mut self, token: Token, cx: &mut Cx<N>) -> bool {
        let Some(downstream) = self.downstreams.get_mut(token) else { return false };
        match downstream.socket.read_unopened(&mut self.desk) {
            Ok(Handshake::Dry) => {
                self.wait_for_read(token);
                return false;
            }
            Ok(_) if downstream.socket.unopened().is_empty() => return false,
            Ok(_) => {}
            Err(error) => {
                log::debug!("a client's connection has ended in front of its handshake: {error}");
                self.desk.tally.client_handshakes_failed.add(1);
                self.close_downstream(token, cx);
                return false;
            }
        }
        matches!(self.introduce(token, cx), Introduced::Done)
    }

    fn shake_hands_with_server(&mut self, connection: Token, cx: &mut Cx<N>) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        let Some(owner) = upstream.owner.filter(|_| !upstream.closed) else { return };
        match upstream.socket.shake_hands(&mut self.desk) {
            Ok(Handshake::Done) => {
                self.desk.tally.upstream_handshakes.add(1);
                self.enqueue(owner, &mut cx.run);
            }
            Ok(Handshake::More) => {
                self.awaits_handshake(connection, cx);
            }
            Ok(Handshake::Waits) => {}
            Ok(Handshake::Dry) => {
                self.wait_for_read(owner);
            }
            Err(error) => {
                let fault = match upstream.socket.alert() {
                    Some(alert) => tls_fault(alert),
                    None => UpstreamFault::Connect(error.kind()),
                };
                let lost = Failed::Lost(fault);
                let budget = Budget::of_a_drive(cx.run.is_empty());
                self.drive_on(owner, Step::Failed(lost), budget, cx);
            }
        }
    }
}

/// What a failed handshake with a server is called.
fn tls_fault(alert: Alert) -> UpstreamFault {
    let fault = match alert.cause {
        AlertCause::Expired => TlsFault::Expired,
        AlertCause::WrongName => TlsFault::WrongName,
        AlertCause::UnknownIssuer => TlsFault::UnknownIssuer,
        AlertCause::BadCertificate => TlsFault::BadCertificate,
        AlertCause::RefusedUs | AlertCause::Protocol => TlsFault::Handshake,
    };
    UpstreamFault::Tls(fault, alert.why)
}
