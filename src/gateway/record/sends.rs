//! The spans of an exchange: one for each connection that its request was given to.

use crate::clock::Instant;
use crate::config::snapshot::EndpointId;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::trace::Sending;
use crate::http::rewrite;
use crate::proxy::trace::Ids;
use crate::wire::pool::BufferPool;

impl Exchange {
    /// Notes that the request is given to a connection: each time under a span of its own.
    pub(crate) fn begin_send(
        &mut self,
        endpoint: EndpointId,
        reused: bool,
        now: Instant,
        ids: &mut Ids,
        buffers: &mut BufferPool,
    ) {
        let link = self.chain().and_then(|chain| chain.links.get(self.link));
        let upstream = link.map_or(0, |link| link.upstream);
        let Some(trace) = self.trace.as_deref_mut() else { return };
        if let Some(parent) = trace.go_out(ids) {
            self.outbox.edit(buffers, |request| rewrite::set_trace_parent(request, &parent));
        }
        let send = Sending {
            span: trace.fields().parent.span,
            upstream,
            endpoint,
            began: now,
            ended: Instant::NEVER,
            reused,
            status: 0,
            failed: None,
        };
        if let Some(story) = &mut trace.story {
            story.sends.push(send);
        }
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
