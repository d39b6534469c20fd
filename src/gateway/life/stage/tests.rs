use std::time::Duration;

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

#[test]
fn a_second_drain_keeps_the_deadline_of_the_first() {
    let mut life: Life<()> = Life::begin(None, at(0));
    assert_eq!((life.is_draining(), life.dismisses_idle(), life.deadline()), (false, false, None));
    life.drain(at(30), Idle::MayAsk);
    assert!(life.is_draining() && !life.dismisses_idle());
    life.drain(at(90), Idle::Leave);
    assert_eq!((life.dismisses_idle(), life.deadline()), (true, Some(at(30))));
}

#[test]
fn a_standstill_prolongs_a_drain_and_nothing_prolongs_a_stop() {
    let mut life: Life<()> = Life::begin(None, at(0));
    life.excuse(Duration::from_secs(9));
    assert_eq!(life.deadline(), None);
    life.drain(at(30), Idle::Leave);
    life.excuse(Duration::from_secs(5));
    assert_eq!(life.deadline(), Some(at(35)));
    life.stop();
    assert_eq!((life.is_stopping(), life.is_draining(), life.deadline()), (true, true, None));
}
