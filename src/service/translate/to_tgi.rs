//! A client of OpenAI chat, and a server of TGI's own `/generate` and `/generate_stream`.

pub mod ask;
pub mod document;
pub mod rules;
pub mod tell;
