//! A production worker on a [`Tape`], with the default configuration and one upstream.

use std::sync::Arc;

use sluicegate::config::snapshot::Snapshot;
use sluicegate::config::{self, Environment};
use sluicegate::gateway::command::Command;
use sluicegate::gateway::{Setup, Worker, worker};
use sluicegate::proxy::load::Loads;
use sluicegate::reactor::mailbox::{Sender, mailbox};

use sluicegate::wire::transport::Sessions;

use super::{Link, Reel, Tape};

/// Makes the worker take one turn. What is measured is whatever this function does.
pub type Turn = fn(&mut Worker<Tape>);

/// The worker, its network, and the links that stand.
pub struct Stage {
    pub worker: Worker<Tape>,
    pub tape: Tape,
    /// The clients' links, and those to the server that answers each.
    pub clients: Vec<Link>,
    pub servers: Vec<Link>,
    /// Kept: a worker whose mailbox nobody can write to is none.
    _sender: Sender<Command<Reel>>,
}

/// A configuration that asks nothing of the machine.
pub fn snapshot(text: &str) -> Snapshot {
    let environment = Environment {
        cpus: vec![0],
        parallelism: 1,
        descriptors: |wanted| wanted,
        memory: None,
        resolve: |_, _| Err("no name is used".to_owned()),
        folder: Default::default(),
        read: |_| Err("no file is used".to_owned()),
        variable: |_| None,
        // No plugin is named.
        ..Environment::current()
    };
    config::parse(text, &environment).expect("the configuration is valid").snapshot
}

impl Stage {
    pub fn new() -> Stage {
        Stage::of("[[route]]\npath = \"/v1/*\"\nupstream = \"models\"\n")
    }

    /// With these routes.
    pub fn of(routes: &str) -> Stage {
        Stage::with("", routes)
    }

    /// With these keys of its upstream, too.
    pub fn with(upstream: &str, routes: &str) -> Stage {
        Stage::changed(upstream, routes, |_| {})
    }

    /// With a snapshot that is not quite what the configuration says.
    pub fn changed(upstream: &str, routes: &str, change: impl FnOnce(&mut Snapshot)) -> Stage {
        Stage::of_parts(upstream, routes, change, None)
    }

    /// Whose clients, or servers, have these sessions.
    pub fn with_sessions(routes: &str, sessions: Box<dyn Sessions + Send>) -> Stage {
        Stage::of_parts("", routes, |_| {}, Some(sessions))
    }

    fn of_parts(
        upstream: &str,
        routes: &str,
        change: impl FnOnce(&mut Snapshot),
        sessions: Option<Box<dyn Sessions + Send>>,
    ) -> Stage {
        let text = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
             [[upstream]]\nname = \"models\"\nendpoints = [\"127.0.0.1:8000\"]\n\
             pool = { connections = 2000 }\n";
        let tape = Tape::new();
        let (sender, receiver) = mailbox(Arc::new(|| {}));
        let mut snapshot = snapshot(&format!("{text}{upstream}\n{routes}"));
        change(&mut snapshot);
        let setup = Setup {
            loads: Loads::new(&snapshot, 1),
            snapshot: Arc::new(snapshot),
            seed: 7,
            counters: Arc::default(),
            mailbox: receiver,
            crew: None,
            journal: None,
            lookout: None,
            sessions,
            nudge: None,
            sealed_listeners: Vec::new(),
        };
        Stage {
            worker: worker(tape.clone(), setup),
            tape,
            clients: Vec::new(),
            servers: Vec::new(),
            _sender: sender,
        }
    }

    /// A turn that is not measured.
    pub fn turn(&mut self) {
        self.worker.turn().expect("a tape does not fail");
    }

    /// A client that has connected; its link.
    pub fn client(&mut self) -> Link {
        let link = self.tape.links();
        self.tape.dial();
        self.turn();
        link
    }

    /// `count` clients that have asked with `request` and been answered with `head`, each by a
    /// server of its own.
    pub fn open(&mut self, count: usize, request: &'static [u8], head: &'static [u8]) {
        for _ in 0..count {
            let client = self.client();
            self.tape.say(client, request);
            let server = self.tape.links();
            self.turn();
            assert_eq!(self.tape.links(), server + 1, "the worker has connected");
            self.tape.say(server, head);
            self.turn();
            assert!(self.tape.written(client) > 0, "the answer has begun");
            self.clients.push(client);
            self.servers.push(server);
        }
    }
}
