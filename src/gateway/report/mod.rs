//! What a worker tells of itself and of its exchanges.

pub mod census;
pub(crate) mod live;
pub mod outline;
pub(crate) mod record;
pub(crate) mod reporter;
pub(crate) mod timing;
