//! `request_headers`, `response_headers` and `api_key`: what is changed in the fields of a head.

use std::sync::Arc;

use super::super::Environment;
use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::show::{key as shown_key, list, quoted};
use super::super::snapshot::HeaderRules;
use super::{field_name, unique};
use crate::http::field_rules::{FieldRules, is_ours};

/// Fields of one kind of rule.
const FIELDS_MAX: usize = 64;
/// A token of a cloud's identity service takes two or three thousand.
const VALUE_MAX: usize = 8 << 10;

/// The fields in which clients put a key, by the SDKs of OpenAI, Anthropic, Azure and Google.
const KEY_FIELDS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// A field that has one of these words in its name has a secret as its value, as a rule: one that is written
/// in the file is not shown.
const SECRET_WORDS: [&str; 9] = [
    "authorization",
    "auth",
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "cookie",
    "credential",
];

/// Whether the value of a field is nobody's who may look at the configuration: `x-api-key`, `X_Auth_Token`.
fn is_secret(name: &str) -> bool {
    name.split(['-', '_', '.']).any(|word| SECRET_WORDS.contains(&&*word.to_ascii_lowercase()))
}

/// The table of this name; empty where there is none.
pub(super) fn rules(
    section: &mut Section<'_>,
    name: &'static str,
    environment: &Environment,
    report: &mut Report,
) -> HeaderRules {
    let Some(field) = section.take(name) else { return HeaderRules::default() };
    let mut section = field.section(report);
    let mut written = Vec::new();
    let remove = section.take("remove").and_then(|field| names(&field, report));
    let remove = remove.unwrap_or_default();
    if !remove.is_empty() {
        written.push((format!("{name}.remove"), list(remove.iter().map(|name| quoted(name)))));
    }
    let mut rules = FieldRules { remove, ..FieldRules::default() };
    for (from, field) in entries(&mut section, "rename", report) {
        if let Some(to) = field.parsed(report, changeable) {
            written.push((format!("{name}.rename.{}", shown_key(&from)), quoted(&to)));
            rules.rename.push((from, to));
        }
    }
    for (kind, into) in [("set", &mut rules.set), ("add", &mut rules.add)] {
        for (field_name, field) in entries(&mut section, kind, report) {
            if let Some(value) = value(&field, environment, report) {
                let key = format!("{name}.{kind}.{}", shown_key(&field_name));
                written.push(match is_secret(&field_name) && !field.is_table() {
                    // What is printed is shown to whoever may look.
                    true => (format!("# {key}"), "what stands in the file".to_owned()),
                    false => (key, value.written),
                });
                into.push((field_name, value.bytes));
            }
        }
    }
    let place = section.place().clone();
    section.finish(report);
    if rules.is_empty() {
        report.warn(&place, Mistake::new("changes nothing"));
        return HeaderRules::default();
    }
    HeaderRules { rules: Some(Arc::new(rules)), written }
}

/// `api_key = { env = "NAME" }`: the upstream is sent this key, in the field where its service looks for
/// one (`usual`, one of [`KEY_FIELDS`], unless the table says otherwise), and no key of the client's.
pub(super) fn api_key(
    section: &mut Section<'_>,
    usual: &'static str,
    rules: HeaderRules,
    environment: &Environment,
    report: &mut Report,
) -> HeaderRules {
    let Some(field) = section.take("api_key") else { return rules };
    let mut table = if field.is_table() { Some(field.section(report)) } else { None };
    let named = table.as_mut().and_then(|table| table.take("header"));
    let named = named.and_then(|field| {
        let choices = KEY_FIELDS.map(|name| (name, name));
        field.choice(&choices, report)
    });
    let header = named.unwrap_or(usual);
    let value = match table {
        Some(table) => from_table(table, &field, environment, report),
        None => {
            let reason = "must be { env = \"NAME\" } or { file = \"path\" }: a key stands in no file \
                          that others may read";
            report.error(field.place(), reason);
            None
        }
    };
    let Some(value) = value else { return rules };
    let mut bytes = value.bytes;
    if header == "authorization" {
        bytes.splice(0..0, *b"Bearer ");
    }
    let mut all = rules.rules.map_or_else(FieldRules::default, |rules| (*rules).clone());
    if all.set.iter().chain(&all.add).any(|(name, _)| name == header) {
        report.error(field.place(), format!("request_headers gives {header} another value"));
    }
    all.remove.extend(KEY_FIELDS.map(str::to_owned));
    all.set.push((header.to_owned(), bytes));
    let source = value.written.trim_start_matches("{ ").to_owned();
    let mut written = rules.written;
    written.push(("api_key".to_owned(), format!("{{ header = {}, {source}", quoted(header))));
    HeaderRules { rules: Some(Arc::new(all)), written }
}

/// The keys of a table of fields, each a name that may be changed.
fn entries<'d>(
    section: &mut Section<'d>,
    kind: &'static str,
    report: &mut Report,
) -> Vec<(String, Field<'d>)> {
    let Some(field) = section.take(kind) else { return Vec::new() };
    let mut known: Vec<(String, Field<'d>)> = Vec::new();
    let all = field.section(report).entries();
    if all.len() > FIELDS_MAX {
        report.error(field.place(), format!("must have at most {FIELDS_MAX} fields"));
    }
    for (name, field) in all {
        let Some(name) = report.noted(field.place(), changeable(name)) else { continue };
        if known.iter().any(|(earlier, _)| *earlier == name) {
            report.error(field.place(), "is in the table already; names ignore case");
        }
        known.push((name, field));
    }
    known
}

fn names(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    let fields = field.list(report)?;
    if fields.is_empty() || fields.len() > FIELDS_MAX {
        report.error(field.place(), format!("must have from 1 to {FIELDS_MAX} fields"));
    }
    unique(&fields, report, |field, report| field.parsed(report, changeable))
}

/// A name of a field that the gateway does not decide about.
fn changeable(text: &str) -> Result<String, Mistake> {
    let name = field_name(text)?;
    if is_ours(&name) {
        return Err(Mistake::new(format!("{name} is the gateway's own to read and to write")));
    }
    Ok(name)
}

/// A value, and how it can be written in the file.
struct Value {
    bytes: Vec<u8>,
    written: String,
}

/// `"text"`, `{ env = "NAME" }` or `{ file = "path" }`, the last two with a `prefix` if one is wanted.
fn value(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<Value> {
    if field.is_table() {
        return from_table(field.section(report), field, environment, report);
    }
    let text = field.parsed(report, |text| legal(text.as_bytes()).map(|()| text))?;
    Some(Value { bytes: text.as_bytes().to_vec(), written: quoted(text) })
}

fn from_table(
    mut section: Section<'_>,
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Value> {
    let (variable, file) = (section.take("env"), section.take("file"));
    let prefix = section.take("prefix");
    let prefix = match prefix {
        Some(field) => field.string(report)?,
        None => "",
    };
    section.finish(report);
    let (source, secret) = match (variable, file) {
        (Some(variable), None) => {
            let secret = variable.parsed(report, |name| {
                (environment.variable)(name)
                    .ok_or_else(|| Mistake::new(format!("the environment has no {name:?}")))
            })?;
            (format!("env = {}", quoted(variable.string(report)?)), secret)
        }
        (None, Some(file)) => {
            let (path, secret) = file.parsed(report, |written| {
                let path = environment.file(written);
                let text = (environment.read)(&path)
                    .map_err(|reason| Mistake::new(format!("{}: {reason}", path.display())))?;
                Ok((path.to_string_lossy().into_owned(), text))
            })?;
            (format!("file = {}", quoted(&path)), secret)
        }
        _ => {
            report.error(field.place(), "needs one of env and file");
            return None;
        }
    };
    let bytes = [prefix, secret.trim_end_matches(['\n', '\r'])].concat().into_bytes();
    if secret.trim().is_empty() {
        report.error(field.place(), "is empty");
        return None;
    }
    report.noted(field.place(), legal(&bytes))?;
    let prefix = match prefix {
        "" => String::new(),
        prefix => format!(", prefix = {}", quoted(prefix)),
    };
    Some(Value { bytes, written: format!("{{ {source}{prefix} }}") })
}

/// Whether a value has one meaning (RFC 9110 §5.5). It may be a secret, so it is not repeated.
fn legal(value: &[u8]) -> Result<(), Mistake> {
    let visible = value.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic());
    if !visible || value.trim_ascii() != value || value.len() > VALUE_MAX {
        return Err(Mistake::new(format!(
            "must be at most {VALUE_MAX} visible ASCII characters and inner spaces"
        )));
    }
    Ok(())
}
