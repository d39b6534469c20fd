//! Where a request names its model, found as its body goes by.
//!
//! A name that is to be replaced has to be read as every server reads it. Servers differ: of two
//! members `model` Python takes the last and others the first, Go takes `Model` for it as well, and
//! whoever ends a text at a NUL takes `"model\u0000"`. So what is accepted here is what all of them read
//! alike, and everything else that could name a model to somebody is [`Unclear`].
//!
//! | body | the model is | read by |
//! |---|---|---|
//! | a JSON object, whatever its type is said to be | the string of its outermost member `model` | `json` |
//! | `multipart/form-data` | the content of the part `model` | `form` |
//! | `application/x-www-form-urlencoded` | nothing that is replaced: a field `model` is refused | `form` |
//! | what says that it is JSON, or nothing, and begins as no JSON or with a list | nothing that is replaced: it is refused | `json` |
//! | anything else | none |  |
//!
//! Other members that routes ask for are found by `members`, beside it.
//!
//! * Nothing is clear before the last byte: a second `model` may follow. Whoever passes bytes on asks
//!   after each of them.
//! * Bounded whatever comes: a finder keeps the one name, the head of one part, and a delimiter.

mod form;
mod json;
mod members;
mod spelling;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use form::{Form, UrlEncoded};
use json::Json;
pub use members::{MemberValue, WANTED_MAX, WantedMembers};

use crate::http::head::RequestHead;
use crate::http::json::{Text, escape};

/// The member of a JSON object, and the part of a form, that names the model.
const MODEL: &[u8] = b"model";

/// A longer name is none that a server could know.
const NAME_BYTES_MAX: usize = 256;

/// Why a model cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// It can be read in two ways, or the body is not what it seems to be.
    Ambiguous,
    /// It comes too late in the body.
    Late,
    /// The body is encoded.
    Encoded,
    /// A member that routes ask for can be read in two ways.
    FieldAmbiguous,
    /// A member that routes ask for comes too late in the body.
    FieldLate,
}

/// The name of a model in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Where it begins in the payload.
    pub at: usize,
    /// As it is written.
    pub written: Vec<u8>,
}

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Inside a JSON string.
    Json,
    /// As it is.
    Plain,
}

impl Notation {
    pub fn write(self, model: &str) -> Vec<u8> {
        let mut written = Vec::new();
        match self {
            Notation::Json => escape(model, &mut written),
            Notation::Plain => written.extend_from_slice(model.as_bytes()),
        }
        written
    }

    /// What a name that was written so means, if it is a text.
    pub fn read(self, written: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Notation::Json if !written.iter().all(|&byte| is_plain(byte)) => {
                let mut text: Text<NAME_BYTES_MAX> = Text::new();
                text.push(written);
                text.as_str().map(|text| Cow::Owned(text.to_owned()))
            }
            Notation::Json | Notation::Plain => {
                std::str::from_utf8(written).ok().map(Cow::Borrowed)
            }
        }
    }
}

/// Reads a body, in any pieces it comes in.
#[derive(Debug)]
pub struct Finder {
    kind: Kind,
    name: Option<Name>,
    /// A name has come, whoever has it now.
    named: bool,
    unclear: Option<Unclear>,
}

#[derive(Debug)]
enum Kind {
    Json(Json),
    Form(Form),
    UrlEncoded(UrlEncoded),
}

/// What one piece has shown.
enum Seen {
    Name(Name),
    Ambiguous,
}

impl Finder {
    /// For the body behind this head.
    pub fn of(head: &RequestHead<'_>) -> Result<Finder, Unclear> {
        match head.encoded || head.media_repeated {
            true => Finder::new(head.values("content-type"), head.values("content-encoding")),
            false => Finder::of_media(head.media),
        }
    }

    /// For a body of this `Content-Type` and `Content-Encoding`; of each all values. `Err`: it cannot
    /// be read.
    pub fn new<'v>(
        mut types: impl Iterator<Item = &'v [u8]>,
        mut encodings: impl Iterator<Item = &'v [u8]>,
    ) -> Result<Finder, Unclear> {
        let mut codings = encodings.by_ref().flat_map(|value| value.split(|&byte| byte == b','));
        if codings.any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
            return Err(Unclear::Encoded);
        }
        match (types.next().unwrap_or_default(), types.next()) {
            // Two types are two readings, where one of them is a form.
            (_, Some(_)) => Err(Unclear::Ambiguous),
            (media, None) => Finder::of_media(media),
        }
    }

    /// For a body of this one `Content-Type`, in no coding.
    fn of_media(media: &[u8]) -> Result<Finder, Unclear> {
        let finder = |kind: Kind| Finder { kind, name: None, named: false, unclear: None };
        // What nearly all say.
        if media == b"application/json" {
            return Ok(finder(Kind::Json(Json::claimed())));
        }
        let essence = media.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        let kind = match () {
            () if is("multipart/form-data") => {
                Kind::Form(form::boundary(media).map(Form::new).ok_or(Unclear::Ambiguous)?)
            }
            () if is("application/x-www-form-urlencoded") => Kind::UrlEncoded(UrlEncoded::new()),
            () if !is_read_as_ascii(media) => return Err(Unclear::Encoded),
            () if claims_json(essence) => Kind::Json(Json::claimed()),
            () => Kind::Json(Json::new()),
        };
        Ok(finder(kind))
    }

    pub fn notation(&self) -> Notation {
        match self.kind {
            Kind::Form(_) => Notation::Plain,
            Kind::Json(_) | Kind::UrlEncoded(_) => Notation::Json,
        }
    }

    /// Takes the next bytes of the payload.
    pub fn feed(&mut self, data: &[u8]) {
        if self.unclear.is_some() {
            return;
        }
        let Finder { kind, name, named, unclear } = self;
        let mut on = |seen: Seen| match seen {
            Seen::Name(found) if !std::mem::replace(named, true) => *name = Some(found),
            Seen::Name(_) | Seen::Ambiguous => *unclear = Some(Unclear::Ambiguous),
        };
        match kind {
            Kind::Json(json) => json.feed(data, &mut on),
            Kind::Form(form) => form.feed(data, &mut on),
            Kind::UrlEncoded(fields) => match fields.feed(data) {
                Ok(true) => {}
                Ok(false) => on(Seen::Ambiguous),
                // curl says so of whatever it is given.
                Err(json) => {
                    let mut json = *json;
                    json.feed(data, &mut on);
                    *kind = Kind::Json(json);
                }
            },
        }
    }

    /// The body has ended.
    pub fn end(&mut self) {
        let whole = match &mut self.kind {
            Kind::Json(json) => json.end(),
            Kind::Form(form) => form.end(),
            Kind::UrlEncoded(fields) => fields.end(),
        };
        if !whole {
            self.unclear.get_or_insert(Unclear::Ambiguous);
        }
    }

    /// Whether nothing of the body can name a model any more.
    pub fn is_over(&self) -> bool {
        matches!(&self.kind, Kind::Json(json) if json.is_nothing())
    }

    /// Whether the body is a form in parts, which has no members.
    pub fn is_form(&self) -> bool {
        matches!(self.kind, Kind::Form(_))
    }

    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The same, given away: once.
    pub fn take_name(&mut self) -> Option<Name> {
        self.name.take()
    }

    pub fn unclear(&self) -> Option<Unclear> {
        self.unclear
    }
}

/// Whether a byte of a JSON string stands for itself.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// Whether a body of this type is JSON by its own word, or says nothing of itself.
fn claims_json(essence: &[u8]) -> bool {
    let ends = |end: &[u8]| {
        let from = essence.len().checked_sub(end.len());
        from.is_some_and(|from| essence[from..].eq_ignore_ascii_case(end))
    };
    essence.is_empty() || ends(b"/json") || ends(b"+json")
}

/// Whether the bytes of a text in the stated character set that are ASCII mean what they do there.
/// UTF-16 and UTF-7 hide a name, and some servers do as they are told.
fn is_read_as_ascii(media: &[u8]) -> bool {
    let mut parameters = media.split(|&byte| byte == b';').skip(1);
    parameters.all(|parameter| {
        let mut sides = parameter.splitn(2, |&byte| byte == b'=');
        let name = sides.next().unwrap_or_default().trim_ascii();
        let value = sides.next().unwrap_or_default().trim_ascii();
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let value = value.strip_suffix(b"\"").unwrap_or(value);
        let known = ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"];
        !name.eq_ignore_ascii_case(b"charset")
            || known.iter().any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
    })
}
