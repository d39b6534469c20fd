//! A client of OpenAI responses, and a server of OpenAI chat.

pub mod ask;
pub mod document;
mod events;
mod input;
mod items;
mod response;
pub mod rules;
pub mod tell;
