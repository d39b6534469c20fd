//! The record of an exchange, made when it is over.

use std::net::IpAddr;

use crate::clock::Instant;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::exchange::questions::EndpointNames;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::trace::{ExchangeTrace, Sending};
use crate::measure::journal::{Record, Sent, SpanRecord};
use crate::measure::stall::Owner;
use crate::service::{Completion, Observer};

/// The record of an exchange that ends at `now`; `names` knows its endpoints.
pub(crate) fn record(
    exchange: &mut Exchange,
    (client, identity): (IpAddr, Option<Box<str>>),
    status: u16,
    end: &'static str,
    names: EndpointNames<'_>,
    now: Instant,
) -> Record {
    let start = exchange.timeline.started;
    let given = exchange.commit.is_passed();
    if !given {
        exchange.note_wasted(if end == "client_gone" { "cancel" } else { "failed" });
    }
    let trace = exchange.trace.take();
    let aside = exchange.aside.as_mut();
    let (asked, model, wasted) = aside.map_or_else(Default::default, |aside| {
        (aside.asked.take(), aside.model.take(), std::mem::take(&mut aside.wasted))
    });
    let place = trace.as_ref().map(|trace| trace.place);
    let story = trace.and_then(|trace| story(*trace, exchange, names, now));
    let reached = |at: Instant| (at != Instant::NEVER).then(|| at - start);
    let response = exchange.attempt.response.as_ref();
    let observer = response.and_then(|response| response.watch.observer.as_ref());
    // What no client got is told apart.
    let paid = observer.filter(|_| given);
    let served = !matches!(exchange.peer, Peer::Responder { .. });
    let upstream = exchange.served_by(names).filter(|_| served);
    let (hops, before) = (&exchange.attempt.hops, exchange.before());
    Record {
        request_id: exchange.id.clone(),
        client,
        identity,
        key: exchange.principal().map(|who| who.name().into()),
        trace: place,
        story,
        route: exchange.route().map(|route| route.path.to_string()),
        upstream,
        status,
        content_type: observer.filter(|it| it.is_stream()).map_or("", Observer::media_type),
        is_stream: observer.is_some_and(Observer::reads_stream),
        asked,
        model,
        end,
        // A request that went nowhere, or was answered here, has asked nobody.
        attempts: exchange.tries.endpoint.map_or(0, |_| exchange.tries.in_all),
        continued: exchange.continued(),
        reused: exchange.attempt.reused,
        attached: reached(hops.attached),
        connected: reached(hops.connected),
        request_written: reached(hops.written),
        first_byte: reached(hops.first_byte),
        first_event: reached(hops.first_event),
        total: now - start,
        events: before.events + paid.map_or(0, Observer::tokens_estimated),
        tokens_before: before.tokens,
        usage: paid.and_then(Observer::usage),
        completion: paid.map_or(Completion::NONE, Observer::completion),
        wasted,
        prices: exchange.snapshot.prices.clone(),
        bytes_in: exchange.request.body.received(),
        bytes_out: before.bytes + response.map_or(0, |response| response.body.received()),
        waited: Owner::ALL.map(|owner| exchange.ledger.spent(owner)),
    }
}

fn story(
    trace: ExchangeTrace,
    exchange: &Exchange,
    names: EndpointNames<'_>,
    now: Instant,
) -> Option<Box<SpanRecord>> {
    let story = trace.story?;
    let start = exchange.timeline.started;
    let sent = |send: &Sending| {
        let upstream = exchange.snapshot.upstreams.get(send.upstream)?;
        Some(Sent {
            span: send.span,
            upstream: upstream.name.clone(),
            endpoint: names(upstream.id, send.endpoint).unwrap_or_default(),
            began: send.began - start,
            ended: send.ended.min(now) - start,
            reused: send.reused,
            status: (send.status != 0).then_some(send.status),
            failed: send.failed,
        })
    };
    let sends = story.sends.iter().filter_map(sent).collect();
    let dialect = exchange.dialect;
    Some(Box::new(SpanRecord { method: story.method, path: story.path, dialect, sends }))
}
