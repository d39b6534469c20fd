//! OpenAI chat: the dialect in the middle, which every other one is translated from or to.

pub mod brackets;
pub mod calls;
pub mod chunk;
pub mod completion;
pub mod logprobs;
pub mod prompt;
pub mod request;
pub mod rules;
pub mod writer;
