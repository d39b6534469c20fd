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
    values: Slab<T>,
    /// By index, for taken and free slots alike.
    generations: Vec<u32>,
}

impl<T> Slots<T> {
    pub fn new(kind: Kind) -> Slots<T> {
        Slots { kind, values: Slab::new(), generations: Vec::new() }
    }

    pub fn insert(&mut self, value: T) -> Token {
        let index = self.values.insert(value);
        if index == self.generations.len() {
            self.generations.push(1);
        }
        Token::new(self.kind, self.generations[index], index)
    }

    fn is_current(&self, token: Token) -> bool {
        debug_assert_eq!(token.kind(), self.kind);
        self.generations.get(token.index()) == Some(&token.generation())
    }

    pub fn get(&self, token: Token) -> Option<&T> {
        if self.is_current(token) { self.values.get(token.index()) } else { None }
    }

    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        if self.is_current(token) { self.values.get_mut(token.index()) } else { None }
    }

    pub fn remove(&mut self, token: Token) -> Option<T> {
        if !self.is_current(token) {
            return None;
        }
        let value = self.values.try_remove(token.index())?;
        let generation = &mut self.generations[token.index()];
        *generation = if *generation == GENERATION_MAX { 1 } else { *generation + 1 };
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.values
            .iter()
            .map(|(index, value)| (Token::new(self.kind, self.generations[index], index), value))
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
        slots.generations[token.index()] = GENERATION_MAX;
        let last = Token::new(Kind::Downstream, GENERATION_MAX, token.index());
        slots.remove(last);
        let next = slots.insert(());
        assert_eq!(next.generation(), 1);
    }
}
