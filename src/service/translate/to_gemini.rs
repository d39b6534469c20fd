//! A client of OpenAI chat, and a server of Gemini: `generateContent`, `streamGenerateContent`.

pub mod ask;
mod content;
pub mod document;
mod event;
pub mod rules;
pub mod tell;
