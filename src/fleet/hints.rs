//! Hints: endpoints that other members call broken, and what is made of it.
//!
//! A member says with its report which endpoints its breakers keep requests from, or its checks call unwell. Who
//! reads that looks for itself, sooner than it would: nothing goes out of service because somebody else says so.
//!
//! | what is said | is heard |
//! |---|---|
//! | by one member in eight, at least one, of four and more others at least two | yes, once until it is no longer said, and not again within [`AGAIN`] |
//! | by a member that calls more than half of an upstream broken | no: who sees nearly all fail is more likely blind |
//! | of an endpoint that is not known here | no |
//! | by a member whose lease has ended | no: its report has gone with it |
//!
//! So a member that is cut off from the endpoints, or that lies, costs others a check or a request that they would
//! have sent anyhow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Instant;

/// What is said of an endpoint is heard again after so long, at the soonest.
pub const AGAIN: Duration = Duration::from_secs(60);
/// A member names so many endpoints at most: its report is read by all.
pub const NAMED_MAX: usize = 64;
/// A member in so many has to say it.
const QUORUM: usize = 8;
/// A name of another member is cut here.
const TEXT_MAX: usize = 300;

/// An endpoint, as every gateway of one configuration calls it: its upstream, and what it is called in logs.
pub type EndpointName = (String, String);

/// The endpoints that a member calls broken.
pub type BrokenEndpoints = BTreeSet<EndpointName>;

/// `{"llama": ["10.0.0.1:8000"]}`
pub fn broken_json(broken: &BrokenEndpoints) -> Value {
    let mut upstreams: Map<String, Value> = Map::new();
    for (upstream, endpoint) in broken.iter().take(NAMED_MAX) {
        let row = upstreams.entry(upstream.clone()).or_insert_with(|| json!([]));
        row.as_array_mut().into_iter().for_each(|row| row.push(json!(endpoint)));
    }
    Value::Object(upstreams)
}

/// The same, read. What is odd is nothing.
pub fn broken_of(told: &Value) -> BrokenEndpoints {
    let short = |name: &&str| name.len() <= TEXT_MAX;
    let each = told.as_object().into_iter().flatten().flat_map(|(upstream, row)| {
        let endpoints = row.as_array().into_iter().flatten().filter_map(Value::as_str);
        endpoints.filter(short).map(move |endpoint| (upstream.clone(), endpoint.to_owned()))
    });
    each.filter(|(upstream, _)| short(&&**upstream)).take(NAMED_MAX).collect()
}

/// An endpoint that others call broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    pub endpoint: EndpointName,
    /// So many others say so, whose word counts.
    pub told_by: usize,
    /// They are enough.
    pub heard: bool,
}

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Since when, of what is said or was within [`AGAIN`].
    heard: BTreeMap<EndpointName, Instant>,
}

impl Hints {
    /// What all others say now. Those that are to be looked at come first, the rest of what is said second.
    /// `known`: how many endpoints an upstream has here, if it has this one. `own`: what is called broken here.
    pub fn weigh<'a>(
        &mut self,
        others: impl Iterator<Item = &'a BrokenEndpoints>,
        own: &BrokenEndpoints,
        known: impl Fn(&EndpointName) -> Option<usize>,
        now: Instant,
    ) -> (Vec<EndpointName>, Vec<Hint>) {
        let (mut members, mut told) = (0usize, BTreeMap::<&EndpointName, usize>::new());
        for broken in others {
            members += 1;
            for endpoint in broken {
                let beside = broken.iter().filter(|(upstream, _)| *upstream == endpoint.0).count();
                if known(endpoint).is_some_and(|all| beside * 2 <= all) {
                    *told.entry(endpoint).or_default() += 1;
                }
            }
        }
        let needed = members.div_ceil(QUORUM).max(if members >= 4 { 2 } else { 1 });
        let hints: Vec<Hint> = told
            .into_iter()
            .map(|(endpoint, told_by)| Hint {
                endpoint: endpoint.clone(),
                told_by,
                heard: told_by >= needed,
            })
            .collect();
        let heard: BTreeSet<&EndpointName> =
            hints.iter().filter(|hint| hint.heard).map(|hint| &hint.endpoint).collect();
        self.heard.retain(|endpoint, at| heard.contains(endpoint) || now.since(*at) < AGAIN);
        let news = heard.into_iter().filter(|endpoint| !self.heard.contains_key(endpoint));
        let news: Vec<EndpointName> = news.cloned().collect();
        self.heard.extend(news.iter().map(|endpoint| (endpoint.clone(), now)));
        let unknown_here = |endpoint: &EndpointName| !own.contains(endpoint);
        (news.into_iter().filter(unknown_here).collect(), hints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn name(endpoint: usize) -> EndpointName {
        ("llama".into(), format!("10.0.0.{endpoint}:8000"))
    }

    fn broken(endpoints: impl IntoIterator<Item = usize>) -> BrokenEndpoints {
        endpoints.into_iter().map(name).collect()
    }

    /// There are eight endpoints.
    fn known(endpoint: &EndpointName) -> Option<usize> {
        (0..8).any(|one| name(one) == *endpoint).then_some(8)
    }

    fn weigh(hints: &mut Hints, others: &[BrokenEndpoints], second: u64) -> Vec<EndpointName> {
        hints.weigh(others.iter(), &BrokenEndpoints::new(), known, at(second)).0
    }

    #[test]
    fn so_many_have_to_say_it() {
        for (others, needed) in [(1, 1), (3, 1), (4, 2), (16, 2), (17, 3), (64, 8)] {
            for sayers in [needed - 1, needed] {
                let says = |one| if one < sayers { broken([3]) } else { BrokenEndpoints::new() };
                let all: Vec<BrokenEndpoints> = (0..others).map(says).collect();
                let heard = weigh(&mut Hints::default(), &all, 1);
                assert_eq!(heard.len(), usize::from(sayers == needed), "{sayers} of {others}");
            }
        }
    }

    #[test]
    fn who_sees_most_of_an_upstream_fail_is_not_heard() {
        let mut hints = Hints::default();
        assert!(weigh(&mut hints, &[broken(0..8)], 1).is_empty());
        assert!(weigh(&mut hints, &[broken(0..5)], 2).is_empty());
        assert_eq!(weigh(&mut hints, &[broken(0..4)], 3).len(), 4);
        assert!(weigh(&mut hints, &[broken(90..92)], 3).is_empty(), "nobody knows them here");
    }

    #[test]
    fn what_is_said_is_heard_once_and_what_is_known_here_is_no_news() {
        let mut hints = Hints::default();
        assert_eq!(weigh(&mut hints, &[broken([1])], 1), [name(1)]);
        assert!(weigh(&mut hints, &[broken([1])], 500).is_empty(), "it was heard");
        assert!(weigh(&mut hints, &[BrokenEndpoints::new()], 501).is_empty());
        assert_eq!(weigh(&mut hints, &[broken([1])], 502), [name(1)], "it is said anew");
        assert!(weigh(&mut hints, &[BrokenEndpoints::new()], 503).is_empty());
        assert!(weigh(&mut hints, &[broken([1])], 504).is_empty(), "who flaps is not heard again");
        let own = broken([2]);
        let (news, told) = hints.weigh([broken([2])].iter(), &own, known, at(600));
        assert_eq!((news.len(), told.len(), told[0].told_by), (0, 1, 1));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_odd_is_nothing() {
        let some = broken([1, 2]);
        assert_eq!(broken_of(&broken_json(&some)), some);
        assert_eq!(broken_of(&broken_json(&broken(0..200))).len(), NAMED_MAX);
        for odd in [json!(null), json!([1]), json!({"a": 3}), json!({"a": [4, {}]})] {
            assert!(broken_of(&odd).is_empty(), "{odd}");
        }
        let long = json!({"a": ["x".repeat(TEXT_MAX + 1), "y"]});
        assert_eq!(broken_of(&long).len(), 1);
        let many: Vec<usize> = (0..100_000).collect();
        assert_eq!(
            broken_of(&json!({"a": many.iter().map(usize::to_string).collect::<Vec<_>>()})).len(),
            NAMED_MAX
        );
    }
}
