//! Consulting: the plugins of a route are asked about a request, and told of its end.
//!
//! They are asked once, before a server is chosen, one after another: each sees what those before it have changed.
//! What they see is the client's own dialect: a translation follows behind them.
//!
//! | verdict | what follows |
//! |---|---|
//! | pass | the changes of fields, target and upstream hold for every try |
//! | replace | the body is another; its length goes into the opening |
//! | answer | a responder answers, and no server is asked |
//! | refuse | an error in the client's dialect |
//! | none: a hook fails, a plugin is in quarantine | what its `fail` says |

use bytes::Bytes;

use crate::clock::Instant;
use crate::flow::relay::Mode;
use crate::gateway::attempt::plugging::{fault_of, refusal};
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::{Peer, ResponderState};
use crate::gateway::record::plugged::AskedRequest;
use crate::http::field_rules::FieldRules;
use crate::http::path;
use crate::http::rewrite;
use crate::plugins::fields;
use crate::plugins::seat::{PluginSeat, SharedSeat};
use crate::plugins::{Edits, Hook, PluginEnd, PluginField, PluginRequest, Verdict, Wake};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::responder::finished::Finished;
use crate::service::Observer;
use crate::wire::buffers::BufferPool;

/// Fields that speak of a body as it was.
const OF_THE_BODY: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// What a plugin makes of a request.
enum Said {
    /// On to the next.
    Next,
    Answer(Box<Finished>),
}

impl Exchange {
    /// Asks the plugins of its route about the request, as far as that is here. `false`: one of them has not
    /// answered yet, and `wake` is called when it has.
    pub(crate) fn consult(
        &mut self,
        wake: &dyn Fn() -> Wake,
        buffers: &mut BufferPool,
    ) -> Result<bool, Fault> {
        match self.plugged() {
            Some(plugged) if plugged.next.is_some() => self.consult_all(wake, buffers),
            _ => Ok(true),
        }
    }

    #[cold]
    fn consult_all(
        &mut self,
        wake: &dyn Fn() -> Wake,
        buffers: &mut BufferPool,
    ) -> Result<bool, Fault> {
        let seats = self.seats_with(Hook::Request);
        let mut asked = match self.plugged_mut().and_then(|plugged| plugged.asked.take()) {
            Some(asked) => asked,
            None => self.begin_consulting(&seats),
        };
        let begun = self.plugged().and_then(|plugged| plugged.next).unwrap_or(0);
        for (index, seat) in seats.iter().enumerate().skip(begun) {
            // Never borrowed twice: `SharedSeat`.
            let Ok(mut seat) = seat.try_borrow_mut() else { continue };
            let Some(said) = self.consult_one(&mut seat, &mut asked, wake)? else {
                if let Some(plugged) = self.plugged_mut() {
                    (plugged.next, plugged.asked) = (Some(index), Some(asked));
                }
                return Ok(false);
            };
            if let Said::Answer(answer) = said {
                self.outbox.clear(buffers);
                self.peer =
                    Peer::Responder { responder: answer, progress: ResponderState::Running };
                break;
            }
        }
        if let Some(plugged) = self.plugged_mut() {
            plugged.next = None;
        }
        if asked.replaced && !matches!(self.peer, Peer::Responder { .. }) {
            self.put_other_body(&asked.body, buffers);
        }
        Ok(true)
    }

    /// The request as the first plugin sees it.
    fn begin_consulting(&self, seats: &[SharedSeat]) -> Box<AskedRequest> {
        let most = self.body_shown(seats);
        let head = self.outbox.draft().into_owned();
        let body = if most > 0 { self.payload_in(&self.outbox, most) } else { Vec::new() };
        let received = self.request.body.received();
        let whole = self.request.body.is_complete() && body.len() as u64 == received;
        Box::new(AskedRequest { target: target_of(&head), head, body, whole, replaced: false })
    }

    /// How much of the body is shown.
    fn body_shown(&self, seats: &[SharedSeat]) -> usize {
        let wanted = seats.iter().filter_map(|seat| Some(seat.try_borrow().ok()?.body_max()));
        usize::try_from(wanted.max().unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// `None`: it has not answered yet.
    fn consult_one(
        &mut self,
        seat: &mut PluginSeat,
        asked: &mut AskedRequest,
        wake: &dyn Fn() -> Wake,
    ) -> Result<Option<Said>, Fault> {
        let mut edits = Edits::default();
        let shown = asked.body.len().min(usize::try_from(seat.body_max()).unwrap_or(usize::MAX));
        let listed = fields_of(&asked.head);
        let route = self.route().map(|route| route.path.to_string()).unwrap_or_default();
        let request = PluginRequest {
            self_test: false,
            method: asked.head.split(|byte| *byte == b' ').next().unwrap_or_default(),
            target: asked.target.as_bytes(),
            id: self.id.as_bytes(),
            route: route.as_bytes(),
            fields: &listed,
            body: &asked.body[..shown],
            whole: asked.whole && shown == asked.body.len(),
        };
        let whole = request.whole;
        let Some(verdict) = seat.ask_about_request(&request, &mut edits, wake) else {
            return Ok(None);
        };
        let verdict = verdict.map_err(fault_of)?;
        let told = match verdict {
            Verdict::Refuse => return Err(refusal(seat.name(), &edits)),
            Verdict::Answer => answer(&mut edits).map(Said::Answer),
            Verdict::Replace if !whole => Err("replaces a body that it has not seen all of"),
            Verdict::Replace if is_encoded(&listed) => Err("replaces a body that is compressed"),
            Verdict::Pass | Verdict::Replace => {
                drop(listed);
                self.apply(&mut edits, verdict, asked).map(|()| Said::Next)
            }
        };
        let why = match told {
            Ok(said) => return Ok(Some(said)),
            Err(why) => why,
        };
        seat.was_wrong(Hook::Request, why).map_err(fault_of)?;
        Ok(Some(Said::Next))
    }

    /// Notes what a plugin wants of a request that goes on. An error: it wants what cannot be done, and nothing of
    /// that is done.
    fn apply(
        &mut self,
        edits: &mut Edits,
        verdict: Verdict,
        asked: &mut AskedRequest,
    ) -> Result<(), &'static str> {
        let mut rules = fields::rules(edits).map_err(|_| "changes a field that it may not")?;
        let target = edits.target.take().map(checked_target).transpose()?;
        let link = edits.upstream.take().map(|name| self.link_named(&name)).transpose()?;
        if verdict == Verdict::Replace {
            asked.body = std::mem::take(&mut edits.written);
            asked.replaced = true;
            rules.remove.extend(OF_THE_BODY.map(str::to_owned));
        }
        if let Some(link) = link {
            self.link = link;
        }
        let Some(plugged) = self.plugged_mut() else { return Ok(()) };
        if let Some(target) = target {
            asked.target.clone_from(&target);
            plugged.target = Some(target);
        }
        if !rules.is_empty() {
            let head = std::mem::take(&mut asked.head);
            rules.apply(&head, &mut asked.head);
            plugged.request_rules.push(rules);
        }
        Ok(())
    }

    /// The place of an upstream in the chain of its route.
    fn link_named(&self, name: &[u8]) -> Result<usize, &'static str> {
        let links = self.chain().map_or(&[][..], |chain| &chain.links);
        let named = |link: &crate::config::snapshot::Link| {
            self.snapshot.upstreams[link.upstream].name.as_bytes() == name
        };
        links.iter().position(named).ok_or("chooses an upstream that is none of its route's")
    }

    /// Puts the body that a plugin has written in the place of the client's.
    fn put_other_body(&mut self, body: &[u8], buffers: &mut BufferPool) {
        self.outbox.splice(0..self.outbox.held(), body, buffers);
        // Its length is in the opening, and no chunk is left.
        self.request.mode = Mode::Payload;
        self.find_model_again(body);
        if let Some(plugged) = self.plugged_mut() {
            plugged.replaced = true;
        }
    }

    /// Tells its plugins, if it has any, that it is over, and gives up their seats.
    #[inline]
    pub(crate) fn end_plugins(&mut self, status: u16, fault: Option<&Fault>, now: Instant) {
        if self.plugged().is_some() {
            self.tell_plugins_the_end(status, fault, now);
        }
    }

    #[cold]
    fn tell_plugins_the_end(&mut self, status: u16, fault: Option<&Fault>, now: Instant) {
        let Some(plugged) = self.aside.as_mut().and_then(|aside| aside.plugged.take()) else {
            return;
        };
        let cancelled = matches!(
            fault,
            Some(
                Fault::Downstream(DownstreamFault::Gone)
                    | Fault::Local(LocalFault::Killed | LocalFault::Drained)
            )
        );
        let response = self.attempt.response.as_ref();
        let usage = response.and_then(|it| it.watch.observer.as_ref()).and_then(Observer::usage);
        let tokens =
            usage.and_then(|usage| Some((u64::from(usage.prompt?), u64::from(usage.completion?))));
        let gone = matches!(fault, Some(Fault::Downstream(DownstreamFault::Gone)));
        let end = PluginEnd {
            status: if gone { 499 } else { status },
            code: fault.map_or("", Fault::code),
            bytes_in: self.request.body.received(),
            bytes_out: response.map_or(0, |response| response.body.received()),
            duration_us: u64::try_from((now - self.timeline.started).as_micros())
                .unwrap_or(u64::MAX),
            tokens,
        };
        for seat in &plugged.seats {
            // Never borrowed twice: `SharedSeat`.
            if let Ok(mut seat) = seat.try_borrow_mut() {
                seat.on_end(&end, cancelled);
            }
        }
    }
}

/// The answer that a plugin has written.
fn answer(edits: &mut Edits) -> Result<Box<Finished>, &'static str> {
    let rules: FieldRules = fields::rules(edits).map_err(|_| "sets a field that it may not")?;
    let status = edits.status.unwrap_or(200);
    if !(200..600).contains(&status) || matches!(status, 204 | 205 | 304) {
        return Err("answers with a status that no answer with a body has");
    }
    let body = Bytes::from(std::mem::take(&mut edits.written));
    let mut answer = Finished::new(status, "", body);
    for (name, value) in rules.set.into_iter().chain(rules.add) {
        answer = answer.with_own_field(name, String::from_utf8_lossy(&value).into_owned());
    }
    Ok(Box::new(answer))
}

/// The fields of a head that is whole.
fn fields_of(head: &[u8]) -> Vec<PluginField<'_>> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let field = |line| {
        let at = memchr::memchr(b':', line)?;
        Some((&line[..at], line[at + 1..].trim_ascii()))
    };
    lines.take_while(|line| !line.is_empty()).filter_map(field).collect()
}

fn is_encoded(fields: &[PluginField<'_>]) -> bool {
    fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"content-encoding") && !value.eq_ignore_ascii_case(b"identity")
    })
}

fn target_of(head: &[u8]) -> String {
    String::from_utf8_lossy(rewrite::target_of(head)).into_owned()
}

/// A path and query that a client could have sent.
fn checked_target(target: Vec<u8>) -> Result<String, &'static str> {
    const WRONG: &str = "sets a target that is no path and query";
    let target = String::from_utf8(target).map_err(|_| WRONG)?;
    let path = target.split('?').next().unwrap_or_default();
    let plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let good = plain && path.starts_with('/') && path::check(path).is_ok();
    if good { Ok(target) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_one_meaning() {
        for good in ["/", "/v1/chat/completions", "/a?b=c/../d"] {
            assert_eq!(checked_target(good.into()), Ok(good.to_owned()));
        }
        for bad in ["", "a", "/a b", "/a\r\nX: y", "/a#b", "/../a", "http://a/", "/%zz", "/\u{e9}"]
        {
            assert!(checked_target(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fields_are_those_of_the_head() {
        let head = b"POST /a HTTP/1.1\r\nHost: x\r\nA:  b \r\n\r\nC: d\r\n";
        let expected: [PluginField<'_>; 2] = [(b"Host", b"x"), (b"A", b"b")];
        assert_eq!(fields_of(head), expected);
    }
}
