//! Clients: their connections, their requests, and what they are told by us.

pub(crate) mod authorising;
pub(crate) mod connection;
pub(crate) mod gate;
pub(crate) mod preamble;
pub(crate) mod proving;
pub(crate) mod receive;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod route;
