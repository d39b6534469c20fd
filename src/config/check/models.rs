//! `models` of a route, which tells which models there are.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report, nearest};
use super::super::snapshot::{ModelRoute, ModelSource, PathPattern, PathPiece, Template, When};
use super::upstream::Draft;
use super::{chain, unique};
use crate::responder::models::{ListedAt, ModelList};

/// How often servers may be asked.
pub(super) const REFRESH: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3_600);

/// Keys of a route that say what becomes of a request on its way to a server.
const OF_CHAINS: [&str; 12] = [
    "decode_requests",
    "accept_encoding",
    "include_usage",
    "upstream",
    "model",
    "larger",
    "rewrite",
    "request_headers",
    "commit",
    "heartbeat",
    "continue",
    "fallback",
];

/// `models = ["one", "two"]` or "all", in the place of `upstream`.
pub(super) fn route(
    field: &Field<'_>,
    section: &mut Section<'_>,
    (pattern, when): (Option<&PathPattern>, Option<&When>),
    upstreams: &[Draft],
    report: &mut Report,
) -> Option<ModelRoute> {
    for key in OF_CHAINS {
        section.refuse(key, "says how a server is asked, and models is answered here", report);
    }
    let place = section.place_of("when");
    if when.is_some_and(When::asks_body) {
        report.error(&place, "asks for a body, and a list is asked for without one");
    }
    if when.is_some_and(|when| when.share.is_some()) {
        report.error(&place, "draws a share, and who asks for a list twice is to be told the same");
    }
    let upstreams = named(field, upstreams, report);
    let at = pattern.map(|pattern| match pattern {
        PathPattern::Exact(path) => ListedAt::exact(path),
        PathPattern::Prefix(prefix) => ListedAt::below(prefix),
        PathPattern::Template(Template { pieces, open: false }) => match pieces.last() {
            Some(PathPiece::Text(end)) => ListedAt::exact(end),
            _ => None,
        },
        PathPattern::Template(_) => None,
    });
    if at == Some(None) {
        let reason = "leads to no list: a route with models has a path that ends in /models, \
                      /models/* or /api/tags";
        report.error(&section.place_of("path"), reason);
    }
    Some(ModelRoute { upstreams: upstreams?, list: Arc::new(ModelList::new(at??)) })
}

/// The upstreams of a list. `Some(None)`: all.
fn named(
    field: &Field<'_>,
    upstreams: &[Draft],
    report: &mut Report,
) -> Option<Option<Vec<usize>>> {
    if !field.is_list() {
        return field.parsed(report, |word| match word {
            "all" => Ok(None),
            word => {
                let mistake = Mistake::new(format!("must be \"all\" or a list, not {word:?}"));
                let known = upstreams.iter().map(|draft| draft.upstream.name.as_str());
                Err(match nearest(word, known) {
                    Some(name) => mistake.meant(format!("[{name:?}]")),
                    None => mistake,
                })
            }
        });
    }
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must name at least one upstream, or be \"all\"");
        return None;
    }
    let known = unique(&fields, report, |field, report| {
        let index = chain::upstream(field, upstreams, report)?;
        let upstream = &upstreams[index].upstream;
        if upstream.models == ModelSource::Off {
            report.warn(field.place(), Mistake::new("none of its models are listed: they are \"off\" there, as where service is \"none\""));
        }
        Some(index)
    })?;
    (known.len() == fields.len()).then_some(Some(known))
}
