//! One try to have a request answered by a server, from the search for one to the moment from which
//! there is no other answer.

pub(crate) mod commit;
pub(crate) mod response;
pub(crate) mod seek;
pub(crate) mod transfer;
