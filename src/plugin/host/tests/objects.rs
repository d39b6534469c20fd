//! Shared objects, good and bad, built by `cc` as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sluicegate_plugin_host::contract::{
    Edits, EventsShown, Hook, HookFailed, Plugin, PluginEnd, PluginEvent, PluginHead, PluginProbe,
    PluginRequest, Verdict,
};
use sluicegate_plugin_host::{Library, LoadFailed, Loaded, OpenFailed};

/// The object that `cc` makes of this source, with these definitions.
fn object(name: &str, source: &str, defines: &[&str]) -> Vec<u8> {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::temp_dir();
    let id = std::process::id();
    let (code, out) =
        (folder.join(format!("{id}-{name}.c")), folder.join(format!("{id}-{name}.so")));
    fs::write(&code, source).expect("a temporary file");
    let built = Command::new("cc")
        .args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        .args(defines)
        .arg("-I")
        .arg(plugin)
        .arg("-o")
        .args([&out, &code])
        .output()
        .expect("cc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let bytes = fs::read(&out).expect("it was built");
    let _ = (fs::remove_file(&code), fs::remove_file(&out));
    bytes
}

fn tally() -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tally/tally.c");
    object("tally", &fs::read_to_string(path).expect("the example is there"), &[])
}

const SMALL: &str = r#"
#include "sluicegate_plugin.h"
static int32_t on_open(const sg_host *h, sg_bytes c, void **p) { (void)h; (void)c; (void)p; return OPEN; }
static void on_close(void *p) { (void)p; }
static int32_t on_event(void *p, sg_exchange *x, const sg_event *e) { (void)p; (void)x; (void)e; return EVENT; }
static const sg_plugin table = {
    .version = VERSION, .size = SIZE, .header_hash = HASH, .open = ON_OPEN, .close = on_close,
    .on_event = on_event, .flags = FLAGS,
};
const sg_plugin *sluicegate_plugin(void) { (void)on_open; (void)&table; return TABLE; }
"#;

/// The small plugin with some of it otherwise.
fn small(name: &str, other: &[&str]) -> Vec<u8> {
    let mut defines = vec![
        "-DOPEN=0",
        "-DEVENT=0",
        "-DVERSION=SG_VERSION",
        "-DSIZE=sizeof(sg_plugin)",
        "-DHASH=SG_HEADER_HASH",
        "-DON_OPEN=on_open",
        "-DFLAGS=0",
        "-DTABLE=&table",
    ];
    for define in other {
        let key = define.split('=').next().unwrap_or(define);
        defines.retain(|own| !own.starts_with(&format!("{key}=")));
        defines.push(define);
    }
    object(name, SMALL, &defines)
}

fn open(object: &[u8], config: &str) -> Result<Library, OpenFailed> {
    let loaded = Loaded::of(object).expect("it can be loaded");
    Library::open(loaded, config, Box::new(|_, _| {}), Box::new(|| {}))
}

#[test]
fn what_is_no_plugin_of_this_version_is_refused() {
    let refused = |object: &[u8]| Loaded::of(object).expect_err("it is refused");
    assert!(matches!(refused(b"no object at all"), LoadFailed::Cut));
    assert!(matches!(refused(b""), LoadFailed::Cut));
    // One that is cut anywhere in what is mapped would end the process.
    let whole = small("cut", &[]);
    for kept in [64, 2_000, whole.len() / 2] {
        assert_eq!(refused(&whole[..kept]), LoadFailed::Cut, "{kept} bytes");
    }
    let no_symbol = object("no_symbol", "int x(void);\nint x(void) { return 1; }\n", &[]);
    assert_eq!(refused(&no_symbol), LoadFailed::NoSymbol);
    assert_eq!(refused(&small("no_table", &["-DTABLE=0"])), LoadFailed::NoTable);
    assert_eq!(refused(&small("version", &["-DVERSION=7"])), LoadFailed::Version(7));
    assert_eq!(refused(&small("size", &["-DSIZE=64"])), LoadFailed::Size(64));
    assert_eq!(refused(&small("hash", &["-DHASH=\"00\""])), LoadFailed::Header("00".into()));
    assert_eq!(refused(&small("no_open", &["-DON_OPEN=0"])), LoadFailed::NoOpen);
    assert_eq!(open(&small("will_not", &["-DOPEN=-5"]), "").err(), Some(OpenFailed(-5)));
}

#[test]
fn a_verdict_that_a_hook_does_not_have_is_an_error() {
    for (verdict, flags, expected) in [
        ("-DEVENT=0", "-DFLAGS=0", Ok(Verdict::Pass)),
        ("-DEVENT=1", "-DFLAGS=1", Ok(Verdict::Replace)),
        // Who looks changes nothing.
        ("-DEVENT=1", "-DFLAGS=0", Err(HookFailed(1))),
        ("-DEVENT=2", "-DFLAGS=1", Err(HookFailed(2))),
        ("-DEVENT=-9", "-DFLAGS=1", Err(HookFailed(-9))),
        ("-DEVENT=77", "-DFLAGS=1", Err(HookFailed(77))),
    ] {
        let object = small(&format!("verdict{verdict}{flags}"), &[verdict, flags]);
        let library = Arc::new(open(&object, "").expect("it opens"));
        let event = PluginEvent { number: 0, name: b"", data: b"1", raw: b"data: 1\n\n" };
        let told = library.begin(1).on_event(&event, &mut Edits::default());
        assert_eq!(told, expected, "{verdict} {flags}");
    }
}

#[test]
fn a_plugin_is_open_until_nobody_holds_it() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let log = Box::new(move |_, text: &str| heard.lock().expect("unharmed").push(text.to_owned()));
    let (tell, told) = mpsc::channel();
    let closed = Box::new(move || tell.send(()).expect("the test waits"));
    let loaded = Loaded::of(&tally()).expect("it can be loaded");
    let library = Arc::new(Library::open(loaded, "X-Key", log, closed).expect("it opens"));
    assert_eq!(library.title(), ("tally", "1"));
    assert!(library.hooks().has(Hook::Event) && !library.hooks().has(Hook::Cancel));
    let mut guest = Arc::clone(&library).begin(7);
    let mut edits = Edits::default();
    let mut request = PluginRequest {
        self_test: false,
        method: b"POST",
        target: b"/v1/chat/completions",
        id: b"id",
        route: b"/v1/*",
        fields: &[(b"host", b"x"), (b"x-KEY", b"canned")],
        body: b"",
        whole: true,
    };
    assert_eq!(guest.on_request(&request, &mut edits), Ok(Verdict::Answer));
    assert_eq!((edits.status, &edits.written[..]), (Some(200), &b"{\"canned\":true}"[..]));
    request.fields = &[];
    let mut edits = Edits::default();
    assert_eq!(guest.on_request(&request, &mut edits), Ok(Verdict::Refuse));
    assert_eq!(edits.status, Some(403));
    let head = PluginHead {
        self_test: false,
        events: EventsShown::Shown,
        status: 200,
        upstream: b"u",
        fields: &[],
    };
    assert_eq!(guest.on_response_head(&head, &mut edits), Ok(Verdict::Pass), "it has no such hook");
    for number in 0..3 {
        let event = PluginEvent { number, name: b"", data: b"1", raw: b"data: 1\n\n" };
        assert_eq!(guest.on_event(&event, &mut edits), Ok(Verdict::Pass));
    }
    let probe = PluginProbe { self_test: false, status: 200, upstream: b"u", body: b"is loading" };
    assert_eq!(library.health_probe(&probe, &mut edits), Ok(Verdict::Refuse));
    let end = PluginEnd {
        status: 200,
        code: "",
        bytes_in: 0,
        bytes_out: 27,
        duration_us: 5,
        tokens: None,
    };
    // The configuration lets it go, and an exchange goes on.
    drop(library);
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "it is open");
    assert_eq!(guest.on_end(&end, &mut edits), Ok(Verdict::Pass));
    drop(guest);
    told.recv_timeout(Duration::from_secs(30)).expect("it is closed now");
    assert_eq!(*said.lock().expect("unharmed"), ["3 events, status 200", "closed"]);
}

/// The loader knows an object by where it lies. Two that came from one path are two all the same.
#[test]
fn a_changed_object_is_loaded_as_what_it_is() {
    let (old, new) = (small("old", &["-DEVENT=-1"]), small("new", &["-DEVENT=-2"]));
    let (old, new) = (open(&old, "").expect("it opens"), open(&new, "").expect("it opens"));
    let event = PluginEvent { number: 0, name: b"", data: b"", raw: b"" };
    let said =
        |library: Library| Arc::new(library).begin(0).on_event(&event, &mut Edits::default());
    assert_eq!((said(old), said(new)), (Err(HookFailed(-1)), Err(HookFailed(-2))));
}
