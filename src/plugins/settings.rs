//! What the configuration says of a plugin, and of the plugins of a route.

use std::sync::Arc;
use std::time::Duration;

use super::calls::Lane;
use super::loaded::{LoadedPlugin, PluginSource};
use super::{Hook, Hooks};

/// What follows where a hook fails, or the plugin is in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// The exchange goes on as if the plugin had no such hook.
    Open,
    /// The exchange ends.
    #[default]
    Closed,
}

impl FailMode {
    pub const ALL: [(&'static str, FailMode); 2] =
        [("open", FailMode::Open), ("closed", FailMode::Closed)];

    pub fn name(self) -> &'static str {
        match self {
            FailMode::Open => "open",
            FailMode::Closed => "closed",
        }
    }
}

/// `[[plugin]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSettings {
    pub name: String,
    pub source: PluginSource,
    /// How long a call may take.
    pub budget: Duration,
    /// How long the answer of a plugin behind a socket may take.
    pub timeout: Duration,
    /// By [`Hook`]. A route's error is no one's at `on_cancel` and `on_end`: they only log.
    pub fail: [FailMode; Hook::ALL.len()],
}

/// A plugin of a configuration that is in force.
#[derive(Clone, Debug)]
pub struct ActivePlugin {
    pub settings: Arc<PluginSettings>,
    pub loaded: Arc<LoadedPlugin>,
    /// Where its calls are counted: each worker puts one of its own here.
    pub lane: Arc<Lane>,
}

/// Two are alike that call the same object by the same rules.
impl PartialEq for ActivePlugin {
    fn eq(&self, other: &ActivePlugin) -> bool {
        Arc::ptr_eq(&self.loaded, &other.loaded) && self.settings == other.settings
    }
}

impl Eq for ActivePlugin {}

impl ActivePlugin {
    pub fn new(settings: PluginSettings, loaded: Arc<LoadedPlugin>) -> ActivePlugin {
        ActivePlugin { settings: Arc::new(settings), lane: loaded.calls.open_lane(), loaded }
    }
}

/// `[plugins]` and every `[[plugin]]`.
#[derive(Clone, Debug, Default)]
pub struct PluginTable {
    /// The paths that plugins may have; of a folder, with a slash at its end.
    pub allow: Vec<String>,
    pub active: Vec<ActivePlugin>,
}

impl PluginTable {
    /// Has this thread count its calls in lanes of its own: those of `before`, where that has them.
    pub fn open_lanes(&mut self, before: Option<&PluginTable>) {
        for plugin in &mut self.active {
            let known = before.and_then(|table| table.of(&plugin.loaded));
            plugin.lane = match known {
                Some(known) => Arc::clone(&known.lane),
                None => plugin.loaded.calls.open_lane(),
            };
        }
    }

    fn of(&self, loaded: &Arc<LoadedPlugin>) -> Option<&ActivePlugin> {
        self.active.iter().find(|plugin| Arc::ptr_eq(&plugin.loaded, loaded))
    }
}

/// `plugins` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePlugins {
    /// Indices into the plugins of the snapshot, in the order they are asked.
    pub indices: Vec<usize>,
    /// The hooks that any of them has.
    pub hooks: Hooks,
}
