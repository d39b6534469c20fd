//! Wake: whether the server of an upstream is there, where it is started when it is asked for.
//!
//! One gate for each such upstream, shared by all workers and by the thread that starts and stops the
//! server (`control/wake.rs`). Only that thread changes how the server stands. A worker reads it, asks
//! for the server, and counts what it does, so that the thread knows how long nobody has used it.
//!
//! **Nobody is sent to a server that is being stopped.** A worker counts its exchange first and looks at
//! the gate after that; the thread shuts the gate first and looks at the counts after that. Whatever
//! the order, one of them sees the other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

/// How the server of an upstream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerStanding {
    /// It is not there, and is started for the first who asks.
    Asleep = 0,
    /// It has been started, and is not ready.
    Starting = 1,
    /// It answers.
    Awake = 2,
    /// It gets nothing new: it is about to be stopped.
    Stopping = 3,
    /// It could not be started, and is not tried again yet.
    Failed = 4,
}

impl ServerStanding {
    pub const ALL: [ServerStanding; 5] = [
        ServerStanding::Asleep,
        ServerStanding::Starting,
        ServerStanding::Awake,
        ServerStanding::Stopping,
        ServerStanding::Failed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ServerStanding::Asleep => "asleep",
            ServerStanding::Starting => "starting",
            ServerStanding::Awake => "awake",
            ServerStanding::Stopping => "stopping",
            ServerStanding::Failed => "failed",
        }
    }
}

type Ask = Box<dyn Fn() + Send + Sync>;

/// Whether the server of one upstream is there.
#[derive(Default)]
pub struct WakeGate {
    standing: AtomicU8,
    /// Attempts that were begun.
    uses: AtomicU64,
    /// Requests that wait for it.
    waiting: AtomicU32,
    /// Somebody has asked, and was not heard yet.
    asked: AtomicBool,
    /// When it is tried again after a failure, in milliseconds from when it failed.
    retry_after: AtomicU64,
    /// Whom to ask; nobody before there is one who starts servers.
    ask: OnceLock<Ask>,
}

impl WakeGate {
    /// Has somebody be asked for the server from now on. The first to come is the one.
    pub fn on_ask(&self, ask: impl Fn() + Send + Sync + 'static) {
        let _ = self.ask.set(Box::new(ask));
    }

    pub fn standing(&self) -> ServerStanding {
        let standing = usize::from(self.standing.load(Ordering::Acquire));
        ServerStanding::ALL.get(standing).copied().unwrap_or(ServerStanding::Asleep)
    }

    /// An exchange has been counted: whether it may go to the server.
    pub fn admits(&self) -> bool {
        fence(Ordering::SeqCst);
        let awake = self.standing() == ServerStanding::Awake;
        if awake {
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        awake
    }

    /// Asks for the server to be started.
    pub fn ask(&self) {
        if let Some(ask) = self.ask.get()
            && !self.asked.swap(true, Ordering::AcqRel)
        {
            ask();
        }
    }

    /// A request begins to wait for it, or stops.
    pub fn waits(&self, begins: bool) {
        match begins {
            true => self.waiting.fetch_add(1, Ordering::Relaxed),
            false => self.waiting.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// When it is worth to come again after a failure.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after.load(Ordering::Relaxed))
    }

    /// Whoever starts servers has heard that it is asked for.
    pub fn heard(&self) {
        self.asked.store(false, Ordering::Release);
    }

    /// How it stands from now on. What is counted is to be looked at after that.
    pub fn set(&self, standing: ServerStanding) {
        self.standing.store(standing as u8, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// It could not be started, and is tried again so long after.
    pub fn fail(&self, retry_after: Duration) {
        let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        self.retry_after.store(millis, Ordering::Relaxed);
        self.set(ServerStanding::Failed);
    }

    /// Attempts that were begun so far.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Requests that wait for it now.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for WakeGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WakeGate").field(&self.standing()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn whoever_asks_is_heard_once_at_a_time() {
        let (gate, asked) = (WakeGate::default(), Arc::<AtomicUsize>::default());
        gate.ask();
        let count = Arc::clone(&asked);
        gate.on_ask(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (0..3).for_each(|_| gate.ask());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        gate.heard();
        gate.ask();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn only_one_that_is_awake_admits() {
        let gate = WakeGate::default();
        assert_eq!(gate.standing(), ServerStanding::Asleep);
        for standing in ServerStanding::ALL {
            gate.set(standing);
            assert_eq!(gate.standing(), standing);
            assert_eq!(gate.admits(), standing == ServerStanding::Awake);
        }
        assert_eq!(gate.uses(), 1);
        gate.fail(Duration::from_secs(4));
        assert_eq!((gate.standing(), gate.retry_after().as_secs()), (ServerStanding::Failed, 4));
    }
}
