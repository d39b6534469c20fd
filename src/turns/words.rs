//! Words: what a state, a timer or the result of a call is called, and why it matters.

use std::io::ErrorKind;

use crate::clock::Instant;
use crate::gateway::command::{Command, Idle};
use crate::gateway::record::commit::{Commit, Passed, Response};
use crate::gateway::record::downstream::State;
use crate::gateway::report::outline::{Outline, Side};
use crate::observe::view;
use crate::proxy::exchange::{Phase, Timer};

/// Where a connection stands. `owner`: the name of the client that a connection serves.
pub fn stand(outline: &Outline, owner: Option<&str>) -> String {
    match outline.side {
        Side::Client { exchange: Some(stage), .. } => view::phase(stage.phase).to_owned(),
        Side::Client { state, exchange: None } => match state {
            State::Idle { .. } => "idle, kept for another request",
            State::Head { .. } => "awaiting a request head",
            State::Handshake { .. } => "shaking hands",
            State::Exchange => "in an exchange",
            State::Replying { .. } => "writing a reply of ours",
            State::Lingering { .. } => "lingering",
            State::Closed => "closed",
        }
        .to_owned(),
        Side::Server { closed: true, .. } => "closed".to_owned(),
        Side::Server { connected, .. } => match (owner, connected) {
            (Some(owner), true) => format!("serves {owner}"),
            (Some(owner), false) => format!("connecting, for {owner}"),
            (None, _) => "idle in the pool".to_owned(),
        },
    }
}

/// What follows from where a connection stands.
pub fn consequence(stand: &str) -> &'static str {
    match stand {
        "closed" => "its slot is freed in reap",
        "lingering" => "what still comes is read and dropped",
        _ => "",
    }
}

/// What has become of an answer: held back, the client's, steady.
pub fn commits(commit: Commit, before: Option<Commit>) -> Vec<(&'static str, &'static str)> {
    let mut words = Vec::new();
    let was = |is: fn(Commit) -> bool| before.is_some_and(is);
    let held = |commit| matches!(commit, Commit::Open(_, Response::Held));
    let steady = |commit| commit == Commit::Passed(Passed::Steady);
    if held(commit) && !was(held) {
        words.push(("its answer is held back", "another may still take its place"));
    }
    if commit.is_passed() && !was(Commit::is_passed) {
        words.push(("its answer is committed", "no other can take its place"));
    }
    if steady(commit) && !was(steady) {
        words.push(("its stream is steady", "the next tokens go the short way"));
    }
    words
}

/// Whether the next token of its answer goes the short way.
pub fn is_steady(outline: &Outline) -> bool {
    let Side::Client { exchange: Some(stage), .. } = outline.side else { return false };
    stage.commit == Commit::Passed(Passed::Steady)
}

/// The timer behind the deadline of a connection, as the configuration calls it.
pub fn timer(outline: &Outline) -> &'static str {
    match outline.side {
        Side::Client { exchange: Some(stage), .. } => match stage.timer {
            (at, timer) if at == outline.alarm.deadline() => name(timer),
            _ if stage.phase == Phase::Pausing => "the pause before the next attempt",
            _ => "heartbeat",
        },
        Side::Client { state, exchange: None } => match state {
            State::Idle { .. } => "client_idle",
            State::Head { .. } => "head",
            State::Handshake { .. } => "the handshake",
            State::Replying { .. } => "client_write",
            State::Lingering { .. } => "the lingering close",
            State::Exchange | State::Closed => "none",
        },
        Side::Server { .. } => "pool.idle_timeout",
    }
}

fn name(timer: Timer) -> &'static str {
    match timer {
        Timer::Queue => "admission.queue_timeout",
        Timer::Model => "while_loading.wait",
        Timer::Connect => "connect",
        Timer::Body => "body",
        Timer::UpstreamWrite => "ttft, of a request that is not taken",
        Timer::Ttft => "ttft",
        Timer::Response => "response",
        Timer::InterEvent => "inter_event",
        Timer::FeedIdle | Timer::TunnelIdle => "tunnel_idle",
        Timer::ClientWrite => "client_write",
        Timer::Total => "total",
    }
}

/// Whether this alarm has an entry that the other had not.
pub fn has_new_entry(outline: &Outline, before: Option<&Outline>) -> bool {
    let armed = outline.alarm.armed();
    armed != Instant::NEVER && before.is_none_or(|before| before.alarm.armed() != armed)
}

/// Why a read that gave bytes leaves the bit as it does.
pub fn of_read(length: usize, room: usize, fin_known: bool) -> &'static str {
    match (length < room, fin_known) {
        (false, _) => "all of the room: there may be more",
        (true, true) => "short, but a FIN is known: read on",
        (true, false) => "short: nothing more is here",
    }
}

/// Why a write leaves the bit as it does.
pub fn of_write(length: usize, offered: usize) -> &'static str {
    if length < offered { "short: there is no more room" } else { "" }
}

/// What it means that a call would block.
pub fn of_would_block(call: &str, connecting: bool) -> &'static str {
    match call {
        "write" if connecting => "it does not stand yet: an edge will tell",
        "write" => "no room: an edge will tell of some",
        "peek" => "it is silent: it may carry a request",
        _ => "nothing is here: an edge will tell",
    }
}

/// An error as a reader of strace knows it.
pub fn errno(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::WouldBlock => "EAGAIN",
        ErrorKind::ConnectionReset => "ECONNRESET",
        ErrorKind::ConnectionRefused => "ECONNREFUSED",
        ErrorKind::BrokenPipe => "EPIPE",
        ErrorKind::NotConnected => "ENOTCONN",
        ErrorKind::OutOfMemory => "ENFILE",
        _ => "an error",
    }
}

/// What another thread has told the worker.
pub fn mail<S>(mail: &Command<S>) -> &'static str {
    match mail {
        Command::Drain(Idle::Leave) => "drain: accept no more, idle clients leave",
        Command::Drain(Idle::MayAsk) => "drain: accept no more, idle clients may ask once more",
        Command::Stop => "stop: abort everything",
        Command::Adopt(..) => "here is a connection that I accepted for you",
        Command::Inquire(_) => "tell what you hold",
        Command::Reload(..) => "obey this configuration from now on",
        Command::Members(..) => "an upstream has other endpoints from now on",
        Command::Call(_) => "a permit came home",
        Command::Health(..) => "what the health checks say of an endpoint",
        Command::Loaded(..) => "another worker has found that a model is loaded",
        Command::Woken(_) => "a server was started, or could not be",
        Command::Nudge(_) => "a plugin, or the authoriser, has answered",
        Command::Reachable(..) => "the port of an endpoint answers again",
        Command::Suspect(..) => "other gateways say that an endpoint fails",
    }
}
