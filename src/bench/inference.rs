//! Inference APIs under load, as their users meet them: time to the first token, time between tokens,
//! throughput and goodput, level by level.
//!
//! | file | idea |
//! |---|---|
//! | [`api`], [`endpoint`] | whom to ask, and in which words |
//! | [`workload`], [`lengths`], [`words`], [`files`] | what to ask: prompts and lengths, made or from a file |
//! | [`arrivals`], [`draw`] | when to ask |
//! | [`load`], [`connection`] | the handler that asks, on the gateway's own loop, plain or sealed |
//! | [`reading`], [`outcome`] | what an answer says, and what became of a request |
//! | [`objectives`], [`figures`], [`report`] | what the outcomes come to |
//! | [`print`], [`page`], [`chart`], [`records`] | for people, as CSV, as a page, request by request |
//!
//! What each figure means, and how others define it, is in `docs/bench.md`.

pub mod api;
pub mod arrivals;
pub mod chart;
pub mod connection;
pub mod draw;
pub mod endpoint;
pub mod figures;
pub mod files;
pub mod lengths;
pub mod load;
pub mod objectives;
pub mod outcome;
pub mod page;
pub mod print;
pub mod reading;
pub mod records;
pub mod report;
pub mod words;
pub mod workload;

use std::io;

use endpoint::Endpoint;
use load::{Plan, Progress, Seen};
use workload::Workload;

use crate::sys::Linux;

/// Plays the levels one after another, and gives what was seen of each. `on_progress` is told which
/// level it is. Ends early where a level gets no answer at all.
pub fn measure(
    plans: &[Plan],
    endpoint: &Endpoint,
    workload: &Workload,
    on_progress: &mut dyn FnMut(usize, Progress),
) -> io::Result<Vec<Seen>> {
    let mut all: Vec<Seen> = Vec::new();
    let mut job = 0;
    for (index, plan) in plans.iter().enumerate() {
        let mut watch = |progress| on_progress(index, progress);
        let seen = load::play(Linux::new(Vec::new())?, plan, endpoint, workload, job, &mut watch)?;
        job += seen.made;
        let hopeless = seen.hopeless;
        all.push(seen);
        if hopeless {
            break;
        }
    }
    Ok(all)
}
