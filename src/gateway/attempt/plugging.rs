//! Plugging: the plugins of a route meet an answer: its head is shown to them, and its events from there on.
//!
//! | the body of the answer | shown to `on_event` |
//! |---|---|
//! | `text/event-stream`, as it comes or translated | events |
//! | `application/x-ndjson` | lines |
//! | one of these, compressed | nothing: `coded` |
//! | of another type and without a length | nothing: `unframed` |
//! | a document, no body, a tunnel | nothing: `none` |
//!
//! What is not shown passes as it came; `on_response_head` is told, and may refuse it.

use crate::flow::plugged::{Lookers, PluginStage};
use crate::flow::transform::{Chained, Transform, Transforming};
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::verdict::Failed;
use crate::http::body::Framing;
use crate::http::head::{Media, ResponseHead, Version};
use crate::plugins::events::EventFraming;
use crate::plugins::seat::{PluginStop, SharedSeat};
use crate::plugins::{Edits, EventsShown, Hook, PluginField, PluginHead, Verdict, Wake, fields};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault, PluginRefusal};
use crate::reactor::net::Net;
use crate::service::translate::Translator;

/// Whether the events of an answer are shown, and how they are told apart.
fn shown(
    head: &ResponseHead<'_>,
    translator: Option<&Translator>,
) -> Result<EventFraming, EventsShown> {
    if let Some(translator) = translator {
        return if translator.is_stream() { Ok(EventFraming::Sse) } else { Err(EventsShown::None) };
    }
    if head.status == 101 || head.framing == Framing::None {
        return Err(EventsShown::None);
    }
    match head.media {
        Media::EventStream | Media::JsonLines if head.encoded => Err(EventsShown::Coded),
        Media::EventStream => Ok(EventFraming::Sse),
        Media::JsonLines => Ok(EventFraming::Lines),
        Media::Other if !matches!(head.framing, Framing::Length(_)) => Err(EventsShown::Unframed),
        Media::Other | Media::Json | Media::Html => Err(EventsShown::None),
    }
}

impl Exchange {
    /// Asks the plugins about the head of an answer. `false`: one has not answered yet.
    #[cold]
    fn consult_on_head(
        &mut self,
        head: &ResponseHead<'_>,
        translator: Option<&Translator>,
        wake: &dyn Fn() -> Wake,
    ) -> Result<bool, Failed> {
        let events = shown(head, translator).err().unwrap_or(EventsShown::Shown);
        let upstream = self.upstream().map(|upstream| upstream.name.clone()).unwrap_or_default();
        let listed: Vec<PluginField<'_>> =
            head.fields.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
        let shown = PluginHead {
            self_test: false,
            events,
            status: head.status,
            upstream: upstream.as_bytes(),
            fields: &listed,
        };
        let begun = self.plugged().map_or(0, |plugged| plugged.next_on_head);
        let mut all = match self.plugged_mut() {
            Some(plugged) if begun > 0 => std::mem::take(&mut plugged.answer_rules),
            _ => Vec::new(),
        };
        for (index, seat) in self.seats_with(Hook::ResponseHead).iter().enumerate().skip(begun) {
            let mut edits = Edits::default();
            // Never borrowed twice: `SharedSeat`.
            let Ok(mut seat) = seat.try_borrow_mut() else { continue };
            let Some(verdict) = seat.ask_about_head(&shown, &mut edits, wake) else {
                if let Some(plugged) = self.plugged_mut() {
                    (plugged.next_on_head, plugged.answer_rules) = (index, all);
                }
                return Ok(false);
            };
            match verdict.map_err(stopped)? {
                Verdict::Refuse => return Err(Failed::Fault(refusal(seat.name(), &edits))),
                _ if !edits.changes_fields() => {}
                _ => match fields::rules(&edits) {
                    Ok(rules) => all.push(rules),
                    Err(why) => seat.was_wrong(Hook::ResponseHead, &why).map_err(stopped)?,
                },
            }
        }
        if let Some(plugged) = self.plugged_mut() {
            (plugged.next_on_head, plugged.answer_rules) = (0, all);
        }
        Ok(true)
    }

    /// What makes another answer of one with this head, where anything may. `None`: a plugin has not said yet
    /// what it thinks of the head, and `wake` is called when it has.
    #[inline]
    pub(super) fn transform_for(
        &mut self,
        head: &ResponseHead<'_>,
        interim: bool,
        net: &impl Net,
        wake: &dyn Fn() -> Wake,
    ) -> Result<Option<Option<Box<Transforming>>>, Failed> {
        match interim {
            false if self.is_translated() || self.plugged().is_some() || self.hides_usage() => {
                self.transform_of(head, net, wake)
            }
            _ => Ok(Some(None)),
        }
    }

    /// The same; the plugins are asked about the head first.
    #[cold]
    fn transform_of(
        &mut self,
        head: &ResponseHead<'_>,
        net: &impl Net,
        wake: &dyn Fn() -> Wake,
    ) -> Result<Option<Option<Box<Transforming>>>, Failed> {
        let translator = self.translator_of(head, net)?;
        let asks = self.plugged().is_some_and(|plugged| plugged.hooks.has(Hook::ResponseHead));
        if asks && !self.consult_on_head(head, translator.as_ref(), wake)? {
            return Ok(None);
        }
        Ok(Some(self.transforming(head, translator)))
    }

    /// What makes another answer of one with this head: its translator, its plugins,
    /// what hides its usage.
    #[cold]
    fn transforming(
        &self,
        head: &ResponseHead<'_>,
        translator: Option<Translator>,
    ) -> Option<Box<Transforming>> {
        let events = shown(head, translator.as_ref());
        let mut transform = translator.map(|it| Box::new(it) as Box<dyn Transform>);
        let changes = self.has_events_changed();
        if let (Ok(framing), true) = (events, changes || transform.is_some()) {
            for seat in self.seats_with(Hook::Event) {
                let stage = Box::new(PluginStage::new(framing, seat));
                transform = Some(match transform {
                    Some(front) => Box::new(Chained::new(front, stage)),
                    None => stage,
                });
            }
        }
        if let Some(hider) = self.usage_hider(head) {
            let hider = Box::new(hider);
            transform = Some(match transform {
                Some(front) => Box::new(Chained::new(front, hider)),
                None => hider,
            });
        }
        let chunked = self.client == Version::Http11;
        transform.map(|transform| Box::new(Transforming::new(transform, chunked)))
    }

    /// Has the plugins look at an answer that passes as it comes.
    #[cold]
    pub(super) fn put_lookers(&mut self, head: &ResponseHead<'_>) {
        let Ok(framing) = shown(head, None) else { return };
        let seats: Vec<SharedSeat> = self.seats_with(Hook::Event);
        if let Some(response) = &mut self.attempt.response
            && response.watch.transform.is_none()
            && !seats.is_empty()
        {
            let tap = response.watch.tap.get_or_insert_default();
            tap.lookers = Some(Box::new(Lookers::new(framing, seats)));
        }
    }
}

fn stopped(stop: PluginStop) -> Failed {
    Failed::Fault(fault_of(stop))
}

/// What the client is told where an exchange may not go on.
pub(crate) fn fault_of(stop: PluginStop) -> Fault {
    Fault::Local(match stop {
        PluginStop::Failed => LocalFault::PluginFailed,
        PluginStop::Quarantined => LocalFault::PluginQuarantined,
    })
}

/// What the client is told that a plugin refuses.
pub(crate) fn refusal(name: &str, edits: &Edits) -> Fault {
    let status = edits.status.filter(|status| (400..600).contains(status)).unwrap_or(403);
    let told = edits.message.as_deref().map(|told| String::from_utf8_lossy(told).into_owned());
    let message = told.unwrap_or_else(|| format!("refused by plugin {name}"));
    Fault::Downstream(DownstreamFault::PluginRefused(Box::new(PluginRefusal { status, message })))
}
