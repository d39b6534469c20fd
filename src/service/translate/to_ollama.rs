//! A client of OpenAI chat, and a server of Ollama's own `/api/chat`.

pub mod ask;
pub mod document;
mod line;
pub mod rules;
pub mod tell;
