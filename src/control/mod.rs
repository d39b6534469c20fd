//! The control thread's work: everything that is not traffic.
//!
//! | file | owns |
//! |---|---|
//! | [`health`] | active health checks of the endpoints |
//!
//! What happens here may block. It reaches the workers as messages and never makes one wait.

pub mod health;
