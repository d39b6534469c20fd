//! Named: where a request names its model, learnt while its body goes by.
//!
//! A record of what has been found, and of what the request says now. The gateway acts on it
//! (`exchange/naming.rs`).

use std::borrow::Cow;

use crate::http::head::RequestHead;
use crate::service::naming::{Finder, Name, Notation, Unclear, WantedMembers};

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
    /// The body decides which route the request takes, by its model or by `members`.
    pub(crate) decides: bool,
    /// WantedMembers that decide too, where routes ask for any.
    pub(crate) members: Option<Box<WantedMembers>>,
    /// Nobody has to know the model before the body goes on.
    pub(crate) unsought: bool,
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
            members: None,
            unsought: false,
            gone_on: false,
            first_chunk: 0,
        })))
    }

    /// The watcher of a request with a body that decides about its route: by its model, and by the members
    /// at these `paths`.
    pub(crate) fn deciding(head: &RequestHead<'_>, paths: Vec<Vec<String>>) -> Named {
        let mut named = Named::of(head, false);
        if let Some(naming) = &mut named.0 {
            naming.decides = true;
            if !paths.is_empty() {
                let mut members = WantedMembers::new(paths);
                if naming.finder.as_ref().is_none_or(Finder::is_form) {
                    members.end();
                }
                naming.members = Some(Box::new(members));
            }
        }
        named
    }

    /// The members that decide too.
    pub(crate) fn members(&self) -> Option<&WantedMembers> {
        self.0.as_ref()?.members.as_deref()
    }

    /// Whether bytes that were looked at ahead have not gone by.
    pub(crate) fn is_ahead(&self) -> bool {
        self.0.as_ref().is_some_and(|naming| naming.ahead > 0)
    }

    /// Why a request cannot go on whose body has not said enough where it is held no further.
    pub(crate) fn late(&self) -> Unclear {
        match self.0.as_ref().is_some_and(|naming| naming.lacks_members()) {
            true => Unclear::FieldLate,
            false => Unclear::Late,
        }
    }

    /// Whether nothing more can be learnt of the body.
    pub(crate) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|naming| naming.finder.is_none())
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
        // What was looked at ahead was mostly all.
        if seen < data.len() {
            self.find(&data[seen..]);
        }
    }

    /// Searches the first bytes of the body, which lie here already, as far as the name.
    pub(crate) fn look_ahead(&mut self, body: &[u8]) {
        for piece in body[..body.len().min(NEAR_MAX)].chunks(PIECE) {
            let known = self.name.is_some() && !self.lacks_members();
            if known || self.finder.is_none() {
                return;
            }
            self.ahead += piece.len();
            self.find(piece);
        }
    }

    fn find(&mut self, data: &[u8]) {
        if let Some(finder) = &mut self.finder {
            finder.feed(data);
            if let Some(members) = &mut self.members {
                members.feed(data);
            }
            self.learn();
        }
    }

    pub fn end(&mut self) {
        if let Some(finder) = &mut self.finder {
            finder.end();
            self.learn();
            self.finder = None;
            if let Some(members) = &mut self.members {
                members.end();
            }
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
        let is_over = finder.is_over();
        if let Some(members) = &mut self.members {
            if is_over {
                members.end();
            }
            if members.is_ambiguous() {
                self.unclear.get_or_insert(Unclear::FieldAmbiguous);
            }
        }
        if is_over || self.unclear.is_some() {
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
        match self.unclear {
            None => false,
            // Its route was chosen by what came before.
            Some(Unclear::Late) => self.replaces,
            Some(_) => self.replaces || self.decides,
        }
    }

    /// Whether a member that decides has not come.
    pub(crate) fn lacks_members(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.lacks_any())
    }

    /// The model that the client has named.
    pub(crate) fn named_model(&self) -> Option<Cow<'_, str>> {
        self.notation.read(&self.name.as_ref()?.written)
    }

    /// Whether enough is known for the request to go on.
    fn is_settled(&self) -> bool {
        self.finder.is_none() || (self.name.is_some() || self.unsought) && self.ahead == 0
    }
}
