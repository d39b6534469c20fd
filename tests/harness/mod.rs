//! The production worker in a simulated world, with words for writing scenarios.
//!
//! Shared by the test binaries; not every one of them uses every word.
#![allow(dead_code)]

pub mod network;
pub mod plugin;
pub mod probes;
pub mod scenario;

pub mod seeds;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use probes::Probes;
use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::*;
use sluicegate::gateway::command::Command;
use sluicegate::gateway::crew::Crew;
use sluicegate::gateway::report::census::Census;
use sluicegate::gateway::{Setup, Worker, worker};
use sluicegate::measure::stats::Counters;
use sluicegate::proxy::health::DownEndpoint;
use sluicegate::proxy::load::Loads;
use sluicegate::reactor::mailbox::{Mailbox, Sender, mailbox};
use sluicegate::reactor::net::Net;
use sluicegate::reactor::turn::Status;
use sluicegate::service::Setting;
use sluicegate::sim::World;
use sluicegate::sim::cast;
use sluicegate::sim::oracle;
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::wire::transport::Sessions;

/// Where the simulated inference servers listen.
pub fn server_address(index: usize) -> SocketAddr {
    ([198, 51, 100, 1 + index as u8], 8000).into()
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// The timeouts every simulated gateway runs with. The peers' own pauses stay far below them, so
/// that a timer only ever ends what is really stuck.
pub const TIMEOUTS: Timeouts = Timeouts {
    head: seconds(10),
    client_idle: seconds(15),
    drain: seconds(60),
    exchange: ExchangeTimeouts {
        body: seconds(20),
        client_write: seconds(30),
        connect: seconds(5),
        ttft: seconds(20),
        response: seconds(20),
        progress: ProgressBy::Data,
        inter_event: seconds(20),
        total: None,
        tunnel_idle: seconds(40),
    },
};

/// Server `index`, as a configuration names it.
pub fn endpoint(index: usize) -> Endpoint {
    Endpoint {
        id: EndpointId::default(),
        address: Some(server_address(index)),
        authority: server_address(index).to_string(),
        base_bytes: 0,
        tls: None,
        name: server_address(index).to_string(),
        weight: 1,
        priority: 0,
        sharing: 1,
    }
}

/// A breaker that opens and half-opens within the time that a world lasts.
fn breaker(panic: bool) -> BreakerSettings {
    let (open, open_max) = (Duration::from_millis(200), Duration::from_secs(2));
    let panic = if panic { defaults::BREAKER.panic } else { 100 };
    BreakerSettings { consecutive: 2, volume: 4, open, open_max, panic, ..defaults::BREAKER }
}

fn upstream(gateway: &GatewayPlan, index: usize) -> Upstream {
    let first = index * gateway.endpoints;
    Upstream {
        id: UpstreamId::default(),
        name: oracle::upstream_name(index),
        listed: Vec::new(),
        discover: None,
        found: Vec::new(),
        departed: Vec::new(),
        version: 0,
        endpoints: (first..first + gateway.endpoints).map(endpoint).collect(),
        pool: PoolLimits {
            idle_per_endpoint: gateway.idle_connections,
            connections: gateway.upstream_connections,
            idle_timeout: Duration::from_secs(4),
            max_age: seconds(300),
            max_requests: 1000,
            replay_stale_post: gateway.replay_stale_post,
        },
        host: HostField::Preserve,
        tls: None,
        timeouts: TIMEOUTS.exchange,
        service: Setting::Auto,
        model: None,
        translate_to: None,
        stored: None,
        prefill: defaults::PREFILL,
        models: Default::default(),
        request_headers: Default::default(),
        delayed_acks: defaults::DELAYED_ACKS,
        retry: Retry { attempts: gateway.attempts, budget: gateway.budget, ..defaults::retry() },
        balance: defaults::BALANCE,
        breaker: gateway.breaker.then(|| breaker(gateway.panic)),
        health: None,
        admission: defaults::ADMISSION,
        while_loading: Some(defaults::WHILE_LOADING),
        wake: None,
    }
}

/// A gateway with a chain of upstreams behind `/relay/*`.
pub fn snapshot(gateway: &GatewayPlan) -> Snapshot {
    let link = |upstream| Link {
        upstream,
        model: None,
        request_headers: Vec::new(),
        timeouts: TIMEOUTS.exchange,
    };
    let links = (0..gateway.upstreams).map(link).collect();
    let mut snapshot = Snapshot {
        stored: None,
        files: Vec::new(),
        generation: Generation::default(),
        server: ServerSettings {
            list_models: defaults::LIST_MODELS,
            tls: None,
            listen: vec![([203, 0, 113, 1], 80).into()],
            workers: Workers::Unpinned(1),
            half_close: if gateway.half_close_allowed {
                HalfClose::Allow
            } else {
                HalfClose::Cancel
            },
            accept: AcceptMode::Reuseport,
            spin: Duration::ZERO,
            coalesce: gateway.coalesce,
            forwarded: Forwarded::Append,
            watch: None,
            resolve: None,
            dns: Default::default(),
            tcp_keepalive: Some(defaults::TCP_KEEPALIVE),
        },
        admin: defaults::ADMIN,
        access_log: defaults::ACCESS_LOG,
        trace: defaults::trace(),
        gate: defaults::gate(),
        process: defaults::PROCESS,
        recorder: defaults::RECORDER,
        usage: defaults::usage(),
        prices: None,
        plugins: PluginTable::default(),
        limits: Limits {
            connections: gateway.connections,
            fitted_to: None,
            handshakes: defaults::LIMITS.handshakes,
            idle_keeps_place: true,
            head_bytes: 64 * 1024,
            headers: 100,
            response_head_bytes: 256 * 1024,
            response_headers: 500,
            body_bytes: None,
            replay_bytes: 1024 * 1024,
            model_search_bytes: 64 * 1024,
            translate_bytes: 64 * 1024,
            stored_responses: 1_000,
            requests_per_connection: 10_000,
            buffer_bytes: gateway.buffers * 16 * 1024,
            continue_bytes: 1 << 20,
        },
        timeouts: TIMEOUTS,
        upstreams: (0..gateway.upstreams).map(|index| upstream(gateway, index)).collect(),
        routes: vec![Route {
            path: PathPattern::Prefix(cast::PATH.into()),
            when: None,
            request_headers: Default::default(),
            response_headers: Default::default(),
            methods: Vec::new(),
            target: Target::Chain(Chain {
                links,
                larger: None,
                fallback: None,
                translates: false,
                stores: false,
                plugins: None,
            }),
            rewrite: None,
            timeouts: TIMEOUTS.exchange,
            commit: defaults::COMMIT,
            heartbeat: None,
            continues: None,
            server_timing: false,
            accept_encoding: defaults::ACCEPT_ENCODING,
            include_usage: false,
            decode_requests: false,
            model_in_path: None,
            cors: None,
            keys: KeyMode::Off,
        }],
    };
    snapshot.begin();
    snapshot
}

/// A gateway that has plenty of everything.
pub const GENEROUS: GatewayPlan = GatewayPlan {
    half_close_allowed: false,
    upstreams: 1,
    endpoints: 1,
    connections: 1000,
    upstream_connections: 1000,
    idle_connections: 20,
    buffers: 4096,
    replay_stale_post: true,
    attempts: 1,
    budget: 20,
    breaker: false,
    panic: false,
    coalesce: None,
};

/// One worker, and the world it lives in.
pub struct Gateway<N: Net = World> {
    pub world: World,
    pub worker: Worker<N>,
    pub counters: Arc<Counters>,
    pub loads: Loads,
    mailbox: Sender<Command<N::Stream>>,
    /// The ports that the worker wants to be looked at.
    pub looks: mpsc::Receiver<DownEndpoint>,
    /// `limits.connections`.
    places: usize,
    /// Who is at the endpoints that are out, where nobody is let in by panic.
    pub probes: Option<Probes>,
    /// Since when somebody has waited outside although there is room, standstills left out.
    kept_waiting: Option<Duration>,
    stopped: bool,
}

/// Both ends of a worker's mailbox.
pub type Post<S> = (Sender<Command<S>>, Mailbox<Command<S>>);

/// How long somebody may wait outside although there is room. Out of descriptors, a worker rests
/// for a moment, and it may be out of them several times in a row.
const WAIT_MAX: Duration = Duration::from_secs(2);

impl<N: Net> Gateway<N> {
    /// A worker on `net`, which is `world` itself or a layer over it.
    pub fn new(world: World, net: N, snapshot: Snapshot) -> Gateway<N> {
        Gateway::with_sessions(world, net, snapshot, None)
    }

    /// The same, where connections are sealed.
    pub fn with_sessions(
        world: World,
        net: N,
        snapshot: Snapshot,
        sessions: Option<Box<dyn Sessions + Send>>,
    ) -> Gateway<N> {
        let loads = Loads::new(&snapshot, 1);
        let post = mailbox(world.waker());
        Gateway::made_of(world, net, snapshot, loads, post, None, sessions)
    }

    /// One worker of several.
    pub fn of_crew(
        world: World,
        net: N,
        snapshot: Snapshot,
        loads: Loads,
        post: Post<N::Stream>,
        crew: Option<Crew<N::Stream>>,
    ) -> Gateway<N> {
        Gateway::made_of(world, net, snapshot, loads, post, crew, None)
    }

    fn made_of(
        world: World,
        net: N,
        snapshot: Snapshot,
        loads: Loads,
        (sender, receiver): Post<N::Stream>,
        crew: Option<Crew<N::Stream>>,
        sessions: Option<Box<dyn Sessions + Send>>,
    ) -> Gateway<N> {
        let counters = Arc::new(Counters::default());
        let places = snapshot.limits.connections;
        let (lookout, looks) = mpsc::channel();
        let setup = Setup {
            loads: loads.clone(),
            snapshot: Arc::new(snapshot),
            seed: 7,
            counters: Arc::clone(&counters),
            mailbox: receiver,
            crew,
            journal: None,
            lookout: Some(lookout),
            nudge: None,
            sessions,
            sealed_listeners: Vec::new(),
        };
        let worker = worker(net, setup);
        Gateway {
            world,
            worker,
            counters,
            loads,
            mailbox: sender,
            places,
            looks,
            probes: None,
            kept_waiting: None,
            stopped: false,
        }
    }

    /// A worker that has ended gives it back.
    pub fn command(&self, command: Command<N::Stream>) {
        let taken = self.mailbox.send(command).is_ok();
        assert!(taken || self.stopped, "the worker is alive");
    }

    /// Whether something has happened that must never happen.
    pub fn complaint(&mut self) -> Option<String> {
        if let Some(violation) = self.world.violations().first() {
            return Some(violation.clone());
        }
        let now = self.world.time();
        // A worker that was full lets people in again when a tenth of the places is free.
        let room = self.worker.census().downstreams < self.places - self.places / 10;
        let waits = room && self.world.backlog() > 0;
        let lived = self.world.lived();
        self.kept_waiting = waits.then_some(self.kept_waiting.unwrap_or(lived));
        if self.kept_waiting.is_some_and(|since| lived - since > WAIT_MAX) {
            return Some("a client was left outside although there was room".into());
        }
        if let Some(probes) = &mut self.probes {
            let closed = self.counters.breaker_closed.get();
            if let Err(reason) = probes.see(self.worker.endpoints(now), closed) {
                return Some(reason);
            }
        }
        match self.worker.without_deadline() {
            0 => None,
            count => Some(format!("{count} connections wait for ever: no deadline")),
        }
    }

    /// One turn. The world goes on when the worker has stopped.
    pub fn turn(&mut self) -> io::Result<()> {
        if self.stopped {
            return self.world.poll(&mut Vec::new(), None);
        }
        self.stopped = self.worker.turn()? == Status::Stopped;
        Ok(())
    }

    /// Turns until `done`, or until nothing will ever happen, or `limit` is reached.
    pub fn turn_until(
        &mut self,
        limit: Instant,
        done: impl Fn(&World, &Census) -> bool,
    ) -> Result<(), String> {
        while !done(&self.world, &self.worker.census()) {
            self.turn().map_err(|error| format!("the poll failed: {error}"))?;
            if let Some(complaint) = self.complaint() {
                return Err(complaint);
            }
            if self.world.is_asleep() {
                break;
            }
            if self.world.time() > limit {
                return Err(format!(
                    "not over after {:?} of virtual time",
                    limit.since(Instant::ZERO)
                ));
            }
        }
        Ok(())
    }

    /// Lets every timer run out, and then nothing may be left.
    pub fn assert_clean(&mut self) -> Result<(), String> {
        let limit = self.world.time() + Duration::from_secs(600);
        self.turn_until(limit, |world, census| {
            *census == Census::default() && world.clients_are_done()
        })?;
        // A stopped worker may have meant to look at a connection that it then closed.
        let ready = if self.stopped { 0 } else { self.worker.census().ready };
        let census = Census { ready, ..self.worker.census() };
        if census != Census::default() {
            return Err(format!("left over: {census:?}"));
        }
        match self.loads.total() {
            0 => {}
            count => return Err(format!("{count} permits are not home")),
        }
        match self.world.descriptors() {
            0 => Ok(()),
            count => Err(format!("{count} descriptors are still open")),
        }
    }

    /// What an operator sees is what was done.
    pub fn compare_counters(&self) -> Result<(), String> {
        let (told, done) = (&self.counters, self.world.counts());
        for (what, told, done) in [
            ("reads", told.reads.get(), done.reads),
            ("writes", told.writes.get(), done.writes),
            ("peeks", told.peeks.get(), done.peeks),
            ("registrations", told.registers.get(), done.registers),
            ("connects", told.connects.get(), done.connects),
            ("bytes read", told.bytes_read.get(), done.bytes_read),
            ("bytes written", told.bytes_written.get(), done.bytes_written),
        ] {
            if told != done {
                return Err(format!("the counters tell of {told} {what}, and there were {done}"));
            }
        }
        Ok(())
    }
}
