//! Which route a request takes, and what its exchange has to know of that.
//!
//! Most routes are found by the head. Where routes ask for a model, the head is kept until the body has
//! named one: nobody is asked before.

use std::borrow::Cow;
use std::rc::Rc;

mod found;

pub(crate) use self::found::Routed;
use crate::clock::Instant;
use crate::config::snapshot::{
    Admission, Balance, Chain, Cors, HashKey, KeyMode, Route, Snapshot, Target, Upstream,
};
use crate::flow::named::Named;
use crate::flow::relay::Mode;
use crate::gate::Principal;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Exchange, Gather, KeyIn, Undecided};
use crate::gateway::record::peer::{Line, Peer, ResponderState};
use crate::gateway::record::request_body::accepts_events;
use crate::gateway::record::translation::pair_of;
use crate::http::body::Framing;
use crate::http::head::{FieldSlots, HeadLimits, RequestHead, parse_request};
use crate::proxy::admission::{self, keys};
use crate::proxy::balance::key;
use crate::proxy::cors;
use crate::proxy::fault::DownstreamFault;
use crate::proxy::group::Groups;
use crate::proxy::route::{self, Asker, BodyFacts, Model, Unmet};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::responder::{Request, Service};
use crate::service::naming::Unclear;
use crate::service::{Dialect, Setting};

impl<N: Net> Gateway<N> {
    /// Chooses the route of a request that goes by its model: that has been found, or there is none.
    pub(crate) fn choose_by_model(
        &mut self,
        token: Token,
        cx: &mut Cx<N>,
    ) -> Result<(), DownstreamFault> {
        let downstream = self.downstreams.get_mut(token);
        let Some(exchange) = downstream.and_then(|it| it.exchange.as_deref_mut()) else {
            return Ok(());
        };
        let Some(kept) = exchange.aside_mut().undecided.take() else { return Ok(()) };
        let watch = &exchange.request.watch;
        if let Some(unclear) = watch.unclear() {
            return Err(DownstreamFault::Model(unclear));
        }
        let named = exchange.named_model();
        if named.is_none() && watch.name_lengths().is_some() {
            // It is named in bytes that are no text.
            return Err(DownstreamFault::Model(Unclear::Ambiguous));
        }
        let limits = &exchange.snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let mut slots = FieldSlots::new();
        // It was read once already, by the same limits.
        let Ok(Some(head)) = parse_request(&kept.head, &mut slots, &limits) else {
            debug_assert!(false, "the head of a request can be read twice");
            return Err(DownstreamFault::NotFound(Unmet::Path));
        };
        let unnamed = if watch.is_over() { Model::Unnamed } else { Model::Unread };
        let model = named.as_deref().map_or(unnamed, Model::Named);
        let snapshot = Rc::clone(&exchange.snapshot);
        let body = BodyFacts { model, members: watch.members() };
        let asker = Asker { id: exchange.id.as_bytes(), certificate: kept.certificate.as_deref() };
        let routed = snapshot.route_by_body(&head, body, kept.first, asker);
        // As far as may be held, it has not come.
        let late = watch.late();
        match exchange.told_in_words_of(&head, routed)? {
            Routed::To(index) => {
                exchange.enter_route(index, &head, &snapshot, &mut self.groups, cx.now)
            }
            Routed::ByModel(_) => Err(DownstreamFault::Model(late)),
            // It was answered before.
            Routed::Preflight(_) => Err(DownstreamFault::NotFound(Unmet::Path)),
        }
    }
}

impl Exchange {
    /// Goes on with its route, which `snapshot`, its own, has at this index.
    #[inline]
    pub(crate) fn enter_route(
        &mut self,
        index: usize,
        head: &RequestHead<'_>,
        snapshot: &Snapshot,
        groups: &mut Groups<Token, Token>,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        let route = &snapshot.routes[index];
        self.route = Some(index as u32);
        if let Some(cors) = route.cors.as_deref() {
            self.note_page_of(index, cors, head);
        }
        if route.keys != KeyMode::Off {
            self.pass_gate(route, head, snapshot, now)?;
        }
        match &route.target {
            Target::Chain(chain) => {
                let first = &snapshot.upstreams[chain.links[0].upstream];
                if self.has_to_be_read(route, chain, first, head) {
                    let coded = self.awaits_decoding(head, route.decode_requests);
                    if !matches!(coded, Ok(false)) {
                        self.dialect = dialect_of(route, first.service, head.path);
                        return coded.map(drop);
                    }
                }
                groups[first.id].budget.on_request(now);
                self.peer = Peer::Seeking { fresh: false, line: Line::New };
                self.enter_chain((route, chain, first), head, snapshot, now)
            }
            Target::Service(service) => self.enter_service(&**service, route, head, now),
            Target::Models(models) => self.enter_service(&*models.list, route, head, now),
        }
    }

    /// Goes where it was routed; `body` lies behind its head, and its client has shown this certificate.
    #[inline]
    pub(crate) fn enter(
        &mut self,
        routed: Routed,
        (head, body, certificate): (&RequestHead<'_>, &[u8], Option<&str>),
        snapshot: &Snapshot,
        groups: &mut Groups<Token, Token>,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        match routed {
            Routed::To(index) => self.enter_route(index, head, snapshot, groups, now),
            Routed::ByModel(first) => {
                self.enter_by_model((head, certificate), (body, first), snapshot, groups, now)
            }
            Routed::Preflight(responder) => {
                self.peer = Peer::Responder { responder, progress: ResponderState::Running };
                Ok(())
            }
        }
    }

    /// As [`Exchange::enter_route`], where the body decides, of which `body` lies behind the head; `first` is
    /// the first route that asks for something in it. Mostly it names the model already, and the head need
    /// not be kept.
    #[cold]
    #[inline(never)]
    fn enter_by_model(
        &mut self,
        (head, certificate): (&RequestHead<'_>, Option<&str>),
        (body, first): (&[u8], usize),
        snapshot: &Snapshot,
        groups: &mut Groups<Token, Token>,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        let found = self.find_by_model((head, certificate), body, first, snapshot);
        if let Ok(Some(index)) = found {
            return self.enter_route(index, head, snapshot, groups, now);
        }
        // It has no route yet, and may be refused before it has one.
        self.dialect = Dialect::of(Setting::Auto, head.path);
        found.map(drop)
    }

    /// The route, if what is here of the body decides. `None`: more of it has to come.
    fn find_by_model(
        &mut self,
        (head, certificate): (&RequestHead<'_>, Option<&str>),
        body: &[u8],
        first: usize,
        snapshot: &Snapshot,
    ) -> Result<Option<usize>, DownstreamFault> {
        if self.awaits_decoding(head, true)? {
            return Ok(None);
        }
        let asker = Asker { id: self.id.as_bytes(), certificate };
        let paths = snapshot.paths_wanted(first, head, asker);
        self.await_model(head, paths)?;
        let asker = Asker { id: self.id.as_bytes(), certificate };
        if let (Framing::Length(length), Some(naming)) = (head.framing, &mut self.request.watch.0) {
            let here = usize::try_from(length).unwrap_or(usize::MAX);
            let here = here.min(body.len()).min(snapshot.limits.model_search_bytes);
            naming.look_ahead(&body[..here]);
        }
        let watch = &self.request.watch;
        let named = self.named_model().filter(|_| watch.unclear().is_none());
        let routed = match (named.as_deref(), watch.members()) {
            (None, None) => Ok(Routed::ByModel(first)),
            // It ends with an error, once as much of it as that takes is here.
            _ if watch.unclear().is_some() => Ok(Routed::ByModel(first)),
            (named, members) => {
                let model = named.map_or(Model::Unread, Model::Named);
                snapshot.route_by_body(head, BodyFacts { model, members }, first, asker)
            }
        };
        match routed? {
            Routed::To(index) => Ok(Some(index)),
            Routed::ByModel(first) => {
                let candidates = match self.request.watch.members() {
                    None => Vec::new(),
                    Some(_) => route::candidates(&snapshot.routes, first, head, asker),
                };
                let head = head.raw.into();
                let certificate = certificate.map(Box::from);
                let undecided = Undecided { head, first, candidates, certificate };
                self.aside_mut().undecided = Some(undecided);
                Ok(None)
            }
            // It was answered before.
            Routed::Preflight(_) => Err(DownstreamFault::NotFound(Unmet::Path)),
        }
    }

    /// Whether the body of a request has to be read for the first upstream of this chain. One further on
    /// that would need it is passed over where it cannot be read.
    fn has_to_be_read(
        &self,
        route: &Route,
        chain: &Chain,
        first: &Upstream,
        head: &RequestHead<'_>,
    ) -> bool {
        let link = &chain.links[0];
        let translated = || {
            let asked = dialect_of(route, first.service, head.path);
            head.method == "POST" && pair_of(asked, link, &self.snapshot).is_some()
        };
        route.decode_requests
            || link.model.is_some()
            || route.model_in_path.is_some()
            || matches!(first.balance, Balance::Hash(HashKey::Prompt(_) | HashKey::Field(_)))
            || chain.translates && translated()
    }

    /// Has the error of a request that finds no route told in the dialect of its path.
    pub(crate) fn told_in_words_of<T>(
        &mut self,
        head: &RequestHead<'_>,
        routed: Result<T, DownstreamFault>,
    ) -> Result<T, DownstreamFault> {
        if routed.is_err() {
            self.dialect = Dialect::of(Setting::Auto, head.path);
        }
        routed
    }

    /// Is answered inside the process.
    fn enter_service(
        &mut self,
        service: &dyn Service,
        route: &Route,
        head: &RequestHead<'_>,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        let models = self.principal().and_then(Principal::models);
        let asked = Request { models, ..responder_request(route, head) };
        let responder = service.respond(&asked, now);
        self.peer = Peer::Responder { responder, progress: ResponderState::Running };
        Ok(())
    }

    /// Begins to look for the model, and for the members at these `paths`, that decide about the route.
    fn await_model(
        &mut self,
        head: &RequestHead<'_>,
        paths: Vec<Vec<String>>,
    ) -> Result<(), DownstreamFault> {
        self.peer = Peer::Seeking { fresh: false, line: Line::New };
        self.request.watch = Named::deciding(head, paths);
        if let Some(unclear) = self.request.watch.unclear() {
            return Err(DownstreamFault::Model(unclear));
        }
        self.note_page(head);
        self.request.mode = Mode::Payload;
        self.gather = Gather::Model { key: None };
        Ok(())
    }

    /// Notes who asks, where the route has `cors`.
    #[cold]
    fn note_page_of(&mut self, index: usize, cors: &Cors, head: &RequestHead<'_>) {
        self.aside_mut().page = Some(cors::page(index, cors, head));
    }

    /// Notes who asks, as long as there is no route: an error can be read by its page then.
    pub(super) fn note_page(&mut self, head: &RequestHead<'_>) {
        if let Some(page) = cors::page_without_route(&self.snapshot.routes, head) {
            self.aside_mut().page = Some(page);
        }
    }

    /// Prepares the exchange for the upstreams of its route, by what the request says to the `first`.
    fn enter_chain(
        &mut self,
        (route, chain, first): (&Route, &Chain, &Upstream),
        head: &RequestHead<'_>,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), DownstreamFault> {
        self.gather = snapshot.gather_for(chain);
        if let Some(key) = key_of(&first.balance, head) {
            self.aside_mut().key = Some(key);
        }
        let by_key = self.principal().and_then(|who| who.key().settings.priority);
        self.priority = by_key.unwrap_or_else(|| priority_of(&first.admission, head));
        self.dialect = dialect_of(route, first.service, head.path);
        self.listens = self.dialect == Dialect::Generic && listens(head);
        if chain.stores {
            self.begin_storing(head, chain, now);
        }
        if route.model_in_path.is_some() {
            self.aside_mut().model_in_path = route::model_in_path(route, head.path).map(Box::from);
        }
        if let Some(plugins) = chain.plugins.as_deref() {
            self.seat_plugins(plugins, snapshot);
        }
        self.begin_naming(head, chain)?;
        if route.include_usage && !chain.translates {
            self.begin_asking_usage(head);
        }
        if chain.translates { self.begin_translating(head) } else { Ok(()) }
    }
}

impl Snapshot {
    /// How much of the body has to be read before an endpoint is chosen.
    fn gather_for(&self, chain: &Chain) -> Gather {
        match self.upstreams[chain.links[0].upstream].balance {
            Balance::Hash(HashKey::Prompt(length)) => Gather::Key(KeyIn::prompt(saturated(length))),
            Balance::Hash(HashKey::Field(_)) => Gather::Key(KeyIn::FIELD),
            _ => Gather::Nothing,
        }
    }
}

/// A length in memory as 32 bits: nothing that is kept is longer.
fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The key of a request, where the balance hashes a field or a cookie.
fn key_of(balance: &Balance, head: &RequestHead<'_>) -> Option<u64> {
    match balance {
        Balance::Hash(HashKey::Header(name)) => head.field(name).and_then(key::of_value),
        Balance::Hash(HashKey::Cookie(name)) => {
            head.values("cookie").find_map(|value| key::of_cookie(value, name.as_bytes()))
        }
        _ => None,
    }
}

/// The priority of a request: that of a listed API key, else what a field says.
fn priority_of(settings: &Admission, head: &RequestHead<'_>) -> u8 {
    if !settings.keys.is_empty() {
        let key = keys::of_head(head);
        if let Some(priority) = key.and_then(|key| keys::priority(key, &settings.keys)) {
            return priority;
        }
    }
    let field = settings.priority_header.as_deref();
    admission::priority(field.and_then(|name| head.field(name)), settings)
}

/// Whether the request is for a feed, as an `EventSource` or a listening client of MCP sends it.
fn listens(head: &RequestHead<'_>) -> bool {
    head.method == "GET" && head.field("accept").is_some_and(accepts_events)
}

/// The dialect of a request, by its own path or by the path it is rewritten to.
pub(super) fn dialect_of(route: &Route, service: Setting, path: &str) -> Dialect {
    let told = Dialect::of(service, path);
    if told != Dialect::Generic {
        return told;
    }
    match route::rewritten(route, path) {
        Some((prefix, remainder)) => Dialect::of(service, &[&*prefix, remainder].concat()),
        None => told,
    }
}

fn responder_request<'a>(route: &'a Route, head: &RequestHead<'a>) -> Request<'a> {
    let path = match route::rewritten(route, head.path) {
        // A responder gets a path of its own; what followed the prefix has no meaning to it.
        Some((Cow::Borrowed(path), _)) => path,
        // Names are for servers.
        Some((Cow::Owned(_), _)) | None => head.path,
    };
    Request {
        method: head.method,
        path,
        query: head.query,
        authority: head.authority,
        fields: head.lookup(),
        models: None,
    }
}
