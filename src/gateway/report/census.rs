//! Census: what a worker holds at a moment, for tests that look for leaks.

use crate::clock::Instant;
use crate::config::snapshot::UpstreamId;
use crate::gateway::Worker;
use crate::gateway::record::downstream::State;
use crate::proxy::endpoints::View;
use crate::reactor::net::Net;

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub downstreams: usize,
    pub upstreams: usize,
    pub idle_upstreams: usize,
    pub waiting: usize,
    pub buffers_out: usize,
    pub ready: usize,
    /// Earlier generations of the configuration that are held.
    pub past: usize,
    /// Bytes that are kept to continue streams.
    pub kept: usize,
}

impl<N: Net> Worker<N> {
    /// What is held at this moment.
    pub fn census(&self) -> Census {
        let gateway = self.handler();
        Census {
            downstreams: gateway.downstreams.len(),
            upstreams: gateway.upstreams.len(),
            idle_upstreams: gateway.groups.iter().map(|group| group.pool.idle()).sum(),
            waiting: gateway
                .groups
                .iter()
                .map(|group| group.queue.len() + group.awaiting.len())
                .sum(),
            buffers_out: gateway.desk.buffers.out(),
            ready: self.cx().run.len(),
            past: gateway.generations.past(),
            kept: gateway.purse.spent(),
        }
    }

    /// How every endpoint of every upstream stands at `now`.
    pub fn endpoints(&self, now: Instant) -> impl Iterator<Item = (UpstreamId, View)> {
        let gateway = self.handler();
        gateway.groups.ids().flat_map(move |id| {
            let endpoints = &gateway.groups[id].endpoints;
            (0..endpoints.len()).map(move |endpoint| (id, endpoints.view(endpoint, now)))
        })
    }

    /// Live connections that no timer will ever look at: none, unless timeouts are "off".
    pub fn without_deadline(&self) -> usize {
        let gateway = self.handler();
        let never = Instant::NEVER;
        let open = |state| state != State::Closed;
        gateway
            .downstreams
            .iter()
            .filter(|(_, downstream)| {
                open(downstream.state) && downstream.alarm.deadline() == never
            })
            .count()
            + gateway
                .upstreams
                .iter()
                .filter(|(_, up)| up.owner.is_none() && !up.closed && up.alarm.deadline() == never)
                .count()
    }
}
