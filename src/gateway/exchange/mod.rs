//! What follows an attempt: another attempt, a continuation of the stream, or the end.

pub(crate) mod consulting;
pub(crate) mod decoding;
pub(crate) mod end;
pub(crate) mod failed;
pub(crate) mod gather;
pub(crate) mod interject;
pub(crate) mod models;
pub(crate) mod naming;
pub(crate) mod preface;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod settling;
pub(crate) mod stored;
pub(crate) mod translating;
