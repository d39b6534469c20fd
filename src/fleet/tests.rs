//! Shares in an invented fleet: a store in memory that answers late, forgets and is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::demand::{PeakDemand, RateDemand};
use super::divide::{divide, first_share};
use super::limit::{Amounts, LimitId, LimitKind, amounts_json, amounts_of};
use super::member::{FleetMember, FleetStep, HoldingsWrite, LocalLimits, Unless};
use super::view::{Asking, Era, FleetView, Holdings, era_json, era_of, holdings_json, holdings_of};
use crate::clock::Instant;

const TTL: u64 = 10;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn id(kind: LimitKind) -> LimitId {
    LimitId { key: "a".into(), kind }
}

#[test]
fn all_shares_together_are_the_limit_and_each_is_one_at_least() {
    for (limit, demands, shares) in [
        (600, vec![0], vec![600]),
        // Nobody asks: equal parts, and what does not divide goes to the first.
        (601, vec![0, 0, 0], vec![201, 200, 200]),
        // It fits: a quarter more than is asked for, and equal parts of the rest.
        (600, vec![100, 0, 0], vec![267, 167, 166]),
        // It does not: a floor of a 24th, and the rest by what is asked for beyond it.
        (600, vec![600, 600, 0], vec![288, 287, 25]),
        (600, vec![9_000, 100, 0], vec![472, 103, 25]),
        (3, vec![9, 0, 0], vec![1, 1, 1]),
        // Fewer than members: who asks for most.
        (2, vec![0, 5, 9], vec![0, 1, 1]),
        (0, vec![1, 1], vec![0, 0]),
        (1_000_000_000_000, vec![u64::MAX, u64::MAX], vec![500_000_000_000; 2]),
        (5, vec![], vec![]),
    ] {
        assert_eq!(divide(limit, &demands), shares, "{limit} among {demands:?}");
    }
    for limit in 0..200 {
        for demands in [[0, 0, 0, 0], [1, 2, 3, 400], [200, 200, 0, 0], [7, 7, 7, 7]] {
            let shares = divide(limit, &demands);
            assert_eq!(shares.iter().sum::<u64>(), limit, "{demands:?}: {shares:?}");
            assert!(limit < 4 || shares.iter().all(|share| *share > 0), "{limit}: {shares:?}");
        }
    }
    assert_eq!([0, 1, 7, 80].map(first_share), [0, 1, 1, 10]);
}

#[test]
fn demand_rises_and_fades_and_is_nothing_at_last() {
    let mut rate = RateDemand::default();
    assert_eq!(rate.observe(500, at(0)), 0, "what was before the first look is not of late");
    let seen: Vec<u64> =
        (1..=30).map(|second| rate.observe(500 + 10 * second, at(second))).collect();
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
    assert!(seen[4] > 300 && (590..=600).contains(&seen[29]), "{seen:?}");
    assert_eq!(rate.observe(900, at(30)), seen[29], "no time has passed");
    let faded: Vec<u64> = (31..=90).map(|second| rate.observe(800, at(second))).collect();
    assert!(faded[4] < 300 && *faded.last().expect("some") == 0, "{faded:?}");
    let mut peak = PeakDemand::default();
    assert_eq!([peak.observe(8, at(0)), peak.observe(2, at(1))], [8, 7]);
    assert_eq!([peak.observe(2, at(20)), peak.observe(0, at(60))], [2, 0]);
}

#[test]
fn what_is_written_is_read_and_what_others_write_is_no_more_than_it_says() {
    let amounts: Amounts =
        LimitKind::ALL.into_iter().zip([3, 0, 9]).map(|(kind, it)| (id(kind), it)).collect();
    assert_eq!(amounts_of(&amounts_json(&amounts)), amounts);
    let read = holdings_of(holdings_json(&amounts).as_bytes(), 7).expect("ours");
    assert_eq!(read, Holdings { amounts, revision: 7 });
    let era = era_of(era_json("e", true).as_bytes(), 3);
    assert_eq!(era, Some(Era { id: "e".into(), settled: true, revision: 3 }));
    for text in ["", "[]", "{\"shares\":3}", "{\"era\":\"e\"}"] {
        assert_eq!(
            (holdings_of(text.as_bytes(), 1), era_of(text.as_bytes(), 1)),
            (None, None),
            "{text}"
        );
    }
    // What may be anything may be all.
    let odd = holdings_of(br#"{"shares":{"a":{"tokens":-1,"new":5},"b":[1]}}"#, 1).expect("ours");
    assert_eq!(odd.amounts, [(id(LimitKind::Tokens), 1 << 40)].into());
    let huge = br#"{"shares":{"a":{"tokens":18446744073709551615}}}"#;
    let huge = holdings_of(huge, 1).expect("ours").amounts;
    assert!(huge.values().all(|amount| *amount <= 1 << 40), "sums of it have room: {huge:?}");
}

/// What a gateway would do with its shares.
#[derive(Default)]
struct Local {
    demand: BTreeMap<LimitId, u64>,
    share: BTreeMap<LimitId, u64>,
    /// Requests under way, of the concurrency.
    under_way: u64,
}

impl LocalLimits for Local {
    fn demand(&mut self, id: &LimitId) -> u64 {
        self.demand.get(id).copied().unwrap_or(0)
    }

    fn allow(&mut self, id: &LimitId, share: u64, _: Instant) -> u64 {
        self.share.insert(id.clone(), share);
        if id.kind == LimitKind::Concurrency { self.under_way } else { 0 }
    }

    fn grant(&mut self, id: &LimitId, share: u64, _: Instant) {
        self.share.insert(id.clone(), share);
    }
}

impl Local {
    /// Requests come and go, as many as may.
    fn play(&mut self, wanted: u64, ended: u64) {
        self.under_way = self.under_way.saturating_sub(ended);
        let most = self.share.get(&id(LimitKind::Concurrency)).copied().unwrap_or(0);
        self.under_way = self.under_way.max(wanted.min(most));
    }
}

/// A store, as linearizable as etcd.
#[derive(Default, Clone)]
struct Store {
    view: FleetView,
    leases: BTreeMap<String, u64>,
}

impl Store {
    /// Ends the leases that are over: those of whom are told.
    fn expire(&mut self, second: u64) -> Vec<String> {
        let dead: Vec<String> = self
            .leases
            .iter()
            .filter(|(_, end)| **end <= second)
            .map(|(who, _)| who.clone())
            .collect();
        for who in &dead {
            self.leases.remove(who);
            self.view.holdings.remove(who);
            self.view.asking.remove(who);
            self.view.revision += 1;
        }
        dead
    }

    fn set_era(&mut self, id: &str, settled: bool, unless: i64) {
        if self.view.era.as_ref().map_or(0, |era| era.revision) == unless {
            self.view.revision += 1;
            let revision = self.view.revision;
            self.view.era = Some(Era { id: id.into(), settled, revision });
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
        if good && self.leases.contains_key(who) {
            self.view.revision += 1;
            let revision = self.view.revision;
            let holdings = Holdings { amounts: write.amounts.clone(), revision };
            self.view.holdings.insert(who.into(), holdings);
        }
        good && self.leases.contains_key(who)
    }
}

struct Gateway {
    member: FleetMember,
    local: Local,
    /// It reaches the store.
    reaches: bool,
    /// It has no lease, and has not been at the store since it had one.
    cut_off: bool,
    /// What it has read, and has not acted upon yet.
    read: Option<FleetView>,
    /// A write whose answer got lost, and that may be carried out late.
    lost: Option<HoldingsWrite>,
}

fn gateway(name: &str, limits: &Amounts) -> Gateway {
    let mut member = FleetMember::new(name.into(), Duration::from_secs(TTL));
    member.follow(limits.clone());
    let share = limits.iter().map(|(id, limit)| (id.clone(), first_share(*limit))).collect();
    let local = Local { share, ..Local::default() };
    Gateway { member, local, reaches: true, cut_off: true, read: None, lost: None }
}

impl Gateway {
    /// One turn with the store; `loses`: the answer to a write does not come.
    fn turn(&mut self, store: &mut Store, second: u64, loses: bool) {
        let id = self.member.id().to_owned();
        store.leases.insert(id.clone(), second + TTL);
        let asking = Asking { demand: self.local.demand.clone(), draining: false };
        store.view.asking.insert(id.clone(), asking);
        for _ in 0..3 {
            let view = self.read.take().unwrap_or_else(|| store.view.clone());
            match self.member.round(&view, &mut self.local, at(second)) {
                FleetStep::Nothing => return,
                FleetStep::Begin(unless) => store.set_era(&format!("{id}{second}"), false, unless),
                FleetStep::Settle(era) => store.set_era(&era.id, true, era.revision),
                FleetStep::Write(write) if loses => {
                    self.lost = Some(write);
                    return;
                }
                FleetStep::Write(write) => {
                    if store.write(&id, &write) {
                        return self.member.committed(&mut self.local, at(second));
                    }
                    if let Some(less) = self.member.refused(&write, &view) {
                        let is_written = store.write(&id, &less);
                        self.member.decided(is_written);
                    }
                }
            }
        }
    }
}

/// Numbers of a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn limits() -> Amounts {
    let each =
        [(LimitKind::Requests, 600), (LimitKind::Tokens, 90_000), (LimitKind::Concurrency, 10)];
    each.into_iter().map(|(kind, limit)| (id(kind), limit)).collect()
}

/// What is in force or under way at these gateways together.
fn sum<'a>(gateways: impl Iterator<Item = &'a Gateway>, id: &LimitId) -> u64 {
    gateways
        .map(|gateway| match id.kind {
            LimitKind::Concurrency => gateway.local.share[id].max(gateway.local.under_way),
            _ => gateway.local.share[id],
        })
        .sum()
}

#[test]
fn no_interleaving_grants_more_than_the_limit_to_those_who_reach_the_store() {
    for seed in 60..120 {
        let (mut draw, limits) = (Draw(seed), limits());
        let cut_off = seed % 2 == 1;
        let mut store = Store::default();
        let mut fleet: Vec<Gateway> = Vec::new();
        for second in 0..150 {
            for dead in store.expire(second) {
                let its = |one: &&mut Gateway| one.member.id() == dead;
                let one = fleet.iter_mut().find(its).expect("one of them");
                (one.cut_off, one.read) = (true, None);
            }
            if fleet.len() < 5 && draw.below(10) == 0 {
                fleet.push(gateway(&format!("g{seed}-{second}"), &limits));
            }
            for gateway in &mut fleet {
                match draw.below(20) {
                    0 if cut_off => gateway.reaches = false,
                    1..=9 => gateway.reaches = true,
                    _ => {}
                }
                let busy = draw.below(3);
                gateway.local.demand =
                    limits.iter().map(|(id, limit)| (id.clone(), busy * limit / 2)).collect();
                let (wanted, ended) = (draw.below(12), draw.below(4));
                // It opens its doors when it has looked at the store once.
                let is_open = gateway.member.standing().members > 0;
                gateway.local.play(if is_open { wanted } else { 0 }, ended);
                if gateway.reaches && draw.below(4) == 0 {
                    // It acts upon what has changed meanwhile.
                    gateway.read = Some(store.view.clone());
                }
            }
            let turns = fleet.len() as u64;
            for _ in 0..turns {
                let place = draw.below(turns) as usize;
                if !fleet[place].reaches {
                    continue;
                }
                if let Some(late) = fleet[place].lost.take() {
                    let id = fleet[place].member.id().to_owned();
                    store.write(&id, &late);
                }
                let loses = draw.below(8) == 0;
                fleet[place].turn(&mut store, second, loses);
                fleet[place].cut_off &= loses;
                for (id, limit) in &limits {
                    let live = |one: &&Gateway| !one.cut_off;
                    let live = || fleet.iter().filter(live);
                    // What was begun while one was cut off goes on to its end.
                    let together = match cut_off {
                        true => live().map(|gateway| gateway.local.share[id]).sum(),
                        false => sum(live(), id),
                    };
                    assert!(together <= *limit, "seed {seed}, {second} s: {id}: {together}");
                    // Those who are cut off keep what they had, and others may have it too.
                    let each = fleet.iter().map(|one| sum([one].into_iter(), id));
                    assert!(each.max() <= Some(*limit), "seed {seed}, {second} s: {id}");
                }
            }
        }
    }
}

/// Everybody looks at the store once a second, for so many seconds.
fn run(store: &mut Store, fleet: &mut [Gateway], seconds: std::ops::Range<u64>) {
    for second in seconds {
        store.expire(second);
        for gateway in fleet.iter_mut().filter(|gateway| gateway.reaches) {
            gateway.turn(store, second, false);
        }
    }
}

fn shares(fleet: &[Gateway], kind: LimitKind) -> Vec<u64> {
    fleet.iter().map(|gateway| gateway.local.share[&id(kind)]).collect()
}

#[test]
fn shares_follow_demand_and_those_of_the_dead_come_back_after_their_lease() {
    let (limits, mut store) = (limits(), Store::default());
    let mut fleet: Vec<Gateway> = ["a", "b", "c"].map(|name| gateway(name, &limits)).into();
    run(&mut store, &mut fleet[..1], 0..5);
    assert_eq!(
        shares(&fleet[..1], LimitKind::Requests),
        [75],
        "the others may not have spoken yet"
    );
    run(&mut store, &mut fleet[..1], 5..15);
    assert_eq!(shares(&fleet[..1], LimitKind::Requests), [600], "alone");
    run(&mut store, &mut fleet, 15..20);
    assert_eq!(shares(&fleet, LimitKind::Requests), [200; 3]);
    assert_eq!(shares(&fleet, LimitKind::Concurrency), [4, 3, 3]);
    fleet[1].local.demand = limits.clone();
    run(&mut store, &mut fleet, 20..23);
    assert_eq!(shares(&fleet, LimitKind::Requests), [25, 550, 25]);
    // It is gone without a word.
    fleet[1].reaches = false;
    run(&mut store, &mut fleet, 23..31);
    assert_eq!(shares(&fleet, LimitKind::Requests), [25, 550, 25], "its lease lasts");
    run(&mut store, &mut fleet, 31..35);
    assert_eq!([0, 2].map(|place| fleet[place].local.share[&id(LimitKind::Requests)]), [300; 2]);
    // And was alive after all: it asks, and gets its part.
    fleet[1].reaches = true;
    run(&mut store, &mut fleet, 35..38);
    assert_eq!(shares(&fleet, LimitKind::Requests), [25, 550, 25]);
}

#[test]
fn what_is_under_way_is_held_until_it_ends() {
    let (limits, mut store) = (limits(), Store::default());
    let mut fleet: Vec<Gateway> = ["a", "b"].map(|name| gateway(name, &limits)).into();
    run(&mut store, &mut fleet[..1], 0..12);
    fleet[0].local.play(10, 0);
    fleet[1].local.demand = limits.clone();
    run(&mut store, &mut fleet, 12..20);
    assert_eq!(shares(&fleet, LimitKind::Concurrency), [1, 0], "ten are under way at the first");
    fleet[0].local.play(0, 6);
    run(&mut store, &mut fleet, 20..23);
    assert_eq!(shares(&fleet, LimitKind::Concurrency), [1, 6]);
    fleet[0].local.play(0, 4);
    run(&mut store, &mut fleet, 23..26);
    assert_eq!(shares(&fleet, LimitKind::Concurrency), [1, 9]);
}

#[test]
fn nobody_takes_all_because_an_empty_store_shows_nobody_else() {
    let (limits, mut store) = (limits(), Store::default());
    let mut fleet: Vec<Gateway> = ["a", "b"].map(|name| gateway(name, &limits)).into();
    run(&mut store, &mut fleet, 0..20);
    assert_eq!(shares(&fleet, LimitKind::Requests), [300; 2]);
    let copy = store.clone();
    for lost in [Store::default(), copy] {
        // It has lost everything, or is an older copy of itself.
        store.view.revision += 100;
        run(&mut store, &mut fleet, 20..21);
        store = lost;
        run(&mut store, &mut fleet[..1], 21..28);
        assert_eq!(shares(&fleet, LimitKind::Requests), [300; 2]);
        run(&mut store, &mut fleet, 28..40);
        assert_eq!(shares(&fleet, LimitKind::Requests), [300; 2]);
        let settled = store.view.era.as_ref().is_some_and(|era| era.settled);
        assert!(settled && fleet.iter().all(|one| !one.member.standing().settling));
    }
    // A third that comes in such a moment grants itself an eighth.
    store = Store::default();
    fleet.push(gateway("c", &limits));
    run(&mut store, &mut fleet[2..], 40..45);
    assert_eq!(shares(&fleet, LimitKind::Requests), [300, 300, 75]);
    run(&mut store, &mut fleet, 45..60);
    let all: BTreeSet<u64> = shares(&fleet, LimitKind::Requests).into_iter().collect();
    assert_eq!(all, [200].into());
}

#[test]
fn who_drains_gives_its_shares_away_at_once() {
    let (limits, mut store) = (limits(), Store::default());
    let mut fleet: Vec<Gateway> = ["a", "b"].map(|name| gateway(name, &limits)).into();
    run(&mut store, &mut fleet, 0..15);
    fleet[0].local.play(3, 0);
    fleet[0].member.drain();
    run(&mut store, &mut fleet, 15..17);
    // An open connection may bring one request more.
    assert_eq!(shares(&fleet, LimitKind::Requests)[0], 18);
    assert_eq!(store.view.holdings["a"].amounts[&id(LimitKind::Concurrency)], 3);
}
