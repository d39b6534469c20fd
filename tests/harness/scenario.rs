//! Words for scenarios: a few answers, a client or two, and what came of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::{Addresses, Listed, Snapshot, UpstreamId};
use sluicegate::gateway::command::{Command, Idle};
use sluicegate::reactor::mailbox::Latest;
use sluicegate::sim::toy::{Manners, Toys};
use sluicegate::sim::{Answer, ClientId, End, Faults, Manner, Message, Visit, World};
use sluicegate::wire::transport::Sessions;

use super::{GENEROUS, Gateway, server_address, snapshot};

/// A target that is routed to the simulated server.
pub const TARGET: &str = "/relay/it";

/// How long a message takes between any two in a perfect network.
pub const LATENCY: Duration = Duration::from_micros(50);

/// A seed of its own for each scenario, or the one that is asked for.
#[macro_export]
macro_rules! seed {
    () => {
        std::env::var("SIM_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(u64::from(line!()))
    };
}

/// A gateway and its world, with one server behind it.
pub struct Simulation {
    pub world: World,
    answers: Rc<RefCell<VecDeque<Answer>>>,
    /// The latest generation, or what the gateway will start with.
    snapshot: Snapshot,
    /// The worker's sessions, if connections are sealed.
    toys: Option<Toys>,
    gateway: Option<Gateway>,
}

impl Simulation {
    /// A perfect network, and a server that answers with nothing but `200 OK`.
    pub fn new(seed: u64) -> Simulation {
        let world = World::new(seed);
        let answers: Rc<RefCell<VecDeque<Answer>>> = Rc::default();
        let given = Rc::clone(&answers);
        world.server(server_address(0), Manner::Serve, move |_| {
            let mut answers = given.borrow_mut();
            let next = answers.front().cloned().unwrap_or_else(|| Answer::new().body(b""));
            if answers.len() > 1 {
                answers.pop_front();
            }
            next
        });
        let toys = None;
        Simulation { world, answers, snapshot: snapshot(&GENEROUS), toys, gateway: None }
    }

    /// Clients, servers or both speak through sessions.
    pub fn sealed(mut self, clients: Option<Manners>, servers: Option<Manners>) -> Simulation {
        self.world.seal(clients, servers);
        self.toys = Some(Toys { clients, servers, seed: 1 });
        self
    }

    /// Servers, or clients, that come from now on do something else than the gateway expects.
    pub fn but_peers(self, clients: Option<Manners>, servers: Option<Manners>) -> Simulation {
        self.world.seal(clients, servers);
        self
    }

    /// The server's next answer. The last one is given to every further request.
    pub fn upstream(self, answer: impl FnOnce(Answer) -> Answer) -> Simulation {
        self.answers.borrow_mut().push_back(answer(Answer::new()));
        self
    }

    pub fn server_is(self, manner: Manner) -> Simulation {
        self.world.set_manner(server_address(0), manner);
        self
    }

    pub fn configure(mut self, change: impl FnOnce(&mut Snapshot)) -> Simulation {
        assert!(self.gateway.is_none(), "the gateway has not started");
        change(&mut self.snapshot);
        self
    }

    pub fn faults(self, change: impl FnOnce(&mut Faults)) -> Simulation {
        self.world.change_faults(change);
        self
    }

    /// The gateway, which starts when it is first asked for.
    pub fn gateway(&mut self) -> &mut Gateway {
        let Simulation { world, snapshot, toys, gateway, .. } = self;
        gateway.get_or_insert_with(|| {
            let toys = toys.take().map(|toys| Box::new(toys) as Box<dyn Sessions + Send>);
            Gateway::with_sessions(world.clone(), world.clone(), snapshot.clone(), toys)
        })
    }

    pub fn client(&mut self) -> Client<'_> {
        Client { simulation: self, visit: Visit::new() }
    }

    /// Sends a client on its way.
    pub fn start(&mut self, visit: Visit) -> ClientId {
        self.gateway();
        self.world.client(visit)
    }

    /// Until every client is done.
    pub fn run(&mut self) {
        let limit = self.world.time() + Duration::from_secs(3600);
        let outcome = self.gateway().turn_until(limit, |world, _| world.clients_are_done());
        assert_eq!(outcome, Ok(()));
    }

    pub fn run_for(&mut self, duration: Duration) {
        let until = self.world.time() + duration;
        self.world.ring_at(until);
        // A worker that pauses sees the end up to a pause later.
        let limit = until + Duration::from_millis(10);
        let outcome = self.gateway().turn_until(limit, |world, _| world.time() >= until);
        assert_eq!(outcome, Ok(()));
    }

    /// A new generation of the configuration, made from the latest by `change`.
    pub fn reload(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = self.snapshot.clone();
        change(&mut next);
        next.follow(&self.snapshot);
        self.take_up(next);
    }

    /// A name has these addresses now.
    pub fn look_up(&mut self, name: &str, addresses: &[SocketAddr]) {
        let found = Addresses::from([(name.to_owned(), addresses.to_vec())]);
        for id in self.snapshot.set_addresses(&found) {
            self.tell_members(id);
        }
    }

    /// The first upstream has these endpoints now, each `host:port` of a server.
    pub fn members(&mut self, servers: &[usize]) {
        let one = |index: &usize| Listed {
            authority: server_address(*index).to_string(),
            base: String::new(),
            is_name: false,
            addresses: vec![server_address(*index)],
            weight: 1,
            priority: 0,
            tls: None,
        };
        let id = self.snapshot.upstreams[0].id;
        if self.snapshot.set_members(id, servers.iter().map(one).collect()) {
            self.tell_members(id);
        }
    }

    fn tell_members(&mut self, id: UpstreamId) {
        let upstream = self.snapshot.upstreams.iter().find(|upstream| upstream.id == id);
        let upstream = upstream.expect("it has just changed").clone();
        let gateway = self.gateway();
        let latest = Arc::new(Latest::default());
        latest.put(Arc::new(gateway.loads.follow_members(&upstream)));
        gateway.command(Command::Members(id, latest));
        self.run_for(Duration::from_nanos(1));
    }

    fn take_up(&mut self, next: Snapshot) {
        self.snapshot = next;
        let snapshot = Arc::new(self.snapshot.clone());
        let gateway = self.gateway();
        gateway.loads = gateway.loads.follow(&snapshot);
        gateway.command(Command::Reload(snapshot, gateway.loads.clone()));
        // The worker reads its mail at the end of a turn.
        self.run_for(Duration::from_nanos(1));
    }

    pub fn drain(&mut self, idle: Idle) {
        self.gateway().command(Command::Drain(idle));
    }

    pub fn received(&self, client: ClientId) -> Received {
        let peer = self.world.see(client);
        assert_eq!(peer.reader.fault, None, "what a client received is HTTP");
        Received {
            messages: peer.reader.messages.clone(),
            end: peer.end,
            ended_at: peer.ended_at,
            answered: peer.answered.clone(),
        }
    }

    /// How many requests each of the server's connections has carried, in the order they came.
    pub fn requests(&self) -> Vec<usize> {
        self.world.sessions().iter().map(|session| session.reached.len()).collect()
    }

    /// How many requests a server has had.
    pub fn requests_at(&self, server: usize) -> usize {
        let sessions = self.world.sessions();
        let of = sessions.iter().filter(|session| session.server() == Some(server));
        of.map(|session| session.reached.len()).sum()
    }

    /// Nothing is left of anything: descriptors, buffers, queues, deadlines.
    pub fn assert_clean(mut self) {
        assert_eq!(self.gateway().assert_clean(), Ok(()));
    }
}

/// A client in the making.
pub struct Client<'s> {
    simulation: &'s mut Simulation,
    visit: Visit,
}

impl Client<'_> {
    pub fn get(self, target: &str) -> Self {
        self.does(|visit| visit.get(target))
    }

    pub fn post(self, target: &str, body: &str) -> Self {
        self.does(|visit| visit.post(target, body))
    }

    pub fn does(mut self, act: impl FnOnce(Visit) -> Visit) -> Self {
        self.visit = act(self.visit);
        self
    }

    /// Plays the visit to its end.
    pub fn finish(self) -> Received {
        let client = self.simulation.start(self.visit);
        self.simulation.run();
        self.simulation.received(client)
    }
}

/// What a client received.
pub struct Received {
    pub messages: Vec<Message>,
    pub end: End,
    pub ended_at: Option<Instant>,
    /// When each answer was complete.
    pub answered: Vec<Instant>,
}

impl Received {
    pub fn statuses(&self) -> Vec<u16> {
        self.messages.iter().map(Message::status).collect()
    }

    pub fn bodies(&self) -> Vec<String> {
        self.messages.iter().map(Message::text).collect()
    }

    /// The last answer's body.
    pub fn body(&self) -> String {
        self.messages.last().map(Message::text).unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.messages.last().map_or(0, Message::status)
    }

    /// Whether the last answer has all of its framing.
    pub fn is_whole(&self) -> bool {
        self.messages.last().is_some_and(|message| message.complete)
    }

    /// `error.code` of the gateway's own reply.
    pub fn code(&self) -> String {
        let body = self.body();
        let code = body.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
        code.unwrap_or_default().to_owned()
    }
}
