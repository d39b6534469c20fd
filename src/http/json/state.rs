//! Where a walker stands in its text.

use super::Found;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Value,
    /// Behind `[`.
    ValueOrEnd,
    /// Behind `{`.
    KeyOrEnd,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value.
    After,
    /// In a string. `told`: it is the end of a path.
    String {
        told: bool,
    },
    KeyString,
    /// Behind a backslash.
    Escape {
        told: bool,
    },
    KeyEscape,
    /// `plain`: digits only, so far.
    Number {
        plain: bool,
    },
    Literal {
        literal: Literal,
        matched: u8,
    },
    /// The text is complete.
    Done,
    /// This is no JSON.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    True,
    False,
    Null,
}

impl Literal {
    pub fn spelling(self) -> &'static [u8] {
        match self {
            Literal::True => b"true",
            Literal::False => b"false",
            Literal::Null => b"null",
        }
    }

    pub fn found(self) -> Found<'static> {
        match self {
            Literal::True => Found::True,
            Literal::False => Found::False,
            Literal::Null => Found::Null,
        }
    }
}
