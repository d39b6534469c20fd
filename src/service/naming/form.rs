//! The field `model` of a form: RFC 7578 (`multipart/form-data`), and URL-encoded.
//!
//! Of a form in parts the grammar is taken strictly: a delimiter stands between CR LF and CR LF, it
//! occurs nowhere else, and a part has one `Content-Disposition` with one plain name. Parsers that take
//! more (bare line feeds, folded lines, `name*=`) would find other parts.

use memchr::memmem;

use super::json::Json;
use super::spelling::{Key, Spelling};
use super::{MODEL, NAME_BYTES_MAX, Name, Seen};

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
const PART_HEAD_BYTES_MAX: usize = 2 << 10;

/// The boundary that a `Content-Type` states, if it states one.
pub(super) fn boundary(media: &[u8]) -> Option<&[u8]> {
    let mut boundaries = parameters(media)?.into_iter().filter_map(|(name, value)| {
        name.to_ascii_lowercase().starts_with(b"boundary").then_some((name.len(), value))
    });
    let (length, boundary) = boundaries.next()?;
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\' || *byte == b' ';
    let one = boundaries.next().is_none() && length == "boundary".len();
    let fit = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && !boundary.ends_with(b" ");
    (one && fit && boundary.iter().all(plain)).then_some(boundary)
}

/// The parameters behind the first word of a field, their quotes taken off. `None`: they can be read
/// in two ways.
fn parameters(field: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    let start = memchr::memchr(b';', field).unwrap_or(field.len());
    let mut rest = &field[start..];
    while let Some(behind) = rest.strip_prefix(b";") {
        let behind = behind.trim_ascii_start();
        if behind.is_empty() {
            break;
        }
        let equals = memchr::memchr(b'=', behind)?;
        let (name, value) = (&behind[..equals], &behind[equals + 1..]);
        let (value, after) = match value.strip_prefix(b"\"") {
            // No escape: browsers and libraries disagree about what a backslash means here.
            Some(quoted) => {
                let end = memchr::memchr2(b'"', b'\\', quoted).filter(|&at| quoted[at] == b'"')?;
                (&quoted[..end], quoted[end + 1..].trim_ascii_start())
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                memchr::memchr2(b'"', b'\\', &value[..end]).is_none().then_some(())?;
                (value[..end].trim_ascii(), &value[end..])
            }
        };
        if !after.is_empty() && !after.starts_with(b";") || memchr::memchr(b';', name).is_some() {
            return None;
        }
        found.push((name.trim_ascii(), value));
        rest = after;
    }
    Some(found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the content of a part, or in front of the first one.
    Content {
        model: bool,
    },
    /// Behind a delimiter: what follows tells whether it is the last.
    Delimiter,
    /// In the head of a part.
    Head,
    /// Behind the last delimiter.
    Done,
    Refused,
}

/// Follows one form.
#[derive(Debug)]
pub(super) struct Form {
    /// Two hyphens and the boundary.
    delimiter: Vec<u8>,
    state: State,
    /// The first delimiter has come.
    begun: bool,
    named: bool,
    /// The last bytes of a content, which may begin a delimiter; behind one, what is known of the
    /// part's head. Before the first byte: the line end that stands in front of every delimiter.
    kept: Vec<u8>,
    /// Where the byte behind `kept` stands in the payload.
    place: usize,
    /// Where the content of the model's part begins, and what of it has come.
    name: Name,
}

const LINE_END: &[u8] = b"\r\n";

impl Form {
    pub(super) fn new(boundary: &[u8]) -> Form {
        Form {
            delimiter: [b"--", boundary].concat(),
            state: State::Content { model: false },
            begun: false,
            named: false,
            kept: LINE_END.to_vec(),
            place: 0,
            name: Name { at: 0, written: Vec::new() },
        }
    }

    /// The form has ended. Whether it was whole. An empty one names nothing.
    pub(super) fn end(&mut self) -> bool {
        self.place == 0 || self.state == State::Done
    }

    pub(super) fn feed(&mut self, data: &[u8], on: &mut impl FnMut(Seen)) {
        let mut rest = data;
        while !rest.is_empty() && self.state != State::Refused {
            rest = match self.state {
                State::Content { .. } | State::Done => self.content(rest, on),
                State::Delimiter | State::Head => self.head(rest),
                State::Refused => return,
            };
        }
        if self.state == State::Refused {
            on(Seen::Ambiguous);
        }
    }

    /// Looks for the next delimiter. Returns what is left.
    fn content<'d>(&mut self, data: &'d [u8], on: &mut impl FnMut(Seen)) -> &'d [u8] {
        // One that lies across the seam, and one that lies behind it.
        let before = self.kept.len();
        let mut seam = std::mem::take(&mut self.kept);
        seam.extend_from_slice(&data[..data.len().min(self.delimiter.len() + LINE_END.len())]);
        let start = memmem::find(&seam, &self.delimiter)
            .or_else(|| memmem::find(data, &self.delimiter).map(|at| before + at));
        let Some(start) = start else {
            return self.pass(data, seam, before);
        };
        // Positions are counted from the first byte that was kept.
        let byte = |at: usize| if at < before { seam[at] } else { data[at - before] };
        let content = start
            .checked_sub(LINE_END.len())
            .filter(|&end| byte(end) == LINE_END[0] && byte(end + 1) == LINE_END[1]);
        let end = start + self.delimiter.len() - before;
        // In front of the first one stands nothing, or a line end.
        let placed = self.begun || self.place + start - before <= LINE_END.len();
        self.state = match (self.state, content) {
            (State::Content { model }, Some(content)) if placed => {
                if model {
                    self.found(data, content, before, on);
                }
                State::Delimiter
            }
            _ => State::Refused,
        };
        self.begun = true;
        self.place += end;
        &data[end..]
    }

    /// The content of the model's part ends at `content`, of which `before` bytes had come.
    fn found(&mut self, data: &[u8], content: usize, before: usize, on: &mut impl FnMut(Seen)) {
        let written = &mut self.name.written;
        match content.checked_sub(before) {
            Some(more) => written.extend_from_slice(&data[..more]),
            None => written.truncate(written.len() + content - before),
        }
        let (at, written) = (self.name.at, std::mem::take(written));
        on(match written.len() > NAME_BYTES_MAX {
            true => Seen::Ambiguous,
            false => Seen::Name(Name { at, written }),
        });
    }

    /// There is no delimiter in `data`, nor in what was kept of the `before` bytes in front of it.
    fn pass<'d>(&mut self, data: &'d [u8], mut seam: Vec<u8>, before: usize) -> &'d [u8] {
        if let State::Content { model: true } = self.state {
            self.name.written.extend_from_slice(data);
            if self.name.written.len() > NAME_BYTES_MAX + self.delimiter.len() + LINE_END.len() {
                self.state = State::Refused;
            }
        }
        let keep = self.delimiter.len() - 1 + LINE_END.len();
        seam.truncate(before);
        seam.extend_from_slice(&data[data.len().saturating_sub(keep)..]);
        seam.drain(..seam.len().saturating_sub(keep));
        self.kept = seam;
        self.place += data.len();
        &[]
    }

    /// Takes the head of a part. Returns what is left.
    fn head<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let room = PART_HEAD_BYTES_MAX - self.kept.len();
        let before = self.kept.len();
        self.kept.extend_from_slice(&data[..data.len().min(room)]);
        if self.state == State::Delimiter && self.kept.len() >= 2 {
            self.state = match &self.kept[..2] {
                LINE_END => State::Head,
                b"--" => {
                    self.kept.truncate(2);
                    State::Done
                }
                _ => State::Refused,
            };
        }
        let end = match self.state {
            State::Head => memmem::find(&self.kept, b"\r\n\r\n").map(|at| at + 4),
            State::Done => Some(2),
            _ => None,
        };
        let Some(end) = end else {
            if self.kept.len() == PART_HEAD_BYTES_MAX {
                self.state = State::Refused;
            }
            self.place += data.len();
            return &[];
        };
        let taken = end - before;
        self.place += taken;
        if self.state == State::Head {
            let model = is_model(&self.kept[2..end - 2]);
            let again = model == Some(true) && std::mem::replace(&mut self.named, true);
            self.state = match model {
                Some(model) if !again => State::Content { model },
                _ => State::Refused,
            };
            self.name.at = self.place;
        }
        self.kept.clear();
        &data[taken..]
    }
}

/// Whether a part of this head is the model's, one line after the other, each with its line end.
/// `None`: to some.
fn is_model(head: &[u8]) -> Option<bool> {
    let mut name = None;
    let mut file = false;
    let mut rest = head;
    while !rest.is_empty() {
        let end = memmem::find(rest, LINE_END)?;
        let line = &rest[..end];
        rest = &rest[end + LINE_END.len()..];
        let odd = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
        let colon = memchr::memchr(b':', line).filter(|_| !line.iter().any(odd))?;
        let (field, value) = (&line[..colon], &line[colon + 1..]);
        // A folded line, or a name that some would trim.
        if !field.iter().all(|byte| byte.is_ascii_graphic()) || field.is_empty() {
            return None;
        }
        if field.eq_ignore_ascii_case(b"content-disposition") {
            let parameters = parameters(value)?;
            let named = |wanted: &[u8]| {
                let wanted = wanted.to_vec();
                let same = move |name: &[u8]| name.to_ascii_lowercase().starts_with(&wanted);
                parameters.iter().filter(move |(name, _)| same(name)).collect::<Vec<_>>()
            };
            file = !named(b"filename").is_empty();
            let names = named(b"name");
            match (&names[..], name) {
                ([(key, value)], None) if key.len() == "name".len() => name = Some(*value),
                _ => return None,
            }
        } else if field.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let plain = [&b"7bit"[..], b"8bit", b"binary"];
            if !plain.iter().any(|plain| value.trim_ascii().eq_ignore_ascii_case(plain)) {
                return None;
            }
        }
    }
    let name = name?;
    let mut decoded = UrlEncoded::new();
    let other = name.iter().all(|&byte| decoded.step(byte)) && decoded.end();
    match Spelling::of(name, MODEL) {
        Key::Other => other.then_some(false),
        Key::Same if !file => Some(true),
        Key::Same | Key::Perhaps => None,
    }
}

/// The fields of a URL-encoded form: whether one of them is the model's.
#[derive(Debug)]
pub(super) struct UrlEncoded {
    /// Blanks that have come, while nothing else has.
    blanks: Option<usize>,
    /// The key so far; `None`: in a value.
    key: Option<Spelling>,
    /// The digits behind a `%`.
    escape: Option<(u16, u8)>,
}

impl UrlEncoded {
    pub(super) fn new() -> UrlEncoded {
        UrlEncoded { blanks: Some(0), key: Some(Spelling::new()), escape: None }
    }

    /// Takes the next bytes. `Ok(false)`: one is the model's. `Err`: it is no such form, and may be a
    /// JSON text; the bytes are that one's.
    pub(super) fn feed(&mut self, data: &[u8]) -> Result<bool, Box<Json>> {
        if let Some(blanks) = self.blanks {
            match data.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => {
                    self.blanks = Some(blanks + data.len());
                    return Ok(true);
                }
                Some(byte) if byte.is_ascii_alphanumeric() || b"%+&=-_.~*".contains(byte) => {
                    self.blanks = None;
                }
                Some(_) => return Err(Box::new(Json::behind(blanks))),
            }
        }
        Ok(data.iter().all(|&byte| self.step(byte)))
    }

    fn step(&mut self, byte: u8) -> bool {
        // `;` was one of the marks between fields.
        if matches!(byte, b'&' | b';' | b'=') {
            let other = self.end();
            self.key = (byte != b'=').then(Spelling::new);
            self.escape = None;
            return other;
        }
        let Some(key) = &mut self.key else { return true };
        match (self.escape.take(), char::from(byte).to_digit(16)) {
            (None, _) if byte == b'%' => self.escape = Some((0, 0)),
            (None, _) => key.push(if byte == b'+' { b' ' } else { byte }, MODEL),
            (Some((value, 1)), Some(digit)) => key.push((value << 4 | digit as u16) as u8, MODEL),
            (Some((value, digits)), Some(digit)) => {
                self.escape = Some((value << 4 | digit as u16, digits + 1));
            }
            (Some(_), None) => key.push(byte, MODEL),
        }
        true
    }

    /// Whether the field that has come is another's.
    pub(super) fn end(&mut self) -> bool {
        self.key.is_none_or(|key| key.key(MODEL) == Key::Other)
    }
}
