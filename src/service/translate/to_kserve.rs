//! A client of OpenAI chat, and a server of the open inference protocol: `/v2/models/NAME/infer`.

pub mod ask;
pub mod document;
pub mod rules;
pub mod tell;
