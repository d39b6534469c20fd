//! A client of OpenAI chat, and a server with the generate extension of Triton and KServe:
//! `/v2/models/NAME/generate` and `…/generate_stream`.

pub mod ask;
pub mod document;
pub mod rules;
pub mod tell;
