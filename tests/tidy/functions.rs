//! How long functions are, read from the text, by the indentation that `cargo fmt` keeps: a function
//! ends at the first brace that stands as far left as it does.

use std::fmt;
use std::path::PathBuf;

use crate::Source;

pub struct Function {
    file: PathBuf,
    /// Where it begins.
    number: usize,
    pub name: String,
    /// From its name to its end, without comments.
    pub lines: usize,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.number, self.name, self.lines)
    }
}

/// All functions of a file but its tests.
pub fn functions(source: &Source) -> Vec<Function> {
    let lines: Vec<(usize, &str)> = source.code().collect();
    let mut functions = Vec::new();
    for (start, (number, line)) in lines.iter().enumerate() {
        let Some(name) = name(line) else { continue };
        let rest = &lines[start..];
        let header = rest.iter().position(|(_, line)| line.ends_with(['{', '}', ';']));
        if !header.is_some_and(|header| rest[header].1.ends_with('{')) {
            // A line, or a function of a trait without a body.
            continue;
        }
        let margin = line.len() - line.trim_start().len();
        let end = format!("{:margin$}}}", "");
        let lines = rest.iter().position(|(_, line)| *line == end).expect("a function ends") + 1;
        functions.push(Function {
            file: source.path.clone(),
            number: *number,
            name: name.to_owned(),
            lines,
        });
    }
    functions
}

/// The name of the function that begins on this line.
fn name(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once("fn ")?;
    let mut before = before.split_whitespace();
    // `pub(in crate::http)` is two words.
    let may_stand = |word: &str| {
        word.starts_with("pub") || word.ends_with(')') || matches!(word, "const" | "async")
    };
    if !before.all(may_stand) {
        return None;
    }
    let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then_some(&behind[..end])
}
