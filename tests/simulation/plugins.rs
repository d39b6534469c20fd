//! Plugins on a network that the test holds in its hands: who sees what, in which turn, and when a plugin is
//! let go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::harness::plugin::{PaperPlugin, plug};
use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::seed;
use sluicegate::sim::Visit;

const PACE: Duration = Duration::from_millis(10);
const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";

fn world(seed: u64, plugin: &Arc<PaperPlugin>) -> Simulation {
    Simulation::new(seed).configure(|snapshot| plug(snapshot, plugin)).upstream(|u| {
        u.field("Content-Type", "text/event-stream").tokens(20, EVENT, PACE).end_chunks()
    })
}

fn counts(plugin: &PaperPlugin) -> (u64, u64, u64) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    (of(&plugin.events), of(&plugin.ends), of(&plugin.cancels))
}

#[test]
fn streams_keep_the_plugin_they_began_with_and_it_is_let_go_behind_the_last() {
    let plugin =
        |puts: &'static [u8]| Arc::new(PaperPlugin { puts: Some(puts), ..PaperPlugin::default() });
    let (old, new) = (plugin(b"data: old\n\n"), plugin(b"data: new\n\n"));
    let mut world = world(seed!(), &old);
    let first = world.start(Visit::new().get(TARGET));
    world.run_for(5 * LATENCY + 5 * PACE + PACE / 2);
    world.reload(|snapshot| plug(snapshot, &new));
    let second = world.start(Visit::new().get(TARGET));
    world.run_for(5 * PACE);
    assert!(Arc::strong_count(&old) > 1, "its stream runs");
    world.run();
    assert_eq!(world.received(first).body(), "data: old\n\n".repeat(20));
    assert_eq!(world.received(second).body(), "data: new\n\n".repeat(20));
    assert_eq!((counts(&old), counts(&new)), ((20, 1, 0), (20, 1, 0)));
    world.assert_clean();
    assert_eq!(Arc::strong_count(&old), 1, "nobody holds it any more");
}

#[test]
fn who_looks_changes_nothing_and_a_client_that_leaves_is_told_of() {
    let plugin = Arc::new(PaperPlugin::default());
    let mut world = world(seed!(), &plugin);
    let client = world.start(Visit::new().get(TARGET));
    let leaving = world.start(Visit::new().get(TARGET).pause(8 * PACE).leave());
    world.run();
    assert_eq!(world.received(client).body(), EVENT.repeat(20));
    assert!(world.received(leaving).body().len() < EVENT.len() * 20);
    let (events, ends, cancels) = counts(&plugin);
    assert_eq!((ends, cancels), (2, 1));
    assert!((20..40).contains(&events), "{events}");
    world.assert_clean();
}

#[test]
fn an_event_at_which_a_plugin_fails_is_the_last_of_its_stream() {
    for puts in [None, Some(&b"data: put\n\n"[..])] {
        let plugin = Arc::new(PaperPlugin { puts, fails_at: Some(7), ..PaperPlugin::default() });
        let mut world = world(seed!(), &plugin);
        let client = world.start(Visit::new().get(TARGET));
        world.run();
        let body = world.received(client).body();
        let event = puts.map_or(EVENT, |_| "data: put\n\n");
        assert!(body.starts_with(&event.repeat(7)), "{body}");
        assert!(!body.starts_with(&event.repeat(8)), "{body}");
        assert_eq!(counts(&plugin).1, 1);
        world.assert_clean();
    }
}
