//! The small world of a seed: a plan of the simulation, with so little in it that a person can read
//! what happens.

use std::fmt::Write;
use std::rc::Rc;

use super::stage::{Stage, server_address};
use crate::sim::Manner;
use crate::sim::cast::{Cast, PATH};
use crate::sim::plan::{GatewayPlan, Pace, Plan};

/// Clients, and requests of each.
const VISITS_MAX: usize = 2;
const REQUESTS_MAX: usize = 2;
/// Bytes of a body, and pieces it comes in.
const BODY_MAX: usize = 2_000;
const PIECES_MAX: usize = 4;
/// Places of the gateway.
const CONNECTIONS_MIN: usize = 10;
/// A network whose buffers are smaller needs a turn for every few bytes.
const CAPACITY_MIN: usize = 1_024;

/// The plan of this seed, made small.
pub fn plan(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed);
    plan.visits.truncate(VISITS_MAX);
    for visit in &mut plan.visits {
        visit.requests.truncate(REQUESTS_MAX);
        if visit.pace == Pace::NeverReads {
            visit.pace = Pace::Eager;
        }
        visit.drips = false;
    }
    for exchange in &mut plan.exchanges {
        let answer = &mut exchange.answer;
        answer.length = answer.length.min(BODY_MAX);
        answer.pieces = answer.pieces.min(PIECES_MAX);
        if let Some(upload) = &mut exchange.upload {
            upload.length = upload.length.min(BODY_MAX);
        }
    }
    let capacity = &mut plan.faults.capacity;
    *capacity = (*capacity.start()).max(CAPACITY_MIN)..=(*capacity.end()).max(CAPACITY_MIN);
    plan.drain_at = None;
    // A gateway without places looks for some every 50 ms: true, and long.
    let limits = &mut plan.gateway;
    limits.connections = limits.connections.max(CONNECTIONS_MIN);
    limits.idle_connections = limits.idle_connections.min(limits.upstream_connections);
    plan
}

/// The stage of this seed, and what there is to see.
pub fn stage(seed: u64) -> Result<(Stage, String), String> {
    let plan = plan(seed);
    let stage = Stage::new(seed, plan.faults.clone(), &configuration(&plan.gateway))?;
    let cast = Rc::new(Cast::new(&plan));
    for index in 0..plan.gateway.upstreams * plan.gateway.endpoints {
        let cast = Rc::clone(&cast);
        stage.world.server(server_address(index), Manner::Serve, move |asked| cast.answer(asked));
    }
    let mut requests = 0;
    for visit in &plan.visits {
        stage.world.client(plan.visit(visit));
        requests += visit.requests.len();
    }
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let clients = count(plan.visits.len(), "client");
    let servers = count(plan.gateway.upstreams * plan.gateway.endpoints, "server");
    let network = if plan.perfect {
        "the network makes no mistake"
    } else {
        "the network makes the mistakes of real ones"
    };
    let requests = count(requests, "request");
    Ok((stage, format!("Drawn by chance: {clients} with {requests}, {servers}; {network}.")))
}

/// What a plan says of its gateway, as a configuration.
pub fn configuration(plan: &GatewayPlan) -> String {
    let mut out = String::from("[server]\nlisten = [\"203.0.113.1:80\"]\nworkers = 1\n");
    let half_close = if plan.half_close_allowed { "allow" } else { "cancel" };
    let names: Vec<String> = (0..plan.upstreams).map(|index| format!("\"u{index}\"")).collect();
    let breaker = if plan.breaker { "" } else { "breaker = \"off\"\n" };
    // Writing to a String cannot fail, so the result says nothing.
    let _ = write!(
        out,
        "half_close = \"{half_close}\"\n[limits]\nconnections = {}\n[timeouts]\nttft = \"20s\"\n\
         response = \"20s\"\ninter_event = \"20s\"\nclient_write = \"30s\"\nbody = \"20s\"\n",
        plan.connections
    );
    for (index, name) in names.iter().enumerate() {
        let servers = (0..plan.endpoints).map(|at| server_address(index * plan.endpoints + at));
        let servers: Vec<String> = servers.map(|address| format!("\"{address}\"")).collect();
        let _ = write!(
            out,
            "[[upstream]]\nname = {name}\nendpoints = [{}]\n\
             pool = {{ connections = {}, idle_per_endpoint = {}, replay_stale_post = {} }}\n\
             retry = {{ attempts = {}, budget = 100 }}\n{breaker}",
            servers.join(", "),
            plan.upstream_connections,
            plan.idle_connections,
            plan.replay_stale_post,
            plan.attempts,
        );
    }
    let _ = write!(out, "[[route]]\npath = \"{PATH}*\"\nupstream = [{}]\n", names.join(", "));
    out
}
