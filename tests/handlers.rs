//! The loop is a mechanism: an echo server and a line chat stand on it, each in a file of at most
//! 120 lines, on real sockets and in the simulation.

#[path = "handlers/bytes.rs"]
mod bytes;
#[path = "handlers/chat.rs"]
mod chat;
#[path = "handlers/echo.rs"]
mod echo;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chat::Chat;
use echo::{Echo, SILENCE};
use sluicegate::reactor::mailbox::{Sender, mailbox};
use sluicegate::reactor::net::Net;
use sluicegate::reactor::turn::{Handler, Loop, Pace};
use sluicegate::sim::message::Asked;
use sluicegate::sim::{End, Faults, Random, Visit, World};
use sluicegate::sys::Linux;

/// A handler on a thread and a port of its own.
struct Served<M> {
    address: SocketAddr,
    mail: Sender<M>,
    thread: JoinHandle<()>,
}

fn serve<H>(make: fn() -> H) -> Served<H::Mail>
where
    H: Handler<Linux> + 'static,
    H::Mail: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a flag");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let net = Linux::new(vec![listener]).expect("a poller");
        let (mail, messages) = mailbox(net.waker());
        sender.send(mail).expect("somebody waits for it");
        let mut worker = Loop::with(net, messages, Pace::default(), |_| make());
        worker.run().expect("the poller works");
    });
    Served { address, mail: receiver.recv().expect("it starts"), thread }
}

impl<M> Served<M> {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    fn end(self, last: M) {
        assert!(self.mail.send(last).is_ok(), "it still runs");
        self.thread.join().expect("it ends");
    }
}

#[test]
fn an_echo_server_sends_back_what_it_is_sent() {
    let served = serve(Echo::new);
    let sent: Vec<u8> = (0..3_000_000).map(|index| (index % 251) as u8).collect();
    let stream = served.connect();
    let (mut reader, mut writer) = (stream.try_clone().expect("a descriptor"), stream);
    let text = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&text).map(|()| writer));
    let mut heard = vec![0; sent.len()];
    reader.read_exact(&mut heard).expect("all of it comes back");
    assert!(heard == sent);
    let writer = writing.join().expect("no panic").expect("all of it was taken");
    writer.shutdown(Shutdown::Write).expect("a FIN");
    assert_eq!(reader.read(&mut heard).expect("its end"), 0);
    served.end(());
}

#[test]
fn an_echo_server_hangs_up_on_who_says_nothing() {
    let served = serve(Echo::new);
    let mut silent = served.connect();
    let began = Instant::now();
    assert_eq!(silent.read(&mut [0; 8]).expect("its end"), 0);
    assert!(began.elapsed() >= SILENCE);
    served.end(());
}

#[test]
fn what_one_guest_says_the_others_hear() {
    let served = serve(Chat::new);
    let guests: Vec<TcpStream> = (0..3).map(|_| served.connect()).collect();
    let mut ears: Vec<_> =
        guests.iter().map(|guest| BufReader::new(guest.try_clone().expect("a handle"))).collect();
    let mut hear = |ear: usize| {
        let mut line = String::new();
        ears[ear].read_line(&mut line).expect("a line");
        line
    };
    // All are here once a message for all has come to each.
    assert!(served.mail.send(Some("welcome\n".into())).is_ok());
    let welcomed: Vec<String> = (0..3).map(&mut hear).collect();
    assert_eq!(welcomed, ["welcome\n"; 3]);
    (&guests[0]).write_all(b"hel").expect("it is taken");
    (&guests[0]).write_all(b"lo\nagain\n").expect("it is taken");
    for ear in [1, 2] {
        assert_eq!((hear(ear), hear(ear)), ("hello\n".into(), "again\n".into()));
    }
    (&guests[2]).write_all(b"bye\n").expect("it is taken");
    assert_eq!((hear(0), hear(1)), ("bye\n".into(), "bye\n".into()));
    served.end(None);
}

/// Turns until every client of the world has done what it came for.
fn play<H: Handler<World>>(world: &World, make: fn() -> H) {
    let (_mail, messages) = mailbox(world.waker());
    let mut worker = Loop::with(world.clone(), messages, Pace::default(), |_| make());
    while !world.clients_are_done() {
        worker.turn().expect("a world does not fail");
        assert!(worker.net().now() < sluicegate::clock::Instant::from_nanos(600_000_000_000));
    }
    assert_eq!(world.violations(), Vec::<String>::new());
}

/// The clients of a world read answers: what they send is one, and comes back.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

fn says() -> Visit {
    Visit::new().ask(Asked::default()).raw(ANSWER)
}

#[test]
fn the_same_echo_server_stands_in_a_world_of_short_reads_and_broken_writes() {
    for seed in 0..300 {
        let faults = Faults::draw(&mut Random::new(seed));
        let world = World::with_faults(seed, faults);
        let clients: Vec<_> = (0..5)
            .map(|number| world.client(says().after(Duration::from_millis(number * 7))))
            .collect();
        play(&world, Echo::new);
        for client in clients {
            let client = world.see(client);
            let whole = client.reader.messages.first().map(|answer| answer.text());
            let lost = client.refused || client.end == End::Reset;
            assert!(lost || whole.as_deref() == Some("hello\n"), "seed {seed}: {client:?}");
        }
    }
}

#[test]
fn the_same_chat_stands_in_a_world() {
    for seed in 0..50 {
        let world = World::new(seed);
        let listens = || Visit::new().ask(Asked::default());
        let guests = [world.client(listens()), world.client(listens())];
        let speaks = Visit::new().after(Duration::from_secs(1)).raw(ANSWER);
        world.client(speaks.pause(Duration::from_secs(1)).leave());
        play(&world, Chat::new);
        for guest in guests {
            assert_eq!(world.see(guest).reader.messages[0].text(), "hello\n", "seed {seed}");
        }
    }
}
