//! A client of Anthropic messages, and a server of OpenAI chat.

pub mod ask;
mod calls;
mod content;
pub mod document;
mod events;
pub mod rules;
pub mod tell;
