//! A plugin that nobody has loaded: what the gateway does with plugins, without foreign code.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluicegate::config::snapshot::{ActivePlugin, Snapshot, Target};
use sluicegate::plugins::loaded::{LoadedPlugin, PluginSource};
use sluicegate::plugins::settings::{FailMode, PluginSettings, RoutePlugins};
use sluicegate::plugins::{
    Edits, Guest, Hook, HookFailed, HookResult, Hooks, Plugin, PluginEnd, PluginEvent, PluginHead,
    PluginProbe, PluginRequest, Verdict,
};

/// Looks at events, or changes them; counts them, and the ends of exchanges.
#[derive(Debug, Default)]
pub struct PaperPlugin {
    /// What it puts in the place of each event.
    pub puts: Option<&'static [u8]>,
    /// The number of the event at which it fails.
    pub fails_at: Option<u64>,
    pub events: AtomicU64,
    pub ends: AtomicU64,
    pub cancels: AtomicU64,
}

impl Plugin for PaperPlugin {
    fn title(&self) -> (&str, &str) {
        ("paper", "1")
    }

    fn hooks(&self) -> Hooks {
        [Hook::Event, Hook::End, Hook::Cancel].into_iter().collect()
    }

    fn changes_events(&self) -> bool {
        self.puts.is_some()
    }

    fn body_max(&self) -> u64 {
        0
    }

    fn begin(self: Arc<Self>, _: u64) -> Box<dyn Guest> {
        Box::new(PaperGuest(self))
    }

    fn health_probe(&self, _: &PluginProbe<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }
}

#[derive(Debug)]
struct PaperGuest(Arc<PaperPlugin>);

impl Guest for PaperGuest {
    fn on_request(&mut self, _: &PluginRequest<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_response_head(&mut self, _: &PluginHead<'_>, _: &mut Edits) -> HookResult {
        Ok(Verdict::Pass)
    }

    fn on_event(&mut self, event: &PluginEvent<'_>, edits: &mut Edits) -> HookResult {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        if self.0.fails_at == Some(event.number) {
            return Err(HookFailed(-1));
        }
        match self.0.puts {
            None => Ok(Verdict::Pass),
            Some(puts) => {
                edits.written.extend_from_slice(puts);
                Ok(Verdict::Replace)
            }
        }
    }

    fn on_cancel(&mut self, _: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        self.0.cancels.fetch_add(1, Ordering::Relaxed);
        Ok(Verdict::Pass)
    }

    fn on_end(&mut self, _: &PluginEnd<'_>, _: &mut Edits) -> HookResult {
        self.0.ends.fetch_add(1, Ordering::Relaxed);
        Ok(Verdict::Pass)
    }
}

/// Gives all routes of a snapshot this plugin, and no other.
pub fn plug(snapshot: &mut Snapshot, plugin: &Arc<PaperPlugin>) {
    let (path, sha256, config) = (String::new(), String::new(), String::new());
    let source = PluginSource { path, socket: false, sha256, config };
    let settings = PluginSettings {
        name: "paper".to_owned(),
        source: source.clone(),
        // A machine that is busy with other things does not make it slow.
        budget: Duration::from_secs(3600),
        timeout: Duration::from_secs(1),
        fail: [FailMode::Closed; Hook::ALL.len()],
    };
    let hooks = plugin.hooks();
    let plugin = Arc::clone(plugin) as Arc<dyn Plugin>;
    let loaded = Arc::new(LoadedPlugin::new(source, plugin));
    snapshot.plugins.active = vec![ActivePlugin::new(settings, loaded)];
    for route in &mut snapshot.routes {
        if let Target::Chain(chain) = &mut route.target {
            chain.plugins = Some(Box::new(RoutePlugins { indices: vec![0], hooks }));
        }
    }
}
