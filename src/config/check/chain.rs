//! A route's chain: the upstreams that are asked in turn, and where too long a prompt goes.

use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report, nearest};
use super::super::snapshot::{Heartbeat, Link};
use super::upstream::Draft;
use super::{Overrides, unique, unknown_name};

/// Each link costs attempts and time; whoever needs more wants another route.
const LINKS_MAX: usize = 8;

/// `upstream = "one"`, or `upstream = ["primary", "second"]`. `None` if one of them is not known.
pub(super) fn links(
    field: &Field<'_>,
    overrides: &Overrides,
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
    let link = |upstream: usize| Link {
        upstream,
        timeouts: overrides.over(&upstreams[upstream].upstream.timeouts),
    };
    Some(indices.into_iter().map(link).collect())
}

fn upstream(field: &Field<'_>, upstreams: &[Draft], report: &mut Report) -> Option<usize> {
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
