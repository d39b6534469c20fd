//! `[plugins]`, `[[plugin]]`, and `plugins` of a route.

use std::fmt::{self, Write};

use super::super::snapshot::{Route, Snapshot, Target, Upstream};
use super::{entry, list, quoted, timeout};
use crate::plugins::Hook;
use crate::plugins::settings::PluginTable;

pub(super) fn plugins(table: &PluginTable, out: &mut String) -> fmt::Result {
    if table.allow.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n[plugins]")?;
    entry(out, "allow", list(table.allow.iter().map(|path| quoted(path))))?;
    for plugin in &table.active {
        let settings = &plugin.settings;
        let (title, version) = plugin.loaded.plugin.title();
        writeln!(out, "\n[[plugin]]\n# {} {}", title.escape_debug(), version.escape_debug())?;
        let hooks = Hook::ALL.into_iter().filter(|hook| plugin.loaded.hooks().has(*hook));
        let hooks: Vec<&str> = hooks.map(Hook::name).collect();
        writeln!(out, "# hooks: {}", hooks.join(", "))?;
        entry(out, "name", quoted(&settings.name))?;
        if settings.source.socket {
            entry(out, "socket", quoted(&settings.source.path))?;
        } else {
            entry(out, "path", quoted(&settings.source.path))?;
            entry(out, "sha256", quoted(&settings.source.sha256))?;
        }
        entry(out, "config", quoted(&settings.source.config))?;
        entry(out, "budget_us", settings.budget.as_micros())?;
        entry(out, "timeout", timeout(Some(settings.timeout)))?;
        for hook in Hook::ALL {
            let mode = settings.fail[hook as usize];
            entry(out, &format!("fail.{}", hook.name()), quoted(mode.name()))?;
        }
    }
    Ok(())
}

pub(super) fn of_upstream(
    upstream: &Upstream,
    snapshot: &Snapshot,
    out: &mut String,
) -> fmt::Result {
    let index = upstream.health.as_ref().and_then(|health| health.plugin);
    match index.and_then(|index| snapshot.plugins.active.get(index)) {
        Some(plugin) => entry(out, "health.plugin", quoted(&plugin.settings.name)),
        None => Ok(()),
    }
}

pub(super) fn of_route(route: &Route, snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let Target::Chain(chain) = &route.target else { return Ok(()) };
    let indices = chain.plugins.iter().flat_map(|plugins| &plugins.indices);
    let names = indices.filter_map(|index| snapshot.plugins.active.get(*index));
    let names: Vec<_> = names.map(|plugin| quoted(&plugin.settings.name)).collect();
    if names.is_empty() { Ok(()) } else { entry(out, "plugins", list(names.iter())) }
}
