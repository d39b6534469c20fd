//! What reached the servers: how often, what of it, and what the client was told about it.

use std::collections::BTreeMap;

use super::{Tally, upstream_name};
use crate::clock::Instant;
use crate::sim::message::{Ending, Message};
use crate::sim::payload::{self, EXCHANGE};
use crate::sim::peer::Reached;
use crate::sim::plan::{Method, Plan};
use crate::sim::world::World;

/// A request as one server saw it.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    reached: Reached,
    /// The upstream of the chain.
    link: usize,
    /// Requests that its connection had carried before.
    earlier: usize,
    /// Bytes that the gateway read from the connection after the request; of a sealed one, records.
    answered: u64,
    /// All of the request came.
    whole: bool,
}

/// How often each request was sent, and where to.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// By exchange: the fewest attempts that it may say it took, and the last one's upstream.
    ways: BTreeMap<usize, (usize, usize)>,
    /// The most attempts a request may need.
    most: usize,
}

impl Sent {
    /// What an answer says about its way must be so.
    pub fn judge_way(&self, number: usize, message: &Message) -> Result<(), String> {
        let Some((made, link)) = self.ways.get(&number) else {
            return Err(format!("exchange {number} was answered, and no server was asked"));
        };
        let told = message.field("x-sluice-upstream").unwrap_or("nobody");
        // A reload may have given it a number besides.
        let rest = told.strip_prefix(&*upstream_name(*link));
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            return Err(format!("exchange {number} was answered by upstream {link}, not {told}"));
        }
        // An attempt that came to no connection reached no server.
        let told = message.field("x-sluice-attempts").and_then(|told| told.parse::<usize>().ok());
        match told.is_some_and(|told| (*made..=self.most).contains(&told)) {
            true => Ok(()),
            false => Err(format!("exchange {number} took {made} attempts, and {told:?} are told")),
        }
    }

    pub fn failed_over(&self, number: usize) -> bool {
        self.ways.get(&number).is_some_and(|(_, link)| *link > 0)
    }
}

pub(super) fn judge(plan: &Plan, world: &World, tally: &mut Tally) -> Result<Sent, String> {
    let mut attempts: BTreeMap<usize, Vec<Attempt>> = BTreeMap::new();
    for session in world.sessions() {
        let connection = session.connection().unwrap_or(0);
        let link = session.server().unwrap_or(0) / plan.gateway.endpoints;
        if let Some(fault) = &session.reader.fault {
            return Err(format!("a server received what is no HTTP: {fault}"));
        }
        for (earlier, message) in session.reader.messages.iter().enumerate() {
            let number = judge_request(plan, message)?;
            // A request that came while its server was busy dying was never looked at.
            let Some(reached) = session.reached.get(earlier).copied() else {
                continue;
            };
            let after = session.reached.get(earlier + 1).map(|next| next.read_before);
            let after = after.unwrap_or_else(|| world.bytes_read_from(connection));
            let answered = session.said_between(reached.read_before, after);
            let whole = message.complete;
            let attempt = Attempt { reached, link, earlier, answered, whole };
            attempts.entry(number).or_default().push(attempt);
        }
    }
    judge_budget(plan, &attempts)?;
    let most = plan.gateway.attempts as usize;
    // What nobody has heard in full is told too.
    let most = most + plan.gateway.endpoints + 1;
    let mut sent = Sent { ways: BTreeMap::new(), most: most * plan.gateway.upstreams };
    for (number, mut attempts) in attempts {
        attempts.sort_by_key(|attempt| attempt.reached.at);
        let replayed = judge_attempts(plan, number, &attempts)?;
        let made = attempts.len() - replayed;
        tally.replayed += replayed;
        tally.retried += made - 1;
        let last = attempts.last().map_or(0, |attempt| attempt.link);
        let fewest = made - left_undone(plan, number, &attempts);
        sent.ways.insert(number, (fewest, last));
    }
    Ok(sent)
}

/// Retries are a share of the requests, and ten a second besides. Where there is no budget, there
/// are none. The first attempt at an upstream is a request of its own there.
fn judge_budget(plan: &Plan, attempts: &BTreeMap<usize, Vec<Attempt>>) -> Result<(), String> {
    let percent = plan.gateway.budget as usize;
    for link in 0..plan.gateway.upstreams {
        let (mut requests, mut retries) = (0, 0);
        let (mut first, mut last) = (Instant::NEVER, Instant::ZERO);
        for (number, attempts) in attempts {
            let mut here: Vec<Attempt> =
                attempts.iter().filter(|attempt| attempt.link == link).copied().collect();
            here.sort_by_key(|attempt| attempt.reached.at);
            requests += usize::from(!here.is_empty());
            let spared = usize::from(here.iter().any(|attempt| !attempt.whole));
            retries += here.len().saturating_sub(1 + spared + replays(plan, *number, &here));
            for attempt in here {
                first = first.min(attempt.reached.at);
                last = last.max(attempt.reached.at);
            }
        }
        // A second that has begun counts, and a retry may have been paid for in the one before.
        let floor = if percent == 0 { 0 } else { 10 * (last.since(first).as_secs() as usize + 2) };
        if retries > requests * percent / 100 + floor {
            return Err(format!(
                "{retries} retries of {requests} requests at upstream {link}, and {percent} % are allowed"
            ));
        }
    }
    Ok(())
}

/// The attempts at one exchange, in their order. How many of them were replays.
fn judge_attempts(plan: &Plan, number: usize, attempts: &[Attempt]) -> Result<usize, String> {
    for link in 0..plan.gateway.upstreams {
        let here: Vec<Attempt> =
            attempts.iter().filter(|attempt| attempt.link == link).copied().collect();
        let made = here.len() - replays(plan, number, &here);
        // One that is lost while the client is waited for is no attempt. The next one is made when
        // the request is whole.
        let spared = usize::from(here.iter().any(|attempt| !attempt.whole));
        if made > plan.gateway.attempts as usize + spared {
            return Err(format!(
                "exchange {number} reached upstream {link} {} times: {here:?}",
                here.len()
            ));
        }
    }
    // To an upstream that was passed over it goes back once, where nobody behind that is left.
    let back = attempts.windows(2).filter(|pair| pair[1].link < pair[0].link).count();
    if back > 1 {
        return Err(format!("exchange {number} went back in its chain {back} times: {attempts:?}"));
    }
    Ok(replays(plan, number, attempts))
}

/// How many of the attempts at one exchange, in their order, replaced a reused connection that had
/// died without a byte.
fn replays(plan: &Plan, number: usize, attempts: &[Attempt]) -> usize {
    let stale = |pair: &&[Attempt]| {
        let again = pair[1].earlier == 0 && pair[0].link == pair[1].link;
        is_dead(plan, number, &pair[0]) && again
    };
    attempts.windows(2).filter(stale).count()
}

/// How many of these connections may have died without their request being replayed: nobody of
/// their upstream could be asked any more (a breaker had opened), and the next one was. The
/// attempt that was to be replayed is the one made there, so it counts once.
fn left_undone(plan: &Plan, number: usize, attempts: &[Attempt]) -> usize {
    let undone =
        |pair: &&[Attempt]| is_dead(plan, number, &pair[0]) && pair[0].link != pair[1].link;
    attempts.windows(2).filter(undone).count()
}

/// Whether a reused connection died under this request without a byte, or gave what is no HTTP, and it
/// may be sent again.
fn is_dead(plan: &Plan, number: usize, attempt: &Attempt) -> bool {
    let repeatable =
        plan.gateway.replay_stale_post || plan.exchanges[number].method != Method::Post;
    let garbled = plan.exchanges[number].may_be_garbled();
    repeatable && attempt.earlier > 0 && (attempt.answered == 0 || garbled)
}

/// Which exchange a request belongs to, if it is what the client sent for it.
fn judge_request(plan: &Plan, message: &Message) -> Result<usize, String> {
    let number = message.field(EXCHANGE).and_then(|number| number.parse::<usize>().ok());
    let Some((number, exchange)) =
        number.and_then(|number| Some((number, plan.exchanges.get(number)?)))
    else {
        return Err(format!("a request that no client sent: {:?}", message.start));
    };
    let wrong =
        |what: &str| Err(format!("the request of exchange {number} reached a server {what}"));
    if message.ending == Ending::Tunnel {
        let sent = payload::letters(number, "tunnel", exchange.tunnel.unwrap_or(0));
        return if sent.starts_with(&message.body) {
            Ok(number)
        } else {
            wrong("with another's tunnel")
        };
    }
    let sent = exchange
        .upload
        .map_or(Vec::new(), |upload| payload::letters(number, "request", upload.length));
    if !sent.starts_with(&message.body) {
        return wrong("with bytes that were not in it");
    }
    if message.complete && message.body.len() < sent.len() {
        return wrong("without its end, and looks whole");
    }
    Ok(number)
}
