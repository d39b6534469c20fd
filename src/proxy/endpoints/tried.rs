//! The endpoints one request has failed at.

use crate::config::snapshot::EndpointId;

/// So many are remembered. More attempts than that overwrite the first ones: which of nine
/// endpoints failed first matters little.
const REMEMBERED: usize = 8;

/// A small set of endpoints, of any upstream. Nearly every request's is empty: a pointer.
#[derive(Clone, Debug, Default)]
pub struct Tried(Option<Box<Failures>>);

#[derive(Clone, Debug)]
struct Failures {
    ids: [EndpointId; REMEMBERED],
    /// So many were added, the first ones perhaps forgotten.
    added: u32,
}

impl Tried {
    pub const fn none() -> Tried {
        Tried(None)
    }

    pub fn add(&mut self, endpoint: EndpointId) {
        if self.contains(endpoint) {
            return;
        }
        let none = || Box::new(Failures { ids: [EndpointId(0); REMEMBERED], added: 0 });
        let Failures { ids, added } = &mut **self.0.get_or_insert_with(none);
        ids[*added as usize % REMEMBERED] = endpoint;
        *added = added.wrapping_add(1);
    }

    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.as_ref().is_some_and(|failures| {
            failures.ids[..REMEMBERED.min(failures.added as usize)].contains(&endpoint)
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_are_remembered() {
        let mut tried = Tried::none();
        assert!(tried.is_empty() && !tried.contains(EndpointId(0)));
        for id in [0, 0, 1, 2, 3, 4, 5, 6, 7] {
            tried.add(EndpointId(id));
        }
        assert!((0..8).all(|id| tried.contains(EndpointId(id))));
        tried.add(EndpointId(8));
        let left: Vec<_> = (0..9).filter(|&id| tried.contains(EndpointId(id))).collect();
        assert_eq!(left, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!tried.is_empty());
    }
}
