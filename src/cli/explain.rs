//! `sluicegate explain`: cause and cure of an error, by its code.

use std::io::{self, Write};

use clap::Args;

use super::{Exit, complain};
use crate::config::problem::nearest;
use crate::http::explained;

/// `sluicegate explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArguments {
    /// The code of an error, such as no_route; without it all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

pub fn execute(arguments: &ExplainArguments) -> Exit {
    let text = match &arguments.code {
        None => explained::codes().map(|code| format!("{code}\n")).collect(),
        Some(written) => match found(written) {
            Ok((code, text)) => plain(&code, text),
            Err(code) => {
                complain(&format!(
                    "there is no code {code:?}{}; sluicegate explain lists all of them",
                    meant(&code)
                ));
                return Exit::Failure;
            }
        },
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

/// The code that is written so, in whichever case, and what is told of it.
fn found(written: &str) -> Result<(String, &'static str), String> {
    let code = written.trim().to_ascii_lowercase().replace('-', "_");
    explained::explanation(&code).map(|text| (code, text)).ok_or_else(|| written.trim().to_owned())
}

/// For a terminal: without the marks of the page.
fn plain(code: &str, text: &str) -> String {
    let text = unlinked(&text.replace("**", ""));
    format!("{code}\n\n{text}\n")
}

/// `[words](page.md#part)` as `words (docs/page.md#part)`, which can be found without the page that has the
/// link; the words are left out where they only name the page.
fn unlinked(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((words, target, before, behind)) = first_link(rest) {
        let place = match target {
            whole if whole.contains("://") => whole.to_owned(),
            part if part.starts_with('#') => format!("docs/errors.md{part}"),
            page => format!("docs/{page}"),
        };
        plain.push_str(before);
        match target.split('#').next() == Some(words) {
            true => plain.push_str(&place),
            false => plain.extend([words, " (", &place, ")"]),
        }
        rest = behind;
    }
    plain + rest
}

/// Words and target of the first link, what stands before it, and what behind.
fn first_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (target, behind) = tail.split_once(')')?;
    let (before, words) = head.rsplit_once('[')?;
    Some((words, target, before, behind))
}

/// Codes that have a part of it, or the one that it is a slip of, as a question.
fn meant(code: &str) -> String {
    let mut near: Vec<_> = explained::codes()
        .filter(|known| code.len() > 2 && (known.contains(code) || code.contains(known)))
        .collect();
    if near.is_empty() {
        near.extend(nearest(code, explained::codes()));
    }
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the log, the metrics and the dashboard name can be asked for.
    #[test]
    fn every_end_of_an_exchange_is_explained() {
        for end in crate::measure::ends::END_REASONS {
            assert!(explained::explanation(end).is_some(), "{end}");
        }
    }

    #[test]
    fn a_code_is_found_as_it_is_copied_and_a_slip_is_told() {
        for written in ["no_route", " no_route\n", "NO-ROUTE"] {
            assert_eq!(found(written).map(|(code, _)| code), Ok("no_route".to_owned()));
        }
        assert_eq!(found("no_rute"), Err("no_rute".to_owned()));
        assert_eq!(meant("no_rute"), " (did you mean no_route?)");
        assert_eq!(meant("certificate_name"), " (did you mean upstream_certificate_name?)");
        assert_eq!(meant("502"), "");
    }

    #[test]
    fn links_are_places_below_the_repository() {
        for (text, expected) in [
            ("See [routing.md](routing.md#by-model).", "See docs/routing.md#by-model."),
            (
                "[the pool](streaming.md#pool) and [a](#b)",
                "the pool (docs/streaming.md#pool) and a (docs/errors.md#b)",
            ),
            ("[etcd](https://etcd.io)", "etcd (https://etcd.io)"),
            ("a[0] and (b)", "a[0] and (b)"),
        ] {
            assert_eq!(unlinked(text), expected);
        }
        for code in explained::codes() {
            let text = plain(code, explained::explanation(code).unwrap_or_default());
            assert!(!text.contains("]("), "{code}: {text}");
        }
    }
}
