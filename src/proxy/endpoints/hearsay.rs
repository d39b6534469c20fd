//! What other gateways are told of an endpoint, and what is made of what they say.

use super::Endpoints;
use super::member::Member;
use crate::clock::Instant;
use crate::config::snapshot::EndpointId;
use crate::proxy::breaker::{Admits, Transition};

/// One endpoint in so many, at least one, is suspect at a time.
const SUSPECTS: usize = 4;

impl Endpoints {
    /// Other gateways say that it fails: it is tried by one request, if there is somebody else to be asked
    /// meanwhile. Whether that is news: it is known here, has answered of late, or is one of too many.
    pub fn suspect(&mut self, endpoint: EndpointId, now: Instant) -> bool {
        let is_suspect = |member: &&Member| member.breaker.is_suspect(now);
        let suspects = self.members.iter().filter(is_suspect).count();
        let well = |member: &Member| {
            member.endpoint.id != endpoint && self.admits(member, now) == Admits::Yes
        };
        let spared = self.members.iter().any(|member| !member.draining && well(member));
        let room = suspects < self.members.len().div_ceil(SUSPECTS);
        if self.settings.breaker.is_none() || !spared || !room {
            return false;
        }
        self.get_mut(endpoint).is_some_and(|member| member.breaker.suspect(now))
    }

    /// Others are told by what all workers share.
    pub(super) fn tell_load(&self, endpoint: usize, transition: Option<Transition>, now: Instant) {
        match transition {
            Some(Transition::Opened { open, .. }) => self.load.set_broken(endpoint, now + open),
            Some(Transition::Closed) => self.load.set_well(endpoint),
            _ => {}
        }
    }
}
