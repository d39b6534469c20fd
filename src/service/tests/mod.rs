//! Streams as servers write them, and as nobody does.

mod choices;
mod claims;
mod faults;
mod names;
mod paths;
mod refusals;
mod requests;
mod streams;
mod words;
