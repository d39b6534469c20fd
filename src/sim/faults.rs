//! What may go wrong between a worker and its peers, and how often.
//!
//! Each field is one thing a kernel or a network does now and then. A probability is in parts per
//! thousand, and decided anew at each opportunity. Faults of the *peers* (an answer that breaks
//! off, a client that leaves) are not here: they are in the scripts of [`super::plan`].
//!
//! * [`Faults::none`] is a perfect network: no loss, no splitting, one latency, large buffers.
//! * Everything here is legal: a worker must serve every well-behaved exchange through it.
//!   The few faults that cost an exchange its answer are told apart by [`Faults::may_refuse`].

use std::ops::RangeInclusive;
use std::time::Duration;

use super::random::Random;

/// Probabilities and sizes of one world's network.
#[derive(Clone, Debug)]
pub struct Faults {
    /// A read returns less than has arrived. An edge follows for the rest.
    pub short_read: u32,
    /// A read finds nothing although bytes have arrived. An edge follows.
    pub read_would_block: u32,
    /// A write takes less than there is room for. An edge follows.
    pub short_write: u32,
    /// A write takes nothing although there is room. An edge follows.
    pub write_would_block: u32,
    /// The next segment arrives while a call is being made, and not between two polls.
    pub arrival_in_call: u32,
    /// An event for a socket with nothing to tell, at each poll that returns.
    pub spurious_event: u32,
    /// An event told twice, in the same batch.
    pub duplicate_event: u32,
    /// An event for a token whose socket has been dropped.
    pub stale_event: u32,
    /// The batch of a poll is shuffled.
    pub shuffle: u32,
    /// A batch is cut off here; the rest is told by the next poll.
    pub batch_max: usize,
    /// Whether an event carries all that is true of its socket, as Linux does, or the news alone.
    pub mask: EventMask,
    /// What is sent at once is cut into segments.
    pub split: u32,
    pub latency: RangeInclusive<Duration>,
    /// Bytes between a writer and its reader, both kernels' buffers and the wire together.
    pub capacity: RangeInclusive<usize>,
    /// A RST overtakes bytes that are still on the way.
    pub reset_overtakes: u32,
    /// `accept` is out of descriptors, or the kernel of memory. The connection stays in the backlog.
    pub accept_exhausted: u32,
    /// A connection has died in the backlog.
    pub accept_aborted: u32,
    /// `connect` is out of descriptors.
    pub connect_exhausted: u32,
    pub connect_refused: u32,
    /// A connect that is never answered.
    pub connect_silent: u32,
    /// A connect that stands at once, as on a loopback.
    pub connect_at_once: u32,
}

/// How much one event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMask {
    /// What has changed since the last event, and nothing else.
    News,
    /// As epoll: a change puts the socket on the list, and all that is true of it is told.
    State,
}

impl Faults {
    /// A perfect network.
    pub fn none() -> Faults {
        Faults {
            short_read: 0,
            read_would_block: 0,
            short_write: 0,
            write_would_block: 0,
            arrival_in_call: 0,
            spurious_event: 0,
            duplicate_event: 0,
            stale_event: 0,
            shuffle: 0,
            batch_max: usize::MAX,
            mask: EventMask::News,
            split: 0,
            latency: Duration::from_micros(50)..=Duration::from_micros(50),
            capacity: 1 << 20..=1 << 20,
            reset_overtakes: 0,
            accept_exhausted: 0,
            accept_aborted: 0,
            connect_exhausted: 0,
            connect_refused: 0,
            connect_silent: 0,
            connect_at_once: 0,
        }
    }

    /// A network with some faults and not others: a world in which everything goes wrong all the
    /// time hides what only one fault would show.
    pub fn draw(random: &mut Random) -> Faults {
        let mut faults = Faults::none();
        let common = [
            &mut faults.short_read,
            &mut faults.read_would_block,
            &mut faults.short_write,
            &mut faults.write_would_block,
            &mut faults.arrival_in_call,
            &mut faults.spurious_event,
            &mut faults.duplicate_event,
            &mut faults.stale_event,
            &mut faults.shuffle,
            &mut faults.split,
            &mut faults.reset_overtakes,
            &mut faults.connect_at_once,
        ];
        for chance in common {
            if random.chance(400) {
                *chance = *random.pick(&[10, 50, 200, 500]);
            }
        }
        // A network that never delivers is no network.
        faults.read_would_block = faults.read_would_block.min(200);
        faults.write_would_block = faults.write_would_block.min(200);
        if random.chance(250) {
            let fatal = [
                &mut faults.accept_exhausted,
                &mut faults.accept_aborted,
                &mut faults.connect_exhausted,
                &mut faults.connect_refused,
                &mut faults.connect_silent,
            ];
            for chance in fatal {
                if random.chance(400) {
                    *chance = *random.pick(&[20, 100, 300]);
                }
            }
        }
        if random.chance(500) {
            faults.mask = EventMask::State;
        }
        if random.chance(200) {
            faults.batch_max = random.between(1..=4);
        }
        if random.chance(500) {
            let least = random.between(1..=64);
            faults.capacity = least..=least + random.length(8192);
        }
        let most = Duration::from_micros(1 + random.length(20_000) as u64);
        faults.latency = Duration::from_micros(1)..=most;
        faults
    }

    /// Whether a well-behaved exchange may be turned away by this network.
    pub fn may_refuse(&self) -> bool {
        self.accept_aborted + self.connect_exhausted + self.connect_refused + self.connect_silent
            > 0
    }
}
