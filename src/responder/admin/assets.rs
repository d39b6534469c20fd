//! The dashboard's files: one page, its styles and its modules, embedded in the binary.
//!
//! Each is served below `/dashboard/` under its own name. A module names its neighbours by relative
//! paths, so nothing is put together and no step of a build stands between the source and the browser.

/// A file of the dashboard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    pub content_type: &'static str,
    pub body: &'static str,
}

/// Below this prefix are the dashboard's files.
pub(super) const PREFIX: &str = "/dashboard/";

/// The page itself, at `/`.
pub(super) static HTML: Asset =
    Asset { content_type: "text/html; charset=utf-8", body: include_str!("assets/index.html") };

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($content_type:ident $name:literal),* $(,)?) => {
        &[$(($name, Asset {
            content_type: $content_type,
            body: include_str!(concat!("assets/", $name)),
        })),*]
    };
}

/// Every file, by the rest of its path.
pub(super) static FILES: &[(&str, Asset)] = assets![
    CSS "css/base.css",
    CSS "css/parts.css",
    CSS "css/pages.css",
    JS "js/main.js",
    JS "js/api.js",
    JS "js/chart.js",
    JS "js/dialects.js",
    JS "js/dom.js",
    JS "js/format.js",
    JS "js/keys.js",
    JS "js/live.js",
    JS "js/range.js",
    JS "js/table.js",
    JS "js/theme.js",
    JS "js/timeline.js",
    JS "js/pages/config.js",
    JS "js/pages/errors.js",
    JS "js/pages/fleet.js",
    JS "js/pages/overview.js",
    JS "js/pages/playground.js",
    JS "js/pages/stream.js",
    JS "js/pages/streams.js",
    JS "js/pages/upstream.js",
    JS "js/pages/usage.js",
];

/// The file of this path, if there is one.
pub(super) fn file(path: &str) -> Option<&'static Asset> {
    let name = path.strip_prefix(PREFIX)?;
    FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset)
}
