//! Observing: what the workers have counted and what they are doing, made readable.
//!
//! | file | owns |
//! |---|---|
//! | `access` | the access log: a line for each exchange |
//! | `fleet` | what is known of the other gateways |
//! | `keeper` | the records of exchanges: each goes to whoever wants it |
//! | `usage` | what requests have cost, by route, upstream and model |
//! | `spans` | what a collector is told of an exchange |
//! | `exposition` | the text formats of Prometheus and OpenMetrics |
//! | `metrics` | every metric: its name, its meaning, where its value comes from |
//! | `view` | the live view: rates, percentiles and streams, as one JSON object a second |
//! | `reading` | what all workers had counted at a moment |
//! | `history` | the last hour, in rings of fixed length |
//! | `recent` | the exchanges that ended last, and the last of each error |
//! | `recordings` | the last of the streams that have failed |
//! | `mask` | a stream without its text, as long as with it |
//! | `tail` | the events of one stream, for who looks on |
//! | `logger` | the log: lines go into a bounded queue, and a thread writes them |
//!
//! Everything here runs on other threads than the workers', but for putting a line into the queue
//! of the log. A worker is read through counters it writes anyway, or asked by mailbox.
//!
//! Absent on purpose: sockets, and anything a worker would have to wait for.

pub mod access;
pub mod discovered;
mod exposition;
pub mod fleet;
pub mod history;
pub mod keeper;
pub mod logger;
mod mask;
pub mod metrics;
pub mod obeyed;
pub mod reading;
pub mod recent;
pub mod recordings;
pub mod spans;
pub mod tail;
pub mod time;
pub mod usage;
pub mod view;
