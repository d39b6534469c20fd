//! The TOML as written: tables, keys and values with the line each stands on.
//!
//! This is a walker and not a `serde` derive because a derive gives up at the first mistake and
//! knows no lines after that. A [`Section`] hands out its keys one by one and remembers which it was
//! asked for: whatever is left when it is finished is unknown, and the keys that were asked for are
//! the ones a typing slip is compared with. So there is no second list of keys to keep in step.
//!
//! * Nothing here knows a limit, a default or what a key means: that is `check`.
//! * A reader returns `None` only after it has noted the reason in the report.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::problem::{Mistake, Place, Problem, Report, nearest};
use super::units;

/// A timeout below this is a slip; the longest is a year. The timer counts in milliseconds.
const TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(8_760 * 3_600);

/// What people write for "off" or "unlimited".
const WITHOUT_LIMIT: [&str; 8] = [
    "off",
    "unlimited",
    "none",
    "never",
    "infinite",
    "inf",
    "no",
    "disabled",
];

/// A file that is valid TOML and not empty.
#[derive(Debug)]
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    lines: Lines,
}

impl<'t> Document<'t> {
    /// Reads the syntax, or tells each place where it breaks.
    pub fn parse(text: &'t str) -> Result<Document<'t>, Vec<Problem>> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors
                .iter()
                .map(|error| lines.syntax_error(error))
                .collect());
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

    /// The table everything else is in.
    pub fn root(&self) -> Section<'_> {
        let place = Place {
            line: None,
            key: String::new(),
        };
        Section {
            table: Some(&self.root),
            lines: &self.lines,
            place,
            known: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Lines {
        let after = memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline + 1);
        Lines {
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The line of a byte, counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    fn syntax_error(&self, error: &toml::de::Error) -> Problem {
        let line = error.span().map(|Range { start, .. }| self.line(start));
        let reason = format!("TOML syntax: {}", error.message());
        Problem {
            line,
            key: String::new(),
            reason,
            hint: None,
        }
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section<'d> {
    /// `None`: not in the file, so every key has its default.
    table: Option<&'d DeTable<'d>>,
    lines: &'d Lines,
    place: Place,
    /// The keys asked for.
    known: Vec<&'static str>,
    /// Keys that are known, and not allowed here: never a hint.
    refused: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where a key stands, or would stand.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key)
            .map_or_else(|| self.place.inside(key), |field| field.place)
    }

    /// The field of that name, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Field<'d>> {
        self.known.push(key);
        self.get(key)
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
            None => self.without_table(self.place.inside(key)),
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
                elements
                    .iter()
                    .map(|element| element.section(report))
                    .collect()
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
        self.take(key)
            .and_then(|field| field.count(range, report))
            .unwrap_or(default)
    }

    /// A timeout that can be "off", or the default.
    pub fn timeout(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        report: &mut Report,
    ) -> Option<Duration> {
        self.take(key)
            .and_then(|field| field.timeout(report))
            .unwrap_or(default)
    }

    /// One of the words, or the default.
    pub fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        default: T,
        report: &mut Report,
    ) -> T {
        self.take(key)
            .and_then(|field| field.choice(choices, report))
            .unwrap_or(default)
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self, report: &mut Report) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            let line = Some(self.lines.line(key.span().start));
            let place = Place {
                line,
                ..self.place.inside(name)
            };
            let mistake = Mistake::new("unknown key");
            report.refuse(
                &place,
                match nearest(name, self.known.iter().copied()) {
                    Some(meant) => mistake.meant(meant),
                    None => Mistake::new(format!("unknown key; {}", self.known_keys())),
                },
            );
        }
    }

    fn known_keys(&self) -> String {
        format!("known here are {}", self.known.join(", "))
    }

    fn get(&self, key: &str) -> Option<Field<'d>> {
        let (_, value) = self.table?.get_key_value(key)?;
        let line = Some(self.lines.line(value.span().start));
        let place = Place {
            line,
            ..self.place.inside(key)
        };
        Some(Field {
            value: value.get_ref(),
            lines: self.lines,
            place,
        })
    }

    fn without_table(&self, place: Place) -> Section<'d> {
        Section {
            table: None,
            lines: self.lines,
            place,
            known: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// One value that is being read.
#[derive(Debug)]
pub(super) struct Field<'d> {
    value: &'d DeValue<'d>,
    lines: &'d Lines,
    place: Place,
}

impl<'d> Field<'d> {
    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub fn string(&self, report: &mut Report) -> Option<&'d str> {
        let string = self.value.as_str().ok_or_else(|| self.expected("a string"));
        report.noted(&self.place, string)
    }

    /// A string that `read` understands.
    pub fn parsed<T>(
        &self,
        report: &mut Report,
        read: impl FnOnce(&'d str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let string = self.string(report)?;
        report.noted(&self.place, read(string))
    }

    pub fn boolean(&self, report: &mut Report) -> Option<bool> {
        let boolean = self
            .value
            .as_bool()
            .ok_or_else(|| self.expected("true or false"));
        report.noted(&self.place, boolean)
    }

    /// A whole number in `range`.
    pub fn count<N: TryFrom<u64>>(
        &self,
        range: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<N> {
        let count = self
            .value
            .as_integer()
            .ok_or_else(|| self.expected("a whole number"));
        let count = count.and_then(|written| {
            let number = number(written).filter(|number| range.contains(number));
            number
                .and_then(|number| N::try_from(number).ok())
                .ok_or_else(|| {
                    let (least, most) = (range.start(), range.end());
                    Mistake::new(format!("must be from {least} to {most}, not {written}"))
                })
        });
        report.noted(&self.place, count)
    }

    /// A timeout. `Some(None)` is "off".
    pub fn timeout(&self, report: &mut Report) -> Option<Option<Duration>> {
        if self.value.as_str() == Some("off") {
            return Some(None);
        }
        let duration = self.amount("duration", "30s", Some("off"), units::duration);
        let limited = duration.and_then(|duration| match duration.is_zero() {
            true => Err(Mistake::new(
                "a timeout of zero would end everything at once; to have none, write \"off\"",
            )),
            false => within(duration, &TIMEOUT_RANGE, units::show_duration),
        });
        report.noted(&self.place, limited).map(Some)
    }

    /// A duration in `range` that cannot be "off".
    pub fn duration(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Option<Duration> {
        let duration = self.amount("duration", "30s", None, units::duration);
        let limited = duration.and_then(|duration| within(duration, &range, units::show_duration));
        report.noted(&self.place, limited)
    }

    /// A size in `range`. `Some(None)` is `word`, where there is one.
    pub fn size(
        &self,
        range: RangeInclusive<u64>,
        word: Option<&'static str>,
        report: &mut Report,
    ) -> Option<Option<u64>> {
        if word.is_some() && self.value.as_str() == word {
            return Some(None);
        }
        let size = self.amount("size", "64KiB", word, units::size);
        let limited = size.and_then(|size| within(size, &range, units::show_size));
        report.noted(&self.place, limited).map(Some)
    }

    /// One of the words.
    pub fn choice<T: Clone>(
        &self,
        choices: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<T> {
        self.parsed(report, |written| {
            if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == written) {
                return Ok(choice.clone());
            }
            let words = choices.iter().map(|(word, _)| format!("{word:?}"));
            let words = words.collect::<Vec<_>>().join(" or ");
            let mistake = Mistake::new(format!("must be {words}, not {written:?}"));
            Err(
                match nearest(written, choices.iter().map(|(word, _)| *word)) {
                    Some(meant) => mistake.meant(meant),
                    None => mistake,
                },
            )
        })
    }

    /// The elements of a list.
    pub fn list(&self, report: &mut Report) -> Option<Vec<Field<'d>>> {
        let list = self
            .value
            .as_array()
            .ok_or_else(|| self.expected("a list, [ … ]"));
        let list = report.noted(&self.place, list)?;
        Some(
            list.iter()
                .enumerate()
                .map(|(index, value)| self.element(index, value))
                .collect(),
        )
    }

    /// The table, or an empty one if it is none.
    pub fn section(&self, report: &mut Report) -> Section<'d> {
        let table = self
            .value
            .as_table()
            .ok_or_else(|| self.expected("a table"));
        Section {
            table: report.noted(&self.place, table),
            lines: self.lines,
            place: self.place.clone(),
            known: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub fn expected(&self, what: &str) -> Mistake {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Mistake::new(format!("must be {what}, not {found}"))
    }

    fn element(&self, index: usize, value: &'d Spanned<DeValue<'d>>) -> Field<'d> {
        let place = Place {
            line: Some(self.lines.line(value.span().start)),
            key: format!("{}[{index}]", self.place.key),
        };
        Field {
            value: value.get_ref(),
            lines: self.lines,
            place,
        }
    }

    /// An amount with a unit. `word` is what lifts this limit, if anything does.
    fn amount<T>(
        &self,
        kind: &str,
        example: &str,
        word: Option<&str>,
        read: fn(&str) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        match self.value {
            // Zero is the one number that needs no unit.
            DeValue::Integer(written) if number(written) == Some(0) => read("0"),
            DeValue::Integer(written) => Err(Mistake::new(format!(
                "{written} has no unit: a {kind} is a string such as {example:?}"
            ))),
            DeValue::String(text) if WITHOUT_LIMIT.contains(&text.as_ref()) => Err(match word {
                Some(word) => Mistake::new(format!("{text:?} is no {kind}")).meant(word),
                None => Mistake::new(format!("cannot be {text:?}: this limit always holds")),
            }),
            DeValue::String(text) => read(text),
            _ => Err(self.expected(&format!("a {kind} such as {example:?}"))),
        }
    }
}

impl Place {
    /// The place of a key of this table, as long as its own line is not known.
    fn inside(&self, key: &str) -> Place {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let quoted = key.is_empty() || !key.chars().all(bare);
        let key = if quoted {
            format!("{key:?}")
        } else {
            key.to_owned()
        };
        let key = if self.key.is_empty() {
            key
        } else {
            format!("{}.{key}", self.key)
        };
        Place {
            line: self.line,
            key,
        }
    }
}

/// The number if it is one that a count can be: neither negative nor beyond 64 bits.
fn number(written: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(written.as_str(), written.radix()).ok()
}

fn within<T: PartialOrd + Copy>(
    value: T,
    range: &RangeInclusive<T>,
    show: fn(T) -> String,
) -> Result<T, Mistake> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(*range.start()), show(*range.end()));
    Err(Mistake::new(format!(
        "must be from {least:?} to {most:?}, not {:?}",
        show(value)
    )))
}
