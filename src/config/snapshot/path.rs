//! What the path of a route is compared with, and what an upstream sees in its place.

use std::cmp::Reverse;
use std::fmt;

/// What a route's path is compared with, in the form of [`crate::http::path::normal`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    Exact(String),
    /// Without the trailing `*`.
    Prefix(String),
    /// One with names for some of its segments.
    Template(Template),
}

/// A path in which names stand for whole segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// The first is a text, and of two neighbours one at most is a name.
    pub pieces: Vec<PathPiece>,
    /// It has a trailing `*`: anything may follow.
    pub open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPiece {
    Text(String),
    /// `{name}`: one segment that is not empty.
    Name(String),
}

/// Where a route stands among the others: those that come first are smaller.
type Order = (u8, Reverse<usize>, Reverse<usize>);

impl PathPattern {
    /// Exact paths stand first, then those in which only names are free, then beginnings; of two alike the
    /// one that says more before the first thing that is free, then the one with more names.
    pub fn order(&self) -> Order {
        match self {
            PathPattern::Exact(_) => (0, Reverse(0), Reverse(0)),
            PathPattern::Prefix(prefix) => (2, Reverse(prefix.len()), Reverse(1)),
            PathPattern::Template(template) => {
                let rank = if template.open { 2 } else { 1 };
                (rank, Reverse(self.start().len()), Reverse(template.pieces.len()))
            }
        }
    }

    /// What each path that it matches begins with.
    pub fn start(&self) -> &str {
        match self {
            PathPattern::Exact(path) | PathPattern::Prefix(path) => path,
            PathPattern::Template(template) => match template.pieces.first() {
                Some(PathPiece::Text(text)) => text,
                _ => "",
            },
        }
    }

    /// Whether it matches every path that `other` does. May say no of some that do.
    pub fn covers(&self, other: &PathPattern) -> bool {
        match self {
            PathPattern::Prefix(prefix) => other.start().starts_with(prefix),
            PathPattern::Exact(_) | PathPattern::Template(_) => self == other,
        }
    }

    /// The same with no names for what is free: two that are alike then match the same paths.
    pub fn nameless(&self) -> PathPattern {
        let mut pattern = self.clone();
        if let PathPattern::Template(template) = &mut pattern {
            for piece in &mut template.pieces {
                if let PathPiece::Name(name) = piece {
                    name.clear();
                }
            }
        }
        pattern
    }

    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathPattern::Exact(exact) => exact == path,
            PathPattern::Prefix(prefix) => path.starts_with(prefix.as_str()),
            PathPattern::Template(template) => template.matches(path),
        }
    }
}

impl Template {
    fn matches(&self, path: &str) -> bool {
        let mut rest = path;
        for piece in &self.pieces {
            let behind = match piece {
                PathPiece::Text(text) => rest.strip_prefix(text.as_str()),
                PathPiece::Name(_) => {
                    let end = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
                    Some(&rest[end..]).filter(|_| end > 0)
                }
            };
            let Some(behind) = behind else { return false };
            rest = behind;
        }
        self.open || rest.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            PathPiece::Name(name) => Some(name.as_str()),
            PathPiece::Text(_) => None,
        })
    }
}

/// As it can be written in the file: a `*` or a brace that is none of the pattern's is an escape there.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Exact(path) => f.write_str(&escaped(path)),
            PathPattern::Prefix(prefix) => write!(f, "{}*", escaped(prefix)),
            PathPattern::Template(template) => {
                show(&template.pieces, f)?;
                f.write_str(if template.open { "*" } else { "" })
            }
        }
    }
}

fn show(pieces: &[PathPiece], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    pieces.iter().try_for_each(|piece| match piece {
        PathPiece::Text(text) => f.write_str(&escaped(text)),
        PathPiece::Name(name) => write!(f, "{{{name}}}"),
    })
}

fn escaped(path: &str) -> String {
    path.replace('*', "%2A").replace('{', "%7B").replace('}', "%7D")
}

/// The path the upstream sees. The query stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Exactly this path.
    Path(String),
    /// The matched prefix is replaced by this one, the remainder kept.
    Prefix(String),
    /// Of these pieces, where each name stands for what the request has in its place; `open`: the
    /// remainder follows. The pieces are as in [`Template`].
    Template { pieces: Vec<PathPiece>, open: bool },
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rewrite::Path(path) => f.write_str(path),
            Rewrite::Prefix(prefix) => write!(f, "{prefix}*"),
            Rewrite::Template { pieces, open } => {
                show(pieces, f)?;
                f.write_str(if *open { "*" } else { "" })
            }
        }
    }
}
