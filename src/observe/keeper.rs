//! The keeper of records: gives each to whoever wants it, and never makes a worker wait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::SystemTime;

use super::logger;
use super::recordings::Recordings;
use super::spans::Ended;
use super::usage::UsageQueue;
use crate::measure::journal::{Journal, Record};
use crate::measure::reel::Reel;

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub sent: AtomicU64,
    /// Exchanges whose spans found the queue full.
    pub dropped: AtomicU64,
    /// Given up after the collector did not take them.
    pub failed: AtomicU64,
}

impl SpanCounts {
    /// By name.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("sent", read(&self.sent)),
            ("dropped", read(&self.dropped)),
            ("failed", read(&self.failed)),
        ]
    }
}

/// Where spans wait to be sent.
#[derive(Clone, Debug)]
pub struct SpanQueue {
    pub queue: SyncSender<Ended>,
    pub counts: Arc<SpanCounts>,
}

/// Keeps records by handing them on.
pub struct Keeper {
    /// There is an access log.
    pub log: bool,
    pub spans: Option<SpanQueue>,
    pub recordings: Option<Arc<Recordings>>,
    pub usage: Option<UsageQueue>,
}

impl Keeper {
    /// Whether anybody wants records.
    pub fn is_wanted(&self) -> bool {
        self.log || self.spans.is_some() || self.recordings.is_some() || self.usage.is_some()
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Journal for Keeper {
    fn reel(&self) -> Option<Reel> {
        self.recordings.as_ref()?.reel()
    }

    fn keep_reel(&self, reel: Reel, record: &Arc<Record>) {
        if let Some(recordings) = &self.recordings {
            recordings.keep(reel, record);
        }
    }

    fn keep(&self, record: Arc<Record>) {
        let now = SystemTime::now();
        if let Some(spans) = &self.spans
            && record.story.is_some()
            && let Err(TrySendError::Full(_)) = spans.queue.try_send((now, Arc::clone(&record)))
        {
            spans.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(usage) = &self.usage {
            usage.put(&record);
        }
        if self.log {
            logger::access(now, record);
        }
    }
}
