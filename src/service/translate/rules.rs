//! What becomes of each member of a request: tables that the code obeys.
//!
//! An object of a request is *sifted* by the rules of its place. What is mapped is handed to the code
//! that maps it, what is kept goes into the new request as it stands, what is lossy is left out, and
//! what is refused ends the translation. `docs/translation.md` shows the same tables, and a test
//! compares them.
//!
//! * A member without a rule is kept: whoever sends it knows its server better than we do. In an
//!   object that has no like in the other dialect there is no place for it, and it is refused.
//! * `null` says nothing anywhere, and `false`, `[]` and `{}` ask for nothing that could be refused.
//! * A member that is mapped and that nobody has taken was in the wrong place: it is refused too.

use serde_json::{Map, Value};

use super::Untranslatable;

/// The members of a JSON object.
pub type Members = Map<String, Value>;

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is said in the other dialect's way.
    Mapped,
    /// It goes on as it stands.
    Kept,
    /// It is left out, and nothing of the answer depends on it; or a part of it is, as the note says.
    Lossy,
    /// Asking for it is an error.
    Refused,
}

impl Treatment {
    pub fn name(self) -> &'static str {
        match self {
            Treatment::Mapped => "mapped",
            Treatment::Kept => "kept",
            Treatment::Lossy => "lossy",
            Treatment::Refused => "refused",
        }
    }
}

/// A value that asks for nothing, besides those that never do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IdleValue {
    No,
    Number(f64),
    Text(&'static str),
    /// A list of this text alone.
    Texts(&'static str),
}

impl IdleValue {
    fn is(self, value: &Value) -> bool {
        match self {
            IdleValue::No => false,
            IdleValue::Number(number) => value.as_f64() == Some(number),
            IdleValue::Text(text) => value.as_str() == Some(text),
            IdleValue::Texts(text) => {
                value.as_array().is_some_and(|list| list.iter().all(|it| it.as_str() == Some(text)))
            }
        }
    }
}

/// What becomes of one member.
#[derive(Clone, Copy, Debug)]
pub struct MemberRule {
    pub name: &'static str,
    pub treatment: Treatment,
    idle: IdleValue,
    /// For people: what it becomes, or why it does not.
    pub note: &'static str,
}

impl MemberRule {
    const fn new(treatment: Treatment, name: &'static str, note: &'static str) -> MemberRule {
        MemberRule { name, treatment, idle: IdleValue::No, note }
    }

    /// The same, which passes with this value.
    pub const fn unless(self, idle: IdleValue) -> MemberRule {
        MemberRule { idle, ..self }
    }
}

pub const fn mapped(name: &'static str, note: &'static str) -> MemberRule {
    MemberRule::new(Treatment::Mapped, name, note)
}

pub const fn kept(name: &'static str, note: &'static str) -> MemberRule {
    MemberRule::new(Treatment::Kept, name, note)
}

pub const fn lossy(name: &'static str, note: &'static str) -> MemberRule {
    MemberRule::new(Treatment::Lossy, name, note)
}

pub const fn refused(name: &'static str, note: &'static str) -> MemberRule {
    MemberRule::new(Treatment::Refused, name, note)
}

/// The rules of one object of a request.
#[derive(Debug)]
pub struct ObjectRules {
    /// Where it stands: `messages[].content[]`. Empty: it is the request.
    pub place: &'static str,
    pub members: &'static [MemberRule],
}

impl ObjectRules {
    /// Parts `object`, which stands at `at`, into what is mapped and what is kept.
    pub fn sift(&self, object: Value, at: &str) -> Result<(Members, Members), Untranslatable> {
        let Value::Object(object) = object else {
            return Err(Untranslatable::new(at, "is no JSON object"));
        };
        let (mut mapped, mut kept) = (Members::new(), Members::new());
        for (name, value) in object {
            let rule = self.members.iter().find(|rule| rule.name == name);
            match rule.map_or(Treatment::Kept, |rule| rule.treatment) {
                _ if value.is_null() => {}
                Treatment::Mapped => drop(mapped.insert(name, value)),
                Treatment::Kept => drop(kept.insert(name, value)),
                Treatment::Lossy => {}
                Treatment::Refused => {
                    let passes = rule.is_some_and(|rule| rule.idle.is(&value));
                    if !passes && !asks_nothing(&value) {
                        return Err(Untranslatable::member(at, &name, "cannot be translated"));
                    }
                }
            }
        }
        Ok((mapped, kept))
    }

    /// The same for an object that has no like in the other dialect: there is no place to keep
    /// anything in.
    pub fn sift_whole(&self, object: Value, at: &str) -> Result<Members, Untranslatable> {
        let (mapped, kept) = self.sift(object, at)?;
        nothing_kept(&kept, at).map(|()| mapped)
    }
}

/// Whether a value asks for nothing, whatever its name.
pub fn asks_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Nobody wanted the rest of what is mapped here.
pub fn nothing_left(mapped: &Members, at: &str) -> Result<(), Untranslatable> {
    let left = mapped.iter().find(|(_, value)| !asks_nothing(value) && value.as_str() != Some(""));
    match left {
        Some((name, _)) => Err(Untranslatable::member(at, name, "does not belong there")),
        None => Ok(()),
    }
}

/// Adds what is kept to what was written. Both may not have a say in one member.
pub fn add_kept(out: &mut Members, kept: Members, at: &str) -> Result<(), Untranslatable> {
    for (name, value) in kept {
        if out.contains_key(&name) {
            let why = "stands beside another member that is translated into it";
            return Err(Untranslatable::member(at, &name, why));
        }
        out.insert(name, value);
    }
    Ok(())
}

/// Refuses members that nobody knows where there is no place to keep them.
pub fn nothing_kept(kept: &Members, at: &str) -> Result<(), Untranslatable> {
    match kept.keys().next() {
        Some(name) => Err(Untranslatable::member(at, name, "cannot be translated")),
        None => Ok(()),
    }
}
