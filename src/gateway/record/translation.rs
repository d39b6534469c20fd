//! The record of a request whose route has upstreams that are asked in another dialect.
//!
//! * It is made when the whole body is here, and its bodies go when an answer is the client's.
//! * Which of its bodies lies in the outbox is known: [`Translation::asked`] for all but the client's own.

use crate::config::snapshot::{Chain, Link, Snapshot};
use crate::service::Dialect;
use crate::service::translate::{self, Pair, TensorNames, Translated, Untranslatable};

mod served;

/// What the upstreams of a chain are sent in place of the request as the client wrote it.
#[derive(Debug)]
pub struct Translation {
    /// The client's own body, where an upstream of the chain gets it.
    own: Option<Vec<u8>>,
    /// What the others get.
    made: Vec<Made>,
    /// The one of them that lies in the outbox; `None`: the client's own.
    in_outbox: Option<usize>,
}

/// A request as the upstreams of one dialect and one model get it.
#[derive(Debug)]
struct Made {
    pair: Pair,
    model: Option<String>,
    /// The only upstream that gets it, by its number, where the names of its tensors are its own.
    upstream: Option<usize>,
    request: Result<Translated, Untranslatable>,
}

impl Made {
    fn is_for(&self, pair: Pair, link: &Link, upstream: Option<usize>) -> bool {
        self.pair == pair && self.model == link.model && self.upstream == upstream
    }
}

impl Translation {
    /// What the upstreams of `chain` get of a request in the dialect `asked` with this body. `in_path`: the
    /// model that its path names, for the upstreams that have none of their own.
    pub(crate) fn of(
        (asked, in_path): (Dialect, Option<&str>),
        body: Vec<u8>,
        chain: &Chain,
        snapshot: &Snapshot,
    ) -> Translation {
        let mut translation = Translation { own: None, made: Vec::new(), in_outbox: None };
        let mut wants_own = false;
        for link in &chain.links {
            let Some(pair) = pair_of(asked, link, snapshot) else {
                wants_own = true;
                continue;
            };
            let tensors = snapshot.upstreams[link.upstream].translate_to.as_ref();
            let tensors = tensors.map(|to| to.tensors.clone()).unwrap_or_default();
            let upstream = (tensors != TensorNames::default()).then_some(link.upstream);
            if !translation.made.iter().any(|made| made.is_for(pair, link, upstream)) {
                let model = link.model.clone();
                let named = model.as_deref().or(in_path);
                let request = translate::request_in(pair, &body, named, &tensors);
                translation.made.push(Made { pair, model, upstream, request });
            }
        }
        translation.own = wants_own.then_some(body);
        translation
    }

    /// Puts a member into the client's own body. `false`: nobody gets that.
    pub(crate) fn put_in_own(&mut self, at: usize, member: &[u8]) -> bool {
        let Some(own) = &mut self.own else { return false };
        own.splice(at..at, member.iter().copied());
        true
    }

    /// Of a request that all upstreams get in the same words, and whose body is not the client's any more.
    pub(crate) fn of_own_words() -> Translation {
        Translation { own: None, made: Vec::new(), in_outbox: None }
    }

    fn place_of(&self, pair: Pair, link: &Link) -> Option<usize> {
        // Its own, or the one of all that have no names of their own.
        let mut places = [Some(link.upstream), None].into_iter();
        places.find_map(|upstream| {
            self.made.iter().position(|made| made.is_for(pair, link, upstream))
        })
    }

    /// Why an upstream that is asked in this pair of dialects cannot be sent the request, if it cannot.
    pub(crate) fn refusal(&self, pair: Pair, link: &Link) -> Option<&Untranslatable> {
        self.made.get(self.place_of(pair, link)?)?.request.as_ref().err()
    }

    /// The body that takes the place of the one in the outbox, for the upstream of `link`; `None`: it is
    /// the right one.
    pub(crate) fn next_body(&mut self, pair: Option<Pair>, link: &Link) -> Option<&[u8]> {
        let wanted = pair.and_then(|pair| self.place_of(pair, link));
        if wanted == self.in_outbox {
            return None;
        }
        let body = match wanted {
            None => self.own.as_deref()?,
            Some(place) => &self.made[place].request.as_ref().ok()?.body,
        };
        self.in_outbox = wanted;
        Some(body)
    }

    /// The request that lies in the outbox; `None`: it is the client's own.
    pub(crate) fn asked(&self) -> Option<(Pair, &Translated)> {
        let made = self.made.get(self.in_outbox?)?;
        Some((made.pair, made.request.as_ref().ok()?))
    }

    /// Lets the bodies go: nobody else is asked.
    pub(crate) fn forget_bodies(&mut self) {
        self.own = None;
        for made in &mut self.made {
            if let Ok(request) = &mut made.request {
                request.body = Vec::new();
            }
        }
    }
}

/// The dialects between which a request that is asked in `asked` is translated at this link of a chain.
pub(crate) fn pair_of(asked: Dialect, link: &Link, snapshot: &Snapshot) -> Option<Pair> {
    let to = snapshot.upstreams[link.upstream].translate_to.as_ref()?;
    Pair::of(asked, to.dialect)
}
