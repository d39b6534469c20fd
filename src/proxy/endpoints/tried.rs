//! The endpoints one request has failed at.

use crate::config::snapshot::EndpointId;

/// A small set of endpoints, of any upstream. Nearly every request's is empty: a pointer. It holds
/// one for each failed attempt, and for each endpoint that took no connection.
#[derive(Clone, Debug, Default)]
pub struct Tried(Option<Box<Failures>>);

#[derive(Clone, Debug, Default)]
struct Failures {
    ids: Vec<EndpointId>,
}

impl Tried {
    pub const fn none() -> Tried {
        Tried(None)
    }

    pub fn add(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.0.get_or_insert_default().ids.push(endpoint);
        }
    }

    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.as_ref().is_some_and(|failures| failures.ids.contains(&endpoint))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_remembered_once() {
        let mut tried = Tried::none();
        assert!(tried.is_empty() && !tried.contains(EndpointId(0)));
        for id in (0..40).chain(0..40) {
            tried.add(EndpointId(id));
        }
        assert!((0..40).all(|id| tried.contains(EndpointId(id))));
        assert!(!tried.contains(EndpointId(40)) && !tried.is_empty());
        assert_eq!(tried.0.map(|failures| failures.ids.len()), Some(40));
    }
}
