//! Slots: the two tables of a worker, downstreams and upstreams, on generational tokens.
//!
//! * A look-up yields a value only if the generations agree; a stale token finds nothing.
//! * The generation of a slot is bumped when it is freed, wraps, and skips 0.
//! * Freeing happens in one place of the turn (reap), so no slot is reused while its events are
//!   being handled.

use slab::Slab;

use crate::reactor::token::{GENERATION_MAX, Kind, Token};

/// Values of one kind, each under its token.
pub struct Slots<T> {
    kind: Kind,
    taken: Slab<Slot<T>>,
    /// By index, for taken and free slots alike.
    generations: Vec<u32>,
}

/// A value, and the generation of its slot beside it: a look-up goes to one place. Two neighbouring
/// cache lines, which are fetched together: among thousands of connections each is cold when its
/// event comes.
#[repr(align(128))]
struct Slot<T> {
    value: T,
    generation: u32,
}

impl<T> Slots<T> {
    /// Bytes that a value takes here.
    pub const BYTES: usize = size_of::<Slot<T>>();

    pub fn new(kind: Kind) -> Slots<T> {
        Slots { kind, taken: Slab::new(), generations: Vec::new() }
    }

    pub fn insert(&mut self, value: T) -> Token {
        let slot = self.taken.vacant_entry();
        let index = slot.key();
        if index == self.generations.len() {
            self.generations.push(1);
        }
        let generation = self.generations[index];
        slot.insert(Slot { generation, value });
        Token::new(self.kind, generation, index)
    }

    pub fn get(&self, token: Token) -> Option<&T> {
        debug_assert_eq!(token.kind(), self.kind);
        let taken = self.taken.get(token.index())?;
        (taken.generation == token.generation()).then_some(&taken.value)
    }

    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        debug_assert_eq!(token.kind(), self.kind);
        let taken = self.taken.get_mut(token.index())?;
        (taken.generation == token.generation()).then_some(&mut taken.value)
    }

    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let Slot { generation, value } = self.taken.try_remove(token.index())?;
        self.generations[token.index()] =
            if generation == GENERATION_MAX { 1 } else { generation + 1 };
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.taken.len()
    }

    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.taken.iter().map(|(index, Slot { generation, value })| {
            (Token::new(self.kind, *generation, index), value)
        })
    }

    /// The tokens of all values, for the rare walks that change the table.
    pub fn tokens(&self) -> Vec<Token> {
        self.iter().map(|(token, _)| token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_finds_nothing_even_when_its_slot_is_taken_again() {
        let mut slots = Slots::new(Kind::Upstream);
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        assert_eq!(slots.remove(old), None, "removed once");
        let new = slots.insert("new");
        assert_eq!(old.index(), new.index(), "the slab hands out the freed slot first");
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&"new")));
        assert_eq!(slots.get_mut(old), None);
    }

    #[test]
    fn generations_wrap_past_zero() {
        let mut slots = Slots::new(Kind::Downstream);
        let token = slots.insert(());
        slots.remove(token);
        slots.generations[token.index()] = GENERATION_MAX;
        let last = slots.insert(());
        assert_eq!(last.generation(), GENERATION_MAX);
        slots.remove(last);
        let next = slots.insert(());
        assert_eq!(next.generation(), 1);
    }
}
