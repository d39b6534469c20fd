//! The TOML as written: tables, keys and values with the line each stands on.
//!
//! This is a walker and not a `serde` derive because a derive gives up at the first mistake and
//! knows no lines after that. A [`Section`] hands out its keys one by one and remembers what it
//! was asked for: whatever is left when it is finished is unknown, and the keys that were asked for are
//! the ones a typing slip is compared with. So there is no second list of keys to keep in step.
//!
//! * Nothing here knows a limit, a default or what a key means: that is `check`.
//! * A reader returns `None` only after it has noted the reason in the report.

mod field;

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

pub(super) use field::Field;

use super::problem::{Location, Mistake, Problem, Report, nearest};
use super::upgrade;

/// A file that is valid TOML and not empty.
#[derive(Debug)]
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    lines: Lines,
}

impl<'t> Document<'t> {
    /// Reads the syntax, or tells where it breaks first. What follows such a place can only be
    /// guessed at, so nothing more is said about it.
    pub fn parse(text: &'t str) -> Result<Document<'t>, Vec<Problem>> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if let Some(first) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) {
            return Err(vec![lines.syntax_error(first)]);
        }
        let root = root.into_inner();
        if root.is_empty() {
            return Err(vec![Problem::of_file(
                "the configuration is empty; it needs [server] with listen, an [[upstream]] \
                 and a [[route]]",
            )]);
        }
        Ok(Document { root, lines })
    }

    /// Where a key is written, or would be: for each table of the lists on its way. A table that is not
    /// there lacks the key; a list that is not there has no table.
    pub fn seek(&self, path: &str) -> Vec<Sought> {
        let mut found = Vec::new();
        self.root().seek(path, &mut found);
        found
    }

    /// The table everything else is in.
    pub fn root(&self) -> Section<'_> {
        let place = Location { line: None, key: String::new() };
        Section::new(Some(&self.root), &self.lines, place)
    }
}

/// A key that was looked for.
#[derive(Debug)]
pub(super) struct Sought {
    pub place: Location,
    pub is_written: bool,
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Lines {
        let after = memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline + 1);
        Lines { starts: std::iter::once(0).chain(after).collect() }
    }

    /// The line of a byte, counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    fn syntax_error(&self, error: &toml::de::Error) -> Problem {
        let line = error.span().map(|Range { start, .. }| self.line(start));
        let reason = format!("TOML syntax: {}", error.message());
        Problem { line, key: String::new(), reason, hint: None }
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section<'d> {
    /// `None`: not in the file, so every key has its default.
    table: Option<&'d DeTable<'d>>,
    lines: &'d Lines,
    place: Location,
    /// The keys asked for.
    known: Vec<&'static str>,
    /// Keys that are known, and not allowed here: never a hint.
    refused: Vec<&'static str>,
}

/// A table that can be written as "off".
#[derive(Debug)]
pub(super) enum Switch<'d> {
    /// Not in the file: an empty table, for its defaults.
    Absent(Section<'d>),
    Off,
    On(Section<'d>),
}

impl<'d> Section<'d> {
    fn new(table: Option<&'d DeTable<'d>>, lines: &'d Lines, place: Location) -> Section<'d> {
        let (known, refused) = (Vec::new(), Vec::new());
        Section { table, lines, place, known, refused }
    }

    pub fn place(&self) -> &Location {
        &self.place
    }

    /// Where a key stands, or would stand.
    pub fn place_of(&self, key: &str) -> Location {
        self.get(key).map_or_else(|| self.place.inside(key), |field| field.place)
    }

    /// The field of that name, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Field<'d>> {
        self.known.push(key);
        self.get(key)
    }

    /// Whether there is a field of that name.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The field of that name, which has to be there.
    pub fn require(&mut self, key: &'static str, report: &mut Report) -> Option<Field<'d>> {
        let field = self.take(key);
        if field.is_none() {
            report.error(&self.place.inside(key), "is required");
        }
        field
    }

    /// Refuses a key that means something elsewhere.
    pub fn refuse(&mut self, key: &'static str, reason: &str, report: &mut Report) {
        self.refused.push(key);
        if let Some(field) = self.get(key) {
            report.error(&field.place, reason);
        }
    }

    /// The table of that name, empty if it is not there.
    pub fn table(&mut self, key: &'static str, report: &mut Report) -> Section<'d> {
        match self.take(key) {
            Some(field) => field.section(report),
            None => Section::new(None, self.lines, self.place.inside(key)),
        }
    }

    /// The table of that name, where it can be "off" too.
    pub fn switch(&mut self, key: &'static str, report: &mut Report) -> Switch<'d> {
        match self.take(key) {
            None => Switch::Absent(Section::new(None, self.lines, self.place.inside(key))),
            Some(field) if field.is_off() => Switch::Off,
            Some(field) if field.is_table() => Switch::On(field.section(report)),
            Some(field) => {
                report.refuse(&field.place, field.expected("a table or \"off\""));
                Switch::Off
            }
        }
    }

    /// The tables of an array of tables, `[[key]]`.
    pub fn tables(&mut self, key: &'static str, report: &mut Report) -> Vec<Section<'d>> {
        let Some(field) = self.take(key) else {
            return Vec::new();
        };
        match field.value {
            DeValue::Array(_) => {
                let elements = field.list(report).unwrap_or_default();
                elements.iter().map(|element| element.section(report)).collect()
            }
            DeValue::Table(_) => {
                report.error(
                    &field.place,
                    format!("there can be several: write [[{key}]] with two brackets"),
                );
                // Read all the same, so that its own mistakes are told in the same run.
                vec![field.section(report)]
            }
            _ => {
                report.refuse(&field.place, field.expected(&format!("[[{key}]] tables")));
                Vec::new()
            }
        }
    }

    /// A number in `range`, or the default.
    pub fn count<N: TryFrom<u64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: N,
        report: &mut Report,
    ) -> N {
        self.take(key).and_then(|field| field.count(range, report)).unwrap_or(default)
    }

    /// A duration in `range`, or the default.
    pub fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
        report: &mut Report,
    ) -> Duration {
        self.take(key).and_then(|field| field.duration(range, report)).unwrap_or(default)
    }

    /// True or false, or the default.
    pub fn boolean(&mut self, key: &'static str, default: bool, report: &mut Report) -> bool {
        self.take(key).and_then(|field| field.boolean(report)).unwrap_or(default)
    }

    /// Every key and its field, whatever they are called: a table whose keys are the user's own.
    pub fn entries(&mut self) -> Vec<(&'d str, Field<'d>)> {
        let mut entries = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let line = Some(self.lines.line(value.span().start));
            let place = Location { line, ..self.place.inside(name) };
            entries.push((name, Field { value: value.get_ref(), lines: self.lines, place }));
        }
        // The order of the file, which the table does not keep.
        entries.sort_by_key(|(_, field)| field.place.line);
        entries
    }

    /// A timeout that can be "off", or the default.
    pub fn timeout(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        report: &mut Report,
    ) -> Option<Duration> {
        self.take(key).and_then(|field| field.timeout(report)).unwrap_or(default)
    }

    /// One of the words, or the default.
    pub fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        default: T,
        report: &mut Report,
    ) -> T {
        self.take(key).and_then(|field| field.choice(choices, report)).unwrap_or(default)
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self, report: &mut Report) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            let line = Some(self.lines.line(key.span().start));
            let place = Location { line, ..self.place.inside(name) };
            let mistake = match upgrade::what_became_of(&place.key, upgrade::CHANGES) {
                Some(told) => Mistake::new(told),
                None => match nearest(name, self.known.iter().copied()) {
                    Some(meant) => Mistake::new("unknown key").meant(meant),
                    None => Mistake::new(format!("unknown key; {}", self.known_keys())),
                },
            };
            report.refuse(&place, mistake);
        }
    }

    fn seek(&self, path: &str, found: &mut Vec<Sought>) {
        /// Tables whose absence is that of every table of theirs.
        const LISTS: [&str; 4] = ["upstream", "route", "price", "plugin"];

        let Some((key, rest)) = path.split_once('.') else {
            let (place, is_written) = (self.place_of(path), self.get(path).is_some());
            return found.push(Sought { place, is_written });
        };
        match self.get(key) {
            None if self.place.key.is_empty() && LISTS.contains(&key) => {}
            None => Section::new(None, self.lines, self.place.inside(key)).seek(rest, found),
            Some(Field { value: DeValue::Table(table), lines, place }) => {
                Section::new(Some(table), lines, place).seek(rest, found);
            }
            Some(Field { value: DeValue::Array(list), lines, place }) => {
                for (index, element) in list.iter().enumerate() {
                    let line = Some(lines.line(element.span().start));
                    let place = Location { line, key: format!("{}[{index}]", place.key) };
                    let table = element.get_ref().as_table();
                    Section::new(table, lines, place).seek(rest, found);
                }
            }
            // What else it is, the check says.
            Some(_) => {}
        }
    }

    fn known_keys(&self) -> String {
        format!("known here are {}", self.known.join(", "))
    }

    fn get(&self, key: &str) -> Option<Field<'d>> {
        let (_, value) = self.table?.get_key_value(key)?;
        let line = Some(self.lines.line(value.span().start));
        let place = Location { line, ..self.place.inside(key) };
        Some(Field { value: value.get_ref(), lines: self.lines, place })
    }
}

impl Location {
    /// The place of a key of this table, as long as its own line is not known.
    fn inside(&self, key: &str) -> Location {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let quoted = key.is_empty() || !key.chars().all(bare);
        let key = if quoted { format!("{key:?}") } else { key.to_owned() };
        let key = if self.key.is_empty() { key } else { format!("{}.{key}", self.key) };
        Location { line: self.line, key }
    }
}
