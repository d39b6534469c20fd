//! A peer's end of a sealed connection: its [`Seal`], and the bytes on both sides of it.

use super::super::fabric::Fabric;
use super::seal::Seal;

/// Between what a script says and the network.
pub(super) struct Sealed {
    pub seal: Seal,
    /// Arrived and not opened.
    inbox: Vec<u8>,
    /// Sealed and not sent.
    unsent: Vec<u8>,
    /// FIN travels with the last of it.
    fin: bool,
    /// Bytes that were ever sealed, and where each record with plaintext ends among them.
    sealed: u64,
    data_ends: Vec<u64>,
    /// The other side has sent an alert: nothing more is opened.
    alerted: bool,
    /// What the other side sent cannot be opened.
    pub fault: Option<&'static str>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

impl Sealed {
    pub fn new(seal: Seal) -> Sealed {
        Sealed {
            seal,
            inbox: Vec::new(),
            unsent: Vec::new(),
            fin: false,
            sealed: 0,
            data_ends: Vec::new(),
            alerted: false,
            fault: None,
        }
    }

    /// Sends what waits. True if nothing does.
    pub fn flush(&mut self, link: usize, fabric: &mut Fabric) -> bool {
        let own = self.seal.own();
        self.put(&own, false);
        if !self.unsent.is_empty() || self.fin {
            let sent = fabric.peer_send(link, &self.unsent, self.fin);
            self.unsent.drain(..sent);
            self.fin &= !self.unsent.is_empty();
        }
        self.unsent.is_empty()
    }

    /// Puts sealed bytes behind those that wait, and remembers where plaintext ends, if they hold some.
    fn put(&mut self, sealed: &[u8], speaks: bool) {
        let mut rest = sealed;
        while let Some((length, may_speak)) = self.seal.record(rest) {
            self.sealed += length as u64;
            if speaks && may_speak {
                self.data_ends.push(self.sealed);
            }
            rest = &rest[length..];
        }
        self.unsent.extend_from_slice(sealed);
    }

    /// Whether something can be said now: the handshake is over, and all that was said has left.
    fn may_speak(&mut self, link: usize, fabric: &mut Fabric) -> bool {
        self.flush(link, fabric) && self.seal.established()
    }

    /// Seals all of `plain`, with `close_notify` and FIN behind it, if `fin`. False if it cannot yet.
    pub fn say(&mut self, link: usize, plain: &[u8], fin: bool, fabric: &mut Fabric) -> bool {
        if !self.may_speak(link, fabric) {
            return false;
        }
        let mut sealed = Vec::new();
        self.seal.seal_to(plain, &mut sealed);
        self.put(&sealed, true);
        if fin {
            self.close();
        }
        true
    }

    /// Seals `close_notify`, and has FIN follow.
    pub fn close(&mut self) {
        if !self.fin {
            if self.seal.established() {
                let farewell = self.seal.farewell();
                self.put(&farewell, false);
            }
            self.fin = true;
        }
    }

    /// As [`Fabric::peer_speaks_up`].
    pub fn speak_up(&mut self, link: usize, plain: &[u8], fin: bool, fabric: &mut Fabric) -> bool {
        if !self.may_speak(link, fabric) {
            return false;
        }
        // What is not sent after all was never sealed. A real session cannot take anything back, so its
        // peer says it in a step of its own.
        let Seal::Toy(toy) = &self.seal else { return false };
        let mut seal = Seal::Toy(toy.clone());
        let mut sealed = Vec::new();
        seal.seal_to(plain, &mut sealed);
        if fin {
            sealed.extend_from_slice(&seal.farewell());
        }
        let spoken = fabric.peer_speaks_up(link, &sealed, fin);
        if spoken {
            self.seal = seal;
            self.put(&sealed, true);
            self.unsent.clear();
        }
        spoken
    }

    /// Sends a record in which nothing is said: a ticket, or one that nobody can open.
    pub fn send_unasked(&mut self, spoilt: bool, link: usize, fabric: &mut Fabric) {
        if spoilt {
            let spoiled = self.seal.spoiled();
            self.sealed += spoiled.len() as u64;
            self.unsent.extend_from_slice(spoiled);
        } else {
            let mut sealed = Vec::new();
            self.seal.ticket(&mut sealed);
            self.put(&sealed, false);
        }
        self.flush(link, fabric);
    }

    /// Takes at most `limit` bytes that have arrived, and opens them. Returns how many were taken.
    pub fn take(
        &mut self,
        link: usize,
        plain: &mut Vec<u8>,
        limit: usize,
        fabric: &mut Fabric,
    ) -> usize {
        let taken = fabric.peer_take(link, &mut self.inbox, limit);
        let mut room = [0; 1024];
        while self.fault.is_none() && !self.alerted && !self.seal.ended() {
            match self.seal.open_front(&mut self.inbox, &mut room) {
                Ok(None) => self.alerted = true,
                Ok(Some(opened)) => {
                    plain.extend_from_slice(&room[..opened.given]);
                    self.inbox.drain(..opened.taken);
                    if opened.taken == 0 && opened.given == 0 {
                        break;
                    }
                }
                Err(alert) => self.fault = Some(alert.why),
            }
        }
        self.flush(link, fabric);
        taken
    }

    /// How many records with plaintext end in this part of all that was sealed.
    pub fn said_between(&self, from: u64, to: u64) -> u64 {
        self.data_ends.iter().filter(|end| (from + 1..=to).contains(*end)).count() as u64
    }
}
