//! A route's chain: the upstreams that are asked in turn, and where too long a prompt goes.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::defaults;
use super::super::file::{Field, Section, Switch};
use super::super::problem::{Mistake, Report, nearest};
use super::super::snapshot::{Chain, Continue, Fallback, Heartbeat, Limits, Link};
use super::upstream::Draft;
use super::{Overrides, bytes, unique, unknown_name};
use crate::http::field_rules::FieldRules;
use crate::plugins::settings::RoutePlugins;
use crate::service::Setting;
use crate::service::continuation::Prefill;

/// Each link costs attempts and time; whoever needs more wants another route.
const LINKS_MAX: usize = 8;

const CONTINUATIONS: RangeInclusive<u64> = 1..=8;
const TEXT_BYTES: RangeInclusive<u64> = 1 << 10..=16 << 20;

/// What a route says of each of its upstreams.
pub(super) struct OfRoute<'r> {
    pub overrides: &'r Overrides,
    pub model: Option<&'r str>,
    pub request_headers: Option<Arc<FieldRules>>,
}

/// `upstream = "one"`, or `upstream = ["primary", "second"]`. `None` if one of them is not known.
pub(super) fn links(
    field: &Field<'_>,
    route: &OfRoute<'_>,
    upstreams: &[Draft],
    report: &mut Report,
) -> Option<Vec<Link>> {
    let indices = if field.is_list() {
        let fields = field.list(report)?;
        if fields.is_empty() {
            report.error(field.place(), "must name at least one upstream");
        }
        if fields.len() > LINKS_MAX {
            report.error(field.place(), format!("must name at most {LINKS_MAX} upstreams"));
        }
        let known = unique(&fields, report, |field, report| upstream(field, upstreams, report))?;
        (!known.is_empty() && known.len() == fields.len()).then_some(known)?
    } else {
        vec![upstream(field, upstreams, report)?]
    };
    let link = |index: usize| {
        let upstream = &upstreams[index].upstream;
        let rules = [&route.request_headers, &upstream.request_headers.rules];
        Link {
            upstream: index,
            model: route.model.map(str::to_owned).or_else(|| upstream.model.clone()),
            request_headers: rules.into_iter().flatten().cloned().collect(),
            timeouts: route.overrides.over(&upstream.timeouts),
        }
    };
    Some(indices.into_iter().map(link).collect())
}

pub(super) fn upstream(
    field: &Field<'_>,
    upstreams: &[Draft],
    report: &mut Report,
) -> Option<usize> {
    let names = || upstreams.iter().map(|draft| draft.upstream.name.as_str());
    field.parsed(report, |written| {
        names()
            .position(|name| name == written)
            .ok_or_else(|| unknown_name("upstream", written, nearest(written, names())))
    })
}

/// `larger = "name"`, as a position in the chain.
pub(super) fn larger(
    section: &mut Section<'_>,
    links: Option<&[Link]>,
    upstreams: &[Draft],
    report: &mut Report,
) -> Option<usize> {
    let field = section.take("larger")?;
    let name = field.string(report)?;
    // Of a chain that is not known nothing can be said.
    let links = links?;
    let names = || links.iter().map(|link| upstreams[link.upstream].upstream.name.as_str());
    match names().position(|known| known == name) {
        Some(0) => {
            report.error(field.place(), "is the first in upstream, which is asked anyway");
            None
        }
        Some(position) => Some(position),
        None => {
            let mistake = Mistake::new(format!("{name:?} is not in this route's upstream list"));
            report.refuse(
                field.place(),
                match nearest(name, names()) {
                    Some(meant) => mistake.meant(meant),
                    None => mistake,
                },
            );
            None
        }
    }
}

/// `heartbeat = "15s"`, `{ every = "15s", before_head = true }`, or "off".
pub(super) fn heartbeat(
    section: &mut Section<'_>,
    links: Option<&[Link]>,
    report: &mut Report,
) -> Option<Heartbeat> {
    let field = section.take("heartbeat")?;
    if field.is_off() {
        return None;
    }
    let range = Duration::from_secs(1)..=Duration::from_secs(3_600);
    let (every, before_head) = if field.is_table() {
        let mut section = field.section(report);
        let every = section.require("every", report).map(|field| field.duration(range, report));
        let before_head = section.boolean("before_head", false, report);
        section.finish(report);
        (every??, before_head)
    } else {
        (field.duration(range, report)?, false)
    };
    let over = |limit: Option<Duration>| limit.is_some_and(|limit| limit <= every);
    let silent = |link: &Link| {
        let before = before_head && !over(link.timeouts.ttft);
        over(link.timeouts.inter_event) && !before
    };
    if links.is_some_and(|links| links.iter().all(silent)) {
        report.warn(
            field.place(),
            Mistake::new("is never sent: timeouts.inter_event ends the stream before"),
        );
    }
    Some(Heartbeat { every, before_head })
}

/// `continue = { … }`; "off", the default, where there is none.
pub(super) fn continues(
    section: &mut Section<'_>,
    links: Option<&[Link]>,
    upstreams: &[Draft],
    limits: &Limits,
    report: &mut Report,
) -> Option<Continue> {
    let place = section.place_of("continue");
    let Switch::On(mut section) = section.switch("continue", report) else { return None };
    let default = defaults::CONTINUE;
    let continues = Continue {
        attempts: section.count("attempts", CONTINUATIONS, default.attempts, report),
        text_bytes: bytes(&mut section, "text_bytes", TEXT_BYTES, default.text_bytes, report),
    };
    if continues.text_bytes > limits.continue_bytes {
        report.error(
            &section.place_of("text_bytes"),
            "is more than limits.continue_bytes: no text of that length could be kept",
        );
    }
    section.finish(report);
    if limits.replay_bytes == 0 {
        report
            .error(&place, "needs limits.replay_bytes: a request that is not kept is not asked on");
    }
    // Of a chain that is not known nothing can be said.
    let mut asked = links?.iter().map(|link| &upstreams[link.upstream].upstream);
    if asked.clone().all(|upstream| upstream.prefill == Prefill::Off) {
        report.error(
            &place,
            "needs an upstream that takes the text so far; prefill is \"off\" in all of this route",
        );
    }
    let translated = asked.clone().find(|upstream| upstream.translate_to.is_some());
    if let Some(upstream) = translated {
        let name = &upstream.name;
        report.error(
            &place,
            format!("upstream {name:?} has translate_to: what is translated cannot be continued"),
        );
    }
    if let Some(first) = asked.next()
        && matches!(first.service, Setting::None | Setting::Anthropic)
    {
        let name = first.service.name();
        report.warn(
            &place,
            Mistake::new(format!("never happens: no stream of service {name:?} can be continued")),
        );
    }
    Some(continues)
}

/// The chain of these links.
pub(super) fn compiled(
    links: Vec<Link>,
    larger: Option<usize>,
    fallback: Option<Fallback>,
    plugins: Option<Box<RoutePlugins>>,
    upstreams: &[Draft],
) -> Chain {
    let translates =
        links.iter().any(|link| upstreams[link.upstream].upstream.translate_to.is_some());
    let stores = links.iter().any(|link| upstreams[link.upstream].upstream.stored.is_some());
    Chain { links, larger, fallback, translates, stores, plugins }
}
