//! One attempt to have a request answered by a server: from the search for an endpoint to the commit,
//! and the relaying of request and response.

pub(crate) mod commit;
mod delivery;
pub(crate) mod judge;
mod opening;
pub(crate) mod plugging;
pub(crate) mod response;
pub(crate) mod seek;
pub(crate) mod transfer;
