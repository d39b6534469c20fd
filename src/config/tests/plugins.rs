//! `[plugins]`, `[[plugin]]`, and `plugins` of a route, with plugins that nobody has built.

use std::sync::Arc;

use super::super::show::effective;
use super::*;
use crate::config::snapshot::{Snapshot, Target};
use crate::plugins::loaded::LoadedPlugin;
use crate::plugins::settings::{FailMode, PluginSettings};
use crate::plugins::{
    Edits, Guest, Hook, HookResult, Hooks, Plugin, PluginEnd, PluginEvent, PluginHead, PluginProbe,
    PluginRequest, Verdict,
};

/// A plugin with the hooks that its configuration names.
#[derive(Debug)]
struct Paper(Hooks);

impl Plugin for Paper {
    fn title(&self) -> (&str, &str) {
        ("paper", "1")
    }

    fn hooks(&self) -> Hooks {
        self.0
    }

    fn changes_events(&self) -> bool {
        false
    }

    fn body_max(&self) -> u64 {
        0
    }

    fn begin(self: Arc<Self>, _: u64) -> Box<dyn Guest> {
        Box::new(PaperGuest)
    }

    fn health_probe(&self, _: &PluginProbe<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }
}

#[derive(Debug)]
struct PaperGuest;

impl Guest for PaperGuest {
    fn on_request(&mut self, _: &PluginRequest<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_response_head(&mut self, _: &PluginHead<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_event(&mut self, _: &PluginEvent<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_cancel(&mut self, _: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_end(&mut self, _: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }
}

/// Loads paper: `mask.so` has every hook. One of the path `/missing.so` is not there.
pub(super) fn load(settings: &PluginSettings) -> Result<LoadedPlugin, String> {
    if settings.source.path == "/missing.so" {
        return Err("/missing.so cannot be read: it is missing".to_owned());
    }
    let all = settings.source.path.ends_with("/mask.so");
    let named = |hook: &Hook| all || settings.source.config.contains(hook.name());
    let paper = Paper(Hook::ALL.into_iter().filter(named).collect());
    Ok(LoadedPlugin::new(settings.source.clone(), Arc::new(paper)))
}

pub(super) const HASH: &str = "0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3";

/// The sample with plugins, and with this behind its route.
fn with(allow: &str, plugins: &str, route: &str) -> String {
    let rewrite = "rewrite   = \"/stream\"\n";
    let sample = SAMPLE.replace(rewrite, &format!("{rewrite}{route}\n"));
    format!("{sample}\n[plugins]\nallow = {allow}\n{plugins}")
}

fn plugin(name: &str, path: &str, more: &str) -> String {
    format!("[[plugin]]\nname = \"{name}\"\npath = \"{path}\"\nsha256 = \"{HASH}\"\n{more}\n")
}

fn chain(snapshot: &Snapshot) -> &crate::config::snapshot::Chain {
    match &snapshot.routes[0].target {
        Target::Chain(chain) => chain,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plugins_are_loaded_and_shown() {
    let plugins = [
        plugin("a", "/lib/a.so", "config = \"on_event on_end\"\nfail = \"open\""),
        plugin(
            "b",
            "lib/b.so",
            "config = \"on_request\"\nbudget_us = 50\nfail = { on_event = \"open\" }",
        ),
    ];
    let text = with("[\"/lib/\", \"lib/b.so\"]", &plugins.concat(), "plugins = [\"b\", \"a\"]");
    let loaded = accepted(&text);
    let snapshot = loaded.snapshot;
    let table = &snapshot.plugins;
    assert_eq!(table.allow, ["/lib/", "/etc/lib/b.so"]);
    let settings = &table.active[1].settings;
    assert_eq!(settings.source.path, "/etc/lib/b.so", "relative paths begin beside the file");
    assert_eq!(settings.budget.as_micros(), 50);
    assert_eq!(settings.fail[Hook::Event as usize], FailMode::Open);
    assert_eq!(settings.fail[Hook::Request as usize], FailMode::Closed);
    let plugins = chain(&snapshot).plugins.as_deref().expect("the route has plugins");
    assert_eq!(plugins.indices, [1, 0]);
    let hooks: Vec<_> = Hook::ALL.into_iter().filter(|hook| plugins.hooks.has(*hook)).collect();
    assert_eq!(hooks, [Hook::Request, Hook::Event, Hook::End]);
    let again = accepted(&effective(&snapshot)).snapshot;
    assert_eq!(effective(&again), effective(&snapshot));
    assert!(chain(&accepted(SAMPLE).snapshot).plugins.is_none());
}

#[test]
fn what_is_wrong_with_a_plugin_is_told() {
    let told = |allow: &str, plugins: &str, route: &str| refused(&with(allow, plugins, route));
    let good = plugin("a", "/lib/a.so", "");
    for (allow, plugins, route, expected) in [
        ("[\"/other/\"]", &good[..], "", "/lib/a.so is not in plugins.allow"),
        ("[\"/lib\"]", &good, "", "/lib/a.so is not in plugins.allow"),
        ("[\"/lib/\"]", &good.replace("/lib/a", "/lib/../x/a"), "", "without . and .."),
        ("[\"/lib/\"]", &good.replace(HASH, "0f2c"), "", "64 hexadecimal digits"),
        ("[\"/lib/\"]", &good.replace("\"a\"", "\"a b\""), "", "1 to 64 letters"),
        ("[\"/lib/\"]", &format!("{good}{good}"), "", "another plugin named \"a\""),
        ("[\"/lib/\"]", &good, "plugins = [\"b\"]", "there is no [[plugin]] named \"b\""),
        ("[\"/lib/\"]", &good, "plugins = [\"a\", \"a\"]", "is in the list already"),
        ("[\"/lib/\"]", &format!("{good}budget_us = 0\n"), "", "budget_us"),
        ("[\"/lib/\"]", &format!("{good}fail = \"shut\"\n"), "", "\"open\" or \"closed\""),
        ("[\"/lib/\"]", &format!("{good}fail = {{ on_x = \"open\" }}\n"), "", "unknown key"),
        (
            "[\"/lib/\"]",
            &format!(
                "{good}[[upstream]]\nname = \"x\"\nendpoints = [\"10.0.0.1:1\"]\n\
                 health = {{ plugin = \"a\" }}\n"
            ),
            "",
            "\"x\": plugin \"a\" has no health_probe",
        ),
        (
            "[\"/missing.so\"]",
            &good.replace("/lib/a.so", "/missing.so"),
            "",
            "plugin \"a\": /missing.so cannot be read: it is missing",
        ),
    ] {
        let told = told(allow, plugins, route);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_socket_stands_in_the_place_of_path_and_hash() {
    let socket = "[[plugin]]\nname = \"a\"\nsocket = \"/run/a.sock\"\ntimeout = \"30ms\"\n";
    let text = with("[\"/run/a.sock\"]", socket, "");
    let snapshot = accepted(&text).snapshot;
    let settings = &snapshot.plugins.active[0].settings;
    assert!(settings.source.socket && settings.source.sha256.is_empty());
    assert_eq!(settings.timeout.as_millis(), 30);
    let again = accepted(&effective(&snapshot)).snapshot;
    assert_eq!(effective(&again), effective(&snapshot));
    let hash = format!("{socket}sha256 = \"{HASH}\"\n");
    let told = refused(&with("[\"/run/a.sock\"]", &hash, ""));
    assert!(told.contains("whoever listens at a socket has no hash"), "{told}");
    let told = refused(&with("[\"/run/b.sock\"]", socket, ""));
    assert!(told.contains("is not in plugins.allow"), "{told}");
}

#[test]
fn a_plugin_that_stays_the_same_goes_on() {
    let text = |config: &str, budget: u32| {
        let more = format!("config = \"{config}\"\nbudget_us = {budget}");
        with("[\"/lib/\"]", &plugin("a", "/lib/a.so", &more), "plugins = [\"a\"]")
    };
    let first = accepted(&text("on_event", 5)).snapshot;
    let environment = environment();
    let follow = |text: &str| {
        let loaded = crate::config::reload(text, &first, &environment);
        loaded.expect("it is accepted").snapshot.plugins.active.remove(0)
    };
    let same = follow(&text("on_event", 9));
    assert!(Arc::ptr_eq(&same.loaded, &first.plugins.active[0].loaded));
    assert_eq!(same.settings.budget.as_micros(), 9);
    let other = follow(&text("on_request", 5));
    assert!(!Arc::ptr_eq(&other.loaded, &first.plugins.active[0].loaded));
}
