//! The gate, where a request comes in: whose key it has, and whether its route takes that.
//!
//! A key is looked for in the head, before anything of the body is read. What it opens is decided when the
//! route is known, and with it everything that the key may be barred from.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::clock::Instant;
use crate::config::snapshot::{KeyMode, Route, Snapshot, Target};
use crate::gate::authoriser::Comer;
use crate::gate::named::named_in_target;
use crate::gate::refusal::GateRefusal;
use crate::gate::{Asked, AskedModel, GateTime};
use crate::gateway::client::route::{Routed, dialect_of};
use crate::gateway::record::exchange::{Exchange, Visitor};
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::proxy::fault::DownstreamFault;
use crate::proxy::route;
use crate::service::{Dialect, Setting};

impl Snapshot {
    /// Whether it matters whose key a request has that goes there.
    pub(crate) fn asks_for_key(&self, routed: &Routed) -> bool {
        match routed {
            Routed::To(index) => self.routes[*index].keys != KeyMode::Off,
            Routed::ByModel(_) => self.gate.gate.has_credentials(),
            Routed::Preflight(_) => false,
        }
    }
}

impl Exchange {
    /// Notes whose request it is, where the connection is from a proxy that is trusted.
    #[inline]
    pub(crate) fn note_client(&mut self, client: IpAddr, peer: IpAddr) {
        if client != peer {
            self.aside_mut().client = Some(client);
        }
    }

    /// Goes on with the route of a request, once it is noted who has come there.
    #[inline]
    pub(crate) fn greet(
        &mut self,
        routed: Result<Routed, DownstreamFault>,
        head: &RequestHead<'_>,
        known: Option<(Comer, GateTime)>,
        from: (IpAddr, Option<&str>),
    ) -> Result<Routed, DownstreamFault> {
        match (routed, known) {
            (Ok(routed), None) => Ok(routed),
            (Ok(routed), Some((known, at))) => {
                self.meet(head, known, from, at.unix).map(|()| routed)
            }
            (Err(fault), _) => {
                self.note_page(head);
                self.told_in_words_of(head, Err(fault))
            }
        }
    }

    /// Notes who has come. Where no route lets anybody in without a key, it is refused already; the body
    /// of such a request need not be read.
    #[cold]
    fn meet(
        &mut self,
        head: &RequestHead<'_>,
        known: Comer,
        (client, certificate): (IpAddr, Option<&str>),
        unix: u64,
    ) -> Result<(), DownstreamFault> {
        let Comer { who: known, challenge, .. } = known;
        let refusal = known.as_ref().err().copied();
        let stranger = known.is_err();
        self.aside_mut().visitor = Some(Box::new(Visitor {
            known,
            challenge,
            client,
            certificate: certificate.map(Box::from),
            unix,
        }));
        match refusal {
            Some(refusal) if stranger && !self.snapshot.admits_strangers() => {
                self.dialect = Dialect::of(Setting::Auto, head.path);
                Err(DownstreamFault::Gate(refusal))
            }
            _ => Ok(()),
        }
    }

    /// Has the body read up to the model, where the key is for some models only.
    pub(crate) fn by_model_of_key(&self, routed: Routed, head: &RequestHead<'_>) -> Routed {
        let wants = self.principal().is_some_and(|who| who.models().is_some());
        match routed {
            Routed::To(index) if wants && has_body(head) => Routed::ByModel(index),
            routed => routed,
        }
    }

    /// Lets the request in by this route, or says why not.
    #[cold]
    pub(super) fn pass_gate(
        &mut self,
        route: &Route,
        head: &RequestHead<'_>,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        let passed = self.knock(route, head, snapshot, now);
        passed.map_err(|refusal| {
            self.dialect = match &route.target {
                Target::Chain(chain) => {
                    let first = &snapshot.upstreams[chain.links[0].upstream];
                    dialect_of(route, first.service, head.path)
                }
                _ => Dialect::of(Setting::Auto, head.path),
            };
            DownstreamFault::Gate(refusal)
        })
    }

    fn knock(
        &mut self,
        route: &Route,
        head: &RequestHead<'_>,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), GateRefusal> {
        // Which of them the server goes by is its own affair.
        let in_path = route::model_in_path(route, head.path).map(|model| vec![model.into_owned()]);
        let mut named = named_in_target(head.path, head.query);
        named.extend(in_path);
        let in_body = self.named_model().map(Cow::into_owned);
        let model = match in_body.as_deref() {
            Some(model) => AskedModel::Named(model),
            None if has_body(head) => AskedModel::Unknown,
            None => AskedModel::None,
        };
        let visitor = self.aside.as_mut().and_then(|aside| aside.visitor.as_deref_mut());
        let Some(Visitor { known, client, certificate, unix, .. }) = visitor else {
            let missing = GateRefusal::Missing;
            return if route.keys.admits(missing) { Ok(()) } else { Err(missing) };
        };
        let who = match known {
            Err(refusal) if route.keys.admits(*refusal) => return Ok(()),
            Err(refusal) => return Err(*refusal),
            // It is looked at once, and its route may be found twice: before it is decoded, and behind that.
            Ok(who) if who.has_entered() => return Ok(()),
            Ok(who) => who,
        };
        let path = route.path.to_string();
        let costs = matches!(route.target, Target::Chain(_)) && has_body(head);
        let length = match head.framing {
            Framing::Length(length) => length,
            _ => 0,
        };
        let body = costs.then_some(length);
        let tunnel = head.upgrade.is_some();
        let certificate = certificate.as_deref();
        let asked = Asked {
            route: &path,
            model,
            named: &named,
            tunnel,
            client: *client,
            certificate,
            body,
        };
        let at = GateTime { now, unix: *unix };
        snapshot.gate.gate.enter(who, &asked, at)
    }
}

/// Whether it asks for something that is told in a body.
fn has_body(head: &RequestHead<'_>) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}
