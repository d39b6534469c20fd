//! How a worker lives: which connections it accepts, which it sheds, and how it ends.

pub(crate) mod accept;
pub(crate) mod drain;
pub(crate) mod reload;
pub(crate) mod shed;
pub(crate) mod stage;
