//! Plugins: foreign code that sees requests and answers on their way.
//!
//! ```text
//!   [[plugin]] ──load──▶ LoadedPlugin ──begin──▶ PluginSeat, one in each exchange of its routes
//!                            │ calls: how long, how often in vain         │ one call of a hook
//!                            └ quarantined: too slow too often            └ fail: open or closed
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `settings` | what the configuration says of a plugin and of those of a route |
//! | `load` | from a file to a plugin that has passed its test; the only file that knows the host of foreign code |
//! | `self_test` | the conversation that is played before a plugin is activated |
//! | `loaded` | a plugin that is loaded: shared by all generations and exchanges that hold it |
//! | `calls` | how long its hooks took, a lane for each thread that calls |
//! | `remote` | a plugin in a process of its own, asked over a Unix socket |
//! | `seat` | a plugin in one exchange: a call, and what follows when that fails |
//! | `events` | a stream cut into whole events |
//! | `fields` | what a plugin may change in a head |
//!
//! * A hook that a plugin does not have is not called, and costs nothing. A route without plugins pays one
//!   compare for each request, and nothing for a token.
//! * Whoever holds a seat keeps its plugin open, whatever a reload has put in its place.
//!
//! Absent on purpose: sockets, and when a hook is called: the gateway knows.

pub mod calls;
pub mod events;
pub mod fields;
pub mod load;
pub mod loaded;
mod remote;
pub mod seat;
pub mod self_test;
pub mod settings;

#[doc(hidden)]
pub use remote::answer_edits;
pub use sluicegate_plugin_host::contract::{
    AnswerSlot, Edits, EventsShown, Guest, Hook, HookFailed, HookResult, Hooks, Plugin, PluginEnd,
    PluginEvent, PluginField, PluginHead, PluginProbe, PluginRequest, Verdict, Wake,
};
