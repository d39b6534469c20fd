use super::*;
use crate::config::tests::snapshot_of;

fn snapshot() -> Snapshot {
    snapshot_of(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n\
         [[upstream]]\nname = \"a\"\nendpoints = [\"10.0.0.1:1\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"a\"\n",
    )
}

#[test]
fn a_generation_stays_as_long_as_an_exchange_holds_it() {
    let mut generations = Generations::new(snapshot());
    let held = Rc::clone(generations.latest());
    generations.follow(snapshot());
    generations.follow(snapshot());
    assert_eq!(generations.past(), 2);
    let left = generations.forget_unheld().map(Iterator::count);
    assert_eq!((left, generations.past()), (Some(2), 1), "the held one and the latest");
    assert!(generations.forget_unheld().is_none(), "none was dropped");
    drop(held);
    assert_eq!(generations.forget_unheld().map(Iterator::count), Some(1));
    assert_eq!(generations.past(), 0);
}
