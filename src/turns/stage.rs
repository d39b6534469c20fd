//! A stage: a world, the production worker in it, and how far they go.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::scribe::Scribe;
use super::watch::RecordedGateway;
use crate::config::snapshot::Snapshot;
use crate::config::{self, Environment};
use crate::gateway::command::Command;
use crate::gateway::{Setup, worker_in};
use crate::measure::stats::Counters;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::{Sender, mailbox};
use crate::reactor::turn::{Loop, Status};
use crate::sim::{Answer, Faults, Manner, Socket, World};

/// The worker's seed, from which ids and chance are made.
pub const WORKER_SEED: u64 = 7;

/// Turns after which a world is left to itself: more than anybody reads.
pub const TURNS_MAX: usize = 400;

/// Virtual time after which it is, too.
const PATIENCE: Duration = Duration::from_secs(600);

/// What comes later than this has nothing to do with what was before.
const SOON: Duration = Duration::from_millis(100);

/// A world with one watched worker in it.
pub struct Stage {
    pub world: World,
    worker: Loop<World, RecordedGateway>,
    scribe: Rc<RefCell<Scribe>>,
    mailbox: Sender<Command<Socket>>,
    stopped: bool,
}

/// Where server number `index` listens.
pub fn server_address(index: usize) -> SocketAddr {
    ([198, 51, 100, 1 + index as u8], 8000).into()
}

impl Stage {
    /// A worker with this configuration, over a network with these faults.
    pub fn new(seed: u64, faults: Faults, configuration: &str) -> Result<Stage, String> {
        let snapshot = compile(configuration)?;
        let world = World::with_faults(seed, faults);
        let endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let servers = endpoints.filter_map(|endpoint| endpoint.address).collect();
        let scribe = Rc::new(RefCell::new(Scribe::new(world.clone(), servers)));
        let (sender, receiver) = mailbox(world.waker());
        let setup = Setup {
            loads: Loads::new(&snapshot, 1),
            snapshot: Arc::new(snapshot),
            seed: WORKER_SEED,
            counters: Arc::new(Counters::default()),
            mailbox: receiver,
            crew: None,
            journal: None,
            lookout: None,
            sessions: None,
            nudge: None,
            sealed_listeners: Vec::new(),
        };
        let (told, looked_at) = (Rc::clone(&scribe), world.clone());
        let worker = worker_in(world.clone(), setup, |gateway| {
            RecordedGateway::new(gateway, looked_at, told)
        });
        Ok(Stage { world, worker, scribe, mailbox: sender, stopped: false })
    }

    /// A server that gives these answers in their order, and the last one to every further request.
    pub fn server(&self, index: usize, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        self.world.server(server_address(index), Manner::Serve, move |_| match answers.len() {
            0 => Answer::new().body(b""),
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap_or_default(),
        });
    }

    /// Tells the worker something, as another thread would.
    pub fn tell(&self, command: Command<Socket>) {
        // A worker that has ended gives it back, and nobody is there to be told.
        let _ = self.mailbox.send(command);
    }

    /// Turns until `done`, or until nothing will ever happen, or the worker has ended.
    pub fn turn_until(&mut self, done: impl Fn(&World) -> bool) -> Result<(), String> {
        while !done(&self.world) && !self.stopped && self.turns() < TURNS_MAX {
            let status = self.worker.turn().map_err(|error| format!("the poll failed: {error}"))?;
            self.stopped = status == Status::Stopped;
            if self.world.is_asleep() {
                break;
            }
        }
        Ok(())
    }

    /// How many turns there were.
    pub fn turns(&self) -> usize {
        self.scribe.borrow().account.turns.len()
    }

    /// Turns until every client is done, and once more if that turn comes soon: it is what they leave
    /// behind. Returns all turns.
    pub fn play(&mut self) -> Result<Range<usize>, String> {
        let limit = self.world.time() + PATIENCE;
        self.turn_until(|world| world.clients_are_done() || world.time() > limit)?;
        let (scribe, turns) = (Rc::clone(&self.scribe), self.turns());
        self.turn_until(|_| scribe.borrow().account.turns.len() > turns)?;
        let turns = &mut self.scribe.borrow_mut().account.turns;
        if turns.last().is_some_and(|turn| turn.slept > SOON) {
            turns.pop();
        }
        Ok(0..turns.len())
    }

    /// What was written down, and what the worker did that no worker may do.
    pub fn end(self) -> (Account, Vec<String>) {
        let Stage { world, worker, scribe, stopped, .. } = self;
        // What the world says from here on is not the worker's doing.
        scribe.borrow_mut().hear();
        let begin = world.time();
        let empty = Account { begin, lanes: Vec::new(), turns: Vec::new(), stopped };
        let mut account = std::mem::replace(&mut scribe.borrow_mut().account, empty);
        account.stopped = stopped;
        drop(worker);
        (account, world.violations())
    }
}

/// A configuration that stands in this crate, or all that is wrong with it.
pub fn compile(configuration: &str) -> Result<Snapshot, String> {
    // No file and no machine: what is drawn must be the same everywhere.
    let environment = Environment {
        cpus: vec![0],
        parallelism: 1,
        descriptors: |wanted| wanted,
        memory: None,
        resolve: |_, _| Err("there are no names here".to_owned()),
        folder: PathBuf::new(),
        read: |_| Err("there are no files here".to_owned()),
        variable: |_| None,
        ..Environment::current()
    };
    match config::parse(configuration, &environment) {
        Ok(loaded) => Ok(loaded.snapshot),
        Err(problems) => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
    }
}

/// Some milliseconds.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
