//! `translate_to = "anthropic"` of an upstream: which dialect its servers are asked in.

use super::super::file::Section;
use super::super::problem::{Mistake, Report};
use super::super::snapshot::TranslateTo;
use super::path;
use crate::service::Dialect;
use crate::service::translate::TensorNames;

/// No model has a longer name for a tensor.
const TENSOR_NAME_MAX: usize = 256;

/// A dialect, or `{ dialect = "…", path = "/…" }` where its path is another than the dialect's own; `input` and
/// `output` name tensors. `None`, the default: every request goes as it came.
pub(super) fn translates(section: &mut Section<'_>, report: &mut Report) -> Option<TranslateTo> {
    let field = section.take("translate_to")?;
    if !field.is_table() {
        let dialect = field.choice(&TranslateTo::CHOICES, report)?;
        return Some(TranslateTo { dialect, path: None, tensors: TensorNames::default() });
    }
    let mut table = field.section(report);
    let dialect = table.require("dialect", report);
    let dialect = dialect.and_then(|field| field.choice(&TranslateTo::CHOICES, report));
    let path = table
        .take("path")
        .and_then(|field| field.parsed(report, |text| path::target(text).map(str::to_owned)));
    let mut tensors = TensorNames::default();
    for (key, name) in [("input", &mut tensors.input), ("output", &mut tensors.output)] {
        if dialect.is_some_and(|dialect| dialect != Dialect::KServe) {
            table.refuse(key, "names a tensor, which \"kserve\" alone has", report);
        }
        *name = table.take(key).and_then(|field| field.parsed(report, tensor));
    }
    table.finish(report);
    Some(TranslateTo { dialect: dialect?, path, tensors })
}

/// The name of a tensor.
fn tensor(text: &str) -> Result<String, Mistake> {
    match (1..=TENSOR_NAME_MAX).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!("must be 1 to {TENSOR_NAME_MAX} bytes long"))),
    }
}
