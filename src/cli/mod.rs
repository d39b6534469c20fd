//! Commands: what the arguments of each mean.

pub mod mock;
