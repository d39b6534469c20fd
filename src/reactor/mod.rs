pub mod net;
pub mod token;
