//! The fronts of all workers' queues for one upstream: who is to be told that a permit came home.
//!
//! Permits are shared, queues are not: a permit may come home to a worker where nobody waits. So
//! each worker publishes where its first waiter stands, and whoever frees a permit calls the one
//! who stands first among all workers, itself included, by mailbox if it is another. Without
//! that comparison a worker would serve its own line for ever and another's never. A newcomer looks
//! here as well, and stands behind whoever waits anywhere; so who stops waiting, seated or not,
//! calls the next if there is room: it may have been the only reason why that one waits.
//!
//! **No call is lost.** The danger: A finds no permit, B frees one and sees nobody waiting, and only
//! then A says that it waits. Therefore A tries again *after* it has announced its front, and B looks
//! *after* it has freed the permit, each behind a sequentially consistent fence: whichever fence is
//! first, either A sees the permit or B sees A (C++ memory model, \[atomics.fences\]; permits and
//! fronts themselves may be relaxed).
//!
//! **What is not promised.** Fronts are read one by one, so the order between workers is right up to
//! what changes meanwhile: a newcomer may take a permit that another worker has been called for if
//! both came within the few nanoseconds that an announcement takes to be seen. The called one keeps
//! its standing. And where workers disagree on who is well, so that the first in line can use no
//! endpoint that has room, the one behind it is asked ([`Fronts::behind`]). A worker whose pool is full
//! has no front until a connection comes free: a permit would help nobody there.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::clock::Instant;

/// One worker's front, in nanoseconds, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

/// Where the first waiter of each worker stands.
#[derive(Debug)]
pub struct Fronts(Box<[Line]>);

impl Fronts {
    pub fn new(workers: usize) -> Fronts {
        let nobody = || Line(AtomicU64::new(Instant::NEVER.as_nanos()));
        Fronts((0..workers).map(|_| nobody()).collect())
    }

    /// Publishes [`Group::front`](crate::proxy::group::Group::front), whenever it may have changed.
    /// True: others did not know that somebody waits here, so the permit that has come home since has
    /// to be looked for once more.
    #[must_use = "a permit that came home before this was announced is found by trying once more"]
    pub fn announce(&self, worker: usize, front: Option<Instant>) -> bool {
        let front = front.unwrap_or(Instant::NEVER).as_nanos();
        let before = self.0[worker].0.swap(front, Ordering::Relaxed);
        if before == front {
            return false;
        }
        fence(Ordering::SeqCst);
        before == Instant::NEVER.as_nanos()
    }

    /// Whose waiter a permit that has come home to `own` is for. `None`: nobody waits for one.
    ///
    /// A worker that is called in vain, because its waiter has left, asks this in its turn.
    pub fn whom(&self, own: usize) -> Option<usize> {
        fence(Ordering::SeqCst);
        let workers = self.0.len();
        // From ourselves on, so that of equals the nearest is called, and not always the same.
        let round = (0..workers).map(|step| (own + step) % workers);
        let fronts = round.map(|worker| (self.read(worker), worker));
        let (front, worker) = fronts.min_by_key(|&(front, _)| front)?;
        (front != Instant::NEVER.as_nanos()).then_some(worker)
    }

    /// The other worker whose waiter stands next behind our own first. Calls that are passed on this
    /// way only ever go back in the order, and so come to an end.
    pub fn behind(&self, own: usize) -> Option<usize> {
        let first = (self.read(own), own);
        let fronts = (0..self.0.len()).map(|worker| (self.read(worker), worker));
        let (front, worker) = fronts.filter(|front| *front > first).min()?;
        (front != Instant::NEVER.as_nanos()).then_some(worker)
    }

    /// Where the first one stands who waits with another worker.
    pub fn others(&self, own: usize) -> Option<Instant> {
        let others = (0..self.0.len()).filter(|worker| *worker != own);
        let front = others.map(|worker| self.read(worker)).min()?;
        (front != Instant::NEVER.as_nanos()).then_some(Instant::from_nanos(front))
    }

    fn read(&self, worker: usize) -> u64 {
        self.0[worker].0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::super::{Admit, Lack, Queue};
    use super::*;
    use crate::config::snapshot::Admission;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_permit_goes_to_the_worker_whose_waiter_stands_first() {
        let fronts = Fronts::new(3);
        assert_eq!(fronts.whom(1), None);
        assert!(fronts.announce(2, Some(at(9))), "nobody knew");
        assert_eq!(fronts.whom(1), Some(2));
        assert!(fronts.announce(1, Some(at(9))));
        assert_eq!((fronts.whom(1), fronts.whom(2), fronts.whom(0)), (Some(1), Some(2), Some(1)));
        assert!(!fronts.announce(2, Some(at(8))), "known to wait already");
        assert_eq!(fronts.whom(1), Some(2), "its own line is no reason to keep a permit");
        assert_eq!((fronts.others(2), fronts.others(1)), (Some(at(9)), Some(at(8))));
        assert_eq!((fronts.behind(2), fronts.behind(1)), (Some(1), None));
        assert!(!fronts.announce(2, None));
        assert_eq!(fronts.whom(2), Some(1));
        assert_eq!((fronts.others(1), fronts.behind(1)), (None, None));
    }

    /// Three threads and one permit: each is a worker that takes it, or waits and is called. After
    /// each exchange all meet, so a call that is lost is not made up for by the next permit.
    #[test]
    fn no_call_is_lost_between_workers() {
        const WORKERS: usize = 3;
        const EXCHANGES: u32 = 10_000;
        let begun = std::time::Instant::now();
        let until = |mut done: Box<dyn FnMut() -> bool + '_>| {
            while !done() {
                assert!(begun.elapsed().as_secs() < 60, "somebody waits for ever");
                std::thread::yield_now();
            }
        };
        let fronts = Fronts::new(WORKERS);
        let (permit, met) = (AtomicU32::new(1), AtomicU32::new(0));
        let mailboxes: Vec<Mutex<VecDeque<()>>> = (0..WORKERS).map(|_| Mutex::default()).collect();
        let take = || permit.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let call = |own| {
            if let Some(whom) = fronts.whom(own) {
                mailboxes[whom].lock().unwrap().push_back(());
            }
        };
        let called = |own: usize| mailboxes[own].lock().unwrap().pop_front().is_some();
        let worker = |own: usize| {
            let settings = Admission { queue: 1, ..crate::config::defaults::ADMISSION };
            let mut queue = Queue::new();
            for exchange in 0..EXCHANGES {
                let now = at(u64::from(exchange));
                let mut seated = take();
                if !seated {
                    let admit = queue.admit(exchange, 1, Some(Lack::Permit), now, &settings);
                    assert!(matches!(admit, Admit::Wait { .. }));
                    seated = fronts.announce(own, queue.front()) && take();
                }
                while !seated {
                    until(Box::new(|| called(own)));
                    assert_eq!(queue.call(Lack::Permit), Some(exchange));
                    seated = take();
                    if !seated {
                        queue.again(exchange, Lack::Permit);
                        assert!(!fronts.announce(own, queue.front()), "it was there all the time");
                    }
                }
                queue.seated(exchange, now);
                let known = fronts.announce(own, queue.front());
                assert!(!known, "nobody waits here");
                permit.store(1, Ordering::Relaxed);
                call(own);
                met.fetch_add(1, Ordering::Relaxed);
                let all = (exchange + 1) * WORKERS as u32;
                until(Box::new(|| {
                    // A call that came too late to be used is passed on.
                    if called(own) {
                        call(own);
                    }
                    met.load(Ordering::Relaxed) >= all
                }));
            }
        };
        let worker = &worker;
        std::thread::scope(|scope| {
            for own in 0..WORKERS {
                scope.spawn(move || worker(own));
            }
        });
        assert_eq!((permit.into_inner(), fronts.whom(0)), (1, None), "all is home");
    }
}
