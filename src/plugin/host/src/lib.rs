//! The host of foreign code: loads a plugin, checks its table, and calls its hooks.
//!
//! | file | owns |
//! |---|---|
//! | `contract` | what a plugin is to the gateway: two traits and plain data, wherever the plugin runs |
//! | `load` | from bytes to a table that is known to be of this version |
//! | `library` | a plugin that is open, and the calls of its hooks |
//! | `callbacks` | what a plugin may call while a hook of it runs |
//!
//! All `unsafe` of Sluicegate stands in `load`, `library` and `callbacks`. What the caller sees is safe as
//! far as the plugin keeps to the header: its crash is a crash of the process, and a hook that does not
//! return holds up its thread for ever. Nobody can contain that within a process.
//!
//! Absent on purpose: when a hook is called, what an error leads to, and how long a call took.

mod callbacks;
pub mod contract;
mod library;
mod load;

pub use callbacks::{Log, LogLevel};
pub use library::{Library, OpenFailed};
pub use load::{LoadFailed, Loaded};
