//! The records of a worker's two tables, and of the exchange between them.
//!
//! A downstream owns its exchange; the exchange names its upstream by token; an upstream names its
//! owner by token. No record points at another, so one drive can borrow both tables at once.

pub mod attempt;
pub(crate) mod authorising;
pub mod commit;
pub mod downstream;
pub mod exchange;
pub(crate) mod generations;
pub(crate) mod handshakes;
pub mod kept_stream;
pub mod outcome;
pub mod peer;
pub(crate) mod plugged;
pub(crate) mod proof;
pub(crate) mod request_body;
pub mod sends;
pub mod trace;
pub mod translation;
pub mod upstream;
pub(crate) mod verdict;
