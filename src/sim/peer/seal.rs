//! The session of a peer: a toy, or a real one that somebody has given.

use std::fmt;

use super::super::toy::{ALERTED, CLOSE_NOTIFY, HEADER, SPOILED, Toy, kind};
use crate::wire::transport::{Alert, AlertCause, Session, Sessions, Unsealed, put_out};

/// A record header of TLS: type, version, length.
const TLS_HEADER: usize = 5;
/// A record of TLS that nobody can open: sealed data, and its seal is wrong.
const TLS_SPOILED: [u8; TLS_HEADER + 24] = {
    let mut record = [0x5a; TLS_HEADER + 24];
    (record[0], record[1], record[2], record[3], record[4]) = (23, 3, 3, 0, 24);
    record
};

/// What makes the sessions of peers in place of toys, if somebody has given it.
pub(in super::super) struct GivenSessions(pub Option<Box<dyn Sessions>>);

impl fmt::Debug for GivenSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "GivenSessions" } else { "no sessions" })
    }
}

/// What a peer seals and opens with.
pub(in super::super) enum Seal {
    Toy(Toy),
    /// Whose randomness is the system's: bytes differ from run to run, and what they say does not.
    Real {
        session: Box<dyn Session>,
        ended: bool,
    },
}

impl Seal {
    pub fn real(session: Box<dyn Session>) -> Seal {
        Seal::Real { session, ended: false }
    }

    pub fn established(&self) -> bool {
        match self {
            Seal::Toy(toy) => toy.established(),
            Seal::Real { session, .. } => session.is_established(),
        }
    }

    /// Whether the other side has said farewell.
    pub fn ended(&self) -> bool {
        match self {
            Seal::Toy(toy) => toy.ended,
            Seal::Real { ended, .. } => *ended,
        }
    }

    /// Takes what it has to say itself.
    pub fn own(&mut self) -> Vec<u8> {
        match self {
            Seal::Toy(toy) => toy.own(),
            Seal::Real { session, .. } => put_out(|wire| session.speak(wire)),
        }
    }

    pub fn seal_to(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        match self {
            Seal::Toy(toy) => toy.seal_to(plain, out),
            Seal::Real { session, .. } => out.extend(put_out(|wire| session.seal(plain, wire))),
        }
    }

    /// The record that says that no more will come.
    pub fn farewell(&mut self) -> Vec<u8> {
        match self {
            Seal::Toy(_) => CLOSE_NOTIFY.to_vec(),
            Seal::Real { session, .. } => put_out(|wire| session.close(wire)),
        }
    }

    /// A record in which nothing is said, if it can make one.
    pub fn ticket(&mut self, out: &mut Vec<u8>) {
        if let Seal::Toy(toy) = self {
            toy.ticket(out);
        }
    }

    /// A record that nobody can open.
    pub fn spoiled(&self) -> &'static [u8] {
        match self {
            Seal::Toy(_) => &SPOILED,
            Seal::Real { .. } => &TLS_SPOILED,
        }
    }

    /// Opens what is at the front of `sealed`. `Ok(None)`: it is an alert of the other side's.
    pub fn open_front(
        &mut self,
        sealed: &mut [u8],
        plain: &mut [u8],
    ) -> Result<Option<Unsealed>, Alert> {
        match self {
            Seal::Toy(toy) => match toy.open_front(sealed, plain) {
                Err(ALERTED) => Ok(None),
                opened => opened.map(Some),
            },
            Seal::Real { session, ended } => match session.open(sealed, plain) {
                Err(alert) if alert.cause == AlertCause::RefusedUs => Ok(None),
                Err(alert) if alert.why.contains("alert") => Ok(None),
                Err(alert) => Err(alert),
                Ok(opened) => {
                    *ended |= opened.ended;
                    Ok(Some(opened))
                }
            },
        }
    }

    /// The length of the record at the front, and whether it may hold plaintext.
    pub fn record(&self, sealed: &[u8]) -> Option<(usize, bool)> {
        let length = |high: u8, low: u8| usize::from(high) << 8 | usize::from(low);
        match self {
            Seal::Toy(_) => {
                let &[what, _, high, low, _] = sealed.first_chunk::<HEADER>()?;
                Some((HEADER + length(high, low), what == kind::DATA))
            }
            Seal::Real { .. } => {
                let &[_, _, _, high, low] = sealed.first_chunk::<TLS_HEADER>()?;
                Some((TLS_HEADER + length(high, low), true))
            }
        }
    }
}
