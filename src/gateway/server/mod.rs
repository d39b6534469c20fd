//! Servers: connections to them, places at them, and what is known of how they do.

pub(crate) mod awaiting;
pub(crate) mod connections;
pub(crate) mod learn;
pub(crate) mod prospects;
pub(crate) mod queue;
pub(crate) mod upkeep;
