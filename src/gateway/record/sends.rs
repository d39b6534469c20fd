//! The spans of an exchange: one for each connection that its request was given to.

use crate::clock::Instant;
use crate::config::snapshot::EndpointId;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::trace::Sending;
use crate::http::trace_context::TraceParent;
use crate::proxy::trace::Ids;

impl Exchange {
    /// Notes that the request is given to a connection, and returns the `traceparent` it goes with:
    /// each time under a span of its own. `None`: it is part of no trace.
    pub(crate) fn begin_send(
        &mut self,
        endpoint: EndpointId,
        reused: bool,
        now: Instant,
        ids: &mut Ids,
    ) -> Option<TraceParent> {
        let parent = self.trace.as_deref()?.parent(ids);
        let link = self.chain().and_then(|chain| chain.links.get(self.link));
        let send = Sending {
            span: parent.span,
            upstream: link.map_or(0, |link| link.upstream),
            endpoint,
            began: now,
            ended: Instant::NEVER,
            reused,
            status: 0,
            failed: None,
        };
        if let Some(story) = self.trace.as_deref_mut().and_then(|trace| trace.story.as_mut()) {
            story.sends.push(send);
        }
        Some(parent)
    }

    /// Notes how the last send has ended.
    pub(crate) fn end_send(&mut self, status: u16, failed: Option<&'static str>, now: Instant) {
        let story = self.trace.as_deref_mut().and_then(|trace| trace.story.as_mut());
        if let Some(send) = story.and_then(|story| story.sends.last_mut())
            && send.ended == Instant::NEVER
        {
            (send.ended, send.status, send.failed) = (now, status, failed);
        }
    }
}
