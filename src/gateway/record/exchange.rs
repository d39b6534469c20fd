//! The record of one request and its response.

use std::rc::Rc;

use crate::config::snapshot::Snapshot;
use crate::flow::relay::Flow;
use crate::gateway::record::attempt::{Attempt, Tries};
use crate::gateway::record::commit::Commit;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::trace::ExchangeTrace;
use crate::http::head::Version;
use crate::http::request_id::RequestId;
use crate::measure::stall::Ledger;
use crate::proxy::exchange::Timeline;
use crate::service::Dialect;
use crate::wire::outbox::Outbox;

mod parts;
pub mod questions;

pub use parts::*;

/// One request and its response. In memory as it is written here: what the passing of a token
/// touches comes first and lies together, for among thousands of streams every line is a cold one.
#[derive(Debug)]
#[repr(C)]
pub struct Exchange {
    pub timeline: Timeline,
    pub ledger: Ledger,
    /// How much of an answer the client has.
    pub commit: Commit,
    pub tunnel: Option<Tunnel>,
    pub peer: Peer,
    /// The attempt that is under way.
    pub attempt: Attempt,
    pub request: Flow,
    // From here on what begins and ends an exchange.
    /// The generation it began with; it obeys this one to its end.
    pub snapshot: Rc<Snapshot>,
    /// Index into the snapshot's routes; `None`: none matched.
    pub route: Option<u32>,
    /// The upstream it is at: a position in the route's chain.
    pub link: usize,
    pub tries: Tries,
    /// The request, while no connection's outbox has it; then what of the response is held back.
    pub outbox: Outbox,
    /// How much of the body has to be read before an endpoint is chosen.
    pub gather: Gather,
    /// Boxed: most exchanges have none of it.
    pub aside: Option<Box<Aside>>,
    /// Boxed: only where exchanges are part of traces.
    pub trace: Option<Box<ExchangeTrace>>,
    pub id: RequestId,
    /// 0 is the most urgent.
    pub priority: u8,
    pub client: Version,
    /// The dialect the client speaks by its path, and is most likely answered in.
    pub dialect: Dialect,
    /// The request is HEAD: its answer has no body.
    pub head_request: bool,
    pub idempotent: bool,
    /// The client lets its connection be kept.
    pub keep_alive: bool,
    pub leave: Leave,
    pub upgrade_asked: bool,
    /// A GET for a stream of events of no dialect: the client listens, and waits for nothing.
    pub listens: bool,
    /// The client is known not to want a stream, so it gets no head of ours.
    pub unprefaced: bool,
    /// The client was asked, with an interim response, whether it is still there.
    pub probed: bool,
    /// The response as delivered ends by itself, and both ends agreed to keep the connection.
    pub persistent: bool,
    /// The response as delivered ends with the connection: only RST tells that it was cut.
    pub until_close: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::record::downstream::Downstream;
    use crate::gateway::record::kept_stream::Continuation;
    use crate::gateway::record::upstream::UpstreamConnection;
    use crate::reactor::slots::Slots;

    /// The printed memory bound and the footprint of ten thousand streams stand on these.
    #[test]
    fn records_are_as_small_as_the_configuration_promises() {
        use crate::config::bounds::{BUFFER_BYTES, CONNECTION_BYTES};
        use crate::flow::tap::Tap;
        use crate::service::continuation::Transcript;
        use std::mem::size_of;

        assert_eq!(BUFFER_BYTES, crate::wire::buffer::CAPACITY as u64);
        // A stream is a descriptor: four bytes.
        let (idle, server) =
            (Slots::<Downstream<u32>>::BYTES, Slots::<UpstreamConnection<u32>>::BYTES);
        let open = idle + size_of::<Exchange>() + server;
        assert_eq!((idle, server), (128, 128), "two cache lines each");
        assert!(open <= 856, "an open stream takes {open} bytes");
        assert!(open as u64 <= CONNECTION_BYTES);
        // And what it may own beside them to be continued, but for the bytes it keeps.
        let boxes = size_of::<Continuation>() + size_of::<Tap>() + size_of::<Transcript>();
        assert!((open + boxes) as u64 <= CONNECTION_BYTES, "and boxes of {boxes} bytes");
    }
}
