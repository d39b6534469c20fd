//! How a worker lives: whom it takes in, whom it sends away, and how it ends.

pub(crate) mod accept;
pub(crate) mod drain;
pub(crate) mod reload;
pub(crate) mod shed;
