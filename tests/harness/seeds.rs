//! One seed: a planned world, run to its end and judged.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::config::snapshot::Snapshot;
use sluicegate::gateway::SAMPLED_TURNS;
use sluicegate::gateway::command::{Command, Idle};
use sluicegate::reactor::net::Net;
use sluicegate::sim::cast::Cast;
use sluicegate::sim::oracle::{self, Tally};
use sluicegate::sim::plan::{Plan, Seals};
use sluicegate::sim::toy::Toys;
use sluicegate::sim::{Manner, Random, WallClock, World};
use sluicegate::wire::transport::Sessions;

use super::probes::Probes;
use super::{Gateway, endpoint, server_address, snapshot};

/// Virtual time after which a world that is not over never will be.
const PATIENCE: Duration = Duration::from_secs(1800);

/// In so much of virtual time nearly every world is over.
pub const LASTS: Duration = Duration::from_secs(10);

/// What a seed came to.
#[derive(Debug)]
pub struct Report {
    pub verdict: Result<Tally, String>,
    pub digest: u64,
    pub trace: String,
}

/// Runs the world of `plan` with a worker on the network that `layer` puts over it.
pub fn run<N: Net>(plan: &Plan, record: bool, layer: impl FnOnce(World) -> N) -> Report {
    run_with(plan, record, layer, |_| {})
}

/// The same with a worker whose settings are not those of the plan: one that keeps other rules than
/// it should.
pub fn run_with<N: Net>(
    plan: &Plan,
    record: bool,
    layer: impl FnOnce(World) -> N,
    mistake: impl FnOnce(&mut Snapshot),
) -> Report {
    let same = |toys| Box::new(toys) as Box<dyn Sessions + Send>;
    run_sealed(plan, record, layer, mistake, same)
}

/// The same with other sessions for the worker, where it has some: `sessions` makes them of the right
/// ones.
pub fn run_sealed<N: Net>(
    plan: &Plan,
    record: bool,
    layer: impl FnOnce(World) -> N,
    mistake: impl FnOnce(&mut Snapshot),
    sessions: impl FnOnce(Toys) -> Box<dyn Sessions + Send>,
) -> Report {
    let world = World::with_faults(plan.seed, plan.faults.clone());
    world.set_wall_clock(WallClock::of(plan.seed, LASTS));
    let Seals { clients, servers } = plan.seals;
    world.seal(clients, servers);
    let sealed = clients.is_some() || servers.is_some();
    let toys = sealed.then(|| sessions(Toys { clients, servers, seed: plan.seed }));
    run_in(world, plan, record, layer, mistake, toys)
}

/// Runs a plan in a world whose peers have the sessions they shall have; the worker has `sessions`.
pub fn run_in<N: Net>(
    world: World,
    plan: &Plan,
    record: bool,
    layer: impl FnOnce(World) -> N,
    mistake: impl FnOnce(&mut Snapshot),
    sessions: Option<Box<dyn Sessions + Send>>,
) -> Report {
    if record {
        world.record();
    }
    let cast = Rc::new(Cast::new(plan));
    for index in 0..plan.gateway.upstreams * plan.gateway.endpoints {
        let cast = Rc::clone(&cast);
        world.server(server_address(index), Manner::Serve, move |request| cast.answer(request));
    }
    let mut snapshot = snapshot(&plan.gateway);
    mistake(&mut snapshot);
    let net = layer(world.clone());
    let mut gateway = Gateway::with_sessions(world.clone(), net, snapshot.clone(), sessions);
    gateway.probes = (plan.gateway.breaker && !plan.gateway.panic).then(Probes::default);
    let verdict = play(plan, &cast, snapshot, &mut gateway);
    Report { verdict, digest: world.digest(), trace: world.trace() }
}

/// What the gateway is told from outside.
enum Order {
    Reload(Change),
    Drain(Idle),
}

/// What is different in a new generation. None of it is a reason not to answer a request.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    /// The endpoints stand in another order, or some are gone; the first comes back.
    Endpoints {
        from: usize,
        count: usize,
    },
    /// The upstream has another name: to the gateway it is another one.
    Name(usize),
    IdleConnections(usize),
}

impl Change {
    fn draw(random: &mut Random, plan: &Plan) -> Change {
        let endpoints = plan.gateway.endpoints;
        match random.below(4) {
            0 => Change::Nothing,
            1 => Change::Endpoints {
                from: random.below(endpoints),
                count: random.between(1..=endpoints),
            },
            2 => Change::Name(random.below(3)),
            _ => Change::IdleConnections(random.below(4)),
        }
    }

    fn apply(self, snapshot: &mut Snapshot) {
        let upstream = &mut snapshot.upstreams[0];
        match self {
            Change::Nothing => {}
            Change::Endpoints { from, count } => {
                let all = (0..count).map(|index| endpoint((from + index) % count));
                upstream.endpoints = all.collect();
            }
            Change::Name(number) => {
                upstream.name = format!("{}.{number}", oracle::upstream_name(0))
            }
            Change::IdleConnections(count) => upstream.pool.idle_per_endpoint = count,
        }
    }
}

/// All orders with their moments. They are drawn by a voice of their own, so that the worlds stay
/// the ones that their seeds have always meant.
fn orders(plan: &Plan) -> Vec<(Duration, Order)> {
    let mut random = Random::new(!plan.seed);
    let mut orders = Vec::new();
    if random.chance(500) {
        for _ in 0..random.between(1..=6) {
            let at = random.duration(Duration::ZERO..=Duration::from_secs(3));
            orders.push((at, Order::Reload(Change::draw(&mut random, plan))));
        }
    }
    let idle = if random.chance(500) { Idle::Leave } else { Idle::MayAsk };
    orders.extend(plan.drain_at.map(|at| (at, Order::Drain(idle))));
    orders.sort_by_key(|(at, _)| *at);
    orders
}

/// When the worker's thread stands still, and for how long: longer than its timers, often. Drawn by
/// a voice of its own, too.
fn standstill(plan: &Plan) -> Option<(Duration, Duration)> {
    let mut random = Random::new(plan.seed.rotate_left(32) ^ !0);
    let stands = !plan.perfect && random.chance(150);
    let at = random.duration(Duration::ZERO..=Duration::from_millis(1500));
    let lasts = random.duration(Duration::from_millis(100)..=Duration::from_secs(60));
    stands.then_some((at, lasts))
}

fn play<N: Net>(
    plan: &Plan,
    cast: &Cast,
    mut snapshot: Snapshot,
    gateway: &mut Gateway<N>,
) -> Result<Tally, String> {
    let world = gateway.world.clone();
    let clients: Vec<_> = plan.visits.iter().map(|visit| world.client(plan.visit(visit))).collect();
    let limit = world.time() + PATIENCE;
    let begin = world.time();
    if let Some((at, lasts)) = standstill(plan) {
        world.freeze_at(begin + at, lasts);
    }
    for (after, order) in orders(plan) {
        let at = begin + after;
        world.ring_at(at);
        gateway.turn_until(limit, |world, _| world.time() >= at)?;
        let command = match order {
            Order::Drain(idle) => Command::Drain(idle),
            Order::Reload(change) => {
                let mut next = snapshot.clone();
                change.apply(&mut next);
                next.follow(&snapshot);
                snapshot = next;
                gateway.loads = gateway.loads.follow(&snapshot);
                Command::Reload(Arc::new(snapshot.clone()), gateway.loads.clone())
            }
        };
        gateway.command(command);
    }
    gateway.turn_until(limit, |world, _| world.clients_are_done())?;
    gateway.assert_clean()?;
    if !world.clients_are_done() {
        return Err("a client waits, and nothing will ever happen".into());
    }
    let mut tally = oracle::judge(plan, cast, &world, &clients)?;
    tally.opened = gateway.counters.breaker_opened.get() as usize;
    tally.closed = gateway.counters.breaker_closed.get() as usize;
    tally.probes = gateway.probes.as_ref().map_or(0, |probes| probes.seen);
    if plan.perfect {
        let found_dead = gateway.counters.pool_dead.get() as usize;
        let spoke = world.sessions().iter().filter(|it| it.left_first || it.spoke_up).count();
        if found_dead > spoke {
            return Err(format!("{found_dead} idle connections were found dead, and {spoke} were"));
        }
    }
    gateway.compare_counters()?;
    if plan.perfect {
        floor(plan, &world)?;
    }
    Ok(tally)
}

/// In a perfect world the calls have a floor.
fn floor(plan: &Plan, world: &World) -> Result<(), String> {
    let counts = world.counts();
    let sockets = counts.accepts + counts.connects;
    let requests: u64 = plan.visits.iter().map(|visit| visit.requests.len() as u64 + 1).sum();
    // A connection that is being opened is asked once whether it stands, and a pooled one whether
    // it is silent. A read that fills its buffer does not tell whether there is more. Whatever else
    // is tried has been announced by an edge.
    let full_reads_max = counts.bytes_read / 16384;
    let would_block_max = counts.connects + counts.peeks + full_reads_max;
    // One turn in so many is measured, which takes a second look.
    let sampled = counts.polls / SAMPLED_TURNS;
    let checks = [
        ("registrations", counts.registers, sockets),
        ("answers of would-block", counts.would_block, would_block_max),
        ("peeks", counts.peeks, 2 * requests),
        ("clock reads", counts.clock_reads, counts.polls + 1 + sampled),
        ("reads", counts.reads, counts.arrivals + full_reads_max + sockets),
        ("backlogs found empty", counts.drained, counts.accepts + 1),
    ];
    for (what, spent, floor) in checks {
        if spent > floor {
            return Err(format!("{spent} {what} where {floor} would do: {counts:?}"));
        }
    }
    Ok(())
}
