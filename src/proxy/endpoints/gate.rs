//! Endpoints whose server is started when it is asked for: whether it is there.

use std::time::Duration;

use super::{Choice, Endpoints};
use crate::clock::Instant;
use crate::proxy::wake::ServerStanding;

/// When a server that is started is looked for again, if nobody says before that it is there.
pub(super) const WAKE_HINT: Duration = Duration::from_secs(1);

impl Endpoints {
    /// What becomes of a request whose server is started when it is asked for and is not there, for which
    /// it asks; `None`: it is there.
    pub(super) fn behind_gate(&self, now: Instant) -> Option<Choice> {
        let gate = self.load.gate()?;
        match gate.standing() {
            ServerStanding::Awake => None,
            ServerStanding::Failed => Some(Choice::WakeFailed { retry_after: gate.retry_after() }),
            ServerStanding::Asleep | ServerStanding::Starting | ServerStanding::Stopping => {
                gate.ask();
                Some(Choice::Loading { again: now + WAKE_HINT })
            }
        }
    }

    /// A server that is started when it is asked for has refused a connection: whoever starts it is to
    /// look. Whether it is such a one.
    pub fn ask_again(&self) -> bool {
        self.load.gate().inspect(|gate| gate.ask()).is_some()
    }

    pub(super) fn gate_admits(&self) -> bool {
        self.load.gate().is_none_or(|gate| gate.admits())
    }

    /// Whether its server, where that is started when it is asked for, is not there.
    pub(super) fn is_asleep(&self) -> bool {
        self.load.gate().is_some_and(|gate| gate.standing() != ServerStanding::Awake)
    }

    /// How its server stands, where that is started when it is asked for.
    pub fn server(&self) -> Option<ServerStanding> {
        self.load.gate().map(|gate| gate.standing())
    }

    /// Somebody begins to wait for its server, or stops.
    pub fn waits(&self, begins: bool) {
        if let Some(gate) = self.load.gate() {
            gate.waits(begins);
        }
    }

    /// Its server was started anew: what was known of the one before is nothing.
    pub fn renew(&mut self) {
        for member in &mut self.members {
            member.renew();
        }
    }
}
