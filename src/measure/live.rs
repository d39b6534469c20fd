//! Live: what a worker tells of its streams when it is asked, as records.
//!
//! Absent on purpose: text. A row is numbers and names of the snapshot; others print it.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::http::request_id::RequestId;
use crate::measure::stall::Owner;
use crate::proxy::endpoints::View;
use crate::proxy::exchange::Phase;
use crate::proxy::wake::ServerStanding;

/// Names one exchange of one worker, for as long as it lasts and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// The client's connection.
    pub connection: u64,
    /// Which of its requests.
    pub request: u32,
}

/// What a worker is asked.
#[derive(Debug)]
pub enum Inquiry {
    /// A table of at most so many streams, and the state of the pools.
    Survey { rows_max: usize, reply: mpsc::Sender<Survey> },
    /// End this exchange. Answered with whether there was one.
    Kill { stream: StreamKey, reply: mpsc::Sender<bool> },
    /// Change how an endpoint is treated. One that is not known here is none of this worker's.
    Adjust { upstream: UpstreamId, endpoint: EndpointId, adjustment: Adjustment },
    /// Listen to the response of this exchange. `clock` is read for each piece.
    Tail { stream: StreamKey, clock: PieceClock, reply: mpsc::Sender<Tailed> },
}

/// Tells when a piece was read.
pub type PieceClock = fn() -> Instant;

/// How an endpoint is to be treated from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// It finishes what it has and gets nothing new, until it is taken back.
    Drain,
    Undrain,
    /// Until the next generation says another.
    Weight(u32),
}

/// Whether there is something to listen to.
#[derive(Debug)]
pub enum Tailed {
    /// `began`: when the exchange did.
    Listening {
        pieces: mpsc::Receiver<Piece>,
        began: Instant,
    },
    NoSuchStream,
    /// No response has begun, or it is made inside this process.
    NoResponse,
    TooManyListeners,
}

/// What one worker holds at a moment.
#[derive(Debug)]
pub struct Survey {
    /// Exchanges in progress, those beyond `rows_max` included.
    pub active: u64,
    pub streams: Vec<LiveStream>,
    pub upstreams: Vec<UpstreamState>,
}

/// One upstream, seen by one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamState {
    pub name: String,
    pub open: usize,
    pub idle: usize,
    /// Exchanges in its queue.
    pub waiting: usize,
    /// Exchanges that wait for its model.
    pub awaiting_model: usize,
    /// How its server stands, where that is started when it is asked for.
    pub server: Option<ServerStanding>,
    pub endpoints: Vec<EndpointState>,
}

/// One endpoint, seen by one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointState {
    /// What it is called.
    pub name: String,
    /// `None`: its name has none now.
    pub address: Option<SocketAddr>,
    pub weight: u32,
    pub view: View,
}

/// One exchange in progress.
#[derive(Clone, Debug)]
pub struct LiveStream {
    pub key: StreamKey,
    pub request_id: RequestId,
    pub client: IpAddr,
    /// The path of its route, as configured.
    pub route: Option<String>,
    /// The names of the upstream and its endpoint, where one answers.
    pub endpoint: Option<(String, String)>,
    /// The name of the key that it came with.
    pub key_name: Option<String>,
    /// The model that was asked for, where that is known.
    pub asked: Option<String>,
    /// The model that answers, where it has said so.
    pub model: Option<String>,
    pub phase: Phase,
    pub age: Duration,
    /// What the attempt that goes on has come to.
    pub reached: Reached,
    /// Of the response; 0: it has not begun.
    pub status: u16,
    /// Data events; where there are none, 0.
    pub events: u64,
    /// Tokens of the answer, where its server has told by now.
    pub tokens: Option<u64>,
    /// Bytes of the response's body.
    pub bytes: u64,
    /// Since the last data event, or since the request was written.
    pub silence: Duration,
    pub waits_for: Owner,
    /// How long who was waited for, in the order of [`Owner::ALL`].
    pub waited: [Duration; 3],
    /// Bytes read and not written yet, both ways.
    pub buffered: usize,
}

/// When an attempt came how far, since the start of its exchange. `None`: it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// It was given a connection.
    pub attached: Option<Duration>,
    /// The connection took the first byte of the request, and the last.
    pub connected: Option<Duration>,
    pub request_written: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub first_event: Option<Duration>,
}

/// What a listener hears.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// When it was read.
    pub at: Instant,
    /// Bytes of the payload, cut wherever a read ended.
    pub data: Vec<u8>,
    /// Pieces that were missed before this one.
    pub missed: u64,
}
