//! Named: where a request names its model, learnt while its body goes by.
//!
//! A record of what has been found, and of what the request says now. The gateway acts on it
//! (`exchange/naming.rs`).

use crate::http::head::RequestHead;
use crate::service::naming::{Finder, Name, Notation, Unclear};

/// How far into a body its model is looked for at once, and in what pieces: behind the name nothing need
/// be read.
const NEAR_MAX: usize = 1024;
const PIECE: usize = 128;

/// The model of one request, and what is known of it.
#[derive(Debug)]
pub struct Naming {
    /// Searches the body for the name; `None`: the search is over, or the body cannot be read.
    finder: Option<Finder>,
    /// Bytes of the body that the finder has seen and that have not gone by.
    ahead: usize,
    pub(crate) notation: Notation,
    /// The client's own name, and where in the body it stands.
    pub(crate) name: Option<Name>,
    /// The name that stands in its place now, if it is another.
    pub(crate) written: Option<Vec<u8>>,
    pub(crate) unclear: Option<Unclear>,
    /// Whether the upstream that the request is at, or goes to, has a `model`.
    pub(crate) replaces: bool,
    /// The model decides which route the request takes.
    pub(crate) decides: bool,
    /// What was held of the body has been sent on: a name that is found from now on comes too late.
    pub(crate) gone_on: bool,
    /// Bytes that were held of a body that leaves in chunks, with the name as it is written now: the
    /// first chunk. Its line is no part of the body, but of the opening.
    pub(crate) first_chunk: usize,
}

/// The watcher of a request; `None`: no upstream of its route has a `model`.
#[derive(Debug, Default)]
pub struct Named(pub Option<Box<Naming>>);

impl Named {
    /// The watcher of a request with a body, whose route has upstreams with a `model`.
    pub(crate) fn of(head: &RequestHead<'_>, replaces: bool) -> Named {
        let finder = Finder::of(head);
        let (unclear, finder) = (finder.as_ref().err().copied(), finder.ok());
        Named(Some(Box::new(Naming {
            notation: finder.as_ref().map_or(Notation::Json, Finder::notation),
            finder,
            ahead: 0,
            name: None,
            written: None,
            unclear,
            replaces,
            decides: false,
            gone_on: false,
            first_chunk: 0,
        })))
    }

    /// The watcher of a request with a body, whose model decides about its route.
    pub(crate) fn deciding(head: &RequestHead<'_>) -> Named {
        let mut named = Named::of(head, false);
        if let Some(naming) = &mut named.0 {
            naming.decides = true;
        }
        named
    }

    /// Whether a part of the body waits for its model.
    pub(crate) fn is_searched(&self) -> bool {
        self.0.as_ref().is_some_and(|naming| !naming.is_settled())
    }

    /// Whether somebody has to know the model of the request: the upstream it goes to has one of its own,
    /// or its route was chosen by it.
    pub(crate) fn is_needed(&self) -> bool {
        self.0.as_ref().is_some_and(|naming| naming.replaces || naming.decides)
    }

    /// Bytes at the start of the body that are a chunk without its line.
    pub(crate) fn first_chunk(&self) -> usize {
        self.0.as_ref().map_or(0, |naming| naming.first_chunk)
    }

    /// How long the client's own name is, and the one that stands in its place now; `None`: there is no
    /// name that could be another.
    pub(crate) fn name_lengths(&self) -> Option<(usize, usize)> {
        let naming = self.0.as_ref()?;
        Some((naming.name.as_ref()?.written.len(), naming.now().len()))
    }

    /// Why the request cannot be given another model, if it cannot.
    pub(crate) fn unclear(&self) -> Option<Unclear> {
        self.0.as_ref()?.unclear
    }
}

impl Naming {
    pub fn feed(&mut self, data: &[u8]) {
        let seen = self.ahead.min(data.len());
        self.ahead -= seen;
        self.find(&data[seen..]);
    }

    /// Searches the first bytes of the body, which lie here already, as far as the name.
    pub(crate) fn look_ahead(&mut self, body: &[u8]) {
        for piece in body[..body.len().min(NEAR_MAX)].chunks(PIECE) {
            if self.name.is_some() || self.finder.is_none() {
                return;
            }
            self.ahead += piece.len();
            self.find(piece);
        }
    }

    fn find(&mut self, data: &[u8]) {
        if let Some(finder) = &mut self.finder {
            finder.feed(data);
            self.learn();
        }
    }

    pub fn end(&mut self) {
        if let Some(finder) = &mut self.finder {
            finder.end();
            self.learn();
            self.finder = None;
        }
    }

    fn learn(&mut self) {
        let Some(finder) = &mut self.finder else { return };
        self.unclear = self.unclear.or(finder.unclear());
        if let Some(name) = finder.take_name() {
            if self.gone_on {
                self.unclear.get_or_insert(Unclear::Late);
            }
            self.name = Some(name);
        }
        if finder.is_over() || self.unclear.is_some() {
            self.finder = None;
        }
    }

    /// The name as the body has it now.
    pub(crate) fn now(&self) -> &[u8] {
        let own = self.name.as_ref().map_or(&[][..], |name| &name.written);
        self.written.as_deref().unwrap_or(own)
    }

    /// Whether the bytes that have come must not reach the upstream that the request is at.
    pub fn refuses(&self) -> bool {
        (self.replaces || self.decides) && self.unclear.is_some()
    }

    /// Whether enough is known for the request to go on.
    fn is_settled(&self) -> bool {
        self.finder.is_none() || self.name.is_some() && self.ahead == 0
    }
}
