//! Watchers: what is learnt of a body while it goes by.

use crate::flow::moved::Broken;
use crate::flow::named::Named;
use crate::flow::tap::Tap;
use crate::flow::transform::Transforming;
use crate::http::body::Framing;
use crate::service::{Ending, Observer};

/// Watches a body go by.
pub trait BodyWatcher {
    /// The next bytes of its payload.
    fn feed(&mut self, data: &[u8]);
    /// The body is complete by its `framing`. An error: it is not whole all the same.
    fn end(&mut self, framing: Framing) -> Result<(), Broken>;
    /// What makes another body of it, if the sink gets another.
    #[inline]
    fn transform(&mut self) -> Option<&mut Transforming> {
        None
    }
    /// Whether the bytes that were shown must not be passed on.
    #[inline]
    fn refuses(&self) -> bool {
        false
    }
    /// Why they must not.
    #[cold]
    fn refusal(&self) -> Broken {
        Broken::Unfinished
    }
}

impl BodyWatcher for Named {
    #[inline]
    fn feed(&mut self, data: &[u8]) {
        if let Some(naming) = &mut self.0 {
            naming.feed(data);
        }
    }

    fn end(&mut self, _: Framing) -> Result<(), Broken> {
        if let Some(naming) = &mut self.0 {
            naming.end();
        }
        match self.refuses() {
            true => Err(Broken::Unfinished),
            false => Ok(()),
        }
    }

    #[inline]
    fn refuses(&self) -> bool {
        self.0.as_ref().is_some_and(|naming| naming.refuses())
    }
}

/// The watchers of a response.
#[derive(Debug, Default)]
pub struct ResponseWatchers {
    /// Reads a stream of events as its client does.
    pub observer: Option<Observer>,
    /// A copy for listeners.
    pub tap: Option<Box<Tap>>,
    /// Makes another answer of it, which the client gets in its place.
    pub transform: Option<Box<Transforming>>,
}

impl BodyWatcher for ResponseWatchers {
    #[inline]
    fn feed(&mut self, data: &[u8]) {
        if let Some(observer) = &mut self.observer {
            observer.feed(data);
        }
        if let Some(tap) = &mut self.tap {
            tap.feed(data);
        }
        if let Some(transform) = &mut self.transform {
            transform.feed(data);
        }
    }

    /// A plugin that looks on has said so.
    #[inline]
    fn refuses(&self) -> bool {
        self.tap.as_ref().is_some_and(|tap| tap.stop().is_some())
    }

    #[cold]
    fn refusal(&self) -> Broken {
        let stop = self.tap.as_ref().and_then(|tap| tap.stop());
        stop.map_or(Broken::Unfinished, Broken::Plugin)
    }

    #[inline]
    fn transform(&mut self) -> Option<&mut Transforming> {
        self.transform.as_deref_mut()
    }

    fn end(&mut self, framing: Framing) -> Result<(), Broken> {
        let Some(observer) = &mut self.observer else { return Ok(()) };
        match observer.end() {
            // A document that has come to its announced length is whole, whatever it looks like.
            Ending::Truncated(_)
                if matches!(framing, Framing::Length(_)) && !observer.reads_stream() =>
            {
                Ok(())
            }
            Ending::Truncated(_) => Err(Broken::Unfinished),
            Ending::Whole | Ending::Failed => Ok(()),
        }
    }
}
