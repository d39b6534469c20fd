//! A plan: who visits one seeded world, what they ask, and how they are answered.
//!
//! Drawn from the seed as plain data, so that the oracle knows what ought to have happened, and a
//! failing seed can be read. `draw` makes it; [`super::cast`] turns it into scripts.
//!
//! Most of a plan is well-behaved: a world in which nobody is honest proves nothing about those
//! who are. [`Plan::owes`] tells which exchanges must be answered in full, whatever the network
//! does to them on the way.

use std::time::Duration;

use super::faults::Faults;
use super::payload;
use super::script::Death;
use super::toy::Manners;
use super::trouble::{Kind, Trouble};

/// One seeded world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub faults: Faults,
    pub visits: Vec<VisitPlan>,
    /// By number; [`VisitPlan::requests`] name them.
    pub exchanges: Vec<ExchangePlan>,
    pub gateway: GatewayPlan,
    /// Nothing goes wrong, anywhere.
    pub perfect: bool,
    /// The gateway is told to drain.
    pub drain_at: Option<Duration>,
    pub seals: Seals,
}

/// Whose connections are sealed, and how; `None`: that side is plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seals {
    pub clients: Option<Manners>,
    pub servers: Option<Manners>,
}

/// More than any world can spend.
pub const AMPLE: u32 = 100_000;

/// The limits of the gateway under test.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    pub half_close_allowed: bool,
    /// Upstreams of the one route, in a chain.
    pub upstreams: usize,
    /// Servers of each upstream.
    pub endpoints: usize,
    /// Open clients, and connections to the upstream. Many, or nearly none.
    pub connections: usize,
    pub upstream_connections: usize,
    pub idle_connections: usize,
    pub buffers: usize,
    pub replay_stale_post: bool,
    /// How often one request may be sent to each upstream, replays for stale connections apart.
    pub attempts: u32,
    /// Retries allowed, in percent of the requests; [`AMPLE`]: all of them.
    pub budget: u32,
    /// Whether endpoints that fail are left alone for a while.
    pub breaker: bool,
    /// Endpoints that are out are asked again when too many are.
    pub panic: bool,
    /// `server.coalesce`.
    pub coalesce: Option<Duration>,
}

/// One client on one connection.
#[derive(Clone, Debug)]
pub struct VisitPlan {
    pub delay: Duration,
    pub requests: Vec<usize>,
    /// All requests are sent before the first answer.
    pub pipelined: bool,
    pub http10: bool,
    pub pace: Pace,
    pub leaves: Option<Leave>,
    /// FIN behind the last request, and then it reads.
    pub half_closes: bool,
    /// What it sends is cut into pieces with pauses between them.
    pub drips: bool,
    /// Ends with a head that must be refused.
    pub bad_head: Option<&'static [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Eager,
    /// Takes about this many sips for the whole answer.
    Slow {
        sips: usize,
        every: Duration,
    },
    /// Reads nothing for a while, and then everything.
    Pauses(Duration),
    /// Reads nothing, ever, and goes away after a long time.
    NeverReads,
}

/// A client that goes away, this long after it has sent its last request.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    pub after: Duration,
    pub reset: bool,
    /// It does not even send its last request whole: the head, or the body, breaks off.
    pub inside_request: bool,
}

/// One request and its answer, as they were meant.
#[derive(Clone, Debug)]
pub struct ExchangePlan {
    pub method: Method,
    /// Bytes of the request's body.
    pub upload: Option<Upload>,
    pub expects_continue: bool,
    /// Asks for an upgrade, and sends this many bytes through the tunnel if it gets one.
    pub tunnel: Option<usize>,
    /// What the first attempts meet instead of the answer.
    pub troubles: Vec<Trouble>,
    pub answer: AnswerPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    pub length: usize,
    pub chunked: bool,
    /// The framing breaks in the middle of it, if it is chunked.
    pub spoiled: bool,
    /// In the middle of it.
    pub pause: Duration,
}

#[derive(Clone, Debug)]
pub struct AnswerPlan {
    pub status: u16,
    pub kind: payload::Kind,
    pub framing: Framing,
    pub length: usize,
    /// Cuts of the body, each after a pause.
    pub pieces: usize,
    pub pause: Duration,
    pub first_pause: Duration,
    pub interims: usize,
    pub trailers: bool,
    /// The answer does not wait for the request's end.
    pub early: bool,
    pub goes_wrong: Option<Wrong>,
    pub afterwards: Afterwards,
    /// The connection dies instead, if it has carried a request before.
    pub dies_if_reused: Option<Death>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// How an answer fails. Positions are in per mille of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The connection dies before a byte of the answer.
    Unanswered(Death),
    Silent,
    BadHead,
    Cut {
        at: usize,
        death: Death,
    },
    Stall {
        at: usize,
    },
    BadChunk {
        at: usize,
    },
}

/// What the server does with the connection behind a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    Keeps,
    /// `Connection: close`, as announced.
    ClosesAnnounced,
    /// Closes, although nothing announced it.
    Closes,
    /// The same, and the FIN travels with the last bytes.
    ClosesTogether,
    ClosesIdle(Duration),
    /// Speaks although nobody asked: a stray answer.
    Strays(Duration),
    /// A stray answer right behind the answer, in the same segment.
    StraysTogether,
    /// 408 and close, as some servers do to idle connections.
    TimesOut(Duration),
}

impl Plan {
    /// Whether a bad head behind the requests of a visit must be refused in words, if they were
    /// answered. After an answer that did not wait for its request nothing more is read.
    pub fn owes_refusal(&self, visit: &VisitPlan) -> bool {
        visit.requests.iter().all(|number| !self.exchanges[*number].answer.early)
    }

    /// Whether the network and the gateway's own limits let every honest exchange be answered.
    pub fn is_generous(&self) -> bool {
        !self.faults.may_refuse() && self.drain_at.is_none() && !self.gateway.is_scarce()
    }

    /// Whether the endpoints may have been found unfit, by what other exchanges met with.
    pub fn may_break(&self) -> bool {
        // A server that does not wait for the request to end may break its connection over it.
        let unfit = |exchange: &ExchangePlan| {
            let troubled = !exchange.troubles.is_empty() || exchange.answer.status >= 500;
            exchange.answer.early || troubled || !exchange.is_honest(self)
        };
        self.gateway.breaker && self.exchanges.iter().any(unfit)
    }

    /// Whether this request of a visit must be answered in full, if those before it were.
    pub fn owes(&self, visit: &VisitPlan, nth: usize) -> bool {
        let exchange = &self.exchanges[visit.requests[nth]];
        let last = nth + 1 == visit.requests.len();
        let stays = visit.leaves.is_none() && visit.pace != Pace::NeverReads;
        // With one segment for request and FIN, any request of a pipeline may be met by the FIN.
        let half_open = visit.half_closes && !self.gateway.half_close_allowed;
        // What an answer that did not wait leaves unread may cost the answer: see RFC 9112 §9.6.
        let stays_open =
            exchange.answer.afterwards == Afterwards::Keeps && !exchange.ends_by_close();
        let hasty = exchange.answer.early && (visit.pace != Pace::Eager || !last || !stays_open);
        // Where the next answer breaks off, so does the connection, and a RST may cost a client
        // that has not read them the answers before it.
        let ahead = visit.pipelined || visit.pace != Pace::Eager;
        let trouble = |number: &usize| {
            let next = &self.exchanges[*number];
            next.answer.early || !next.is_honest(self)
        };
        let shaken = ahead
            && self.faults.reset_overtakes > 0
            && visit.requests[nth + 1..].iter().any(trouble);
        self.is_generous() && stays && !half_open && !hasty && !shaken && exchange.is_honest(self)
    }
}

impl GatewayPlan {
    /// Whether somebody may have to be turned away. Clients that find no place wait outside.
    fn is_scarce(&self) -> bool {
        self.upstream_connections < 1000 || self.buffers < 4096
    }

    /// Whether an exchange that meets these gets its answer all the same: each is one that may be
    /// tried again by the default conditions, and there are attempts enough. `held`: its stream is
    /// held back even where nobody else is left to be asked.
    fn survives(&self, troubles: &[Trouble], held: bool) -> bool {
        if !troubles.is_empty() && (self.budget < AMPLE || self.breaker) {
            // What others have met decides too.
            return false;
        }
        let (mut at_upstream, mut link, mut slow) = (1, 0, false);
        for trouble in troubles {
            let elsewhere = match trouble.kind {
                Kind::Status { status: 500, .. } => return false,
                // Of a stream nobody understands nobody knows that it should not be empty.
                Kind::Empty => return false,
                // Once is as long as a client may have to wait.
                Kind::Silent if slow => return false,
                Kind::NoEvent { .. } if !held && link + 1 == self.upstreams => return false,
                // A server that is busy, or was silent, is not asked again.
                Kind::Status { status: 429, .. } | Kind::Silent => true,
                _ => false,
            };
            slow |= trouble.kind == Kind::Silent;
            if !elsewhere && at_upstream < self.attempts {
                at_upstream += 1;
            } else if link + 1 < self.upstreams {
                (link, at_upstream) = (link + 1, 1);
            } else {
                return false;
            }
        }
        true
    }
}

impl Pace {
    /// Whether it reads while it still has something to say.
    pub fn reads(self) -> bool {
        matches!(self, Pace::Eager | Pace::Slow { .. })
    }
}

impl ExchangePlan {
    /// Whether a whole answer at the client would be a lie.
    pub fn breaks_off(&self) -> bool {
        match self.answer.goes_wrong {
            Some(Wrong::Unanswered(_) | Wrong::Silent | Wrong::BadHead) => true,
            Some(Wrong::Cut { .. } | Wrong::Stall { .. } | Wrong::BadChunk { .. }) => {
                self.has_body()
            }
            None => false,
        }
    }

    /// Whether a server may say to it what is no HTTP.
    pub fn may_be_garbled(&self) -> bool {
        let wrong = matches!(self.answer.goes_wrong, Some(Wrong::BadHead));
        wrong || self.troubles.iter().any(|trouble| trouble.kind == Kind::Garbage)
    }

    /// Whether the request is one that gets a whole answer from its server.
    fn is_honest(&self, plan: &Plan) -> bool {
        let spoiled = self.upload.is_some_and(|upload| upload.spoiled && upload.chunked);
        let replay = self.method != Method::Post || plan.gateway.replay_stale_post;
        let stale = plan.exchanges.iter().any(|other| other.answer.leaves_stale_connections());
        let survives = plan.gateway.survives(&self.troubles, self.method == Method::Post);
        self.answer.goes_wrong.is_none() && !spoiled && (replay || !stale) && survives
    }

    /// What the client ought to receive of the attempt that is answered.
    pub fn response(&self, number: usize, attempt: usize) -> Vec<u8> {
        match self.has_body() {
            true => payload::response(number, attempt, self.answer.kind, self.answer.length),
            false => Vec::new(),
        }
    }

    /// Its method is HEAD: the answer ends with its head.
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    pub fn has_body(&self) -> bool {
        !self.is_head() && !matches!(self.answer.status, 204 | 304)
    }

    pub(super) fn ends_by_close(&self) -> bool {
        self.answer.framing == Framing::UntilClose && self.has_body()
    }

    /// The upgrade is agreed to.
    pub fn opens_tunnel(&self) -> bool {
        self.tunnel.is_some() && self.answer.goes_wrong.is_none()
    }
}

impl AnswerPlan {
    /// Whether a pooled connection may die under a request that is sent on it.
    fn leaves_stale_connections(&self) -> bool {
        self.dies_if_reused.is_some() || self.afterwards != Afterwards::Keeps
    }
}
