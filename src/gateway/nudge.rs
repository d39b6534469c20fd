//! Nudges: how another thread has a client's connection driven, when what it waits for is there.

use std::sync::Arc;

use crate::plugins::Wake;
use crate::reactor::token::Token;

/// Has the connection of this name driven; called on any thread.
pub type NudgeSender = Arc<dyn Fn(Token) + Send + Sync>;

/// Makes nudges for one worker.
pub(crate) struct Nudge(Option<NudgeSender>);

impl Nudge {
    /// `None`: nobody can reach this worker, and nobody is to be waited for.
    pub(crate) fn new(sender: Option<NudgeSender>) -> Nudge {
        Nudge(sender)
    }

    /// Nudges the connection of this name, once.
    pub(crate) fn wake(&self, token: Token) -> Wake {
        match &self.0 {
            Some(sender) => {
                let sender = Arc::clone(sender);
                Box::new(move || sender(token))
            }
            None => Box::new(|| {}),
        }
    }
}
