//! What the world tells: each note of its trace becomes a mark, those of calls with their evidence.

use std::io::{Error, ErrorKind};

use super::{LISTENER, Scribe};
use crate::clock::Instant;
use crate::gateway::report::outline::{Outline, Side};
use crate::reactor::readiness::Readiness;
use crate::reactor::token::Token;
use crate::sim::{Direction, Note};
use crate::turns::account::{Kind, Lane, LaneKind, Mark, Moved};
use crate::turns::words;

impl Scribe {
    /// Writes down what has happened in the world since.
    pub fn hear(&mut self) {
        let notes = self.world.notes_since(self.seen);
        self.seen += notes.len();
        for (at, note) in notes {
            self.note(at, note);
        }
    }

    fn lane_of(&mut self, connection: usize, kind: LaneKind) -> usize {
        if let Some(lane) = self.by_connection.get(&connection) {
            return *lane;
        }
        let address = self.world.address_of(connection);
        let of_kind = self.account.lanes.iter().filter(|lane| lane.kind == kind);
        let (name, about) = match kind {
            LaneKind::Server => {
                let server = self.servers.iter().position(|server| *server == address);
                let letter = (b'A' + server.unwrap_or(25) as u8) as char;
                let before = of_kind.filter(|lane| lane.name.contains(letter)).count();
                (format!("server {letter}{}", before + 1), format!("a connection to {address}"))
            }
            _ => (format!("client {}", of_kind.count() + 1), format!("a client at {address}")),
        };
        let lane = self.account.lanes.len();
        self.account.lanes.push(Lane { name, kind, about, ready: Readiness::born() });
        self.by_connection.insert(connection, lane);
        lane
    }

    fn note(&mut self, at: Instant, note: Note) {
        match note {
            Note::Told { .. } | Note::ToldStale { .. } => {}
            Note::Read { .. }
            | Note::ReadEnd { .. }
            | Note::Wrote { .. }
            | Note::WouldBlock { .. }
            | Note::Failed { .. }
            | Note::Peeked { .. } => self.note_call(note),
            Note::Accepted { link } => {
                let lane = self.lane_of(link, LaneKind::Client);
                let name = self.account.lanes[lane].name.clone();
                self.mark(Kind::Call, LISTENER, format!("accept() = {name}"), "");
            }
            Note::Connecting { link } => {
                let lane = self.lane_of(link, LaneKind::Server);
                let why = "writable is assumed: a write will tell";
                self.mark(Kind::Call, lane, "connect() = EINPROGRESS", why);
            }
            Note::Registered { link, token } => self.registered(link, token),
            Note::ShutDown { link } => {
                let lane = self.lane_of(link, LaneKind::Client);
                self.mark(Kind::Call, lane, "shutdown(write)", "FIN, behind the last bytes");
            }
            Note::Dropped { link, reset } => {
                let lane = self.lane_of(link, LaneKind::Client);
                let what = if reset { "freed: close(), RST" } else { "freed: close()" };
                self.mark(Kind::Freed, lane, what, "the slot's generation moves on");
            }
            Note::Fault { what } => {
                let (call, why) = match what {
                    "accept is out of descriptors" => {
                        ("accept() = EMFILE", "the bit stays; accepting rests 100 ms")
                    }
                    "accept is out of memory" => {
                        ("accept() = ENOBUFS", "the bit stays; accepting rests 100 ms")
                    }
                    "connect is out of descriptors" => ("connect() = EMFILE", ""),
                    other => (other, ""),
                };
                self.mark(Kind::Call, LISTENER, call, why);
            }
            _ => self.note_outside(at, note),
        }
    }

    fn registered(&mut self, connection: usize, token: Token) {
        let lane = self.lane_of(connection, LaneKind::Client);
        self.by_token.insert(token.to_bits(), lane);
        let about = &mut self.account.lanes[lane].about;
        about.push_str(&format!(", {token:?}"));
        let why = "once, for both directions";
        let born = |ready: &mut Readiness| *ready = Readiness::born();
        self.evidence(lane, format!("register as {token:?}"), why, None, born);
    }

    /// A call on a connection, with its evidence for readiness.
    fn note_call(&mut self, note: Note) {
        let mut on = |link| self.lane_of(link, LaneKind::Client);
        match note {
            Note::Read { link, length, room } => {
                let lane = on(link);
                let known = self.account.lanes[lane].ready.read_closed();
                let why = words::of_read(length, room, known);
                let what = format!("read({room}) = {length}");
                let evidence = |ready: &mut Readiness| ready.after_read(room, &Ok(length));
                self.evidence(lane, what, why, Some(Moved::In(length)), evidence);
            }
            Note::ReadEnd { link } => {
                let lane = on(link);
                let evidence = |ready: &mut Readiness| ready.after_read(1, &Ok(0));
                self.evidence(lane, "read() = 0".into(), "the end: its FIN", None, evidence);
            }
            Note::Wrote { link, length, offered } => {
                let lane = on(link);
                let what = format!("write({offered}) = {length}");
                let evidence = |ready: &mut Readiness| ready.after_write(offered, &Ok(length));
                let moved = Some(Moved::Out(length));
                self.evidence(lane, what, words::of_write(length, offered), moved, evidence);
            }
            Note::WouldBlock { link, call } => {
                let lane = on(link);
                let connecting = !self.stands(lane);
                let why = words::of_would_block(call, connecting);
                let error = || Err(Error::from(ErrorKind::WouldBlock));
                let evidence = |ready: &mut Readiness| match call {
                    "write" => ready.after_write(1, &error()),
                    _ => ready.after_read(1, &error()),
                };
                self.evidence(lane, format!("{call}() = EAGAIN"), why, None, evidence);
            }
            Note::Failed { link, call, kind } => {
                let lane = on(link);
                let what = format!("{call}() = {}", words::errno(kind));
                self.mark(Kind::Call, lane, what, "the connection is broken");
            }
            Note::Peeked { link, length } => {
                let lane = on(link);
                let why = "it has spoken or ended: it may not carry a request";
                self.mark(Kind::Call, lane, format!("peek(1) = {length}"), why);
            }
            _ => {}
        }
    }

    /// Whether the server of this lane has been seen to take bytes, or its connection to stand.
    fn stands(&self, lane: usize) -> bool {
        let of_lane =
            |outline: &&Outline| self.by_token.get(&outline.token.to_bits()) == Some(&lane);
        let known = self.known.iter().find(of_lane).map(|outline| outline.side);
        let server = self.account.lanes[lane].kind == LaneKind::Server;
        !server || matches!(known, Some(Side::Server { connected: true, .. }))
    }

    /// What the network and the peers did.
    fn note_outside(&mut self, at: Instant, note: Note) {
        let (link, what, moved) = match note {
            Note::PeerConnected { link, .. } => (link, "connects".to_owned(), None),
            Note::Arrived { link, direction, length, fin } => {
                let moved = match direction {
                    Direction::In => Moved::In(length),
                    Direction::Out => Moved::Out(length),
                };
                (link, self.arrives(link, direction, length, fin), Some(moved))
            }
            Note::ResetArrived { link, direction } => {
                (link, self.travels(link, direction, "a RST", false), None)
            }
            Note::Stands { link } => (link, "the connection stands".to_owned(), None),
            Note::Refused { link } => (link, "the connection is refused".to_owned(), None),
            _ => return,
        };
        let lane = self.lane_of(link, LaneKind::Client);
        let (phase, kind, why) = (self.phase, Kind::Outside, String::new());
        self.push(Mark { phase, kind, lane, at, what, bits: None, moved, why });
    }

    fn arrives(&mut self, link: usize, direction: Direction, length: usize, fin: bool) -> String {
        let what = match (length, fin) {
            (0, _) => "a FIN".to_owned(),
            (length, true) => format!("{length} bytes and a FIN"),
            (length, false) => format!("{length} bytes"),
        };
        self.travels(link, direction, &what, length > 0)
    }

    fn travels(&mut self, link: usize, direction: Direction, what: &str, many: bool) -> String {
        let lane = self.lane_of(link, LaneKind::Client);
        let side =
            if self.account.lanes[lane].kind == LaneKind::Server { "server" } else { "client" };
        match (direction, many) {
            (Direction::In, true) => format!("{what} arrive"),
            (Direction::In, false) => format!("{what} arrives"),
            (Direction::Out, true) => format!("{what} reach the {side}"),
            (Direction::Out, false) => format!("{what} reaches the {side}"),
        }
    }
}
