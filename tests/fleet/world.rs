//! The store, the ways to it, and the endpoints behind: what a fleet is told, and when.
//!
//! Time is virtual; nothing happens but what stands in the agenda. A gateway follows the store as
//! `control::discovery` does: a watch tells that something has changed, then all is listed. A way may be slow
//! or cut, and the store may stall, which cuts all ways and holds leases.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::Belief;
use sluicegate::control::discovery::{Pacing, STORE_LIST, STORE_SILENCE, Trouble};
use sluicegate::sim::Random;

use super::gateway::{Believer, Server, default_belief};

/// How long a way takes, at most, where it is not slow.
pub const WAY_MAX: Duration = Duration::from_millis(20);
/// And where it is.
pub const SLOW_WAY_MAX: Duration = Duration::from_secs(5);
/// The lease of an endpoint's key, and the half second in which etcd looks for such.
pub const LEASE: Duration = Duration::from_millis(5_500);

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Some gateways cannot reach the store, for up to a minute.
    pub partitions: bool,
    /// Nobody can.
    pub stalls: bool,
    /// Some ways take seconds.
    pub slow_watchers: bool,
    /// Gateways end, and others begin.
    pub gateways_die: bool,
    /// The same endpoints come and go.
    pub flapping: bool,
    /// Most endpoints go at once.
    pub collapses: bool,
    /// The store comes back empty, and is filled again within a minute.
    pub lost_data: bool,
}

impl Faults {
    pub const NONE: Faults = Faults {
        partitions: false,
        stalls: false,
        slow_watchers: false,
        gateways_die: false,
        flapping: false,
        collapses: false,
        lost_data: false,
    };
    pub const ALL: Faults = Faults {
        partitions: true,
        stalls: true,
        slow_watchers: true,
        gateways_die: true,
        flapping: true,
        collapses: true,
        lost_data: true,
    };

    pub fn draw(random: &mut Random) -> Faults {
        let mut coin = || random.chance(300);
        Faults {
            partitions: coin(),
            stalls: coin(),
            slow_watchers: coin(),
            gateways_die: coin(),
            flapping: coin(),
            collapses: coin(),
            lost_data: coin(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Something changes at the endpoints, or breaks.
    Mischief,
    /// A key's lease is over.
    Expires(Server),
    /// A stalled store, or a lost one, is well again.
    StoreIsWell,
    Filled,
    /// A gateway's way is whole again.
    Healed(u64),
    /// A gateway lists the keys.
    Lists(u64, u64),
    /// A gateway has something to do without being told.
    Due(u64),
}

/// One gateway, and its way to the store.
pub struct Follower {
    /// No two that ever were have the same.
    name: u64,
    pub believer: Believer,
    way: Duration,
    cut: bool,
    pacing: Pacing,
    /// The set that it knows; none after a failure.
    known: Option<Vec<Server>>,
    listed: Instant,
    /// Which of its listings is the next: one that was put off is not made.
    planned: u64,
    /// When that is, if it is planned.
    lists_at: Option<Instant>,
    /// How many writes of the store it has seen.
    pub seen: usize,
    pub began: Instant,
}

/// What is kept of a write: when, and what the store held from then on.
pub struct Write {
    pub at: Instant,
    pub set: Vec<Server>,
}

pub struct World {
    pub now: Instant,
    pub followers: Vec<Follower>,
    pub writes: Vec<Write>,
    pub random: Random,
    /// From a write until a gateway has it, for each write and gateway that was there.
    pub lags: Vec<Duration>,
    /// When what is broken now will have healed.
    pub healed: Instant,
    faults: Faults,
    belief: Belief,
    held: BTreeSet<Server>,
    /// Who has a process that would be registered if the store took keys.
    alive: BTreeSet<Server>,
    dying: BTreeSet<Server>,
    /// Who has ever left.
    left: BTreeSet<Server>,
    stalled: bool,
    lost: bool,
    agenda: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    sequence: u64,
    next_server: Server,
    next_name: u64,
    ends: Instant,
    every: Duration,
}

impl World {
    /// `gateways` and `endpoints`, and something that happens about `every` so long, until `lasts` has passed.
    pub fn new(
        seed: u64,
        gateways: usize,
        endpoints: usize,
        faults: Faults,
        every: Duration,
        lasts: Duration,
    ) -> World {
        let begins = Instant::ZERO + Duration::from_secs(1_000);
        let held: BTreeSet<Server> = (1..=endpoints as Server).collect();
        let mut world = World {
            now: begins,
            followers: Vec::new(),
            writes: Vec::new(),
            random: Random::new(seed),
            lags: Vec::new(),
            healed: begins,
            faults,
            belief: default_belief(),
            alive: held.clone(),
            held,
            dying: BTreeSet::new(),
            left: BTreeSet::new(),
            stalled: false,
            lost: false,
            agenda: BinaryHeap::new(),
            sequence: 0,
            next_server: endpoints as Server + 1,
            next_name: 0,
            ends: begins + lasts,
            every,
        };
        world.written();
        (0..gateways).for_each(|_| world.join());
        world.plan(Duration::from_secs(1), Event::Mischief);
        world
    }

    pub fn set(&self) -> Vec<Server> {
        self.held.iter().copied().collect()
    }

    /// Whether this endpoint has lived all the time: its key was gone only where the store had lost all.
    pub fn has_stayed(&self, server: Server) -> bool {
        self.alive.contains(&server) && !self.left.contains(&server)
    }

    /// Until so long from now; `look` sees the world behind each event.
    pub fn run_for(&mut self, duration: Duration, mut look: impl FnMut(&mut World)) {
        let until = self.now + duration;
        while let Some(&Reverse((at, _, _))) = self.agenda.peek()
            && at <= until
        {
            let Some(Reverse((at, _, event))) = self.agenda.pop() else { break };
            self.now = at;
            self.happens(event);
            look(self);
        }
        self.now = until;
    }

    fn plan(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.agenda.push(Reverse((self.now + after, self.sequence, event)));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Mischief => self.mischief(),
            Event::Expires(_) if self.stalled => self.plan(LEASE, event),
            Event::Expires(server) => {
                if self.dying.remove(&server) {
                    self.removed(&[server]);
                }
            }
            Event::StoreIsWell => {
                self.stalled = false;
                (0..self.followers.len()).for_each(|at| self.resumes(at));
                // Who could not be registered meanwhile is now.
                self.registered();
            }
            Event::Filled => {
                self.lost = false;
                self.registered();
            }
            Event::Healed(name) => {
                if let Some(at) = self.place(name) {
                    self.followers[at].cut = false;
                    self.resumes(at);
                }
            }
            Event::Lists(name, plan) => {
                if let Some(at) = self.place(name)
                    && self.followers[at].planned == plan
                {
                    self.followers[at].lists_at = None;
                    self.lists(at);
                }
            }
            Event::Due(name) => {
                if let Some(at) = self.place(name) {
                    self.followers[at].believer.on_time(self.now);
                    self.plan_due(at);
                }
            }
        }
    }

    fn place(&self, name: u64) -> Option<usize> {
        self.followers.iter().position(|follower| follower.name == name)
    }

    /// A gateway begins: it lists before anything else.
    fn join(&mut self) {
        let slow = self.faults.slow_watchers && self.random.chance(300);
        let most = if slow { SLOW_WAY_MAX } else { WAY_MAX };
        let way = self.random.duration(Duration::from_millis(1)..=most);
        let (name, now) = (self.next_name, self.now);
        self.next_name += 1;
        self.followers.push(Follower {
            name,
            believer: Believer::default(),
            way,
            cut: false,
            pacing: Pacing::default(),
            known: None,
            listed: Instant::ZERO,
            planned: 0,
            lists_at: None,
            seen: self.writes.len(),
            began: now,
        });
        let at = self.followers.len() - 1;
        // It is given nobody to serve before it knows a set, or has waited three seconds for one.
        if !self.stalled {
            let set = self.set();
            let Follower { believer, known, .. } = &mut self.followers[at];
            believer.told(&set, &self.belief, now);
            *known = Some(set);
        } else {
            self.list_after(at, Duration::ZERO);
        }
    }

    /// A listing so long from now, unless one is planned that is sooner.
    fn list_after(&mut self, at: usize, after: Duration) {
        let follower = &mut self.followers[at];
        let when = self.now + after;
        if follower.lists_at.is_some_and(|planned| planned <= when) {
            return;
        }
        follower.planned += 1;
        follower.lists_at = Some(when);
        let event = Event::Lists(follower.name, follower.planned);
        self.plan(after, event);
    }

    fn reaches(&self, at: usize) -> bool {
        !self.stalled && !self.followers[at].cut
    }

    fn lists(&mut self, at: usize) {
        let now = self.now;
        let set: Result<Vec<Server>, Trouble> = match self.reaches(at) {
            true => Ok(self.set()),
            false => Err(Trouble::new("it does not answer")),
        };
        let follower = &mut self.followers[at];
        let pause = follower.pacing.after(&set);
        follower.listed = now;
        match set {
            Ok(set) => {
                for write in &self.writes[follower.seen..] {
                    self.lags.push(now.since(write.at.max(follower.began)));
                }
                follower.seen = self.writes.len();
                if follower.known.as_ref() != Some(&set) {
                    follower.believer.told(&set, &self.belief, now);
                    follower.known = Some(set);
                }
            }
            Err(_) => {
                follower.believer.unknown();
                follower.known = None;
            }
        }
        self.plan_due(at);
        if let Some(pause) = pause {
            self.list_after(at, pause);
        }
    }

    fn plan_due(&mut self, at: usize) {
        let Follower { believer, name, .. } = &self.followers[at];
        let (due, name) = (believer.due(self.now), *name);
        if due != Instant::NEVER {
            self.plan(due.since(self.now), Event::Due(name));
        }
    }

    /// The store holds something else.
    fn written(&mut self) {
        self.writes.push(Write { at: self.now, set: self.set() });
        for at in 0..self.followers.len() {
            if self.reaches(at) && self.followers[at].known.is_some() {
                self.is_told(at);
            }
        }
    }

    /// Its watch tells it that something has changed.
    fn is_told(&mut self, at: usize) {
        let follower = &self.followers[at];
        let again = (follower.listed + STORE_LIST).since(self.now);
        let after = follower.way.max(again);
        self.list_after(at, after);
    }

    /// The store can be reached again. A watch that was not given up tells what it has missed.
    fn resumes(&mut self, at: usize) {
        if self.reaches(at) && self.followers[at].known.is_some() {
            self.is_told(at);
        }
    }

    /// It cannot be reached: that is found out after a while.
    fn silent(&mut self, at: usize, lasts: Duration) {
        let after = self.random.duration(Duration::from_millis(100)..=STORE_SILENCE);
        if after < lasts {
            self.list_after(at, after);
        }
    }

    fn removed(&mut self, servers: &[Server]) {
        self.left.extend(servers);
        if self.stalled || self.lost {
            // A key that cannot be taken out goes with its lease.
            for server in servers {
                self.dying.insert(*server);
                self.plan(LEASE, Event::Expires(*server));
            }
            return;
        }
        servers.iter().for_each(|server| _ = self.held.remove(server));
        self.written();
    }

    /// Who lives has its key in the store, as soon as the store takes it.
    fn registered(&mut self) {
        if !self.stalled && !self.lost && !self.held.is_superset(&self.alive) {
            self.held.extend(&self.alive);
            self.written();
        }
    }

    fn some_alive(&mut self, count: usize) -> Vec<Server> {
        let mut alive: Vec<Server> = self.alive.iter().copied().collect();
        (0..count.min(alive.len() - 1))
            .map(|_| alive.swap_remove(self.random.below(alive.len())))
            .collect()
    }

    fn mischief(&mut self) {
        let quiet = self.random.duration(self.every / 4..=self.every * 2);
        if self.now + quiet < self.ends {
            self.plan(quiet, Event::Mischief);
        }
        let faults = self.faults;
        let minute = Duration::from_secs(1)..=Duration::from_secs(60);
        let lasts = self.random.duration(minute);
        match self.random.below(10) {
            0 if faults.partitions => {
                self.healed = self.healed.max(self.now + lasts);
                for at in 0..self.followers.len() {
                    if self.random.chance(300) && !self.followers[at].cut {
                        self.followers[at].cut = true;
                        self.silent(at, lasts);
                        self.plan(lasts, Event::Healed(self.followers[at].name));
                    }
                }
            }
            1 if faults.stalls && !self.stalled => {
                self.healed = self.healed.max(self.now + lasts);
                self.stalled = true;
                (0..self.followers.len()).for_each(|at| self.silent(at, lasts));
                self.plan(lasts, Event::StoreIsWell);
            }
            2 if faults.gateways_die => {
                if self.followers.len() > 1 && self.random.chance(500) {
                    let at = self.random.below(self.followers.len());
                    self.followers.swap_remove(at);
                } else {
                    self.join();
                }
            }
            3 if faults.collapses => {
                let gone = self.some_alive(self.alive.len() * 8 / 10);
                gone.iter().for_each(|server| _ = self.alive.remove(server));
                self.removed(&gone);
            }
            4 if faults.lost_data && !self.stalled && !self.lost => {
                self.healed = self.healed.max(self.now + lasts);
                self.lost = true;
                self.held.clear();
                self.written();
                self.plan(lasts, Event::Filled);
            }
            5 if faults.flapping => {
                // Two of the oldest leave and come back, again and again.
                let flapping: Vec<Server> = [1, 2].into();
                for server in flapping {
                    match self.alive.remove(&server) {
                        true if self.alive.is_empty() => _ = self.alive.insert(server),
                        true => self.removed(&[server]),
                        false => {
                            self.alive.insert(server);
                            self.dying.remove(&server);
                            self.registered();
                        }
                    }
                }
            }
            6 => {
                // A host dies, and its key with its lease.
                let dead = self.some_alive(1);
                for server in dead {
                    self.alive.remove(&server);
                    self.dying.insert(server);
                    let left = self.random.duration(Duration::ZERO..=LEASE);
                    self.plan(left, Event::Expires(server));
                }
            }
            7 => {
                let leaves = self.some_alive(1);
                leaves.iter().for_each(|server| _ = self.alive.remove(server));
                self.removed(&leaves);
            }
            _ => {
                // Others come, in place of those who went, or to be more.
                for _ in 0..self.random.between(1..=3) {
                    self.alive.insert(self.next_server);
                    self.next_server += 1;
                }
                self.registered();
            }
        }
    }
}
