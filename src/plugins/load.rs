//! Loading: from a file to a plugin that has passed its test.
//!
//! It blocks, and runs foreign code: only the thread that reads a configuration does it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sluicegate_plugin_host::{Library, Loaded, LogLevel};

use super::loaded::LoadedPlugin;
use super::settings::PluginSettings;
use super::{remote, self_test};
use crate::files::{self, Unread};

/// A larger file is no plugin.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// Loads what the settings name. An error: why not, as the rest of a sentence about the plugin.
pub type Load = fn(&PluginSettings) -> Result<LoadedPlugin, String>;

/// Loads a shared object, or connects to a socket.
pub fn load(settings: &PluginSettings) -> Result<LoadedPlugin, String> {
    match settings.source.socket {
        true => remote::connect(settings),
        false => from_file(settings),
    }
}

/// Loads a shared object.
fn from_file(settings: &PluginSettings) -> Result<LoadedPlugin, String> {
    let source = &settings.source;
    let object = files::read(Path::new(&source.path), OBJECT_BYTES_MAX).map_err(|unread| {
        let path = &source.path;
        match unread {
            Unread::TooLong => format!("{path} is longer than any shared object"),
            Unread::Kind(kind) => format!("{path} is {kind}"),
            Unread::Failed(error) => format!("{path} cannot be read: {error}"),
        }
    })?;
    let found = hex(&Sha256::digest(&object));
    if found != source.sha256 {
        return Err(format!(
            "{} has the SHA-256 {found}, not the one that sha256 says",
            source.path
        ));
    }
    let loaded = Loaded::of(&object).map_err(|failed| format!("{} {failed}", source.path))?;
    let name = settings.name.clone();
    let log = move |level: LogLevel, text: &str| {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
        };
        log::log!(level, "plugin {name}: {text}");
    };
    let (name, short) = (settings.name.clone(), found[..12].to_owned());
    let closed = move || log::info!("plugin {name} ({short}) is closed and unloaded");
    let library = Library::open(loaded, &source.config, Box::new(log), Box::new(closed))
        .map_err(|failed| format!("cannot be opened: {failed}"))?;
    let loaded = LoadedPlugin::new(source.clone(), Arc::new(library));
    self_test::play(&loaded.plugin)?;
    Ok(loaded)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
