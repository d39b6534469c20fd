//! Recordings: the last of the streams that have failed, kept for whoever comes to look.
//!
//! A worker hands a reel over at the end of its exchange; the oldest recording gives way. What is
//! told of one is JSON that `sluicegate mock --replay` plays, with its text masked unless asked for.
//!
//! * At most `recorder.streams` reels at once, and `recorder.keep` recordings: both bounds hold for
//!   the whole process.
//! * A worker that finds somebody looking does not wait: its recording is lost, and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::mask::{masked_events, masked_lines};
use super::time::Utc;
use crate::clock::Instant;
use crate::measure::journal::Record;
use crate::measure::reel::Reel;

/// The recordings of a process.
#[derive(Debug)]
pub struct Recordings {
    clock: fn() -> Instant,
    streams: usize,
    keep: usize,
    /// Streams that are being recorded.
    open: Arc<AtomicUsize>,
    kept: Mutex<VecDeque<Arc<Recording>>>,
    count: AtomicU64,
    /// Streams that were not recorded, as there were too many, and recordings that were lost.
    missed: AtomicU64,
}

/// A stream that has failed.
#[derive(Debug)]
pub struct Recording {
    number: u64,
    at: SystemTime,
    record: Arc<Record>,
    reel: Reel,
    /// From the head of the answer to its end.
    lasted: Duration,
}

impl Recordings {
    /// `clock` is read once for each frame of a recorded stream.
    pub fn new(clock: fn() -> Instant, streams: usize, keep: usize) -> Recordings {
        Recordings {
            clock,
            streams,
            keep,
            open: Arc::default(),
            kept: Mutex::default(),
            count: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }

    /// For a stream that begins.
    pub fn reel(&self) -> Option<Reel> {
        let reel = Reel::new(self.clock, &self.open, self.streams);
        if reel.is_none() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        reel
    }

    /// Keeps the reel of a stream that has failed. Returns at once.
    pub fn keep(&self, mut reel: Reel, record: &Arc<Record>) {
        let Ok(mut kept) = self.kept.try_lock() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let lasted = reel.end();
        let (at, record) = (SystemTime::now(), Arc::clone(record));
        kept.push_back(Arc::new(Recording { number, at, record, reel, lasted }));
        if kept.len() > self.keep {
            kept.pop_front();
        }
    }

    /// By name.
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("kept", read(&self.count)), ("missed", read(&self.missed))]
    }

    fn all(&self) -> Vec<Arc<Recording>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The table, the latest first.
    pub fn list(&self) -> Value {
        self.all().iter().rev().map(|recording| recording.summary()).collect()
    }

    /// One of them, to be played.
    pub fn document(&self, number: &str, plain: bool) -> Option<Value> {
        let number: u64 = number.parse().ok()?;
        let recording = self.all().into_iter().find(|recording| recording.number == number)?;
        Some(recording.document(plain))
    }
}

impl Recording {
    fn summary(&self) -> Value {
        let Recording { record, reel, .. } = self;
        let upstream = record.upstream.as_ref();
        json!({
            "id": self.number.to_string(),
            "time": Utc::at(self.at).to_string(),
            "request_id": record.request_id.to_string(),
            "trace_id": record.trace.map(|place| place.trace.to_string()),
            "route": record.route,
            "upstream": upstream.map(|(upstream, _)| upstream),
            "endpoint": upstream.map(|(_, endpoint)| endpoint),
            "status": record.status,
            "end": record.end,
            "frames": reel.frames().count(),
            "bytes": reel.frames().map(|frame| frame.length).sum::<usize>(),
            "skipped_bytes": reel.skipped(),
            "lasted_us": micros(self.lasted),
        })
    }

    fn document(&self, plain: bool) -> Value {
        let Recording { record, reel, .. } = self;
        let bytes = reel.bytes();
        let masked = match record.content_type {
            "application/x-ndjson" => masked_lines,
            _ => masked_events,
        };
        let bytes = if plain { bytes } else { masked(&bytes, reel.skipped() > 0) };
        let mut start = 0;
        let frames = reel.frames().map(|frame| {
            let data = &bytes[start..start + frame.length];
            start += frame.length;
            match str::from_utf8(data) {
                Ok(text) => json!({ "at_us": micros(frame.at), "text": text }),
                Err(_) => json!({ "at_us": micros(frame.at), "hex": hex(data) }),
            }
        });
        let frames: Vec<Value> = frames.collect();
        let asked = record.request_written.unwrap_or_default();
        let head = record.first_byte.unwrap_or_default().saturating_sub(asked);
        let mut document = self.summary();
        document["recording"] = 1.into();
        document["content_type"] = record.content_type.into();
        document["redacted"] = (!plain).into();
        document["head_us"] = micros(head).into();
        document["frames"] = frames.into();
        document
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::spans::tests::record;

    #[test]
    fn the_oldest_gives_way_and_text_is_masked_unless_asked_for() {
        let recordings = Recordings::new(|| Instant::ZERO, 1, 2);
        for text in ["one", "two", "three"] {
            let mut reel = recordings.reel().expect("a place");
            assert!(recordings.reel().is_none(), "there is one place");
            reel.feed(format!("data: {{\"content\":\"{text}").as_bytes());
            reel.feed(b"\xc3");
            reel.feed(b"\xa9\"}\n\n");
            recordings.keep(reel, &Arc::new(record("upstream_truncated", 200)));
        }
        assert_eq!(recordings.counts(), [("kept", 3), ("missed", 3)]);
        let list = recordings.list();
        assert_eq!(
            (&list[0]["id"], &list[1]["id"], list.as_array().map(Vec::len)),
            (&"3".into(), &"2".into(), Some(2))
        );
        assert!(recordings.document("1", true).is_none());
        let plain = recordings.document("3", true).expect("kept");
        assert_eq!(plain["frames"][0]["text"], "data: {\"content\":\"three");
        assert_eq!((&plain["frames"][1]["hex"], &plain["redacted"]), (&"c3".into(), &false.into()));
        let masked = recordings.document("3", false).expect("kept");
        assert_eq!(masked["frames"][0]["text"], "data: {\"content\":\"xxxxx");
        assert_eq!(masked["frames"][2]["text"], "x\"}\n\n");
        assert_eq!(masked["end"], "upstream_truncated");
    }
}
