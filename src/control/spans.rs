//! Spans on their way to a collector: a thread of their own, which may wait as long as it likes.
//!
//! ```text
//!   worker ── try_send ──▶ [ queue ] ──▶ spans thread ── batch ── POST ──▶ collector
//!                  └ full: dropped, counted
//! ```
//!
//! * A batch goes when it is full, or when its first exchange has waited for `trace.interval`.
//! * A collector that is away, slow or overloaded (429, 502, 503, 504) is asked again a few times,
//!   by its `Retry-After` if it gave one; then the batch is given up and counted. Meanwhile the
//!   queue fills, and what finds it full is dropped and counted. Nobody else notices.
//! * One line tells when it begins to fail, one when it has recovered.

mod post;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::post::post;
use crate::config::snapshot::{Collector, TraceSettings};
use crate::observe::keeper::{SpanCounts, SpanQueue};
use crate::observe::spans::{Ended, export};

/// Exchanges of one batch.
const BATCH: usize = 512;
/// Tries before a batch is given up.
const TRIES: u32 = 4;
/// The pause before the first repetition; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);
/// No `Retry-After` is obeyed beyond this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often somebody who pauses looks whether it is time to end.
const LOOK: Duration = Duration::from_millis(50);

/// The running thread.
pub struct Exporter {
    pub queue: SpanQueue,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts it, if spans go anywhere.
    pub fn start(trace: &TraceSettings) -> io::Result<Option<Exporter>> {
        let Some(collector) = trace.export.clone() else { return Ok(None) };
        let (queue, ended) = sync_channel(trace.queue);
        let counts = Arc::new(SpanCounts::default());
        let ending = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            collector,
            service: trace.service.clone(),
            interval: trace.interval,
            timeout: trace.timeout,
            counts: Arc::clone(&counts),
            ending: Arc::clone(&ending),
            failing: false,
        };
        let thread =
            thread::Builder::new().name("spans".into()).spawn(move || sender.run(&ended))?;
        Ok(Some(Exporter { queue: SpanQueue { queue, counts }, ending, thread }))
    }

    /// Sends what waits, in one try, and ends. The workers have ended: nothing more comes.
    pub fn stop(self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(self.queue);
        if self.thread.join().is_err() {
            log::error!("the thread of the spans panicked");
        }
    }
}

struct Sender {
    collector: Collector,
    service: String,
    interval: Duration,
    timeout: Duration,
    counts: Arc<SpanCounts>,
    ending: Arc<AtomicBool>,
    /// The last batch was not taken.
    failing: bool,
}

impl Sender {
    fn run(mut self, ended: &Receiver<Ended>) {
        while let Ok(first) = ended.recv() {
            let batch = self.gather(first, ended);
            self.send(&batch);
        }
    }

    /// What comes within the interval, up to a full batch.
    fn gather(&self, first: Ended, ended: &Receiver<Ended>) -> Vec<Ended> {
        let due = Instant::now() + self.interval;
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let left = due.saturating_duration_since(Instant::now());
            match ended.recv_timeout(left) {
                Ok(next) => batch.push(next),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch
    }

    fn send(&mut self, batch: &[Ended]) {
        let (body, spans) = export(&self.service, batch);
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let failure = match post(&self.collector, &body, self.timeout) {
                Ok(rejected) => return self.took(spans, rejected),
                Err(failure) => failure,
            };
            if !std::mem::replace(&mut self.failing, true) {
                let collector = self.collector.shown();
                log::warn!("spans are not taken by {collector}: {failure}");
            }
            let again = failure.may_pass() && attempt < TRIES;
            let told = failure.retry_after.unwrap_or(pause).min(PAUSE_MAX);
            if !again || !self.rest(told) {
                break;
            }
            pause *= 2;
        }
        self.counts.failed.fetch_add(spans, Ordering::Relaxed);
    }

    fn took(&mut self, spans: u64, rejected: u64) {
        if std::mem::replace(&mut self.failing, false) {
            log::info!("spans are taken again");
        }
        let rejected = rejected.min(spans);
        self.counts.sent.fetch_add(spans - rejected, Ordering::Relaxed);
        self.counts.failed.fetch_add(rejected, Ordering::Relaxed);
    }

    /// Waits; `false`: the process ends, and nobody has the time.
    fn rest(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.ending.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;
    use crate::measure::journal::Journal;
    use crate::observe::keeper::Keeper;
    use crate::observe::spans::tests::record;
    use std::net::TcpListener;

    fn trace(authority: String, queue: usize) -> TraceSettings {
        let export = Some(Collector { authority, path: "/v1/traces".into(), tls: None });
        let timeout = Duration::from_millis(200);
        TraceSettings {
            export,
            queue,
            timeout,
            interval: Duration::from_millis(1),
            ..defaults::trace()
        }
    }

    #[test]
    fn a_collector_that_is_away_costs_spans_and_nobody_waits() {
        // It takes connections, and never says a word.
        let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let authority = collector.local_addr().expect("an address").to_string();
        let exporter = Exporter::start(&trace(authority, 2)).expect("a thread").expect("it is on");
        let counts = Arc::clone(&exporter.queue.counts);
        let keeper = Keeper {
            log: false,
            spans: Some(exporter.queue.clone()),
            recordings: None,
            usage: None,
        };
        let begin = Instant::now();
        for _ in 0..100 {
            keeper.keep(Arc::new(record("complete", 200)));
        }
        // If each waited for the collector, it would be twenty.
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        let dropped = counts.dropped.load(Ordering::Relaxed);
        // How many left meanwhile is a matter of the machine.
        assert!((1..100).contains(&dropped), "{dropped} were dropped");
        drop(keeper);
        exporter.stop();
        assert!(begin.elapsed() < Duration::from_secs(5), "nobody has the time: {begin:?}");
        // Three spans an exchange: one for itself, and two for its connections.
        let failed = counts.failed.load(Ordering::Relaxed);
        assert_eq!((failed, counts.sent.load(Ordering::Relaxed)), (3 * (100 - dropped), 0));
    }

    #[test]
    fn without_an_address_there_is_no_thread() {
        assert!(Exporter::start(&defaults::trace()).expect("nothing").is_none());
    }
}
