//! The simulated kernel against the rules of the real one, and against itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::faults::EventMask;
use super::message::Asked;
use super::*;
use crate::reactor::net::{Accept, Event, Net, Stream};
use crate::reactor::token::{Kind, Token};

const SERVER: ([u8; 4], u16) = ([198, 51, 100, 1], 80);
const TOKEN: Token = Token::WAKER;

fn server_address() -> SocketAddr {
    SERVER.into()
}

/// Polls until something is told; panics if nothing ever is.
fn poll(world: &mut World) -> Vec<Event> {
    let mut events = Vec::new();
    world.poll(&mut events, None).expect("the simulated poll does not fail");
    assert!(!world.is_asleep(), "nothing will ever happen");
    events
}

fn facts(event: &Event) -> (bool, bool, bool, bool) {
    (event.readable, event.writable, event.read_closed, event.errored)
}

/// A world with one client that plays `visit`, accepted and registered.
fn accepted(faults: Faults, visit: Visit) -> (World, Socket) {
    let mut world = World::with_faults(1, faults);
    world.client(visit);
    let events = poll(&mut world);
    assert_eq!(events[0].token, Token::listener(0));
    let Accept::Accepted(mut socket, _) = world.accept(0) else { panic!("the backlog is empty") };
    assert!(matches!(world.accept(0), Accept::Drained));
    world.register(&mut socket, TOKEN).expect("registered");
    (world, socket)
}

/// A world with one server, a connection to it, registered but not standing yet.
fn connecting(faults: Faults, manner: Manner, answer: Answer) -> (World, Socket) {
    let mut world = World::with_faults(1, faults);
    world.server(server_address(), manner, move |_| answer.clone());
    let mut socket = world.connect(server_address()).expect("a descriptor");
    world.register(&mut socket, TOKEN).expect("registered");
    (world, socket)
}

#[test]
fn bytes_and_fin_in_one_segment_raise_one_edge() {
    let visit = Visit::new().pause(Duration::from_millis(1)).raw(b"bye");
    let visit = visit.then(Act::Finish).then(Act::AwaitEnd);
    let (mut world, mut socket) = accepted(Faults::none(), visit);
    assert_eq!(facts(&poll(&mut world)[0]), (false, true, false, false), "registration: writable");
    let told = poll(&mut world);
    assert_eq!((told.len(), facts(&told[0])), (1, (true, false, true, false)));
    let mut into = [0; 8];
    assert_eq!(socket.read(&mut into).expect("bytes"), 3);
    assert_eq!(socket.read(&mut into).expect("the end"), 0);
    let mut events = Vec::new();
    world.poll(&mut events, Some(Duration::from_secs(1))).expect("polled");
    assert!(events.is_empty(), "no second edge");
}

#[test]
fn writable_comes_back_only_after_a_write_was_turned_away() {
    let faults = Faults { capacity: 90..=90, ..Faults::none() };
    let slowly = Reading::Slowly { bytes: 10, every: Duration::from_millis(1) };
    let visit = Visit::new().read(slowly).then(Act::AwaitEnd);
    let (mut world, mut socket) = accepted(faults, visit);
    poll(&mut world);
    assert_eq!(socket.write(&[b'x'; 80]).expect("room"), 80);
    let mut events = Vec::new();
    world.poll(&mut events, Some(Duration::from_millis(20))).expect("polled");
    assert!(events.is_empty(), "all was taken, so nobody is called back: {events:?}");
    assert_eq!(socket.write(&[b'x'; 100]).expect("some room"), 90);
    let error = socket.write(b"x").expect_err("full");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(facts(&poll(&mut world)[0]), (false, true, false, false));
    let room = socket.write(&[b'x'; 100]).expect("room again");
    assert!(room >= 30, "a third is free before the edge comes, {room} bytes were");
}

#[test]
fn a_connection_that_is_refused_tells_it_once() {
    let (mut world, mut socket) = connecting(Faults::none(), Manner::Refuse, Answer::new());
    let error = socket.write(b"GET").expect_err("it does not stand yet");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(facts(&poll(&mut world)[0]), (true, true, true, true));
    assert_eq!(socket.write(b"GET").expect_err("refused").kind(), ErrorKind::ConnectionRefused);
    assert_eq!(socket.write(b"GET").expect_err("gone").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_silent_server_never_answers() {
    let (mut world, mut socket) = connecting(Faults::none(), Manner::Silent, Answer::new());
    let mut events = Vec::new();
    world.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
    assert!(events.is_empty());
    assert_eq!(socket.write(b"GET").expect_err("no answer").kind(), ErrorKind::WouldBlock);
}

#[test]
fn bytes_before_a_reset_can_still_be_read() {
    let visit = Visit::new().raw(b"last words").then(Act::Reset);
    let (mut world, mut socket) = accepted(Faults::none(), visit);
    while !poll(&mut world).iter().any(|event| event.errored && event.read_closed) {}
    let mut into = [0; 64];
    assert_eq!(socket.read(&mut into).expect("bytes"), 10);
    assert_eq!(socket.read(&mut into).expect_err("RST").kind(), ErrorKind::ConnectionReset);
    assert_eq!(socket.read(&mut into).expect("nothing more"), 0);
    assert_eq!(socket.write(b"x").expect_err("gone").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn dropping_a_socket_with_unread_bytes_resets_it() {
    for (read_first, expected) in [(false, End::Reset), (true, End::Fin)] {
        let mut world = World::new(1);
        let client = world.client(Visit::new().raw(b"unheard").then(Act::AwaitEnd));
        poll(&mut world);
        let Accept::Accepted(mut socket, _) = world.accept(0) else { panic!("no connection") };
        world.register(&mut socket, TOKEN).expect("registered");
        while !poll(&mut world).iter().any(|event| event.readable) {}
        if read_first {
            socket.read(&mut [0; 64]).expect("bytes");
        }
        drop(socket);
        let mut events = Vec::new();
        world.poll(&mut events, None).expect("polled");
        assert_eq!(world.see(client).end, expected);
        assert_eq!(world.descriptors(), 0);
    }
}

#[test]
fn time_stands_still_while_there_is_something_to_tell() {
    let (mut world, _socket) = accepted(Faults::none(), Visit::new().raw(b"x").then(Act::AwaitEnd));
    let before = world.now();
    poll(&mut world);
    assert_eq!(world.now(), before, "the edge of registration was due at once");
    poll(&mut world);
    assert_eq!(world.now() - before, Duration::from_micros(50), "then the bytes' latency passed");
}

#[test]
fn a_hundred_turns_for_nothing_are_a_violation() {
    let (mut world, mut socket) = accepted(Faults::none(), Visit::new().then(Act::AwaitEnd));
    let mut events = Vec::new();
    for _ in 0..200 {
        world.poll(&mut events, Some(Duration::ZERO)).expect("polled");
        assert!(socket.read(&mut [0; 8]).is_err());
    }
    assert!(world.violations()[0].starts_with("spin"));
}

/// The smallest reactor that keeps the rules: it sends back what it reads.
#[derive(Default)]
struct Echo {
    sockets: BTreeMap<u64, Echoing>,
    accepted: usize,
}

struct Echoing {
    socket: Socket,
    readable: bool,
    writable: bool,
    read_closed: bool,
    ended: bool,
    pending: Vec<u8>,
}

impl Echo {
    fn turn(&mut self, world: &mut World) {
        let mut events = Vec::new();
        let busy = self.sockets.values().any(Echoing::is_ready);
        world.poll(&mut events, busy.then_some(Duration::ZERO)).expect("polled");
        for event in &events {
            if let Some(echoing) = self.sockets.get_mut(&event.token.to_bits()) {
                echoing.readable |= event.readable | event.read_closed | event.errored;
                echoing.writable |= event.writable | event.errored;
                echoing.read_closed |= event.read_closed;
            }
        }
        self.sockets.retain(|_, echoing| echoing.drive());
        loop {
            let mut socket = match world.accept(0) {
                Accept::Accepted(socket, _) => socket,
                Accept::Drained => break,
                // The backlog is as full as before: it is not the listener that is drained.
                _ => continue,
            };
            self.accepted += 1;
            let token = Token::new(Kind::Downstream, 1, self.accepted);
            world.register(&mut socket, token).expect("registered");
            let pending = Vec::new();
            let echoing = Echoing {
                socket,
                readable: false,
                writable: true,
                read_closed: false,
                ended: false,
                pending,
            };
            self.sockets.insert(token.to_bits(), echoing);
        }
    }
}

impl Echoing {
    fn is_ready(&self) -> bool {
        self.readable && !self.ended && self.pending.is_empty()
            || self.writable && !self.pending.is_empty()
    }

    /// One read, one write. False when the connection is done with.
    fn drive(&mut self) -> bool {
        if self.readable && !self.ended && self.pending.is_empty() {
            let mut into = [0; 100];
            match self.socket.read(&mut into) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    self.pending.extend_from_slice(&into[..length]);
                    self.readable = length == into.len() || self.read_closed;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(_) => return false,
            }
        }
        if self.writable && !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(length) => {
                    self.writable = length == self.pending.len();
                    self.pending.drain(..length);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(_) => return false,
            }
        }
        !(self.ended && self.pending.is_empty())
    }
}

/// Clients that send a response to themselves through the echo, and so can check every byte of it.
fn echo_world(seed: u64) -> (World, Vec<ClientId>) {
    let mut random = Random::new(seed);
    let faults = Faults { accept_aborted: 0, ..Faults::draw(&mut random) };
    let mut world = World::with_faults(random.draw(), faults);
    let clients = (0..4)
        .map(|_| {
            let body = "b".repeat(random.length(20_000));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let visit =
                Visit::new().ask(Asked::default()).raw(head.as_bytes()).raw(body.as_bytes());
            world.client(if random.chance(500) { visit.then(Act::Finish) } else { visit })
        })
        .collect();
    let mut echo = Echo::default();
    while !world.clients_are_done() && !world.is_asleep() && !world.is_violated() {
        echo.turn(&mut world);
    }
    while !echo.sockets.is_empty() && !world.is_asleep() {
        echo.turn(&mut world);
    }
    (world, clients)
}

#[test]
fn a_reactor_that_keeps_the_rules_loses_nothing_to_any_fault() {
    for seed in 0..1_000 {
        let (world, clients) = echo_world(seed);
        assert!(!world.is_violated(), "seed {seed}: {:?}", world.violations());
        for client in clients {
            let peer = world.see(client);
            let whole = peer.reader.completed() == 1 && peer.reader.fault.is_none();
            assert!(whole, "seed {seed}, {client:?}: {:?} {:?}", peer.reader.fault, world.faults());
        }
        assert_eq!(world.descriptors(), 0, "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let digests: Vec<_> = (0..100).map(|seed| echo_world(seed).0.digest()).collect();
    let again: Vec<_> = (0..100).map(|seed| echo_world(seed).0.digest()).collect();
    assert_eq!(digests, again);
    let mut different = digests.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), digests.len());
}

#[test]
fn the_drawn_worlds_have_every_kind_of_fault() {
    let drawn: Vec<_> = (0..500).map(|seed| Faults::draw(&mut Random::new(seed))).collect();
    for (name, has) in [
        ("short reads", drawn.iter().any(|faults| faults.short_read > 0)),
        ("stale events", drawn.iter().any(|faults| faults.stale_event > 0)),
        ("refused connects", drawn.iter().any(|faults| faults.connect_refused > 0)),
        ("tiny buffers", drawn.iter().any(|faults| *faults.capacity.start() < 8)),
        ("epoll's masks", drawn.iter().any(|faults| faults.mask == EventMask::State)),
        ("no refusals", drawn.iter().any(|faults| !faults.may_refuse())),
    ] {
        assert!(has, "{name}");
    }
}
