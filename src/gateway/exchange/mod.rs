//! What follows an attempt: another attempt, a continuation of the stream, or the end.

pub(crate) mod asked;
pub(crate) mod continuation;
pub(crate) mod end;
pub(crate) mod failed;
pub(crate) mod gather;
pub(crate) mod interject;
pub(crate) mod naming;
pub(crate) mod preface;
pub(crate) mod retry;
