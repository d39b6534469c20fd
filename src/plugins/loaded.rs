//! A plugin that is loaded, tested and open.
//!
//! It is shared by all generations of the configuration whose `[[plugin]]` is the same, and by the exchanges that
//! began under them. It is closed when the last of these lets it go.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::CallBook;
use super::{Hooks, Plugin};

/// Where a plugin comes from: two that are alike here are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSource {
    pub path: String,
    /// The path is that of a socket, and not of a shared object.
    pub socket: bool,
    /// What the file has to be: 64 hexadecimal digits in lower case. Of a socket nothing.
    pub sha256: String,
    /// What the plugin is opened with.
    pub config: String,
}

/// A plugin, and what is known of it.
pub struct LoadedPlugin {
    pub source: PluginSource,
    pub plugin: Arc<dyn Plugin>,
    pub calls: CallBook,
    quarantined: AtomicBool,
}

impl fmt::Debug for LoadedPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = self.plugin.title();
        f.debug_struct("LoadedPlugin").field("name", &name).field("version", &version).finish()
    }
}

impl LoadedPlugin {
    pub fn new(source: PluginSource, plugin: Arc<dyn Plugin>) -> LoadedPlugin {
        let (calls, quarantined) = (CallBook::default(), AtomicBool::new(false));
        LoadedPlugin { source, plugin, calls, quarantined }
    }

    pub fn hooks(&self) -> Hooks {
        self.plugin.hooks()
    }

    /// Whether it is called no more, because it was too slow too often.
    #[inline]
    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Returns whether it was not before.
    #[cold]
    pub(super) fn quarantine(&self) -> bool {
        !self.quarantined.swap(true, Ordering::Relaxed)
    }

    /// Has it called again. A reload does that.
    pub fn release(&self) {
        self.calls.forget_slow();
        self.quarantined.store(false, Ordering::Relaxed);
    }
}
