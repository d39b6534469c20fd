//! Streams as servers write them, and as nobody does.

mod choices;
mod claims;
mod documents;
mod faults;
mod names;
mod paths;
pub(in crate::service) mod recorded;
mod refusals;
mod requests;
mod streams;
mod words;
