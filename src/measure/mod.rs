//! What is counted and recorded, as plain records.
//!
//! Owns the counters of a worker, the records that it hands out, and their names. Never formats
//! text, reads a clock or knows how a number came about.
//!
//! | file | idea |
//! |---|---|
//! | [`counter`], [`histogram`] | numbers with one writer |
//! | [`stats`] | those of one worker |
//! | [`ends`], [`hops`] | the closed lists by which they are told apart |
//! | [`stall`] | who is waited for |
//! | [`journal`] | one record for each exchange that is over |
//! | [`live`] | what a worker tells of its streams when it is asked |
//! | [`reel`] | the last of what one stream carried |

pub mod counter;
pub mod ends;
pub mod histogram;
pub mod hops;
pub mod journal;
pub mod live;
pub mod reel;
pub mod stall;
pub mod stats;
