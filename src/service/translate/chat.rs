//! OpenAI chat: the dialect in the middle, which every other one is translated from or to.

pub mod brackets;
pub mod chunk;
pub mod writer;
