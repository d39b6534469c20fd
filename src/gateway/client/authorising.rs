//! Authorising: a request about which the authoriser is asked waits for its answer before it begins.
//!
//! ```text
//!   head ─▶ nobody here knows who that is ─▶ asked in the foyer ─▶ a nudge ─▶ the head once more
//! ```
//!
//! * A drive never asks: it leaves the question in the foyer, the head where it is, and waits. A thread that
//!   may block asks, and nudges whoever waits.
//! * Nothing of the request has begun meanwhile: it has no exchange, and holds neither a place nor a permit.
//!   A client that leaves is closed as one that sends no head.
//! * It waits no longer than `auth.timeout`, whatever becomes of the question: then it is refused.
//! * A reload has all of them looked at anew: another authoriser may be the one to ask, or nobody.

use crate::config::snapshot::HalfClose;
use crate::gate::authoriser::foyer::{AuthAsked, Decided};
use crate::gate::authoriser::question::AuthQuestion;
use crate::gate::key::KeyDigest;
use crate::gateway::Gateway;
use crate::gateway::client::proving::gate_time;
use crate::gateway::record::downstream::State;
use crate::gateway::record::proof::Proof;
use crate::gateway::record::verdict::Step;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// Asks about the request of a connection, whose head is whole.
    #[cold]
    pub(crate) fn await_answer(
        &mut self,
        token: Token,
        question: AuthQuestion,
        cx: &mut Cx<N>,
    ) -> Step {
        let Some(authoriser) = self.generations.latest().gate.gate.authoriser.clone() else {
            return Step::Again;
        };
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        downstream.state = State::Head { since: cx.now, began: cx.now };
        let digest = question.digest;
        match authoriser.foyer.ask(question, self.nudge.wake(token), cx.now) {
            AuthAsked::Known(decided) => {
                self.learn_answer(token, Some(digest), &decided, cx);
                Step::Again
            }
            AuthAsked::Waits { slot, new } => {
                downstream.proof = Proof::Asked;
                self.authorising.park(token, slot, digest, cx.now);
                self.desk.tally.auth_questions.add(u64::from(new));
                Step::Wait
            }
        }
    }

    /// What a connection does whose request waits to be proven, or for an answer.
    #[cold]
    pub(crate) fn wait_for_proof(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get(token) else { return Step::Wait };
        if downstream.proof == Proof::Awaited {
            return Step::Wait;
        }
        let ready = downstream.socket.ready;
        let cancels = self.generations.latest().server.half_close == HalfClose::Cancel;
        if ready.errored() || (ready.read_closed() && cancels) {
            return self.close_downstream(token, cx);
        }
        let Some((decided, question, since)) = self.authorising.look(token) else {
            return Step::Wait;
        };
        self.desk.tally.auth_wait.record_span(since, cx.now);
        self.learn_answer(token, Some(question), &decided, cx);
        Step::Again
    }

    /// The time for an answer is over: nobody is let in by that.
    #[cold]
    pub(crate) fn give_up_answer(&mut self, token: Token, cx: &mut Cx<N>) {
        self.learn_answer(token, None, &Decided::failed(cx.now), cx);
        self.enqueue(token, &mut cx.run);
    }

    /// Another configuration is in force: who waits under the last one is looked at anew.
    pub(crate) fn renew_authorising(&mut self, cx: &mut Cx<N>) {
        for token in self.authorising.renew() {
            if let Some(downstream) = self.downstreams.get_mut(token) {
                downstream.proof = Proof::Over;
                self.enqueue(token, &mut cx.run);
            }
        }
    }

    /// Has the request of a connection begin, by this answer.
    fn learn_answer(
        &mut self,
        token: Token,
        question: Option<KeyDigest>,
        decided: &Decided,
        cx: &Cx<N>,
    ) {
        let judged = self.generations.latest().gate.gate.judged(decided, gate_time(cx));
        let tally = &self.desk.tally;
        match &judged.who {
            Ok(_) => tally.auth_yes.add(1),
            Err(refusal) if refusal.status() == 503 => tally.auth_failed.add(1),
            Err(_) => tally.auth_no.add(1),
        }
        self.authorising.learn(token, question, judged, cx.now);
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.proof = Proof::Over;
        }
    }
}
