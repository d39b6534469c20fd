//! Subjects: what those have used who come by tokens, counted by all workers in one table.
//!
//! A subject is an issuer and the name that it gives. However many tokens it has, and whichever worker sees
//! them, its limits are one; they go on over reloads, as those of a key do.
//!
//! * Only a subject with a limit is in the table.
//! * One is forgotten only when that gives it nothing: no token of it is remembered by a worker, no request
//!   of it is under way, its rates are back to the full, and nothing of its budgets is spent in a day or
//!   month that lasts. So nobody gets a limit anew by having others come, or by coming with many names.
//! * A table that is full of subjects that cannot be forgotten takes no other: whoever is not counted would
//!   have no limit.
//! * It is asked in the heavy lane, once for each token and worker, under a lock for one of 64 parts, which
//!   is held for a look-up; for one pass of that part when it is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gate::GateTime;
use crate::gate::budget::Period;
use crate::gate::key::{KeySettings, KeyUse};

/// Subjects with limits that are counted at once. Each is some two hundred bytes.
pub const SUBJECTS_MAX: usize = 128 << 10;
const PARTS: usize = 64;

/// Who has come by a token: the issuer and the name that it gives, to the letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectId {
    pub issuer: String,
    pub name: String,
}

/// What all subjects have used.
pub struct Subjects {
    parts: Box<[Mutex<Part>]>,
    hashes: RandomState,
    most: usize,
}

type Part = HashMap<SubjectId, Subject>;

struct Subject {
    used: Arc<KeyUse>,
    /// One of its tokens had a budget.
    has_budget: bool,
}

/// What a subject has spent of its budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectSpent {
    pub id: SubjectId,
    /// Tokens and cost of a day and of a month.
    pub spent: [(u64, u64); 2],
}

impl std::fmt::Debug for Subjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subjects")
    }
}

impl Default for Subjects {
    fn default() -> Subjects {
        Subjects::of(SUBJECTS_MAX)
    }
}

impl Subjects {
    /// A table for about so many.
    fn of(most: usize) -> Subjects {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Subjects { parts, hashes: RandomState::new(), most: most.div_ceil(PARTS) }
    }

    /// What a subject with these limits has used. `None`: there are too many that must not be forgotten.
    pub(in crate::gate) fn used_by(
        &self,
        id: &SubjectId,
        settings: &KeySettings,
        at: GateTime,
    ) -> Option<Arc<KeyUse>> {
        if !settings.has_limits() {
            return Some(Arc::default());
        }
        let mut part = self.part(id);
        if let Some(subject) = part.get_mut(id) {
            subject.has_budget |= settings.has_budget();
            return Some(Arc::clone(&subject.used));
        }
        if part.len() >= self.most {
            part.retain(|_, subject| {
                Arc::strong_count(&subject.used) > 1
                    || !subject.used.says_nothing(subject.has_budget, at)
            });
        }
        if part.len() >= self.most {
            return None;
        }
        let subject = Subject { used: Arc::default(), has_budget: settings.has_budget() };
        let used = Arc::clone(&subject.used);
        part.insert(id.clone(), subject);
        Some(used)
    }

    /// What all have spent of their budgets in the periods that this second lies in, in order.
    pub fn spent(&self, unix: u64) -> Vec<SubjectSpent> {
        let mut all = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, subject) in part.iter().filter(|(_, subject)| subject.has_budget) {
                let spent = [Period::Day, Period::Month].map(|it| subject.used.spent(it, unix));
                if spent != [(0, 0); 2] {
                    all.push(SubjectSpent { id: id.clone(), spent });
                }
            }
        }
        all.sort_by(|a, b| (&a.id.issuer, &a.id.name).cmp(&(&b.id.issuer, &b.id.name)));
        all
    }

    /// A subject has spent so much of a period, as is known from before a restart.
    pub fn restore(&self, id: SubjectId, period: Period, number: u64, tokens: u64, cost: u64) {
        let mut part = self.part(&id);
        if part.len() < self.most {
            let subject = Subject { used: Arc::default(), has_budget: true };
            let subject = part.entry(id).or_insert(subject);
            subject.used.spend(period, number, tokens, cost);
        }
    }

    fn part(&self, id: &SubjectId) -> MutexGuard<'_, Part> {
        let part = (self.hashes.hash_one(id) % PARTS as u64) as usize;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::gate::key::KeyDigest;

    const NOON: u64 = 1_796_126_400;

    fn at(seconds: u64) -> GateTime {
        GateTime { now: Instant::from_nanos(seconds * 1_000_000_000), unix: NOON + seconds }
    }

    fn id(name: u32) -> SubjectId {
        SubjectId { issuer: "corp".into(), name: name.to_string() }
    }

    fn limited() -> KeySettings {
        let settings = KeySettings::unlimited("a", KeyDigest([0; 32]));
        KeySettings { requests_per_minute: Some(6), ..settings }
    }

    #[test]
    fn what_a_subject_has_used_is_one_for_all() {
        let subjects = Subjects::default();
        let used = |name| subjects.used_by(&id(name), &limited(), at(0)).expect("there is room");
        assert!(Arc::ptr_eq(&used(1), &used(1)));
        assert!(!Arc::ptr_eq(&used(1), &used(2)));
        let other = SubjectId { issuer: "other".into(), name: "1".into() };
        let other = subjects.used_by(&other, &limited(), at(0)).expect("there is room");
        assert!(!Arc::ptr_eq(&used(1), &other));
    }

    #[test]
    fn who_has_no_limit_takes_no_place() {
        let subjects = Subjects::of(PARTS);
        let free = KeySettings::unlimited("a", KeyDigest([0; 32]));
        assert!((0..10_000).all(|name| subjects.used_by(&id(name), &free, at(0)).is_some()));
        assert!(subjects.used_by(&id(1), &limited(), at(0)).is_some());
    }

    #[test]
    fn nobody_gets_a_limit_anew_by_the_coming_of_others() {
        let subjects = Subjects::of(PARTS * 4);
        let taken = subjects.used_by(&id(0), &limited(), at(0)).expect("there is room");
        taken.requests.take(6, 6, at(0).now).expect("the minute is whole");
        drop(taken);
        // Many more than there is room for, each of whom has used something.
        let mut refused = 0;
        for name in 1..5_000 {
            match subjects.used_by(&id(name), &limited(), at(0)) {
                Some(used) => used.requests.take(6, 1, at(0).now).expect("the minute is whole"),
                None => refused += 1,
            }
        }
        assert!(refused > 4_000, "{refused}");
        let again = subjects.used_by(&id(0), &limited(), at(0)).expect("it is known");
        assert!(again.requests.take(6, 1, at(0).now).is_err());
        drop(again);
        // A minute later none of them says anything.
        assert!(
            (5_000..5_040).all(|name| subjects.used_by(&id(name), &limited(), at(61)).is_some())
        );
    }

    #[test]
    fn a_budget_keeps_its_subject_until_the_month_is_over() {
        let subjects = Subjects::of(PARTS);
        let budget = KeySettings { tokens_per_day: Some(9), ..limited() };
        let find = |name, seconds| subjects.used_by(&id(name), &budget, at(seconds));
        let mut kept = Vec::new();
        for name in 0..5_000 {
            let Some(used) = find(name, 0) else { continue };
            for period in [Period::Day, Period::Month] {
                used.spend(period, period.number(NOON), 5, 0);
            }
            kept.push(name);
        }
        let others =
            |seconds| (10_000..10_200).filter(|name| find(*name, seconds).is_some()).count();
        assert_eq!(others(86_400), 0);
        assert!(find(kept[0], 86_400).is_some());
        assert_eq!(subjects.spent(NOON).len(), kept.len());
        assert!(others(31 * 86_400) > 0);
    }

    #[test]
    fn what_was_spent_comes_back_after_a_restart() {
        let subjects = Subjects::default();
        let number = Period::Month.number(NOON);
        subjects.restore(id(1), Period::Month, number, 7, 8);
        assert_eq!(subjects.spent(NOON), [SubjectSpent { id: id(1), spent: [(0, 0), (7, 8)] }]);
        let budget = KeySettings { tokens_per_month: Some(9), ..limited() };
        let used = subjects.used_by(&id(1), &budget, at(0)).expect("there is room");
        assert_eq!(used.spent(Period::Month, NOON), (7, 8));
    }
}
