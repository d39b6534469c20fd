//! The files of a load: whether there is a place for them, and what is written into each.

use std::fs;
use std::path::PathBuf;

use crate::bench::inference::load::Seen;
use crate::bench::inference::report::Report;
use crate::bench::inference::{page, print, records};
use crate::cli::bench::BenchArguments;

impl BenchArguments {
    /// Whether the folders of the files are there: a word about them behind the load would come too late.
    pub(super) fn have_folders(&self) -> Result<(), String> {
        let own = &self.inference;
        for path in [&self.json, &own.csv, &own.html, &own.records].into_iter().flatten() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) {
                return Err(format!("{}: there is no such folder", path.display()));
            }
            if path.is_dir() {
                return Err(format!("{}: this is a folder, not a file", path.display()));
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, report: &Report, seen: &[Seen]) -> Result<(), String> {
        let own = &self.inference;
        let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        let files: [(&Option<PathBuf>, &dyn Fn() -> String); 4] = [
            (&self.json, &|| format!("{json}\n")),
            (&own.csv, &|| print::csv(report)),
            (&own.html, &|| page::html(report, seen)),
            (&own.records, &|| records::lines(report, seen)),
        ];
        // One that cannot be written takes none of the others away.
        let mut failed = Vec::new();
        for (path, text) in files {
            let Some(path) = path else { continue };
            if let Err(why) = fs::write(path, text()) {
                failed.push(format!("{}: {why}", path.display()));
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        }
    }
}
