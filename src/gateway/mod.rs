//! The gateway: clients on one side, inference servers on the other, and exchanges between them.
//!
//! Cut by lifetime. A room knows those below it, and none above:
//!
//! ```text
//!   turn ──▶ life, report ──▶ drive, steady ──▶ exchange ──▶ attempt, answer ──▶ client, server
//!                                                                      └──▶ worker ──▶ record
//! ```
//!
//! * A step never calls what decides about it. It returns a [`record::verdict`], and the drive acts
//!   on that: only `drive` calls *failed* and *end*.
//! * Nothing here decides a policy: that is `proxy`'s.

pub mod answer;
pub mod attempt;
pub mod client;
pub mod command;
mod date;
pub mod drive;
pub mod exchange;
pub mod fleet;
pub mod life;
pub mod record;
pub mod report;
pub mod server;
mod steady;
pub mod turn;
pub mod worker;
