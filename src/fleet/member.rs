//! One member: what it may use of each limit, and what it writes next.
//!
//! * What is in force here is never more than what the store says that we hold, as long as our lease lasts.
//!   A share sinks here first and in the store then; it rises in the store first and here then.
//! * Holdings rise by a transaction that fails if anybody has written holdings since they were read. So all
//!   holdings together never come to more than the limit.
//! * Holdings sink by a transaction that fails only if our own key is another than was read: an answer that
//!   got lost cannot be carried out late, over what was written since.
//! * After a write whose answer got lost nothing rises before another one has been answered: until then the
//!   lost one may still be carried out.
//! * Who cannot reach the store obeys what was in force. Its lease ends, and the others take over.
//! * A store that has lost what it held begins an *era*: those that were there say what they hold, and until
//!   a lease's time is over nobody takes more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::divide::{divide, first_share};
use super::limit::{Amounts, LimitId, LimitKind};
use super::view::{Era, FleetView, Holdings, MemberId, Revision};
use crate::clock::Instant;

/// A share is left as it is while it is off by less than this part of it, unless somebody lacks more.
const SMALL: u64 = 16;
/// Who drains keeps this part of a limit.
const LAST: u64 = 32;

/// The limits of this process, as the gate keeps them.
pub trait LocalLimits {
    /// How much is asked for of late: a minute, or at once.
    fn demand(&mut self, id: &LimitId) -> u64;
    /// So much may be used from `now` on. How many are under way at once all the same, of a concurrency; else 0.
    fn allow(&mut self, id: &LimitId, share: u64, now: Instant) -> u64;
    /// The same, and the store says that it is ours. What is granted first is a full bucket.
    fn grant(&mut self, id: &LimitId, share: u64, now: Instant);
}

/// What is to be written next, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetStep {
    Nothing,
    /// An era begins, if the key of the era is still of this revision (0: there is none). Then everything is
    /// read again.
    Begin(Revision),
    /// This era is settled, if its key is still the same. Then everything is read again.
    Settle(Era),
    Write(HoldingsWrite),
}

/// Holdings that are to be written, on the lease of the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldingsWrite {
    pub amounts: Amounts,
    pub unless: Unless,
}

/// What must not have happened meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unless {
    /// Any holdings were written after this revision, or the key of the era is not of that one.
    AnyWritten(Revision, Revision),
    /// Our own holdings are not of this revision (0: not there).
    OwnWritten(Revision),
}

/// A share that is in force here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InForce {
    share: u64,
    /// It was ours by the store. Else it is what a gateway grants itself that has never had a share.
    ours: bool,
}

/// How the shares of a member stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareStanding {
    /// What is in force here, of each limit.
    pub in_force: Amounts,
    /// Members that the limits are divided among.
    pub members: usize,
    /// An era has begun, and is not settled.
    pub settling: bool,
}

/// One member.
#[derive(Clone, Debug)]
pub struct FleetMember {
    id: MemberId,
    ttl: Duration,
    /// The limits that are shared, as our configuration has them.
    limits: Amounts,
    in_force: BTreeMap<LimitId, InForce>,
    /// The one that we know of, and since when.
    era: Option<(String, Instant)>,
    /// The store has gone back in this era, and another one has to begin.
    went_back: bool,
    /// The highest that the store has told: one below it is of a store that has gone back.
    revision: Revision,
    draining: bool,
    /// What is in force when the holdings that are under way have been written.
    next: Amounts,
    /// A write was asked for, and nobody has said yet what became of it.
    asked: bool,
    /// One before it has had no answer, and may be carried out until another one has been written: each
    /// fails that is not the next to change our key.
    lost: bool,
    standing: (usize, bool),
}

impl FleetMember {
    /// `ttl`: of the leases. Nobody of one fleet may have another.
    pub fn new(id: MemberId, ttl: Duration) -> FleetMember {
        FleetMember {
            id,
            ttl,
            limits: Amounts::new(),
            in_force: BTreeMap::new(),
            era: None,
            went_back: false,
            revision: 0,
            draining: false,
            next: Amounts::new(),
            asked: false,
            lost: false,
            standing: (0, false),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// These limits are shared from now on. One that is no longer is forgotten: it is not lowered here.
    pub fn follow(&mut self, limits: Amounts) {
        self.in_force.retain(|id, _| limits.contains_key(id));
        for (id, &limit) in &limits {
            let first = InForce { share: first_share(limit), ours: false };
            self.in_force.entry(id.clone()).or_insert(first);
        }
        self.limits = limits;
    }

    pub fn limits(&self) -> &Amounts {
        &self.limits
    }

    /// No new connections are taken: hardly a share is wanted any more.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn standing(&self) -> ShareStanding {
        let (members, settling) = self.standing;
        let in_force = self.in_force.iter().map(|(id, it)| (id.clone(), it.share)).collect();
        ShareStanding { in_force, members, settling }
    }

    /// The store does not answer. What is in force stays; what was never ours is what a gateway grants itself.
    pub fn cut_off(&self, local: &mut dyn LocalLimits, now: Instant) {
        for (id, in_force) in self.in_force.iter().filter(|(_, in_force)| !in_force.ours) {
            local.allow(id, in_force.share, now);
        }
    }

    /// This is what the store holds now. Shares that sink are in force when it returns.
    pub fn round(
        &mut self,
        view: &FleetView,
        local: &mut dyn LocalLimits,
        now: Instant,
    ) -> FleetStep {
        let known = self.era.as_ref().map(|(id, _)| id);
        let is_known = view.era.as_ref().is_some_and(|era| Some(&era.id) == known);
        self.went_back = is_known && (self.went_back || view.revision < self.revision);
        self.revision = view.revision;
        let era = match &view.era {
            Some(era) if !self.went_back => era,
            other => return FleetStep::Begin(other.as_ref().map_or(0, |era| era.revision)),
        };
        let since = match &self.era {
            Some((id, since)) if *id == era.id => *since,
            _ => self.era.insert((era.id.clone(), now)).1,
        };
        if !era.settled && now - since >= self.ttl {
            return FleetStep::Settle(era.clone());
        }
        let round = Round::of(self, view, era.settled, (local, now));
        self.standing = (round.members, !era.settled);
        let Round { next, amounts, rises, .. } = round;
        self.next = next;
        let own = view.holdings.get(&self.id);
        self.lost |= std::mem::take(&mut self.asked);
        let is_ours = own.is_some_and(|own| own.amounts == amounts);
        if is_ours && !self.lost {
            // It is ours already.
            self.committed(local, now);
            return FleetStep::Nothing;
        }
        let unless = match rises {
            true => Unless::AnyWritten(view.revision, era.revision),
            false => Unless::OwnWritten(own.map_or(0, |own| own.revision)),
        };
        self.asked = true;
        FleetStep::Write(HoldingsWrite { amounts, unless })
    }

    /// What [`FleetMember::round`] has asked for was written: shares that rise are in force when it returns. `now`
    /// is when the store has said so, not when it was asked: a share fills nothing before it is ours.
    pub fn committed(&mut self, local: &mut dyn LocalLimits, now: Instant) {
        (self.asked, self.lost) = (false, false);
        for (id, share) in std::mem::take(&mut self.next) {
            local.grant(&id, share, now);
            self.in_force.insert(id, InForce { share, ours: true });
        }
    }

    /// The store has refused what [`FleetMember::round`] has asked for: somebody else has written holdings
    /// meanwhile. What sinks can be written all the same, if there is anything, and what became of that is
    /// told by [`FleetMember::decided`]; what rises is for another round.
    pub fn refused(&mut self, write: &HoldingsWrite, view: &FleetView) -> Option<HoldingsWrite> {
        self.asked = false;
        self.next.clear();
        let own = view.holdings.get(&self.id)?;
        if let Unless::OwnWritten(_) = write.unless {
            return None;
        }
        let held = |id: &LimitId| own.amounts.get(id).copied().unwrap_or(0);
        let sunk = |(id, amount): (&LimitId, &u64)| (id.clone(), (*amount).min(held(id)));
        let amounts: Amounts = write.amounts.iter().map(sunk).collect();
        self.asked = amounts != own.amounts;
        let unless = Unless::OwnWritten(own.revision);
        self.asked.then_some(HoldingsWrite { amounts, unless })
    }

    /// The store has written what [`FleetMember::refused`] has asked for, or refused that too.
    pub fn decided(&mut self, is_written: bool) {
        self.asked = false;
        self.lost &= !is_written;
    }
}

/// What comes of one reading.
struct Round {
    /// What is to be in force.
    next: Amounts,
    /// What is to be held: that, or what is in use all the same.
    amounts: Amounts,
    /// More is held of something than the store says, and not because the store has lost it.
    rises: bool,
    members: usize,
}

impl Round {
    fn of(
        member: &mut FleetMember,
        view: &FleetView,
        settled: bool,
        (local, now): (&mut dyn LocalLimits, Instant),
    ) -> Round {
        let nothing = Holdings::default();
        let own = view.holdings.get(&member.id).unwrap_or(&nothing);
        let mut round =
            Round { next: Amounts::new(), amounts: Amounts::new(), rises: false, members: 1 };
        for (id, &limit) in &member.limits {
            let first = InForce { share: first_share(limit), ours: false };
            let InForce { share, ours } = member.in_force.get(id).copied().unwrap_or(first);
            let held = own.amounts.get(id).copied().unwrap_or(0);
            let free = limit.saturating_sub(view.held_by_others(&member.id, id));
            let parts = Parts::of(member, view, (id, limit), local.demand(id));
            round.members = round.members.max(parts.members);
            let target = if member.draining { last_share(limit).min(share) } else { parts.own };
            let next = match (settled, ours) {
                // Where more is held than there is, because of what is under way, nothing rises.
                (true, _) => {
                    settle_for(target, held, free, parts.someone_lacks).min(share.max(free))
                }
                // What was ours is ours, whatever the store has kept of it.
                (false, true) => share.min(target),
                (false, false) => share.min(target).min(free),
            };
            // As long as the store answers, what nobody has written is nobody's.
            let sunk = if ours { next.min(share) } else { 0 };
            let in_use = local.allow(id, sunk, now);
            if ours {
                member.in_force.insert(id.clone(), InForce { share: sunk, ours });
            }
            let amount = next.max(in_use);
            round.rises |= amount > held && (settled || !ours);
            round.amounts.insert(id.clone(), amount);
            round.next.insert(id.clone(), next);
        }
        round
    }
}

/// What a member that takes nothing new keeps: a connection that is open may bring one request more.
fn last_share(limit: u64) -> u64 {
    (limit / LAST).max(1)
}

/// What is to be ours, that should be `target`, of which we hold `held`, and others leave `free`.
fn settle_for(target: u64, held: u64, free: u64, someone_lacks: bool) -> u64 {
    let is_small = target.abs_diff(held) <= held / SMALL;
    if is_small && !someone_lacks && held <= free {
        held
    } else if target <= held {
        target
    } else {
        held.max(target.min(free))
    }
}

/// How a limit is to be divided.
struct Parts {
    own: u64,
    members: usize,
    /// Somebody has clearly less than what is to be theirs.
    someone_lacks: bool,
}

impl Parts {
    /// Among those that hold of it, if it were nothing, and are not on their way out.
    fn of(
        member: &FleetMember,
        view: &FleetView,
        (id, limit): (&LimitId, u64),
        demand: u64,
    ) -> Parts {
        let nothing = Default::default();
        let asking = |one: &str| view.asking.get(one).unwrap_or(&nothing);
        let holders =
            view.holdings.iter().filter(|(_, holdings)| holdings.amounts.contains_key(id));
        let others = holders.map(|(one, _)| one.as_str()).filter(|one| !asking(one).draining);
        let members: BTreeSet<&str> = others.chain([member.id.as_str()]).collect();
        let demand_of = |one: &str| match one == member.id {
            true => demand,
            false => asking(one).demand.get(id).copied().unwrap_or(0),
        };
        let demands: Vec<u64> = members.iter().map(|one| demand_of(one)).collect();
        let shares: BTreeMap<&str, u64> =
            members.iter().copied().zip(divide(limit, &demands)).collect();
        let held = |one: &str| {
            view.holdings.get(one).and_then(|it| it.amounts.get(id)).copied().unwrap_or(0)
        };
        let lacks =
            |(one, share): (&&str, &u64)| *share > held(one).saturating_add(held(one) / SMALL);
        Parts {
            own: shares.get(member.id.as_str()).copied().unwrap_or(0),
            members: shares.len(),
            someone_lacks: shares.iter().any(lacks),
        }
    }
}

/// Every limit of one key, as far as it has them.
pub fn limits_of(
    key: &str,
    requests: Option<u64>,
    tokens: Option<u64>,
    concurrency: Option<u64>,
) -> impl Iterator<Item = (LimitId, u64)> {
    let kinds = LimitKind::ALL.into_iter().zip([requests, tokens, concurrency]);
    let key = key.to_owned();
    kinds.filter_map(move |(kind, limit)| Some((LimitId { key: key.clone(), kind }, limit?)))
}
