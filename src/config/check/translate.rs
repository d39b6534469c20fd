//! `translate_to = "anthropic"` of an upstream: which dialect its servers are asked in.

use super::super::file::Section;
use super::super::problem::Report;
use super::super::snapshot::TranslateTo;
use super::path;

/// A dialect, or `{ dialect = "…", path = "/…" }` where its path is another than the dialect's own. `None`,
/// the default: every request goes as it came.
pub(super) fn translates(section: &mut Section<'_>, report: &mut Report) -> Option<TranslateTo> {
    let field = section.take("translate_to")?;
    if !field.is_table() {
        let dialect = field.choice(&TranslateTo::CHOICES, report)?;
        return Some(TranslateTo { dialect, path: None });
    }
    let mut table = field.section(report);
    let dialect = table.require("dialect", report);
    let dialect = dialect.and_then(|field| field.choice(&TranslateTo::CHOICES, report));
    let path = table
        .take("path")
        .and_then(|field| field.parsed(report, |text| path::target(text).map(str::to_owned)));
    table.finish(report);
    Some(TranslateTo { dialect: dialect?, path })
}
