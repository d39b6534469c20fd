//! `[trace]`, `[recorder]` and `[usage]`, printed.

use std::fmt::{self, Write as _};

use super::super::snapshot::{
    Collector, PriceTable, Recorder, TraceContext, TraceSettings, UsageSettings,
};
use super::{entry, list, quoted, show_duration};

pub(super) fn trace(trace: &TraceSettings, out: &mut String) -> fmt::Result {
    let context = match trace.context {
        TraceContext::Off => "off",
        TraceContext::Continue => "continue",
        TraceContext::Restart => "restart",
    };
    let export = trace.export.as_ref().map_or_else(|| "off".to_owned(), Collector::shown);
    writeln!(out, "\n[trace]")?;
    entry(out, "context", quoted(context))?;
    entry(out, "sample", trace.sample)?;
    entry(out, "export", quoted(&export))?;
    if trace.export.as_ref().is_some_and(|collector| collector.path.contains('?')) {
        writeln!(out, "# export has a query, which is not shown: collectors take keys in it")?;
    }
    entry(out, "service", quoted(&trace.service))?;
    entry(out, "interval", quoted(&show_duration(trace.interval)))?;
    entry(out, "timeout", quoted(&show_duration(trace.timeout)))?;
    entry(out, "queue", trace.queue)
}

pub(super) fn recorder(recorder: &Recorder, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[recorder]")?;
    match recorder.streams {
        Some(streams) => entry(out, "streams", streams)?,
        None => entry(out, "streams", quoted("off"))?,
    }
    entry(out, "keep", recorder.keep)
}

pub(super) fn usage(usage: &UsageSettings, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[usage]")?;
    entry(out, "series", usage.series)?;
    entry(out, "currency", quoted(&usage.currency))
}

pub(super) fn prices(prices: Option<&PriceTable>, out: &mut String) -> fmt::Result {
    for price in prices.iter().flat_map(|table| &table.0) {
        writeln!(out, "\n[[price]]")?;
        let models = price.models.iter().map(|pattern| quoted(pattern.as_str()));
        entry(out, "model", list(models))?;
        entry(out, "input", price.input)?;
        entry(out, "cached", price.cached)?;
        entry(out, "output", price.output)?;
    }
    Ok(())
}
