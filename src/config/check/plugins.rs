//! `[plugins]` and `[[plugin]]`: which foreign code is loaded, and `plugins` of a route.
//!
//! A plugin is loaded last, and only where nothing else is wrong with the file: loading runs its code.

use std::ops::RangeInclusive;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report, nearest};
use super::super::snapshot::{Snapshot, Target};
use super::super::{Environment, defaults};
use super::{unique, unknown_name};
use crate::plugins::loaded::PluginSource;
use crate::plugins::settings::{ActivePlugin, FailMode, PluginSettings, RoutePlugins};
use crate::plugins::{Hook, Hooks};

const BUDGET_US: RangeInclusive<u64> = 1..=1_000_000;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
const NAME_MAX: usize = 64;
const CONFIG_MAX: usize = 64 << 10;
/// Plugins of one configuration.
const PLUGINS_MAX: usize = 32;

/// A plugin as it stands in the file.
pub(super) struct PluginDraft {
    settings: PluginSettings,
    place: Location,
}

/// `[plugins]`: the paths that plugins may have. One that ends in a slash is a folder.
pub(super) fn allowed(
    mut section: Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Vec<String> {
    let allow = section.take("allow");
    let allow = allow.and_then(|field| {
        let fields = field.list(report)?;
        unique(&fields, report, |field, report| {
            field.parsed(report, |text| absolute(text, environment))
        })
    });
    section.finish(report);
    allow.unwrap_or_default()
}

/// A path from the root, in which no part leads back.
fn absolute(text: &str, environment: &Environment) -> Result<String, Mistake> {
    let path = environment.file(text);
    let plain = |part: Component<'_>| !matches!(part, Component::ParentDir | Component::CurDir);
    if text.is_empty() || !path.components().all(plain) {
        return Err(Mistake::new("must be a path without . and .. in it"));
    }
    Ok(path.to_string_lossy().into_owned())
}

pub(super) fn all(
    sections: Vec<Section<'_>>,
    allowed: &[String],
    environment: &Environment,
    report: &mut Report,
) -> Vec<PluginDraft> {
    if let Some(section) = sections.get(PLUGINS_MAX) {
        report.error(section.place(), format!("there are more than {PLUGINS_MAX} plugins"));
    }
    let mut drafts: Vec<PluginDraft> = Vec::new();
    for section in sections {
        let Some(draft) = one(section, allowed, environment, report) else { continue };
        if drafts.iter().any(|other| other.settings.name == draft.settings.name) {
            let name = &draft.settings.name;
            report.error(&draft.place, format!("there is another plugin named {name:?} already"));
        }
        drafts.push(draft);
    }
    drafts
}

fn one(
    mut section: Section<'_>,
    allowed: &[String],
    environment: &Environment,
    report: &mut Report,
) -> Option<PluginDraft> {
    let place = section.place().clone();
    let name = section.require("name", report).and_then(|field| field.parsed(report, name_of));
    let (field, socket) = match section.take("socket") {
        Some(field) => (Some(field), true),
        None => (section.require("path", report), false),
    };
    let path = field.and_then(|field| {
        let path = field.parsed(report, |text| absolute(text, environment))?;
        if !may_be_loaded(&path, allowed) {
            report.error(
                field.place(),
                format!("{path} is not in plugins.allow, which names what may be loaded"),
            );
        }
        Some(path)
    });
    let sha256 = match socket {
        true => {
            let reason = "is for a shared object: whoever listens at a socket has no hash";
            section.refuse("path", "is for a shared object, and this plugin has a socket", report);
            section.refuse("sha256", reason, report);
            Some(String::new())
        }
        false => section.require("sha256", report).and_then(|it| it.parsed(report, hash_of)),
    };
    let config = section.take("config").and_then(|field| {
        field.parsed(report, |text| match text.len() <= CONFIG_MAX {
            true => Ok(text.to_owned()),
            false => Err(Mistake::new(format!("must have at most {CONFIG_MAX} bytes"))),
        })
    });
    let budget = section.count("budget_us", BUDGET_US, defaults::PLUGIN_BUDGET_US, report);
    let timeout = section.duration("timeout", TIMEOUT, defaults::PLUGIN_TIMEOUT, report);
    let fail = section.take("fail").map(|field| fail_modes(&field, report)).unwrap_or_default();
    section.finish(report);
    let config = config.unwrap_or_default();
    let source = PluginSource { path: path?, socket, sha256: sha256?, config };
    let budget = Duration::from_micros(budget);
    let settings = PluginSettings { name: name?, source, budget, timeout, fail };
    Some(PluginDraft { settings, place })
}

fn name_of(text: &str) -> Result<String, Mistake> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !(1..=NAME_MAX).contains(&text.len()) || !text.bytes().all(legal) {
        return Err(Mistake::new(format!(
            "must have 1 to {NAME_MAX} letters, digits, dots, hyphens or underscores"
        )));
    }
    Ok(text.to_owned())
}

fn hash_of(text: &str) -> Result<String, Mistake> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Mistake::new("must be the 64 hexadecimal digits that sha256sum tells"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Whether a path is one of those, or lies in a folder of them.
fn may_be_loaded(path: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| match allowed.ends_with('/') {
        true => Path::new(path).starts_with(allowed),
        false => path == allowed,
    })
}

/// `"open"` or `"closed"` for all hooks, or a table of hooks.
fn fail_modes(field: &Field<'_>, report: &mut Report) -> [FailMode; Hook::ALL.len()] {
    let mut modes = [FailMode::default(); Hook::ALL.len()];
    if !field.is_table() {
        if let Some(mode) = field.choice(&FailMode::ALL, report) {
            modes = [mode; Hook::ALL.len()];
        }
        return modes;
    }
    let mut table = field.section(report);
    for hook in Hook::ALL {
        let mode = &mut modes[hook as usize];
        *mode = table.choice(hook.name(), &FailMode::ALL, *mode, report);
    }
    table.finish(report);
    modes
}

/// `plugins` of a route: names, in the order they are asked. Their hooks are known when they are loaded.
pub(super) fn of_route(
    section: &mut Section<'_>,
    drafts: &[PluginDraft],
    report: &mut Report,
) -> Option<Box<RoutePlugins>> {
    let field = section.take("plugins")?;
    let fields = field.list(report)?;
    let indices =
        unique(&fields, report, |field, report| field.parsed(report, |it| index_of(it, drafts)))?;
    (!indices.is_empty()).then(|| Box::new(RoutePlugins { indices, hooks: Hooks::default() }))
}

/// The place of the plugin of this name.
pub(super) fn index_of(name: &str, drafts: &[PluginDraft]) -> Result<usize, Mistake> {
    let names = || drafts.iter().map(|draft| draft.settings.name.as_str());
    names()
        .position(|other| other == name)
        .ok_or_else(|| unknown_name("[[plugin]]", name, nearest(name, names())))
}

/// Loads the plugins. Those that run already, and are the same, go on.
pub(super) fn load(
    drafts: Vec<PluginDraft>,
    snapshot: &mut Snapshot,
    environment: &Environment,
    report: &mut Report,
) {
    let drafts = if report.is_good() { drafts } else { Vec::new() };
    for PluginDraft { settings, place } in drafts {
        let known = environment.plugins.iter().find(|known| known.source == settings.source);
        let loaded = match known {
            Some(known) => {
                known.release();
                Ok(Arc::clone(known))
            }
            None => (environment.load_plugin)(&settings).map(Arc::new),
        };
        match loaded {
            Ok(loaded) => snapshot.plugins.active.push(ActivePlugin::new(settings, loaded)),
            Err(why) => report.error(&place, format!("plugin {:?}: {why}", settings.name)),
        }
    }
    if !report.is_good() {
        return;
    }
    let active = &snapshot.plugins.active;
    for upstream in &snapshot.upstreams {
        let probe = upstream.health.as_ref().and_then(|health| active.get(health.plugin?));
        if let Some(probe) = probe.filter(|probe| !probe.loaded.hooks().has(Hook::HealthProbe)) {
            let (name, plugin) = (&upstream.name, &probe.settings.name);
            let place = Location { line: None, key: "upstream".to_owned() };
            report.error(&place, format!("{name:?}: plugin {plugin:?} has no health_probe"));
        }
    }
    for route in &mut snapshot.routes {
        if let Target::Chain(chain) = &mut route.target
            && let Some(plugins) = &mut chain.plugins
        {
            let hooks = plugins.indices.iter().map(|index| active[*index].loaded.hooks());
            plugins.hooks = hooks.fold(Hooks::default(), Hooks::union);
        }
    }
}
