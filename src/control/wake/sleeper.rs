//! One server that is started when it is asked for: how it stands, and what follows from it.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::process::ServerProcess;
use super::{ASK_TIMEOUT, WakeTarget};
use crate::config::snapshot::{WakeBy, WakeUrl};
use crate::control::client::{Ask, Whereabouts};
use crate::proxy::wake::ServerStanding;

/// How long after a failure the next start may come, at first and at most. It doubles in between.
const BACK_OFF: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A server that ends sooner after it was ready has failed.
const SOUND: Duration = Duration::from_secs(30);
/// Who has just been woken serves for so long before another of its group may have its place.
const TURN: Duration = Duration::from_secs(1);
/// How often a server that starts is asked whether it is ready, and one that is not ours whether it is
/// still there.
const READY_EVERY: Duration = Duration::from_millis(200);
const THERE_EVERY: Duration = Duration::from_millis(500);
/// How long a URL that starts or stops a server may take to answer.
const URL_TIMEOUT: Duration = Duration::from_secs(120);

/// One server that is started when it is asked for.
pub(super) struct Sleeper {
    pub target: WakeTarget,
    /// The configuration does not name it any more.
    pub leaves: bool,
    standing: ServerStanding,
    /// Since when it stands like that.
    since: Instant,
    process: Option<ServerProcess>,
    /// It was there before anybody started it.
    foreign: bool,
    /// Since when somebody wants it that it does not serve.
    wanted: Option<Instant>,
    /// Starts in a row that have failed.
    failures: u32,
    /// When it was last used, and how often until then.
    used: (Instant, u64),
    /// When it is asked next whether it is ready.
    look_at: Instant,
    /// The end was told to it, and so long it is waited for.
    kill_at: Option<Instant>,
}

impl Sleeper {
    pub fn new(target: WakeTarget, now: Instant) -> Sleeper {
        let mut sleeper = Sleeper {
            target,
            leaves: false,
            standing: ServerStanding::Asleep,
            since: now,
            process: None,
            foreign: false,
            wanted: None,
            failures: 0,
            used: (now, 0),
            look_at: now,
            kill_at: None,
        };
        // One that a gateway before us has started, or somebody else.
        if sleeper.is_ready() {
            let name = &sleeper.target.name;
            log::info!("{name}: its server is there already; it is not stopped by us");
            sleeper.foreign = true;
            sleeper.set(ServerStanding::Awake, now);
        }
        sleeper
    }

    /// Somebody wants it.
    pub fn ask(&mut self, now: Instant) {
        self.target.gate.heard();
        match self.standing {
            // Somebody was refused there: it may be gone.
            ServerStanding::Awake => self.look_at = now,
            _ => {
                self.wanted.get_or_insert(now);
            }
        }
    }

    /// It is to be looked at soon.
    pub fn is_busy(&self) -> bool {
        let calm = matches!(self.standing, ServerStanding::Asleep | ServerStanding::Awake);
        !calm || self.wanted.is_some()
    }

    /// Something may happen to it by itself.
    pub fn is_watched(&self) -> bool {
        self.standing != ServerStanding::Asleep || self.wanted.is_some() || self.leaves
    }

    /// It may use what its group has one of.
    pub fn runs(&self) -> bool {
        let by_url = matches!(self.target.settings.start, WakeBy::Url(_));
        self.process.is_some() || by_url && !self.foreign && self.stands_up()
    }

    fn stands_up(&self) -> bool {
        use ServerStanding::{Awake, Starting, Stopping};
        matches!(self.standing, Starting | Awake | Stopping)
    }

    /// It is gone, and nobody will ask for it again.
    pub fn is_over(&self) -> bool {
        self.leaves && !self.runs() && self.target.load.total() == 0
    }

    /// Looks after it. `others`: all servers but this one. Whether it stands otherwise than before.
    pub fn round<'a, I: Iterator<Item = &'a Sleeper>>(
        &mut self,
        others: &impl Fn() -> I,
        now: Instant,
    ) -> bool {
        let before = self.standing;
        self.note_use(now);
        self.note_end(now);
        let rivals = || others().filter(|other| self.shares_place_with(other));
        match self.standing {
            ServerStanding::Asleep => {
                // Who has waited for longest is first.
                let first = |at: Instant| rivals().all(|one| one.wanted.is_none_or(|of| at <= of));
                let free = !rivals().any(Sleeper::runs);
                if self.wanted.is_some_and(first) && free && !self.leaves {
                    self.start(now);
                }
            }
            ServerStanding::Starting => self.look_whether_ready(now),
            ServerStanding::Awake => {
                let rival = rivals().any(|other| other.wanted.is_some());
                self.look_whether_unused(rival, now);
            }
            ServerStanding::Stopping => self.go_on_stopping(now),
            ServerStanding::Failed => {
                if now >= self.since + self.target.gate.retry_after() {
                    self.set(ServerStanding::Asleep, now);
                }
            }
        }
        self.standing != before
    }

    fn shares_place_with(&self, other: &Sleeper) -> bool {
        let group = |sleeper: &Sleeper| sleeper.target.settings.group.clone();
        self.target.settings.group.is_some() && group(self) == group(other)
    }

    fn set(&mut self, standing: ServerStanding, now: Instant) {
        (self.standing, self.since) = (standing, now);
        self.target.gate.set(standing);
    }

    fn note_use(&mut self, now: Instant) {
        let uses = self.target.gate.uses();
        if uses != self.used.1 || self.target.load.total() > 0 {
            self.used = (now, uses);
        }
    }

    /// Sees whether its process has ended, and why.
    fn note_end(&mut self, now: Instant) {
        let Some(status) = self.process.as_mut().and_then(ServerProcess::ended) else { return };
        let Some(process) = self.process.take() else { return };
        // What it has started and left behind would hold its port.
        process.kill();
        let name = &self.target.name;
        match self.standing {
            ServerStanding::Stopping => log::info!("{name}: its server has ended ({status})"),
            ServerStanding::Starting => self.fail(&format!("it ended ({status})"), now),
            _ => {
                log::warn!("{name}: its server has ended by itself ({status})");
                match now.saturating_duration_since(self.since) < SOUND {
                    true => self.fail(&format!("it ended soon ({status})"), now),
                    false => self.set(ServerStanding::Asleep, now),
                }
            }
        }
    }

    fn start(&mut self, now: Instant) {
        let name = &self.target.name;
        if self.is_ready() {
            log::info!("{name}: its server is there already; it is not stopped by us");
            self.foreign = true;
            return self.is_awake(now);
        }
        self.foreign = false;
        let name = &self.target.name;
        let started = match &self.target.settings.start {
            WakeBy::Command(words) => match ServerProcess::start(name, words) {
                Ok(process) => {
                    log::info!("{name}: its server is started, process {}", process.id());
                    self.process = Some(process);
                    Ok(())
                }
                Err(error) => Err(format!("{}: {error}", words[0])),
            },
            WakeBy::Url(url) => {
                log::info!("{name}: its server is started by {}", url.shown());
                ask_url(name, url);
                Ok(())
            }
        };
        match started {
            Ok(()) => {
                self.look_at = now;
                self.set(ServerStanding::Starting, now);
            }
            Err(why) => self.fail(&why, now),
        }
    }

    fn look_whether_ready(&mut self, now: Instant) {
        if now >= self.look_at {
            self.look_at = now + READY_EVERY;
            if self.is_ready() {
                let took = now.saturating_duration_since(self.since);
                log::info!("{}: its server is ready, after {took:.1?}", self.target.name);
                return self.is_awake(now);
            }
        }
        if now >= self.since + self.target.settings.timeout {
            if let Some(process) = self.process.take() {
                process.kill();
                reap(process);
            }
            self.fail("it was not ready in time (wake.timeout)", now);
        }
    }

    fn is_awake(&mut self, now: Instant) {
        self.wanted = None;
        self.used = (now, self.target.gate.uses());
        self.look_at = now + THERE_EVERY;
        self.set(ServerStanding::Awake, now);
    }

    fn fail(&mut self, why: &str, now: Instant) {
        let pause = BACK_OFF.saturating_mul(1 << self.failures.min(16)).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.wanted = None;
        let name = &self.target.name;
        log::error!("{name}: its server could not be started: {why}; tried again after {pause:?}");
        (self.standing, self.since) = (ServerStanding::Failed, now);
        self.target.gate.fail(pause);
    }

    /// Stops it where it is not needed any more. `rival`: another one wants its place.
    fn look_whether_unused(&mut self, rival: bool, now: Instant) {
        let lasted = now.saturating_duration_since(self.since);
        if lasted >= SOUND {
            self.failures = 0;
        }
        if self.foreign {
            if now >= self.look_at {
                self.look_at = now + THERE_EVERY;
                if !self.is_ready() {
                    log::info!("{}: its server, which was not ours, is gone", self.target.name);
                    self.foreign = false;
                    self.set(ServerStanding::Asleep, now);
                }
            }
            return;
        }
        let gives_way = rival && lasted >= TURN && self.target.gate.waiting() == 0;
        let idle = self.target.settings.idle;
        let unused = now.saturating_duration_since(self.used.0);
        let is_unused = idle.is_some_and(|idle| unused >= idle) || self.leaves;
        if !gives_way && !is_unused {
            return;
        }
        // From here on nobody is sent there. Who was counted before this is seen after it.
        self.target.gate.set(ServerStanding::Stopping);
        let used = self.target.load.total() > 0 || self.target.gate.uses() != self.used.1;
        if used && !gives_way {
            return self.target.gate.set(ServerStanding::Awake);
        }
        (self.standing, self.since, self.kill_at) = (ServerStanding::Stopping, now, None);
        let name = &self.target.name;
        match gives_way {
            true => log::info!("{name}: its server makes way for another of its group"),
            false => log::info!("{name}: its server is stopped: unused for {unused:.1?}"),
        }
    }

    /// Stops it, whatever it does.
    pub fn stop(&mut self, now: Instant, why: &str) {
        (self.leaves, self.wanted) = (true, None);
        if self.kill_at.is_some() {
            return;
        }
        let told = self.target.settings.stop.is_some() && self.runs();
        if self.process.is_none() && !told {
            return self.set(ServerStanding::Asleep, now);
        }
        log::info!("{}: its server is stopped: {why}", self.target.name);
        self.set(ServerStanding::Stopping, now);
        self.tell_to_end(now);
    }

    fn go_on_stopping(&mut self, now: Instant) {
        match self.kill_at {
            // What it has begun is finished first.
            None if self.target.load.total() > 0 => {}
            None => self.tell_to_end(now),
            Some(_) if self.process.is_none() && !self.is_stopped_by_url(now) => {}
            Some(_) if self.process.is_none() => {
                self.kill_at = None;
                self.set(ServerStanding::Asleep, now);
            }
            Some(kill_at) if now >= kill_at => {
                if let Some(process) = &self.process {
                    log::warn!("{}: its server does not end; it is killed", self.target.name);
                    process.kill();
                }
                self.kill_at = Some(now + self.target.settings.grace);
            }
            Some(_) => {}
        }
    }

    /// A server that was started by a URL is stopped when it does not answer any more, or its time to
    /// end is over.
    fn is_stopped_by_url(&self, now: Instant) -> bool {
        let by_url = matches!(self.target.settings.start, WakeBy::Url(_));
        !by_url || self.kill_at.is_some_and(|at| now >= at) || !self.is_ready()
    }

    fn tell_to_end(&mut self, now: Instant) {
        self.kill_at = Some(now + self.target.settings.grace);
        match (&self.target.settings.stop, &self.process) {
            (None, Some(process)) => process.terminate(),
            (Some(WakeBy::Url(url)), _) => ask_url(&self.target.name, url),
            (Some(WakeBy::Command(words)), _) => {
                match ServerProcess::start(&self.target.name, words) {
                    Ok(process) => reap(process),
                    Err(error) => log::error!("{}: {}: {error}", self.target.name, words[0]),
                }
            }
            (None, None) => {}
        }
    }

    /// Whether it answers, with anything but a 5xx; or takes a connection, where it is not asked more.
    fn is_ready(&self) -> bool {
        let WakeTarget { settings, places, host, rules, .. } = &self.target;
        places.iter().any(|(address, tls)| match &settings.health {
            None => TcpStream::connect_timeout(address, ASK_TIMEOUT).is_ok(),
            Some(path) => {
                let ask = Ask {
                    to: Whereabouts::Address(*address),
                    tls: tls.as_deref(),
                    host,
                    path,
                    agent: "sluicegate-wake",
                    lines: "",
                    rules: rules.as_deref(),
                    post: None,
                    timeout: ASK_TIMEOUT,
                };
                ask.status().is_ok_and(|status| status < 500)
            }
        })
    }
}

/// Waits for a process that nobody looks after any more.
fn reap(mut process: ServerProcess) {
    let wait = move || {
        while process.ended().is_none() {
            thread::sleep(Duration::from_millis(100));
        }
    };
    if let Err(error) = thread::Builder::new().name("wake-reap".to_owned()).spawn(wait) {
        log::warn!("a process cannot be waited for: {error}");
    }
}

/// Asks for a URL, on a thread of its own: it may answer when the server is ready, and not before.
fn ask_url(name: &str, url: &WakeUrl) {
    let (name, url) = (name.to_owned(), url.clone());
    let ask = move || {
        let ask = Ask {
            to: Whereabouts::Name(&url.authority),
            tls: None,
            host: &url.authority,
            path: &url.path,
            agent: "sluicegate-wake",
            lines: "",
            rules: None,
            post: Some(""),
            timeout: URL_TIMEOUT,
        };
        let status = ask.status();
        let shown = url.shown();
        match status {
            Ok(status @ 200..=399) => log::info!("{name}: {shown}: {status}"),
            Ok(status) => log::error!("{name}: {shown}: status {status}"),
            Err(why) => log::error!("{name}: {shown}: {why}"),
        }
    };
    if let Err(error) = thread::Builder::new().name("wake-url".to_owned()).spawn(ask) {
        log::error!("a URL cannot be asked for: {error}");
    }
}
