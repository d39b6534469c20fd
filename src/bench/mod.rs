//! The latency tool: load, and what came of it.
//!
//! One thread asks and listens, on the same loop, slots, timers and parsers as the gateway's
//! worker: the reactor seen from the client's side. There is no second HTTP here, and no second loop.
//!
//! | file | idea |
//! |---|---|
//! | [`plan`] | the load: shape, closed or open loop, warm-up |
//! | [`target`], [`meter`] | whom to ask, and what a token of the answer is |
//! | [`connection`] | one client connection |
//! | [`sealed`] | TLS below it |
//! | [`generator`] | the handler that drives them |
//! | [`record`] | histograms and counts of one round |
//! | [`process`], [`machine`] | what the kernel knows: CPU, memory, cores |
//! | [`report`], [`doubt`] | figures, medians, ratios, and what speaks against them |
//! | [`print`], [`plot`], [`hgrm`] | for people, as pictures, for plotters |
//! | [`stand`] | a mock and a gateway of our own to measure |
//! | [`inference`] | inference APIs under the load of their users |
//!
//! Absent on purpose: a verdict. It prints figures and doubts; `docs/benchmarking.md` tells what
//! may be concluded.

pub mod connection;
pub mod doubt;
pub mod generator;
pub mod hgrm;
pub mod inference;
pub mod machine;
pub mod meter;
pub mod plan;
pub mod plot;
pub mod print;
pub mod process;
pub mod record;
pub mod report;
pub mod sealed;
pub mod stand;
pub mod target;

use std::io;

use generator::{RoundProgress, RoundWatcher};
use plan::Plan;
use process::CpuTime;
use record::Record;
use report::{Accounts, RoundReport, TargetReport};
use sealed::SealedNet;
use target::Target;

use crate::sys::Linux;

/// Where a campaign stands: which target, in which round.
pub type OnProgress<'a> = &'a mut dyn FnMut(&Target, usize, RoundProgress);

/// Measures every target in every round, A B C A B C, so that whatever the machine does meanwhile
/// is done to all of them alike. Gives back the report of each target, and its rounds as one record.
pub fn measure(
    plan: &Plan,
    targets: &[Target],
    rounds: usize,
    on_progress: OnProgress<'_>,
) -> io::Result<Vec<(TargetReport, Record)>> {
    let mut seen: Vec<(Vec<RoundReport>, Option<Record>)> =
        targets.iter().map(|_| (Vec::new(), None)).collect();
    // Read before the first round: a process that has served once does not give all of it back.
    let bases: Vec<Option<u64>> =
        targets.iter().map(|target| target.pid.and_then(process::memory_of)).collect();
    for round in 0..rounds {
        for ((target, base), (reports, whole)) in targets.iter().zip(&bases).zip(&mut seen) {
            let mut progress = |at| on_progress(target, round, at);
            let (report, record) = measure_once(plan, target, *base, &mut progress)?;
            reports.push(report);
            match whole {
                Some(whole) => whole.merge(&record),
                None => *whole = Some(record),
            }
        }
    }
    let summed = targets.iter().zip(seen).filter_map(|(target, (reports, record))| {
        Some((TargetReport::new(plan.shape, &target.name, &target.url, reports), record?))
    });
    Ok(summed.collect())
}

fn measure_once(
    plan: &Plan,
    target: &Target,
    memory_before: Option<u64>,
    on_progress: &mut dyn FnMut(RoundProgress),
) -> io::Result<(RoundReport, Record)> {
    let mut bookkeeper = Bookkeeper {
        pid: target.pid,
        on_progress,
        process_before: None,
        generator_before: None,
        accounts: Accounts { memory_before, ..Accounts::default() },
    };
    let net = Linux::new(Vec::new())?;
    let round = match &target.dialer {
        None => generator::play(net, plan, target, &mut bookkeeper)?,
        Some(dialer) => {
            let net = SealedNet::new(net, dialer.clone());
            generator::play(net, plan, target, &mut bookkeeper)?
        }
    };
    Ok((RoundReport::new(&round, bookkeeper.accounts), round.record))
}

/// Reads the kernel's accounts at both ends of the measurement.
struct Bookkeeper<'a> {
    pid: Option<u32>,
    on_progress: &'a mut dyn FnMut(RoundProgress),
    process_before: Option<CpuTime>,
    generator_before: Option<CpuTime>,
    accounts: Accounts,
}

impl RoundWatcher for Bookkeeper<'_> {
    fn on_window(&mut self) {
        self.process_before = self.pid.and_then(process::cpu_of);
        self.generator_before = process::own_cpu();
    }

    fn on_progress(&mut self, progress: RoundProgress) {
        (self.on_progress)(progress);
    }

    fn on_end(&mut self) {
        let spent = |before: Option<CpuTime>, after: Option<CpuTime>| {
            before.zip(after).map(|(before, after)| after.since(before))
        };
        self.accounts.generator = spent(self.generator_before, process::own_cpu());
        self.accounts.process = spent(self.process_before, self.pid.and_then(process::cpu_of));
        // Last: walking the pages of a process holds it up.
        self.accounts.memory_at_end = self.pid.and_then(process::memory_of);
    }
}
