//! Register: an inference server tells gateways where it is, for as long as it is well.
//!
//! | file | knows |
//! |---|---|
//! | `stage` | what is done next: pure |
//! | `lease` | the key in the store, on a thread of its own |
//! | `health` | how the server is asked |
//!
//! ```text
//!   health thread ──▶ ┐                              ┌──▶ lease thread ── etcd
//!   signals       ──▶ ├── events ── Registration ────┤
//!   lease thread  ──▶ ┘                              └──▶ the server: TERM, KILL
//! ```
//!
//! Invariant: nothing that the store does or does not do ends the server.

mod health;
mod lease;
mod stage;

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

pub use self::health::{HealthQuestion, port_of};
use self::lease::{LeasedKey, Wish};
pub use self::stage::RegisterTimes;
use self::stage::{RegisterAction, RegisterEvent, Registration};
use super::client::AskFailure;
use super::etcd::{Etcd, EtcdAddress, EtcdFailure};
use crate::sys::{self, Order};
use crate::tls::ClientFiles;

/// How often the server is looked at that is our child.
const LOOK: Duration = Duration::from_millis(50);
/// What is not for the server: the password of the store.
const OURS: &str = "SLUICEGATE_STORE_PASSWORD";

/// What an endpoint says of itself in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredEndpoint {
    /// As `endpoints` of an upstream has it: `10.0.0.1:8000`, `https://gpu-1/v1`.
    pub address: String,
    /// From 1 to 1,000.
    pub weight: u32,
    /// Those with the least number are asked first.
    pub priority: u16,
    pub zone: Option<String>,
}

/// A registration that is wanted.
#[derive(Clone, Debug)]
pub struct RegisterSettings {
    pub store: EtcdAddress,
    /// The whole key.
    pub key: String,
    pub endpoint: RegisteredEndpoint,
    /// `host:port` where the server is asked whether it is well.
    pub authority: String,
    pub health: HealthQuestion,
    /// It is asked under TLS, with these files.
    pub health_tls: Option<ClientFiles>,
    /// From one question to the next.
    pub interval: Duration,
    /// For an answer.
    pub timeout: Duration,
    /// So many failures in a row make it unwell.
    pub failures: u32,
    /// Without a word the key is gone after this.
    pub ttl_seconds: u64,
    pub times: RegisterTimes,
    /// The server, or nothing: somebody else runs it.
    pub command: Vec<String>,
}

impl RegisteredEndpoint {
    fn json(&self) -> String {
        let mut told = json!({
            "address": self.address, "weight": self.weight, "priority": self.priority,
        });
        if let Some(zone) = &self.zone {
            told["zone"] = json!(zone);
        }
        told.to_string()
    }
}

/// Registers a server, and returns when all is over: with the exit code. An error is one of the start,
/// before anything was begun.
pub fn run(settings: RegisterSettings, signals: sys::Signals) -> Result<u8, String> {
    let etcd = Etcd::new(settings.store.clone());
    reachable(etcd.clone(), &settings.key)?;
    let (events, happened) = mpsc::channel();
    let failed = |what: &str, error: &io::Error| format!("{what}: {error}");
    let mut server = match settings.command.split_first() {
        None => {
            log::info!("{}: somebody else runs it", settings.authority);
            None
        }
        Some((program, arguments)) => {
            let child = start(program, arguments).map_err(|error| failed(program, &error))?;
            log::info!("{program}: process {}", child.id());
            Some(child)
        }
    };
    let leader = server.as_ref().map(Child::id);
    let stops = events.clone();
    let caught = signals.then(move |order| match order {
        Order::End => drop(stops.send(RegisterEvent::Stop)),
        // These mean something to the server, if to anybody.
        Order::Reload | Order::HandOver => pass_on(leader, order),
    });
    let wishes = caught
        .and_then(|()| watch_health(&settings, events.clone()))
        .and_then(|()| keep_key(&settings, etcd, events));
    let wishes = wishes.map_err(|error| {
        if let Some(leader) = leader {
            sys::end_group(leader, true);
        }
        failed("no thread", &error)
    })?;
    let mut registration = Registration::begin(settings.times, server.is_some(), Instant::now());
    loop {
        let event = happened.recv_timeout(LOOK).ok();
        let ended = server.as_mut().and_then(|child| child.try_wait().ok().flatten());
        let ending = ended.map(|status| RegisterEvent::Ended(code_of(status)));
        // Time passes however much happens.
        for event in ending.into_iter().chain(event).chain([RegisterEvent::Tick]) {
            let action = registration.step(event, Instant::now());
            if let Some(code) = action.and_then(|action| act(action, &settings, leader, &wishes)) {
                if let Some(leader) = leader {
                    clear_away(leader, settings.times.grace, &happened);
                }
                return Ok(code);
            }
        }
        if let Some(status) = ended {
            log::info!("the server has ended: {status}");
            server = None;
        }
    }
}

/// Does it. The exit code, if all is over.
fn act(
    action: RegisterAction,
    settings: &RegisterSettings,
    leader: Option<u32>,
    wishes: &Sender<Wish>,
) -> Option<u8> {
    match action {
        RegisterAction::Announce => drop(wishes.send(Wish::There)),
        RegisterAction::Withdraw => drop(wishes.send(Wish::Gone)),
        RegisterAction::Terminate => {
            log::info!("the server is told to end");
            end(leader, false);
        }
        RegisterAction::GiveUp => {
            let start = settings.times.start;
            log::error!(
                "the server is not well after {start:?} ({}): it is ended",
                settings.health
            );
            end(leader, false);
        }
        RegisterAction::Kill => {
            log::warn!("the server does not end: SIGKILL");
            end(leader, true);
        }
        RegisterAction::Exit(code) => return Some(code),
    }
    None
}

/// Ends what the server has left of its process group: workers of one that was killed hold the card that the
/// next one wants. They have as long as the server would have had; a second signal is as good as that time.
fn clear_away(leader: u32, grace: Duration, happened: &Receiver<RegisterEvent>) {
    if !sys::reap_group(leader) {
        return;
    }
    log::warn!("the server has left processes of its group behind: they are told to end");
    sys::end_group(leader, false);
    let until = Instant::now() + grace;
    while sys::reap_group(leader) {
        let stopped = happened.recv_timeout(LOOK) == Ok(RegisterEvent::Stop);
        if stopped || Instant::now() >= until {
            log::warn!("they do not end: SIGKILL");
            return sys::end_group(leader, true);
        }
    }
}

fn end(leader: Option<u32>, kill: bool) {
    if let Some(leader) = leader {
        sys::end_group(leader, kill);
    }
}

fn pass_on(leader: Option<u32>, order: Order) {
    if let Some(leader) = leader {
        sys::order_group(leader, order);
    }
}

/// Whether the store may be asked. One that is away may come; one that says no will go on saying it.
fn reachable(etcd: Etcd, key: &str) -> Result<(), String> {
    match etcd.clone().revision(key) {
        Ok(_) => Ok(()),
        Err(failure @ EtcdFailure::Away(..)) => {
            log::warn!("{key}: the store is away, and is tried again: {failure}");
            Ok(())
        }
        Err(failure) => Err(format!("{key}: {failure}")),
    }
}

/// Starts the server: the leader of a process group of its own, so that a terminal's Ctrl-C reaches us
/// alone. What it says goes where what we say goes.
fn start(program: &str, arguments: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove(OURS)
        .process_group(0)
        .spawn()
}

/// As a shell tells it: 128 and the signal's number for one that a signal has ended.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}

/// Asks the server again and again, on a thread of its own.
fn watch_health(settings: &RegisterSettings, events: Sender<RegisterEvent>) -> io::Result<()> {
    let RegisterSettings { authority, health, health_tls, interval, timeout, failures, .. } =
        settings.clone();
    let watch = move || {
        let (mut failed, mut well) = (0, false);
        loop {
            let began = Instant::now();
            // The files are read each time: they may be renewed.
            let dialer = health_tls
                .as_ref()
                .map(|files| files.dialer(health.authority(&authority), sys::time_of_day()));
            let asked = match dialer.transpose() {
                Ok(dialer) => health.ask(&authority, dialer.as_ref(), timeout),
                Err(_) => Err(AskFailure::Tls("a file of its authorities cannot be read")),
            };
            let event = match &asked {
                Ok(()) => {
                    failed = 0;
                    if !std::mem::replace(&mut well, true) {
                        log::info!("{authority}: well ({health})");
                    }
                    Some(RegisterEvent::Healthy)
                }
                Err(failure) => {
                    failed += 1;
                    let unwell = failed >= failures;
                    if unwell && std::mem::take(&mut well) {
                        log::warn!("{authority}: unwell ({health}): {failure}");
                    }
                    unwell.then_some(RegisterEvent::Unhealthy)
                }
            };
            if event.is_some_and(|event| events.send(event).is_err()) {
                return;
            }
            thread::sleep(interval.saturating_sub(began.elapsed()));
        }
    };
    thread::Builder::new().name("health".to_owned()).spawn(watch)?;
    Ok(())
}

/// Keeps the key as it is wished, on a thread of its own.
fn keep_key(
    settings: &RegisterSettings,
    etcd: Etcd,
    events: Sender<RegisterEvent>,
) -> io::Result<Sender<Wish>> {
    let (wishes, wished) = mpsc::channel();
    let (key, value) = (settings.key.clone(), settings.endpoint.json());
    let mut leased = LeasedKey::new(etcd, key, value, settings.ttl_seconds, sys::random_seed());
    let keep = move || {
        leased.keep(&wished, || {
            let _ = events.send(RegisterEvent::Withdrawn);
        })
    };
    thread::Builder::new().name("lease".to_owned()).spawn(keep)?;
    Ok(wishes)
}
