//! A lane: one number over the last hour, in two rings.

use serde_json::{Value, json};

/// Seconds of the fine ring, a slot each.
const FINE: u64 = 300;
/// Slots of the coarse ring, and the seconds of one.
const COARSE: u64 = 360;
const STEP: u64 = 10;

/// How far back is looked, and how closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRange {
    FiveMinutes,
    Hour,
}

impl HistoryRange {
    /// By its name; what has another name is the short one.
    pub fn of(name: &str) -> HistoryRange {
        if name == "1h" { HistoryRange::Hour } else { HistoryRange::FiveMinutes }
    }

    pub fn name(self) -> &'static str {
        match self {
            HistoryRange::FiveMinutes => "5m",
            HistoryRange::Hour => "1h",
        }
    }

    /// Seconds of a point.
    pub fn step(self) -> u64 {
        match self {
            HistoryRange::FiveMinutes => 1,
            HistoryRange::Hour => STEP,
        }
    }

    /// The slots that are whole at this second, counted since the beginning; the oldest first. Fewer,
    /// if less time has passed.
    pub fn slots(self, second: u64) -> std::ops::Range<u64> {
        let (last, most) = match self {
            HistoryRange::FiveMinutes => (second, FINE),
            HistoryRange::Hour => (second / STEP, COARSE),
        };
        last.saturating_sub(most - 1)..last
    }
}

/// What becomes of several values for one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// They are added up, and told per second.
    Sum,
    /// The greatest stands.
    Most,
    /// The last one stands; where there is none, nothing is told.
    Last,
}

/// One number over time.
#[derive(Clone, Debug)]
pub struct HistoryLane {
    kind: LaneKind,
    fine: Box<[f32; FINE as usize]>,
    coarse: Box<[f32; COARSE as usize]>,
}

impl HistoryLane {
    pub fn new(kind: LaneKind) -> HistoryLane {
        let empty = HistoryLane::empty(kind);
        HistoryLane {
            kind,
            fine: Box::new([empty; FINE as usize]),
            coarse: Box::new([empty; COARSE as usize]),
        }
    }

    fn empty(kind: LaneKind) -> f32 {
        match kind {
            LaneKind::Sum | LaneKind::Most => 0.0,
            LaneKind::Last => f32::NAN,
        }
    }

    /// The slots of the seconds behind `before`, up to `now`, are new.
    pub fn clear(&mut self, before: u64, now: u64) {
        let empty = HistoryLane::empty(self.kind);
        // Beyond a turn of the ring all is cleared, and once is enough.
        for second in (before + 1).max(now.saturating_sub(FINE - 1))..=now {
            self.fine[(second % FINE) as usize] = empty;
        }
        let (before, now) = (before / STEP, now / STEP);
        for slot in (before + 1).max(now.saturating_sub(COARSE - 1))..=now {
            self.coarse[(slot % COARSE) as usize] = empty;
        }
    }

    /// Puts a value in the slots of a second, which is at most `now`.
    pub fn put(&mut self, second: u64, now: u64, value: f64) {
        if now - second < FINE {
            self.put_fine(second, value);
        }
        if now / STEP - second / STEP < COARSE {
            self.put_coarse(second, value);
        }
    }

    pub fn put_fine(&mut self, second: u64, value: f64) {
        join(self.kind, &mut self.fine[(second % FINE) as usize], value);
    }

    pub fn put_coarse(&mut self, second: u64, value: f64) {
        join(self.kind, &mut self.coarse[(second / STEP % COARSE) as usize], value);
    }

    fn at(&self, range: HistoryRange, slot: u64) -> f32 {
        match range {
            HistoryRange::FiveMinutes => self.fine[(slot % FINE) as usize],
            HistoryRange::Hour => self.coarse[(slot % COARSE) as usize],
        }
    }

    /// What is told of these slots: sums per second.
    pub fn shown(&self, range: HistoryRange, slots: std::ops::Range<u64>) -> Value {
        let divisor = if self.kind == LaneKind::Sum { range.step() as f64 } else { 1.0 };
        slots.map(|slot| number(f64::from(self.at(range, slot)) / divisor)).collect()
    }

    /// The quotient of two sums, where there is one.
    pub fn over(
        &self,
        count: &HistoryLane,
        range: HistoryRange,
        slots: std::ops::Range<u64>,
    ) -> Value {
        let mean = |slot| f64::from(self.at(range, slot)) / f64::from(count.at(range, slot));
        slots.map(|slot| number(mean(slot))).collect()
    }
}

fn join(kind: LaneKind, slot: &mut f32, value: f64) {
    let value = value as f32;
    match kind {
        LaneKind::Sum => *slot += value,
        LaneKind::Most => *slot = slot.max(value),
        LaneKind::Last => *slot = value,
    }
}

/// To a hundredth; what is no number is nothing.
fn number(value: f64) -> Value {
    if value.is_finite() { json!((value * 100.0).round() / 100.0) } else { Value::Null }
}
