//! A toy session: what TLS does to the bytes of a connection, without its secrets.
//!
//! ```text
//!   record:  kind · mark · length (2) · sum      body, up to the record limit
//!   client   HELLO ─────────▶  ◀───────── HELLO   server
//!            FINISHED ──────▶  ◀──────── TICKET   DATA each way, then an ALERT that says close
//! ```
//!
//! * The body of what is sealed is XORed with numbers that both nonces and the place of the record in its
//!   direction give: a record that is lost, repeated, out of its order or another connection's does not
//!   fit its sum.
//! * Records are cut by whoever seals, anywhere in the plaintext.
//! * The worker's side is a [`Session`]; peers use the same type with plain vectors.
//!
//! Absent on purpose: security. A sum is no seal, and alerts are not even XORed.

use super::random::{Random, mix};
use crate::wire::transport::{Alert, Session, Sessions, Unsealed, Wire};

/// Bytes in front of every body.
pub const HEADER: usize = 5;
const MARK: u8 = 0x54;

/// What a record is.
pub mod kind {
    pub const HELLO: u8 = 1;
    pub const FINISHED: u8 = 2;
    pub const TICKET: u8 = 3;
    pub const ALERT: u8 = 4;
    pub const DATA: u8 = 5;
}

/// The record that says that no more will come.
pub const CLOSE_NOTIFY: [u8; HEADER + 1] = [kind::ALERT, MARK, 0, 1, 0, 0];
/// The record that says that one could not be opened.
const BAD_RECORD: [u8; HEADER + 1] = [kind::ALERT, MARK, 0, 1, 20, 20];
/// What [`Toy::open_front`] says of the peer's alert.
pub const ALERTED: Alert = Alert::protocol("an alert of the peer's");
/// A record that nobody can open: its sum is wrong.
pub const SPOILED: [u8; HEADER + 1] = [kind::DATA, MARK, 0, 1, 77, 0];

/// How the sessions of one side of a world are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The most plaintext of one record.
    pub record_max: usize,
    /// The most bytes of a hello beside its nonce: certificates are long.
    pub hello_max: usize,
    /// A server sends so many tickets when the handshake is over.
    pub tickets: usize,
    /// A server never answers a hello, a client never sends one.
    pub stalls: bool,
}

impl Manners {
    pub const PLAIN_SAILING: Manners =
        Manners { record_max: 16 * 1024, hello_max: 0, tickets: 0, stalls: false };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The other side's hello is awaited.
    Hello,
    /// A server awaits the client's last word.
    Finished,
    Established,
}

/// One side of a session.
#[derive(Clone, Debug)]
pub struct Toy {
    role: Role,
    stage: Stage,
    manners: Manners,
    random: Random,
    nonce: u64,
    secret: u64,
    /// Sealed records so far, sent and received.
    sent: u64,
    received: u64,
    /// The record at the front lies open, and so much of its plaintext was given already.
    given: Option<usize>,
    /// What it has to say itself.
    own: Vec<u8>,
    pub ended: bool,
}

/// What a record at the front is.
struct Record {
    kind: u8,
    sum: u8,
    length: usize,
}

/// The record at the front of `sealed`, if all of it is there.
fn record_in(sealed: &[u8]) -> Result<Option<Record>, Alert> {
    let Some(&[kind, mark, high, low, sum]) = sealed.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    if mark != MARK || !(kind::HELLO..=kind::DATA).contains(&kind) {
        return Err(Alert::protocol("this is no record"));
    }
    let length = usize::from(high) << 8 | usize::from(low);
    Ok((sealed.len() >= HEADER + length).then_some(Record { kind, sum, length }))
}

fn sum_of(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

impl Toy {
    pub fn client(manners: Manners, seed: u64) -> Toy {
        let mut toy = Toy::new(Role::Client, manners, seed);
        if !manners.stalls {
            toy.hello();
        }
        toy
    }

    pub fn server(manners: Manners, seed: u64) -> Toy {
        Toy::new(Role::Server, manners, seed)
    }

    fn new(role: Role, manners: Manners, seed: u64) -> Toy {
        let mut random = Random::new(seed);
        let nonce = random.draw();
        Toy {
            role,
            stage: Stage::Hello,
            manners,
            random,
            nonce,
            secret: 0,
            sent: 0,
            received: 0,
            given: None,
            own: Vec::new(),
            ended: false,
        }
    }

    pub fn established(&self) -> bool {
        self.stage == Stage::Established
    }

    fn hello(&mut self) {
        let mut body = self.nonce.to_le_bytes().to_vec();
        body.resize(8 + self.random.below(self.manners.hello_max + 1), 0);
        let mut own = std::mem::take(&mut self.own);
        put_record(kind::HELLO, sum_of(&body), &body, &mut own);
        self.own = own;
    }

    /// What is XORed over the body of a record.
    fn veil(&self, from: Role, number: u64, body: &mut [u8]) {
        let key = mix(self.secret ^ number.wrapping_mul(2) ^ u64::from(from == Role::Server));
        for (place, part) in body.chunks_mut(8).enumerate() {
            let veil = mix(key ^ place as u64).to_le_bytes();
            part.iter_mut().zip(veil).for_each(|(byte, veil)| *byte ^= veil);
        }
    }

    fn seal_record(&mut self, kind: u8, plain: &[u8], out: &mut Vec<u8>) {
        let mut body = plain.to_vec();
        self.veil(self.role, self.sent, &mut body);
        self.sent += 1;
        put_record(kind, sum_of(plain), &body, out);
    }

    /// Seals `plain`, in as many records as that takes.
    pub fn seal_to(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let mut rest = plain;
        while !rest.is_empty() {
            let whole = rest.len().min(self.manners.record_max);
            // Mostly as much as fits; sometimes less, so that a record ends anywhere.
            let cut = if self.random.chance(100) { self.random.between(1..=whole) } else { whole };
            let (now, later) = rest.split_at(cut);
            self.seal_record(kind::DATA, now, out);
            rest = later;
        }
    }

    /// A ticket: a record that says nothing to whoever uses the connection.
    pub fn ticket(&mut self, out: &mut Vec<u8>) {
        let length = self.random.between(1..=200);
        self.seal_record(kind::TICKET, &vec![b't'; length], out);
    }

    /// Takes what it has to say itself.
    pub fn own(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.own)
    }

    /// Opens the record at the front of `sealed`.
    pub fn open_front(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert> {
        let opened = self.open_record(sealed, plain);
        if matches!(opened, Err(alert) if alert != ALERTED) {
            self.own.extend_from_slice(&BAD_RECORD);
        }
        opened
    }

    fn open_record(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert> {
        let Some(Record { kind, sum, length }) = record_in(sealed)? else {
            return Ok(Unsealed::default());
        };
        let (record, behind) = sealed.split_at_mut(HEADER + length);
        let body = &mut record[HEADER..];
        let mut opened = Unsealed { taken: HEADER + length, ..Unsealed::default() };
        match (kind, self.stage) {
            (kind::ALERT, _) if *body == [0] => {
                (opened.ended, self.ended) = (true, true);
                return Ok(opened);
            }
            (kind::ALERT, _) => return Err(ALERTED),
            (kind::HELLO, Stage::Hello) => self.meet(body)?,
            (kind::FINISHED, Stage::Finished) => {
                self.unveil(sum, body)?;
                self.stage = Stage::Established;
                let mut own = std::mem::take(&mut self.own);
                for _ in 0..self.manners.tickets {
                    self.ticket(&mut own);
                }
                self.own = own;
            }
            (kind::TICKET, Stage::Established) => self.unveil(sum, body)?,
            (kind::DATA, Stage::Established) => {
                let before = match self.given {
                    Some(given) => given,
                    None => self.unveil(sum, body).map(|()| 0)?,
                };
                let rest = &body[before..];
                let room = rest.len().min(plain.len());
                plain[..room].copy_from_slice(&rest[..room]);
                opened.given = room;
                if room < rest.len() {
                    self.given = Some(before + room);
                    return Ok(Unsealed { taken: 0, more: true, ..opened });
                }
                self.given = None;
            }
            _ => return Err(Alert::protocol("a record that has no place here")),
        }
        opened.more = record_in(behind).is_ok_and(|record| record.is_some());
        Ok(opened)
    }

    /// The other side's hello is here: both know the secret.
    fn meet(&mut self, body: &[u8]) -> Result<(), Alert> {
        let nonce = body.first_chunk::<8>().ok_or(Alert::protocol("a hello without a nonce"))?;
        self.secret = mix(self.nonce ^ u64::from_le_bytes(*nonce));
        match self.role {
            Role::Server if self.manners.stalls => {}
            Role::Server => {
                self.hello();
                self.stage = Stage::Finished;
            }
            Role::Client => {
                let mut own = std::mem::take(&mut self.own);
                self.seal_record(kind::FINISHED, b"finished", &mut own);
                self.own = own;
                self.stage = Stage::Established;
            }
        }
        Ok(())
    }

    /// Opens a body where it lies.
    fn unveil(&mut self, sum: u8, body: &mut [u8]) -> Result<(), Alert> {
        let from = if self.role == Role::Client { Role::Server } else { Role::Client };
        self.veil(from, self.received, body);
        self.received += 1;
        match sum_of(body) == sum {
            true => Ok(()),
            false => Err(Alert::protocol("a record whose sum is wrong")),
        }
    }
}

fn put_record(kind: u8, sum: u8, body: &[u8], out: &mut Vec<u8>) {
    let length = body.len() as u16;
    out.extend_from_slice(&[kind, MARK, (length >> 8) as u8, length as u8, sum]);
    out.extend_from_slice(body);
}

impl Session for Toy {
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert> {
        self.open_front(sealed, plain)
    }

    fn seal(&mut self, plain: &[u8], into: &mut Wire<'_>) {
        let mut out = Vec::with_capacity(plain.len() + 64);
        self.seal_to(plain, &mut out);
        into.push(&out);
    }

    fn speak(&mut self, into: &mut Wire<'_>) {
        into.push(&self.own());
    }

    fn close(&mut self, into: &mut Wire<'_>) {
        into.push(&CLOSE_NOTIFY);
    }

    fn is_established(&self) -> bool {
        self.established()
    }
}

/// The worker's sessions in one world. `None`: that side is plain.
#[derive(Clone, Debug)]
pub struct Toys {
    pub clients: Option<Manners>,
    pub servers: Option<Manners>,
    pub seed: u64,
}

impl Sessions for Toys {
    fn accept(&mut self) -> Option<Box<dyn Session>> {
        self.seed = mix(self.seed);
        Some(Box::new(Toy::server(self.clients?, self.seed)))
    }

    fn connect(&mut self) -> Option<Box<dyn Session>> {
        self.seed = mix(self.seed);
        Some(Box::new(Toy::client(self.servers?, self.seed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands over what one side says until both have said all.
    fn shake(client: &mut Toy, server: &mut Toy) {
        for _ in 0..4 {
            let mut said = client.own();
            feed(server, &mut said, &mut Vec::new());
            let mut said = server.own();
            feed(client, &mut said, &mut Vec::new());
        }
    }

    fn feed(toy: &mut Toy, sealed: &mut Vec<u8>, plain: &mut Vec<u8>) {
        let mut room = [0; 7];
        loop {
            let opened = toy.open_front(sealed, &mut room).expect("a good record");
            plain.extend_from_slice(&room[..opened.given]);
            sealed.drain(..opened.taken);
            if opened.taken == 0 && opened.given == 0 {
                return;
            }
        }
    }

    fn pair(manners: Manners) -> (Toy, Toy) {
        let (mut client, mut server) = (Toy::client(manners, 1), Toy::server(manners, 2));
        shake(&mut client, &mut server);
        assert!(client.established() && server.established());
        (client, server)
    }

    #[test]
    fn what_is_sealed_is_opened_at_any_split() {
        let manners = Manners { record_max: 50, tickets: 2, ..Manners::PLAIN_SAILING };
        let (mut client, mut server) = pair(manners);
        let text: Vec<u8> = (0..1000).map(|index| (index % 251) as u8).collect();
        let mut sealed = Vec::new();
        client.seal_to(&text, &mut sealed);
        let (mut arrived, mut plain) = (Vec::new(), Vec::new());
        for byte in sealed {
            arrived.push(byte);
            feed(&mut server, &mut arrived, &mut plain);
        }
        assert_eq!((plain, arrived.len()), (text, 0));
    }

    #[test]
    fn a_record_for_which_there_is_no_room_waits_as_it_is() {
        let (mut client, mut server) = pair(Manners::PLAIN_SAILING);
        let (mut sealed, mut plain) = (Vec::new(), Vec::new());
        client.seal_to(b"text", &mut sealed);
        for _ in 0..2 {
            let opened = server.open_front(&mut sealed, &mut []);
            assert_eq!(opened, Ok(Unsealed { more: true, ..Unsealed::default() }));
        }
        feed(&mut server, &mut sealed, &mut plain);
        assert_eq!((plain.as_slice(), sealed.len()), (&b"text"[..], 0));
    }

    #[test]
    fn a_record_out_of_its_place_is_refused() {
        let (mut client, mut server) = pair(Manners::PLAIN_SAILING);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        client.seal_to(b"first", &mut first);
        client.seal_to(b"second", &mut second);
        assert!(server.open_front(&mut second, &mut [0; 16]).is_err());
        assert_eq!(server.own(), BAD_RECORD);
    }
}
