//! Tokens name sockets, for the kernel, the timers and the mailbox alike.
//!
//! `kind:2 | generation:30 | index:32`. A slab hands out the most recently freed index first, so a
//! late event for a closed socket would reach the newcomer in its slot. The generation tells them
//! apart: it is bumped when the slot is freed, wraps, and is never 0.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a token takes 64 bits");

/// Which table a token's index belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Listener,
    Downstream,
    Upstream,
    /// The mailbox's waker: it carries no data, the poll just ends.
    Waker,
}

/// The name of one socket, for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u64);

pub(crate) const GENERATION_MAX: u32 = (1 << 30) - 1;

impl Token {
    /// The token of the mailbox's waker.
    pub const WAKER: Token = Token((Kind::Waker as u64) << 62);

    pub(crate) fn new(kind: Kind, generation: u32, index: usize) -> Token {
        debug_assert!(generation <= GENERATION_MAX && index <= u32::MAX as usize);
        Token((kind as u64) << 62 | u64::from(generation) << 32 | index as u64)
    }

    /// The token of a worker's listener number `index`.
    pub fn listener(index: usize) -> Token {
        Token::new(Kind::Listener, 0, index)
    }

    pub fn kind(self) -> Kind {
        match self.0 >> 62 {
            0 => Kind::Listener,
            1 => Kind::Downstream,
            2 => Kind::Upstream,
            _ => Kind::Waker,
        }
    }

    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & GENERATION_MAX
    }

    pub fn index(self) -> usize {
        self.0 as u32 as usize
    }

    /// The 64 bits as the poller stores them.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The token of these bits if it is one of a client's connection: they come from outside.
    pub fn of_downstream(bits: u64) -> Option<Token> {
        Some(Token(bits)).filter(|token| token.kind() == Kind::Downstream)
    }

    pub fn from_bits(bits: u64) -> Token {
        Token(bits)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{}.{}", self.kind(), self.index(), self.generation())
    }
}
