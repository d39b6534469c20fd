//! `[process]`: what the process gives up.

use super::super::defaults;
use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{ProcessSettings, Snapshot};

/// Longer ones no system has.
const NAME_MAX: usize = 64;

/// As it is written: what a key is by default depends on the upstreams.
pub(super) struct WrittenProcess {
    place: Location,
    user: Option<String>,
    group: Option<String>,
    no_new_privs: Option<bool>,
    seccomp: Option<(bool, Location)>,
    landlock: Option<(bool, Location)>,
    core_dumps: Option<bool>,
}

pub(super) fn read(mut section: Section<'_>, report: &mut Report) -> WrittenProcess {
    let place = section.place().clone();
    let user = section.take("user").and_then(|field| name(&field, report));
    let group = section.take("group");
    if let (Some(group), None) = (&group, &user) {
        report.error(group.place(), "needs process.user: root in another group is root");
    }
    let group = group.and_then(|field| name(&field, report));
    let mut switch = |key| {
        let field = section.take(key)?;
        Some((field.boolean(report)?, field.place().clone()))
    };
    let no_new_privs = switch("no_new_privs").map(|(on, _)| on);
    let (seccomp, landlock) = (switch("seccomp"), switch("landlock"));
    let core_dumps = switch("core_dumps").map(|(on, _)| on);
    for (key, written) in [("seccomp", &seccomp), ("landlock", &landlock)] {
        if let (Some(false), Some((true, place))) = (no_new_privs, written) {
            let reason = format!("needs no_new_privs: the kernel allows {key} to nobody else");
            report.error(place, reason);
        }
    }
    section.finish(report);
    WrittenProcess { place, user, group, no_new_privs, seccomp, landlock, core_dumps }
}

impl WrittenProcess {
    /// With its defaults, which depend on the upstreams.
    pub fn settle(self, snapshot: &mut Snapshot, report: &mut Report) {
        let starter = snapshot.starts_programs();
        let hardened = self.no_new_privs.unwrap_or(starter.is_none());
        let seccomp = self.seccomp.as_ref().map_or(hardened && starter.is_none(), |(on, _)| *on);
        let landlock = self.landlock.as_ref().map_or(defaults::LANDLOCK, |(on, _)| *on);
        // Whoever asks for these asks for that.
        let no_new_privs = hardened || seccomp || landlock;
        if let Some(upstream) = starter {
            if self.no_new_privs.is_none() && self.seccomp.is_none() {
                report.note(format!(
                    "no_new_privs and seccomp of [process] are off: upstream {upstream:?} starts a \
                     program, which would have them too; true switches them on"
                ));
            }
            if landlock {
                let mistake = Mistake::new(format!(
                    "holds for the program as well that upstream {upstream:?} starts: it opens files \
                     where this configuration names some, and nowhere else"
                ));
                report
                    .warn(self.landlock.as_ref().map_or(&self.place, |(_, place)| place), mistake);
            }
        }
        snapshot.process = ProcessSettings {
            user: self.user,
            group: self.group,
            no_new_privs,
            seccomp,
            landlock,
            core_dumps: self.core_dumps.unwrap_or(defaults::CORE_DUMPS),
        };
    }
}

/// The name of a user or a group, or a number.
fn name(field: &Field<'_>, report: &mut Report) -> Option<String> {
    field.parsed(report, |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-@$".contains(c);
        match (1..=NAME_MAX).contains(&text.len()) && text.chars().all(good) {
            true if text == "root" || text == "0" => {
                Err(Mistake::new("is root, which gives nothing up: name another, or leave it out"))
            }
            true => Ok(text.to_owned()),
            false => Err(Mistake::new("must be a name, or a number in quotes")),
        }
    })
}
