//! The endpoints one request has failed at.

use std::net::SocketAddr;

use crate::proxy::hash;

/// So many are remembered. More attempts than that overwrite the first ones: which of nine
/// endpoints failed first matters little.
const REMEMBERED: usize = 8;

/// A small set of addresses, in the exchange's own record. It stays true when a reload gives the
/// endpoints other indices, or when the next upstream of the route leads to the same server.
///
/// 32 bits of each address's hash are kept. If two are alike, once in four thousand million, a
/// request avoids an endpoint it has not tried, as long as there is another.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// 0: nobody yet.
    marks: [u32; REMEMBERED],
    next: u8,
}

impl Tried {
    pub const fn none() -> Tried {
        Tried { marks: [0; REMEMBERED], next: 0 }
    }

    pub fn add(&mut self, address: SocketAddr) {
        let mark = mark(address);
        if !self.marks.contains(&mark) {
            self.marks[usize::from(self.next)] = mark;
            self.next = (self.next + 1) % REMEMBERED as u8;
        }
    }

    pub fn contains(&self, address: SocketAddr) -> bool {
        !self.is_empty() && self.marks.contains(&mark(address))
    }

    pub fn is_empty(&self) -> bool {
        self.marks[0] == 0
    }
}

fn mark(address: SocketAddr) -> u32 {
    (hash::of_address(address) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_are_remembered() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut tried = Tried::none();
        assert!(tried.is_empty() && !tried.contains(address(0)));
        for port in [0, 0, 1, 2, 3, 4, 5, 6, 7] {
            tried.add(address(port));
        }
        assert!((0..8).all(|port| tried.contains(address(port))));
        tried.add(address(8));
        let left: Vec<_> = (0..9).filter(|&port| tried.contains(address(port))).collect();
        assert_eq!(left, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!tried.is_empty());
    }
}
