//! Generations: the snapshot that new requests obey, and those that exchanges still hold.
//!
//! * An exchange takes a count of the latest one when it begins, and keeps it to its end.
//! * A generation is dropped in the reap after its last exchange has ended, never earlier: the groups
//!   of its upstreams are looked up until then.

use std::rc::Rc;

use crate::config::snapshot::Snapshot;

/// The generations of the configuration that one worker knows.
pub(crate) struct Generations {
    latest: Rc<Snapshot>,
    /// Earlier ones, as long as an exchange holds them.
    past: Vec<Rc<Snapshot>>,
}

impl Generations {
    pub(crate) fn new(mut first: Snapshot) -> Generations {
        first.plugins.open_lanes(None);
        Generations { latest: Rc::new(first), past: Vec::new() }
    }

    /// The one that every new request gets.
    #[inline]
    pub(crate) fn latest(&self) -> &Rc<Snapshot> {
        &self.latest
    }

    /// Puts `next` in the place of the latest.
    pub(crate) fn follow(&mut self, mut next: Snapshot) {
        next.plugins.open_lanes(Some(&self.latest.plugins));
        self.past.push(std::mem::replace(&mut self.latest, Rc::new(next)));
    }

    /// How many earlier ones are held.
    pub(crate) fn past(&self) -> usize {
        self.past.len()
    }

    /// Drops those that no exchange holds. Returns those that are left, if there are fewer now.
    #[cold]
    pub(crate) fn forget_unheld(&mut self) -> Option<impl Iterator<Item = &Snapshot> + Clone> {
        let known = self.past.len();
        self.past.retain(|snapshot| Rc::strong_count(snapshot) > 1);
        let left = self.past.iter().chain([&self.latest]).map(Rc::as_ref);
        (self.past.len() < known).then_some(left)
    }
}

#[cfg(test)]
mod tests;
