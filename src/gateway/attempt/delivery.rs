//! Delivery: how a response reaches the client: in which framing, by which mode of its flow, and in whose
//! words.
//!
//! Nothing here looks at a body: what is decided follows from the head, the client's version, and the
//! dialect that its server was asked in.

use crate::flow::relay::Mode;
use crate::flow::transform::Transforming;
use crate::gateway::attempt::transfer::upstream_fault;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::translation::Translation;
use crate::gateway::record::verdict::Failed;
use crate::http::body::Framing;
use crate::http::coding::Coding;
use crate::http::field_rules::FieldRules;
use crate::http::head::{Media, ResponseHead, Version};
use crate::proxy::fault::UpstreamFault;
use crate::reactor::net::Net;
use crate::service::include_usage::UsageHider;
use crate::service::translate::{BadAnswer, Translator};

/// How a response reaches the client.
pub(super) struct Delivery {
    pub(super) framing: Framing,
    pub(super) mode: Mode,
}

impl Delivery {
    const INTERIM: Delivery = Delivery { framing: Framing::None, mode: Mode::Splice };

    /// | response as received | HTTP/1.1 client           | HTTP/1.0 client      |
    /// |----------------------|---------------------------|----------------------|
    /// | none, length         | as it is                  | as it is             |
    /// | chunked              | as it is, spliced         | payload, until close |
    /// | until close          | chunks of our own         | as it is             |
    ///
    /// Where the client has a head already, a body with a length is delivered as one until close.
    fn of(head: &ResponseHead<'_>, client: Version, prefaced: bool) -> Delivery {
        let (framing, mode) = match (head.framing, client) {
            (Framing::Length(_), Version::Http11) if prefaced => (Framing::Chunked, Mode::Chunk),
            (Framing::Length(_), Version::Http10) if prefaced => {
                (Framing::UntilClose, Mode::Payload)
            }
            (Framing::Chunked, Version::Http10) => (Framing::UntilClose, Mode::Payload),
            // After 101 there is no message any more, only bytes.
            (Framing::UntilClose, Version::Http11) if head.status != 101 => {
                (Framing::Chunked, Mode::Chunk)
            }
            (framing, _) => (framing, Mode::Splice),
        };
        Delivery { framing, mode }
    }

    /// Of an answer that is translated: nobody knows how long it will be.
    fn transformed(client: Version) -> Delivery {
        let framing = match client {
            Version::Http11 => Framing::Chunked,
            Version::Http10 => Framing::UntilClose,
        };
        Delivery { framing, mode: Mode::Transform }
    }
}

impl Exchange {
    /// How an answer with this head is delivered, `interim` or final, translated by `transform` or not.
    pub(super) fn delivery(
        &self,
        head: &ResponseHead<'_>,
        interim: bool,
        transform: Option<&Transforming>,
    ) -> Delivery {
        match (interim, transform) {
            (true, _) => Delivery::INTERIM,
            (false, Some(_)) => Delivery::transformed(self.client),
            (false, None) => Delivery::of(head, self.client, self.is_prefaced()),
        }
    }

    /// What translates an answer with this head; `None`: there is nothing of it to translate.
    #[cold]
    pub(super) fn translator_of(
        &self,
        head: &ResponseHead<'_>,
        net: &impl Net,
    ) -> Result<Option<Translator>, Failed> {
        let Some((pair, request)) = self.translation().and_then(Translation::asked) else {
            return Ok(None);
        };
        if head.status == 101 || head.framing == Framing::None {
            return Ok(None);
        }
        let cannot = |why: &str| {
            let why = Box::new(BadAnswer::Malformed(why.to_owned()));
            Failed::Fault(upstream_fault(UpstreamFault::Untranslatable(why)))
        };
        let failed = head.status >= 400;
        let coding = Coding::of(head.values("content-encoding")).ok().flatten();
        let unreadable = head.encoded && coding.is_none();
        if unreadable && !failed {
            return Err(cannot("is in a coding, though it was not asked to be"));
        }
        if head.status == 206 {
            return Err(cannot("is a part of one"));
        }
        let (now, id) = (net.time_of_day().as_secs(), self.id.to_string());
        let translator = match head.media {
            media if head.status < 300 && pair.streams_as(media) => {
                Translator::of_stream(pair, &request.memo, now, &id)
            }
            media if failed || media == Media::Json && head.status < 300 => {
                let longest = self.snapshot.limits.translate_bytes;
                let memo = &request.memo;
                let document = Translator::of_document(pair, memo, head.status, now, &id, longest);
                match () {
                    () if unreadable => document.told_by_status(),
                    () if request.stream && !failed => document.told_as_stream(),
                    () => document,
                }
            }
            _ => return Err(cannot("is neither JSON nor a stream of events")),
        };
        Ok(Some(match coding.filter(|_| head.encoded) {
            Some(coding) => translator.unpacking(coding),
            None => translator,
        }))
    }

    /// What takes the usage out of an answer with this head, where its client has not asked for it.
    pub(super) fn usage_hider(&self, head: &ResponseHead<'_>) -> Option<UsageHider> {
        let is_stream = head.media == Media::EventStream && head.status < 300 && !head.encoded;
        let hides = self.hides_usage() && is_stream && head.framing != Framing::None;
        hides.then(UsageHider::default)
    }

    /// Has the response that has begun transformed. Returns whether it has to be all here before.
    pub(super) fn put_transform(
        &mut self,
        transform: Option<Box<Transforming>>,
        head: &ResponseHead<'_>,
    ) -> bool {
        let collects = transform.as_ref().is_some_and(|transform| transform.collects());
        if let Some(response) = &mut self.attempt.response {
            response.watch.transform = transform;
        }
        if self.plugged().is_some() {
            self.put_lookers(head);
        }
        collects
    }
}

/// Fields that describe the body that the server has sent.
const OF_THE_SERVERS_BODY: [&str; 6] =
    ["content-digest", "content-encoding", "content-md5", "digest", "etag", "repr-digest"];

/// Says in a head, which begins at `start` and is whole, that its body was written anew, and of which
/// type it is, where that is another.
#[cold]
pub(super) fn set_media(out: &mut Vec<u8>, start: usize, media: Option<&str>) {
    let media = media.map(|media| ("Content-Type".to_owned(), media.as_bytes().to_vec()));
    let rules = FieldRules {
        set: media.into_iter().collect(),
        remove: OF_THE_SERVERS_BODY.map(str::to_owned).to_vec(),
        ..FieldRules::default()
    };
    let head = out.split_off(start);
    rules.apply(&head, out);
}
