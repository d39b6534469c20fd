//! The tables of `docs/protocol.md` and `docs/smuggling.md`: the rows a wire test has to prove.

const PAGES: [&str; 2] =
    [include_str!("../../../docs/protocol.md"), include_str!("../../../docs/smuggling.md")];

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Documented {
    /// The name in the first column.
    pub id: &'static str,
    line: &'static str,
}

impl Documented {
    /// The cells of a row, without the spaces around them.
    fn cells(&self) -> impl Iterator<Item = &'static str> {
        self.line.trim_matches('|').split(" | ").map(str::trim)
    }

    /// The status and the code of a refused request.
    pub fn answer(&self) -> (u16, &'static str) {
        let answer = self.cells().find_map(|cell| {
            let (status, code) = cell.split_once(" `")?;
            Some((status.parse().ok()?, code.strip_suffix('`')?))
        });
        answer.unwrap_or_else(|| panic!("no status and code in {}", self.line))
    }
}

/// The rows under `heading` that name `test` in their last column.
fn documented(heading: &str, test: &str) -> Vec<Documented> {
    let title = format!("\n## {heading}\n");
    let section = PAGES.iter().find_map(|page| Some(page.split_once(&title)?.1));
    let section = section.unwrap_or_else(|| panic!("no section {heading:?}"));
    let end = section.find("\n## ").unwrap_or(section.len());
    let rows = section[..end].lines().filter_map(|line| {
        let (id, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some(Documented { id, line })
    });
    rows.filter(|row| row.cells().last() == Some(&*format!("`{test}`"))).collect()
}

/// Gives each case its row, and panics where a case has no row or a row that names `test` no case.
pub fn proven<C>(heading: &str, test: &str, cases: Vec<(&str, C)>) -> Vec<(Documented, C)> {
    let rows = documented(heading, test);
    let bare = rows.iter().find(|row| cases.iter().all(|(id, _)| row.id != *id));
    assert!(bare.is_none(), "`{test}` has no case for {bare:?}");
    let paired = cases.into_iter().map(|(id, case)| {
        let row = rows.iter().find(|row| row.id == id);
        let row = row.unwrap_or_else(|| panic!("`{id}` of {heading:?} does not name `{test}`"));
        (*row, case)
    });
    paired.collect()
}

/// Every test that the column `wire` of some table names.
pub fn wire_tests() -> impl Iterator<Item = &'static str> {
    let tables = PAGES.iter().flat_map(|page| page.split("\n\n"));
    let tables = tables.filter(|table| table.lines().next().is_some_and(is_wired));
    let rows = tables.flat_map(|table| table.lines().skip(2));
    rows.filter_map(|line| Documented { id: "", line }.cells().last()?.split('`').nth(1))
}

fn is_wired(header: &str) -> bool {
    header.ends_with("| wire |")
}
