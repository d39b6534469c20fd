//! One gateway of the fleet, as far as it decides: what it believes of a source, and whom it picks.

use std::sync::OnceLock;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::{Belief, FoundMember, Snapshot};
use sluicegate::config::{self, Environment};
use sluicegate::fleet::hints::{BrokenEndpoints, EndpointName};
use sluicegate::proxy::breaker::Outcome;
use sluicegate::proxy::endpoints::{Choice, Endpoints, Pick, Search, Tried};
use sluicegate::proxy::load::Loads;
use sluicegate::proxy::membership::{Judgement, Membership};

/// An endpoint of the fleet, by its number.
pub type Server = u32;

/// How it stands in a store: numbers and addresses are in the same order.
pub fn member(server: Server) -> FoundMember {
    let [_, high, middle, low] = server.to_be_bytes();
    FoundMember::at(format!("10.{high}.{middle}.{low}:8000"))
}

fn server(member: &FoundMember) -> Server {
    number(&member.address)
}

/// What it is called in a report of a gateway.
pub fn called(server: Server) -> EndpointName {
    ("llama".to_owned(), member(server).address)
}

fn number(address: &str) -> Server {
    let (host, _) = address.split_once(':').expect("a port");
    let octets = host.split('.').skip(1).map(|octet| octet.parse::<Server>().expect("an octet"));
    octets.fold(0, |number, octet| number << 8 | octet)
}

/// What a gateway believes of the one source that all follow.
#[derive(Default)]
pub struct Believer {
    membership: Membership,
    /// In ascending order.
    in_force: Vec<Server>,
}

impl Believer {
    pub fn told(&mut self, set: &[Server], belief: &Belief, now: Instant) {
        let judgement =
            self.membership.told(set.iter().copied().map(member).collect(), belief, now);
        self.judged(judgement);
    }

    pub fn unknown(&mut self) {
        self.membership.unknown();
    }

    pub fn on_time(&mut self, now: Instant) {
        let judgement = self.membership.on_time(now);
        self.judged(judgement);
    }

    pub fn due(&self, now: Instant) -> Instant {
        self.membership.due(now)
    }

    /// In ascending order.
    pub fn in_force(&self) -> &[Server] {
        &self.in_force
    }

    /// Workers are told where something has changed, and not else.
    fn judged(&mut self, judgement: Judgement) {
        if judgement.changed {
            self.in_force = self.membership.in_force().iter().map(server).collect();
            self.in_force.sort_unstable();
        }
    }
}

/// Whom a gateway picks: the path of a set from what is believed to a worker, and of a request to an endpoint.
pub struct Picker {
    snapshot: Snapshot,
    loads: Loads,
    endpoints: Endpoints,
}

/// A configuration with one upstream that a source tells of, by this policy.
fn configured(balance: &str) -> Snapshot {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n\
         [[upstream]]\nname = \"llama\"\nbalance = {balance}\ndiscover = {{ file = \"servers.json\" }}\n\
         [[route]]\npath = \"/*\"\nupstream = \"llama\"\n"
    );
    config::parse(&text, environment()).expect("a configuration").snapshot
}

pub fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(Environment::current)
}

/// What stands in `balance`.
pub const ROUND_ROBIN: &str = "\"round_robin\"";
pub const LEAST_OUTSTANDING: &str = "\"least_outstanding\"";
pub const PEAK_EWMA: &str = "\"peak_ewma\"";
pub const HASH: &str = "{ hash = { header = \"x-session\" } }";

/// What the configuration says of belief where it says nothing.
pub fn default_belief() -> Belief {
    configured(HASH).upstreams[0].discover.as_ref().expect("it has a source").belief.clone()
}

impl Picker {
    pub fn new(balance: &str, seed: u64) -> Picker {
        Picker::of(&configured(balance), seed)
    }

    /// As many as are wanted, each with a chance of its own.
    pub fn many(balance: &str, count: usize, seed: u64) -> Vec<Picker> {
        let snapshot = configured(balance);
        (0..count as u64).map(|index| Picker::of(&snapshot, seed ^ index << 32)).collect()
    }

    fn of(snapshot: &Snapshot, seed: u64) -> Picker {
        let loads = Loads::new(snapshot, 1);
        let upstream = &snapshot.upstreams[0];
        let endpoints = Endpoints::new(upstream, loads.of(upstream).0, seed);
        Picker { snapshot: snapshot.clone(), loads, endpoints }
    }

    /// These are in force now.
    pub fn obey(&mut self, servers: &[Server], now: Instant) {
        let id = self.snapshot.upstreams[0].id;
        let discover = self.snapshot.upstreams[0].discover.clone().expect("it has a source");
        let listed = servers.iter().map(|one| discover.listed(&member(*one)).expect("an address"));
        if self.snapshot.set_members(id, listed.collect()) {
            let set = self.loads.follow_members(&self.snapshot.upstreams[0]);
            self.endpoints.follow(set.version, &set.endpoints, set.load, now);
        }
    }

    /// Where a request goes. It is outstanding until [`Picker::answered`].
    pub fn pick(&mut self, key: Option<u64>, now: Instant) -> (Server, Pick) {
        match self.choose(key, now) {
            Choice::Endpoint(pick) => (self.server(&pick), pick),
            other => panic!("nobody is asked: {other:?}"),
        }
    }

    /// The same; `None`: nobody is asked.
    pub fn try_pick(&mut self, now: Instant) -> Option<(Server, Pick)> {
        match self.choose(None, now) {
            Choice::Endpoint(pick) => Some((self.server(&pick), pick)),
            _ => None,
        }
    }

    fn server(&self, pick: &Pick) -> Server {
        number(&self.snapshot.upstreams[0].endpoints[pick.index()].authority)
    }

    fn choose(&mut self, key: Option<u64>, now: Instant) -> Choice {
        static UNTRIED: Tried = Tried::none();
        let search = Search {
            tried: &UNTRIED,
            key,
            last_resort: true,
            degrades: false,
            unheard: true,
            only: None,
        };
        self.endpoints.pick(&search, now)
    }

    /// It has failed.
    pub fn failed(&mut self, pick: Pick, now: Instant) {
        self.endpoints.record(pick, Outcome::Fault, now);
    }

    /// It was answered, as a whole answer is.
    pub fn begun_and_answered(&mut self, pick: Pick, now: Instant) {
        self.endpoints.first_event(&pick, None, now);
        self.answered(pick, now);
    }

    /// What it calls broken.
    pub fn broken(&self, now: Instant) -> BrokenEndpoints {
        let upstream = &self.snapshot.upstreams[0];
        let (load, _) = self.loads.of(upstream);
        let broken =
            upstream.endpoints.iter().enumerate().filter(|(at, _)| load.is_broken(*at, now));
        broken.map(|(_, one)| ("llama".to_owned(), one.name.clone())).collect()
    }

    /// Others call this one broken.
    pub fn doubt(&mut self, (_, endpoint): &EndpointName, now: Instant) {
        let endpoints = &self.snapshot.upstreams[0].endpoints;
        let known = endpoints.iter().find(|one| one.name == *endpoint).map(|one| one.id);
        known.into_iter().for_each(|id| _ = self.endpoints.suspect(id, now));
    }

    pub fn answered(&mut self, pick: Pick, now: Instant) {
        self.endpoints.record(pick, Outcome::Success, now);
    }

    /// Where a request with this key goes at a gateway that has nothing else to do.
    pub fn home(&mut self, key: u64, now: Instant) -> Server {
        let (server, pick) = self.pick(Some(key), now);
        self.answered(pick, now);
        server
    }
}
