//! Limits that a fleet shares: what all gateways together let in, and how much of a limit is used.
//!
//! Shares are divided by `fleet::member`, kept and asked for by `control::fleet::limits`, which measures demand
//! too, and requests are let in by `gate::share`: production code. The store, the ways to it and the clients are
//! simulated, in steps of a tenth of a second.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::{Across, ApiKey, Gate, KeySettings};
use sluicegate::control::fleet::limits::GateLimits;
use sluicegate::fleet::divide::first_share;
use sluicegate::fleet::member::{FleetMember, FleetStep, HoldingsWrite, Unless};
use sluicegate::fleet::view::{Asking, Era, FleetView, Holdings};
use sluicegate::gate::key::KeyDigest;
use sluicegate::gate::table::KeyTable;
use sluicegate::sim::Random;

use super::for_seeds;

const STEP: Duration = Duration::from_millis(100);
const LEASE: Duration = Duration::from_secs(10);
/// Requests a minute.
const LIMIT: u64 = 1_200;
/// Of each claim; `FLEET_SEEDS` asks for more.
const SEEDS: u64 = 24;
const BEGINS: Instant = Instant::from_nanos(1_000_000_000_000);

/// The gate of one gateway, with one key.
struct Local {
    limits: GateLimits,
    key: Arc<ApiKey>,
    let_in: u64,
}

impl Local {
    /// And the member that shares its limit.
    fn new(id: String) -> (Local, FleetMember) {
        let key = KeySettings {
            across: Across::Fleet,
            requests_per_minute: Some(LIMIT),
            ..KeySettings::unlimited("team", KeyDigest([0; 32]))
        };
        let gate = Gate { keys: KeyTable::new([key]), ..Gate::default() };
        let (mut limits, mut member) = (GateLimits::default(), FleetMember::new(id, LEASE));
        member.follow(limits.follow(&gate));
        (Local { limits, key: Arc::clone(&gate.keys.keys()[0]), let_in: 0 }, member)
    }

    fn asks(&mut self, now: Instant) {
        let rate = self.key.requests().expect("its limit");
        self.let_in += u64::from(rate.take(1, now).is_ok());
    }

    /// What is in force here.
    fn share(&self) -> u64 {
        self.key.requests().map_or(0, |rate| rate.own())
    }
}

struct Gateway {
    member: FleetMember,
    local: Local,
    /// When it comes to the store next.
    turn: Instant,
    /// Until then it does not reach the store: since which cut.
    cut: Option<(Instant, usize)>,
    /// Its lease has ended, and it has not been at the store since: it obeys what it had.
    orphan: bool,
    /// It has never been at the store.
    newborn: bool,
    /// The store has given it a share: a full bucket, the first time.
    granted: bool,
}

/// A store, as linearizable as etcd.
#[derive(Default)]
struct Store {
    /// Who has read it keeps what it has read.
    view: Rc<FleetView>,
    leases: BTreeMap<String, Instant>,
    stalled_until: Option<Instant>,
    eras: u64,
}

impl Store {
    fn set_era(&mut self, id: &str, settled: bool, unless: i64) {
        if self.view.era.as_ref().map_or(0, |era| era.revision) == unless {
            let view = Rc::make_mut(&mut self.view);
            view.revision += 1;
            let revision = view.revision;
            view.era = Some(Era { id: id.into(), settled, revision });
        }
    }

    fn write(&mut self, who: &str, write: &HoldingsWrite) -> bool {
        let own = self.view.holdings.get(who).map_or(0, |own| own.revision);
        let good = match write.unless {
            Unless::OwnWritten(revision) => own == revision,
            Unless::AnyWritten(revision, era) => {
                self.view.era.as_ref().is_some_and(|it| it.revision == era)
                    && self.view.holdings.values().all(|it| it.revision <= revision)
            }
        };
        if good {
            let view = Rc::make_mut(&mut self.view);
            view.revision += 1;
            let revision = view.revision;
            let holdings = Holdings { amounts: write.amounts.clone(), revision };
            view.holdings.insert(who.into(), holdings);
        }
        good
    }

    /// Whose leases have ended.
    fn expired(&mut self, now: Instant) -> Vec<String> {
        let ended = self.leases.iter().filter(|(_, end)| **end <= now);
        let ended: Vec<String> = ended.map(|(who, _)| who.clone()).collect();
        for who in &ended {
            self.leases.remove(who);
            let view = Rc::make_mut(&mut self.view);
            view.holdings.remove(who);
            view.asking.remove(who);
            view.revision += 1;
        }
        ended
    }
}

/// What may happen, each about so many times in ten minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    cuts: u32,
    stalls: u32,
    crashes: u32,
    births: u32,
    lost_data: u32,
    /// Of a thousand writes, so many have no answer.
    lost_answers: u32,
}

struct World {
    now: Instant,
    random: Random,
    store: Store,
    /// What stood in the store before anybody wrote in this step.
    read: Rc<FleetView>,
    fleet: Vec<Gateway>,
    faults: Faults,
    cuts: usize,
    born: u64,
    /// Of gateways that are gone.
    let_in: u64,
    /// Full buckets that were given to gateways when they began.
    beginnings: u64,
    /// Requests a second at each gateway, by its place.
    rates: Vec<f64>,
    due: Vec<f64>,
    /// The most that was in force together, and that those together who reach the store have had.
    most: u64,
    one_bucket: OneBucket,
}

/// What one gateway would let in, with this limit: the claim is that all together let in no more in any time.
#[derive(Default)]
struct OneBucket {
    /// What is left of the minute.
    left: f64,
    /// First shares of gateways that have begun, as far as they are not used up.
    beginnings: f64,
    let_in: u64,
}

impl OneBucket {
    /// A step has passed, in which so many gateways have begun with so much, and so much was let in by now.
    fn step(&mut self, beginnings: u64, let_in: u64) {
        let more = LIMIT as f64 / 60.0 * STEP.as_secs_f64();
        self.left = (self.left + more).min(LIMIT as f64);
        self.beginnings += beginnings as f64;
        let mut taken = (let_in - self.let_in) as f64;
        self.let_in = let_in;
        for store in [&mut self.left, &mut self.beginnings] {
            let part = taken.min(*store);
            *store -= part;
            taken -= part;
        }
        // Each bucket counts in whole requests, and in steps of its own.
        self.left -= taken;
    }
}

impl World {
    fn new(seed: u64, gateways: usize, faults: Faults) -> World {
        let mut world = World {
            now: BEGINS,
            random: Random::new(seed),
            store: Store::default(),
            read: Rc::default(),
            fleet: Vec::new(),
            faults,
            cuts: 0,
            born: 0,
            let_in: 0,
            beginnings: 0,
            rates: Vec::new(),
            due: vec![0.0; 64],
            most: 0,
            one_bucket: OneBucket::default(),
        };
        (0..gateways).for_each(|_| world.is_born());
        world.one_bucket.beginnings = (world.born * first_share(LIMIT)) as f64;
        world
    }

    fn is_born(&mut self) {
        self.born += 1;
        let id = format!("gate-{}", self.born);
        let (local, member) = Local::new(id);
        let turn = self.now + self.random.duration(Duration::ZERO..=Duration::from_secs(1));
        self.fleet.push(Gateway {
            member,
            local,
            turn,
            cut: None,
            orphan: false,
            newborn: true,
            granted: false,
        });
    }

    /// One turn with the store, as the driver of a member makes it.
    fn turn(&mut self, at: usize) {
        let now = self.now;
        let loses = self.random.chance(self.faults.lost_answers);
        // Others write between what it reads and what it writes.
        let mut late = self.random.chance(300).then(|| Rc::clone(&self.read));
        let gateway = &mut self.fleet[at];
        gateway.turn = now + Duration::from_secs(1);
        gateway.local.limits.observe(gateway.member.limits(), now);
        let reaches = gateway.cut.is_none() && self.store.stalled_until.is_none();
        if !reaches {
            gateway.member.cut_off(&mut gateway.local.limits, now);
            return;
        }
        let id = gateway.member.id().to_owned();
        self.store.leases.insert(id.clone(), now + LEASE);
        let asking = Asking { demand: gateway.local.limits.demands().clone(), draining: false };
        Rc::make_mut(&mut self.store.view).asking.insert(id.clone(), asking);
        for _ in 0..3 {
            let view = late.take().unwrap_or_else(|| Rc::clone(&self.store.view));
            match gateway.member.round(&view, &mut gateway.local.limits, now) {
                FleetStep::Nothing => break,
                FleetStep::Begin(unless) => {
                    self.store.eras += 1;
                    let era = format!("era-{}", self.store.eras);
                    self.store.set_era(&era, false, unless);
                }
                FleetStep::Settle(era) => self.store.set_era(&era.id, true, era.revision),
                FleetStep::Write(write) => {
                    let written = self.store.write(&id, &write);
                    if loses {
                        // It is carried out, or not, and nobody hears.
                        break;
                    }
                    if written {
                        gateway.member.committed(&mut gateway.local.limits, now);
                        if !std::mem::replace(&mut gateway.granted, true) {
                            self.beginnings += gateway.local.share();
                        }
                        break;
                    }
                    if let Some(less) = gateway.member.refused(&write, &view) {
                        let is_written = self.store.write(&id, &less);
                        gateway.member.decided(is_written);
                    }
                }
            }
        }
        (gateway.orphan, gateway.newborn) = (false, false);
    }

    fn strikes(&mut self, times: u32) -> bool {
        // Once in so many steps of ten minutes.
        times > 0 && self.random.below(6_000 / times as usize) == 0
    }

    fn mischief(&mut self) {
        let faults = self.faults;
        let lasts = self.random.duration(Duration::from_secs(2)..=Duration::from_secs(60));
        if self.strikes(faults.cuts) {
            self.cuts += 1;
            for gateway in &mut self.fleet {
                if gateway.cut.is_none() && self.random.chance(400) {
                    gateway.cut = Some((self.now + lasts, self.cuts));
                }
            }
        }
        if self.strikes(faults.stalls) && self.store.stalled_until.is_none() {
            self.store.stalled_until = Some(self.now + lasts);
        }
        if self.strikes(faults.crashes) && self.fleet.len() > 1 {
            let at = self.random.below(self.fleet.len());
            self.let_in += self.fleet.swap_remove(at).local.let_in;
        }
        if self.strikes(faults.births) && self.fleet.len() < 64 {
            self.is_born();
        }
        if self.strikes(faults.lost_data) && self.store.stalled_until.is_none() {
            let revision = self.store.view.revision;
            let empty = FleetView { revision: revision / 2, ..FleetView::default() };
            self.store.view = Rc::new(empty);
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let (now, begun, born) = (self.now, self.beginnings, self.born);
        self.mischief();
        if self.store.stalled_until.is_some_and(|until| until <= now) {
            self.store.stalled_until = None;
            // A leader that has come back gives each lease its time anew.
            self.store.leases.values_mut().for_each(|end| *end = now + LEASE);
        }
        if self.store.stalled_until.is_none() {
            for who in self.store.expired(now) {
                let its = |one: &&mut Gateway| one.member.id() == who;
                self.fleet.iter_mut().find(its).into_iter().for_each(|one| one.orphan = true);
            }
        }
        self.read = Rc::clone(&self.store.view);
        for at in 0..self.fleet.len() {
            if self.fleet[at].cut.is_some_and(|(until, _)| until <= now) {
                self.fleet[at].cut = None;
            }
            if self.fleet[at].turn <= now {
                self.turn(at);
            }
            self.due[at] += self.rates.get(at).copied().unwrap_or(0.0) * STEP.as_secs_f64();
            while self.due[at] >= 1.0 {
                self.due[at] -= 1.0;
                self.fleet[at].local.asks(now);
            }
        }
        self.check();
        // One that has no share yet grants itself one, and has it anew when that is granted.
        let begun = self.beginnings - begun + (self.born - born) * first_share(LIMIT);
        let let_in = self.all_let_in();
        self.one_bucket.step(begun, let_in);
        if self.cuts == 0 {
            let left = self.one_bucket.left;
            assert!(left >= -(self.fleet.len() as f64), "one bucket would have {left} left");
        }
    }

    /// All shares in force come to the limit, and what those hold besides who were cut off for longer than
    /// their lease: those of one cut have never had more than the limit together.
    fn check(&mut self) {
        let share = |one: &Gateway| one.local.share();
        let bound = self.fleet.iter().filter(|one| !one.orphan && !one.newborn).map(share);
        let bound: u64 = bound.sum();
        assert!(bound <= LIMIT, "{bound} in force at those who hold a lease");
        let mut cuts: BTreeMap<usize, u64> = BTreeMap::new();
        for gateway in self.fleet.iter().filter(|one| one.orphan && !one.newborn) {
            let cut = gateway.cut.map_or(0, |(_, cut)| cut);
            *cuts.entry(cut).or_default() += share(gateway);
        }
        assert!(cuts.values().all(|sum| *sum <= LIMIT), "{cuts:?}");
        let newborn = self.fleet.iter().filter(|one| one.newborn);
        assert!(newborn.clone().all(|one| share(one) <= first_share(LIMIT)));
        let all: u64 = self.fleet.iter().map(share).sum();
        self.most = self.most.max(all);
    }

    fn all_let_in(&self) -> u64 {
        self.let_in + self.fleet.iter().map(|one| one.local.let_in).sum::<u64>()
    }

    /// `rates` from now on, in requests a second at each gateway.
    fn run(&mut self, seconds: u64, rates: Vec<f64>) -> u64 {
        let before = self.all_let_in();
        self.rates = rates;
        let until = self.now + Duration::from_secs(seconds);
        while self.now < until {
            self.step();
        }
        self.all_let_in() - before
    }
}

/// Demand of `all` a second, of which the gateway at `at` has this part, and the others the rest.
fn skewed(all: f64, at: usize, part: f64, gateways: usize) -> Vec<f64> {
    let rest = all * (1.0 - part) / (gateways.max(2) - 1) as f64;
    (0..gateways).map(|one| if one == at { all * part } else { rest }).collect()
}

fn gateways(random: &mut Random) -> usize {
    let most = if random.chance(30) { 62 } else { 12 };
    2 + random.length(most)
}

const PER_SECOND: f64 = LIMIT as f64 / 60.0;

/// Ten minutes of demand that is three times the limit and moves around among the gateways.
fn ten_minutes(world: &mut World) -> u64 {
    let mut let_in = 0;
    for _ in 0..30 {
        let at = world.random.below(world.fleet.len().max(1));
        let part = 0.5 + world.random.below(50) as f64 / 100.0;
        let_in += world.run(20, skewed(3.0 * PER_SECOND, at, part, 64));
    }
    let_in
}

/// Load that comes and goes, and comes elsewhere: what is spare is handed to who asks for nothing, and has
/// to be worth no more for it than what time has filled.
#[test]
fn shares_that_move_let_in_no_more_than_one_bucket_would_in_any_time() {
    let least = std::cell::Cell::new(f64::MAX);
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x77);
        let count = 2 + random.below(4);
        let mut world = World::new(seed, count, Faults::default());
        world.run(90, vec![0.0; count]);
        world.one_bucket.beginnings = 0.0;
        let mut at = 0;
        for _ in 0..20 {
            // All of it at one gateway, a pause in which the others are given its share, and all at another one.
            let load = 20 + world.random.below(30) as u64;
            world.run(load, skewed(6.0 * PER_SECOND, at, 1.0, count));
            least.set(least.get().min(world.one_bucket.left));
            let pause = 3 + world.random.below(12) as u64;
            world.run(pause, vec![0.0; count]);
            at = (at + 1 + world.random.below(count - 1)) % count;
        }
    });
    println!("one bucket would have {:.0} left, at least", least.get());
}

#[test]
fn without_cuts_the_fleet_lets_in_no_more_than_the_limit_whatever_else_breaks() {
    let worst = std::cell::Cell::new(0.0f64);
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x11);
        let mut some = |most: usize| random.below(most + 1) as u32;
        let faults = Faults {
            cuts: 0,
            stalls: some(3),
            crashes: some(3),
            births: some(5),
            lost_data: some(2),
            lost_answers: 50 * some(3),
        };
        let mut world = World::new(seed, gateways(&mut random), faults);
        let let_in = ten_minutes(&mut world);
        // The rate, and a full bucket for each gateway that has begun: of all that were there at first, one.
        let most = 10 * LIMIT + world.beginnings;
        worst.set(worst.get().max(let_in as f64 / most as f64));
        assert!(let_in <= most, "{let_in} of {most}, with {faults:?}");
    });
    println!("let in, at most {:.3} of what may be", worst.get());
}

#[test]
fn each_cut_that_outlasts_a_lease_adds_the_limit_once_more_at_most() {
    let worst = std::cell::Cell::new(0);
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x22);
        let faults =
            Faults { cuts: 1 + random.below(6) as u32, births: 3, crashes: 2, ..Faults::default() };
        let mut world = World::new(seed, gateways(&mut random), faults);
        // `check` holds the sum of what is in force to it, at each step.
        ten_minutes(&mut world);
        worst.set(worst.get().max(world.most));
        assert!(world.most <= LIMIT * (1 + world.cuts as u64), "{}", world.most);
    });
    println!("in force together, at most {:.2} of the limit", worst.get() as f64 / LIMIT as f64);
}

#[test]
fn skewed_demand_gets_most_of_the_limit_and_demand_that_fits_is_let_in() {
    let (least, fits) = (std::cell::Cell::new(1.0f64), std::cell::Cell::new(1.0f64));
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x33);
        let count = gateways(&mut random);
        let mut world = World::new(seed, count, Faults::default());
        let at = random.below(count);
        let part = 0.5 + random.below(51) as f64 / 100.0;
        // The bucket that all begin with is used up, and shares have found their places.
        world.run(90, skewed(3.0 * PER_SECOND, at, part, count));
        let let_in = world.run(120, skewed(3.0 * PER_SECOND, at, part, count));
        let used = let_in as f64 / (2.0 * LIMIT as f64);
        assert!(used >= 0.85, "{used:.2} of the limit among {count}, {part} at one");
        least.set(least.get().min(used));
        // It moves to another gateway, and is small enough: after half a minute all is let in.
        let there = (at + 1) % count;
        world.run(30, skewed(0.7 * PER_SECOND, there, part, count));
        let let_in = world.run(120, skewed(0.7 * PER_SECOND, there, part, count));
        let used = let_in as f64 / (0.7 * 2.0 * LIMIT as f64);
        assert!(used >= 0.97, "{used:.2} of a demand that fits");
        fits.set(fits.get().min(used));
    });
    println!(
        "used: {:.3} of a limit that is asked for three times, {:.3} of a demand that fits",
        least.get(),
        fits.get()
    );
}
