//! One question and its answer, as bytes. The crate `simple-dns` reads and writes them; here it is decided
//! whether an answer is one to our question, and what it says.

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use super::SrvTarget;

/// Aliases that are followed within one answer.
const ALIASES_MAX: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Service(SrvTarget),
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// At least one.
    Records(Vec<Record>),
    /// The name is another one, which has to be asked for.
    Alias(String),
    /// There is no such name, or nothing of this kind.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub outcome: Outcome,
    /// In seconds, the least of all that it rests on; `None`: it does not say.
    pub ttl: Option<u32>,
}

/// What became of bytes that came where an answer was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Answer(Answer),
    /// It is cut off: TCP has the whole one.
    Truncated,
    /// The server will not say, for this reason.
    Refused(String),
    /// It is none to our question.
    Foreign,
}

impl Kind {
    fn of(self) -> TYPE {
        match self {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
            Kind::Srv => TYPE::SRV,
        }
    }
}

/// The bytes of a question. Why it is none: the name cannot be written.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let mistake = |_| format!("{name:?} is no name that DNS knows");
    let asked = Name::new(name.trim_end_matches('.')).map_err(mistake)?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let question = Question::new(asked, QTYPE::TYPE(kind.of()), QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(question);
    packet.build_bytes_vec().map_err(mistake)
}

/// What these bytes say to that question.
pub(super) fn read(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Reading {
    let (Ok(packet), Ok(asked)) = (Packet::parse(bytes), Name::new(name.trim_end_matches('.')))
    else {
        return truncated(bytes, id);
    };
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.first().is_some_and(|question| {
            question.qname == asked && question.qtype == QTYPE::TYPE(kind.of())
        });
    // A server that cannot read a question may not repeat it.
    let is_refusal = packet.questions.is_empty() && packet.rcode() == RCODE::FormatError;
    if !(is_ours || packet.id() == id && packet.has_flags(PacketFlag::RESPONSE) && is_refusal) {
        return Reading::Foreign;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Reading::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => Reading::Answer(answer(&packet, asked, kind)),
        other => Reading::Refused(format!("{other:?}")),
    }
}

/// Of bytes that are no whole message: whether they are the beginning of the answer.
fn truncated(bytes: &[u8], id: u16) -> Reading {
    match bytes {
        [high, low, flags, ..]
            if u16::from_be_bytes([*high, *low]) == id && flags & 0x82 == 0x82 =>
        {
            Reading::Truncated
        }
        _ => Reading::Foreign,
    }
}

fn answer(packet: &Packet<'_>, asked: Name<'_>, kind: Kind) -> Answer {
    let (mut name, mut least) = (asked, None);
    let note = |ttl: u32, least: &mut Option<u32>| *least = Some(least.unwrap_or(ttl).min(ttl));
    for _ in 0..ALIASES_MAX {
        let mut records = Vec::new();
        for record in packet.answers.iter().filter(|one| one.class == CLASS::IN && one.name == name)
        {
            if let Some(found) = record_of(&record.rdata, kind) {
                note(record.ttl, &mut least);
                records.push(found);
            }
        }
        if !records.is_empty() {
            return Answer { outcome: Outcome::Records(records), ttl: least };
        }
        let alias = packet.answers.iter().find_map(|record| match &record.rdata {
            RData::CNAME(target) if record.name == name => Some((&target.0, record.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = alias else { break };
        note(ttl, &mut least);
        name = target.clone();
    }
    // The root is nobody's other name.
    let is_alias = least.is_some() && packet.rcode() == RCODE::NoError && !is_root(&name);
    let soa = packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    // An authority says that the end of the chain has nothing.
    match is_alias && soa.is_none() {
        true => Answer { outcome: Outcome::Alias(name.to_string()), ttl: least },
        false => Answer { outcome: Outcome::Nothing, ttl: soa },
    }
}

fn record_of(data: &RData<'_>, kind: Kind) -> Option<Record> {
    match (data, kind) {
        (RData::A(a), Kind::A) => Some(Record::Address(IpAddr::V4(a.address.into()))),
        (RData::AAAA(aaaa), Kind::Aaaa) => Some(Record::Address(IpAddr::V6(aaaa.address.into()))),
        // A service at the root is one that there is not (RFC 2782).
        (RData::SRV(srv), Kind::Srv) if !is_root(&srv.target) => Some(Record::Service(SrvTarget {
            target: srv.target.to_string(),
            port: srv.port,
            priority: srv.priority,
            weight: srv.weight,
        })),
        _ => None,
    }
}

fn is_root(name: &Name<'_>) -> bool {
    name.get_labels().is_empty()
}
