//! A plugin in a process of its own, asked over a Unix socket.
//!
//! ```text
//!   worker ──frame──▶ channel ──▶ writer thread ──▶ socket ──▶ the plugin
//!   worker ◀─nudge── slot filled ◀── reader thread ◀── socket ◀──┘
//! ```
//!
//! * A worker never waits: it leaves a question, suspends the exchange, and is nudged when the answer lies in its
//!   slot. A question that is not answered in time is answered by the writer thread: it has failed.
//! * One connection carries the questions of all workers, told apart by their ids. Where it breaks, what was
//!   asked has failed, and the next question opens another.
//! * Only `on_request` and `on_response_head` wait for an answer. Events, and the end of an exchange, are told.

mod frame;
mod wire;

use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use super::loaded::LoadedPlugin;
use super::self_test;
use super::settings::PluginSettings;
use super::{
    AnswerSlot, Edits, Guest, HookFailed, HookResult, Hooks, Plugin, PluginEnd, PluginEvent,
    PluginHead, PluginProbe, PluginRequest, Verdict, Wake,
};
use wire::{Line, Question};

/// Questions and tidings that wait for the writer. More than that have failed.
const WAITING_MAX: usize = 4096;

/// The codes of calls that fail on this side of the socket.
const NOT_SENT: HookFailed = HookFailed(-1001);

/// Why a call failed that never reached the plugin, or was never answered.
pub(super) fn reason(failed: HookFailed) -> Option<&'static str> {
    match failed {
        NOT_SENT => Some("a full line: too many questions wait for the plugin"),
        frame::NO_ANSWER => Some("an answer that is none"),
        wire::LATE => Some("no answer in time"),
        wire::BROKEN => Some("no connection to the plugin"),
        _ => None,
    }
}

/// A plugin behind a socket.
pub struct RemotePlugin {
    title: (String, String),
    hooks: Hooks,
    body_max: u64,
    questions: SyncSender<Question>,
}

impl fmt::Debug for RemotePlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePlugin")
            .field("title", &self.title)
            .field("hooks", &self.hooks)
            .finish()
    }
}

/// What a plugin's answer, a line and a body, would change: for what reads answers that nobody has given
/// (`tests/fuzz/`).
#[doc(hidden)]
pub fn answer_edits(line: &[u8], body: &[u8]) -> Option<Edits> {
    let line = serde_json::from_slice(line).ok()?;
    frame::answer(&line, body.to_vec()).map(|(_, _, edits)| edits)
}

/// Connects to the plugin of these settings. An error: why not, as the rest of a sentence about it.
pub fn connect(settings: &PluginSettings) -> Result<LoadedPlugin, String> {
    let line = Line::new(settings);
    let (stream, hello) = line.open()?;
    let (questions, asked) = sync_channel(WAITING_MAX);
    let remote = RemotePlugin {
        title: (hello.name, hello.version),
        hooks: hello.hooks,
        body_max: hello.body_max,
        questions,
    };
    let name = format!("plugin-{}", settings.name);
    let started = thread::Builder::new().name(name).spawn(move || line.run(stream, &asked));
    started.map_err(|error| format!("has no thread: {error}"))?;
    let loaded = LoadedPlugin::new(settings.source.clone(), Arc::new(remote));
    self_test::play(&loaded.plugin)?;
    Ok(loaded)
}

impl RemotePlugin {
    /// Leaves a question. `None`: it is only told.
    fn leave(&self, frame: Vec<u8>, id: Option<u64>, wake: Wake) -> Option<Arc<AnswerSlot>> {
        let slot = Arc::new(AnswerSlot::default());
        let asked = id.map(|id| (id, Arc::clone(&slot), wake));
        match self.questions.try_send(Question { frame, asked }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                slot.put(Err(NOT_SENT), Edits::default());
            }
        }
        Some(slot)
    }

    fn tell(&self, frame: Vec<u8>) -> HookResult {
        match self.questions.try_send(Question { frame, asked: None }) {
            Ok(()) => Ok(Verdict::Pass),
            Err(_) => Err(NOT_SENT),
        }
    }
}

impl Plugin for RemotePlugin {
    fn title(&self) -> (&str, &str) {
        (&self.title.0, &self.title.1)
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// An event would have to wait for its answer, and its stream with it.
    fn changes_events(&self) -> bool {
        false
    }

    fn body_max(&self) -> u64 {
        self.body_max
    }

    fn begin(self: Arc<Self>, number: u64) -> Box<dyn Guest> {
        Box::new(RemoteGuest { remote: self, number })
    }

    fn health_probe(&self, _: &PluginProbe<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }
}

/// A plugin behind a socket, in one exchange.
#[derive(Debug)]
struct RemoteGuest {
    remote: Arc<RemotePlugin>,
    number: u64,
}

impl RemoteGuest {
    /// Waits for an answer: only the thread that reads configurations does.
    fn waited_for(slot: Option<Arc<AnswerSlot>>, edits: &mut Edits) -> HookResult {
        let (result, told) =
            slot.map(|slot| slot.wait()).unwrap_or((Err(NOT_SENT), Edits::default()));
        *edits = told;
        result
    }
}

impl Guest for RemoteGuest {
    fn on_request(&mut self, request: &PluginRequest<'_>, edits: &mut Edits) -> HookResult {
        let slot = self.ask_about_request(request, Box::new(|| {}));
        RemoteGuest::waited_for(slot, edits)
    }

    fn on_response_head(&mut self, head: &PluginHead<'_>, edits: &mut Edits) -> HookResult {
        let slot = self.ask_about_head(head, Box::new(|| {}));
        RemoteGuest::waited_for(slot, edits)
    }

    fn on_event(&mut self, event: &PluginEvent<'_>, _: &mut Edits) -> HookResult {
        self.remote.tell(frame::event(self.number, event))
    }

    fn on_cancel(&mut self, end: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        self.remote.tell(frame::end("on_cancel", self.number, end))
    }

    fn on_end(&mut self, end: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        self.remote.tell(frame::end("on_end", self.number, end))
    }

    fn ask_about_request(
        &mut self,
        request: &PluginRequest<'_>,
        wake: Wake,
    ) -> Option<Arc<AnswerSlot>> {
        let id = wire::next_id();
        self.remote.leave(frame::request(id, self.number, request), Some(id), wake)
    }

    fn ask_about_head(&mut self, head: &PluginHead<'_>, wake: Wake) -> Option<Arc<AnswerSlot>> {
        let id = wire::next_id();
        self.remote.leave(frame::head(id, self.number, head), Some(id), wake)
    }
}

/// The type of the connection.
type Stream = UnixStream;
