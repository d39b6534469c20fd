//! Look-ups by a resolver that says what it is told to.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const QUICK: Option<Duration> = Some(Duration::from_millis(20));

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn at(last: u8) -> Vec<SocketAddr> {
    vec![([10, 0, 0, last], 1).into()]
}

fn found(last: u8) -> LookedUp<SocketAddr> {
    LookedUp { records: at(last), ttl: None }
}

/// Looks up with `resolve`; what is found comes out of the receiver.
fn start(
    resolve: impl Fn(&str) -> Lookup + Send + Sync + 'static,
) -> (Names, Receiver<(String, Vec<SocketAddr>)>) {
    let (found, published) = mpsc::channel();
    let publish = move |name, addresses| found.send((name, addresses)).unwrap_or_default();
    (Names::new(1, resolve, publish), published)
}

#[test]
fn a_name_is_looked_up_again_and_its_new_address_is_told() {
    let moved = Arc::new(Mutex::new(1));
    let now = Arc::clone(&moved);
    let (mut names, found) = start(move |_| Ok(found(*now.lock().expect("no panic"))));
    names.follow(set(&["a:1"]), &set(&[]), QUICK).expect("threads");
    assert_eq!(found.recv_timeout(PATIENCE), Ok(("a:1".to_owned(), at(1))));
    *moved.lock().expect("no panic") = 2;
    let mut next = std::iter::from_fn(|| found.recv_timeout(PATIENCE).ok());
    let (_, addresses) = next.find(|(_, addresses)| *addresses != at(1)).expect("it is told");
    assert_eq!(addresses, at(2));
}

#[test]
fn a_look_up_that_fails_tells_nothing_and_goes_on() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let (mut names, found) = start(move |_| {
        let mut calls = counted.lock().expect("no panic");
        *calls += 1;
        if *calls < 4 { Err(LookupFailure::Nothing(Duration::ZERO)) } else { Ok(found(4)) }
    });
    names.follow(set(&["a:1"]), &set(&["a:1"]), QUICK).expect("threads");
    assert_eq!(found.recv_timeout(PATIENCE), Ok(("a:1".to_owned(), at(4))), "the first to be told");
    assert!(*calls.lock().expect("no panic") >= 4);
}

#[test]
fn a_name_that_hangs_holds_up_no_other_and_one_that_is_gone_is_not_asked_for() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (mut names, found) = start(move |name| {
        if name == "hangs:1" {
            // Until the test is over.
            let _ = held.lock().expect("no panic").recv();
        }
        Ok(self::found(1))
    });
    names.follow(set(&["hangs:1", "a:1", "b:1"]), &set(&[]), QUICK).expect("threads");
    let seen: BTreeSet<String> =
        (0..20).map(|_| found.recv_timeout(PATIENCE).expect("look-ups go on").0).collect();
    assert_eq!(seen, set(&["a:1", "b:1"]));
    names.follow(set(&["b:1"]), &set(&[]), QUICK).expect("threads");
    // One of "a" may have been under way.
    let later: Vec<String> =
        (0..20).map(|_| found.recv_timeout(PATIENCE).expect("look-ups go on").0).collect();
    assert!(later.iter().skip(2).filter(|name| *name == "a:1").count() <= 1, "{later:?}");
    drop(release);
}

#[test]
fn off_is_off() {
    let (mut names, found) = start(|_| Ok(self::found(1)));
    names.follow(set(&["a:1"]), &set(&["a:1"]), None).expect("no threads");
    assert_eq!(found.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
    names.follow(set(&["a:1"]), &set(&[]), QUICK).expect("threads");
    assert!(found.recv_timeout(PATIENCE).is_ok());
}
