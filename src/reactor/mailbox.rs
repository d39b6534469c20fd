//! Mailbox: how another thread tells a worker something.
//!
//! Messages are rare (drain, stop, a connection handed over), so a standard channel carries them.
//! What needs care is waking the worker, which may be asleep in its poll:
//!
//! ```text
//!   sender: push            worker: clear `pending`
//!           set `pending`           drain until empty
//!           was it clear? wake
//! ```
//!
//! The worker clears first and drains after. If it drained first, a message pushed between the two
//! would be seen by nobody: its sender found `pending` set and did not wake. Both sides write one thing
//! and then read another (Dekker's shape), which needs the one total order of `SeqCst`.
//!
//! **A turn reads so many messages at most**, however fast they come. What is left keeps `pending` set, so
//! the worker polls without sleeping; a sender that finds it set need not wake anybody.
//!
//! What replaces what was told before ([`Latest`]) is sent once, and taken as it is then.
//!
//! A worker that ends shuts its box, and only an empty one can be shut: a message is either read or
//! given back. Both happen under one lock, which is held for a push and never while anybody works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

/// Messages that a turn reads: a flood of them delays tokens by so many.
pub const MAIL_MAX: usize = 64;

/// Ends the worker's poll, from any thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The worker's end.
pub struct Mailbox<T> {
    messages: mpsc::Receiver<T>,
    pending: Arc<AtomicBool>,
    shut: Arc<Mutex<bool>>,
}

/// The end of another thread. There may be any number of them.
pub struct Sender<T> {
    messages: mpsc::Sender<T>,
    pending: Arc<AtomicBool>,
    shut: Arc<Mutex<bool>>,
    waker: Waker,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender {
            messages: self.messages.clone(),
            pending: Arc::clone(&self.pending),
            shut: Arc::clone(&self.shut),
            waker: Arc::clone(&self.waker),
        }
    }
}

/// A mailbox whose worker is woken by `waker`.
pub fn mailbox<T>(waker: Waker) -> (Sender<T>, Mailbox<T>) {
    let (sender, receiver) = mpsc::channel();
    let pending = Arc::new(AtomicBool::new(false));
    let shut = Arc::default();
    let mailbox =
        Mailbox { messages: receiver, pending: Arc::clone(&pending), shut: Arc::clone(&shut) };
    (Sender { messages: sender, pending, shut, waker }, mailbox)
}

impl<T> Sender<T> {
    /// Gives the message back if the worker is gone.
    pub fn send(&self, message: T) -> Result<(), T> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if *shut {
            return Err(message);
        }
        self.messages.send(message).map_err(|mpsc::SendError(message)| message)?;
        let first = !self.pending.swap(true, Ordering::SeqCst);
        drop(shut);
        if first {
            (self.waker)();
        }
        Ok(())
    }
}

impl<T> Mailbox<T> {
    /// A mailbox that nobody can send to.
    pub fn unaddressed() -> Mailbox<T> {
        mailbox(Arc::new(|| {})).1
    }

    /// Whether a message has come since the box was last opened.
    pub fn has_mail(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Shuts the box for good, if it is empty. Returns whether it did.
    pub fn shut(&self) -> bool {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        *shut = !self.has_mail();
        *shut
    }

    /// Opens the box for `most` messages; what arrives from now on wakes the worker again, unless some
    /// are left: then the box still has mail.
    pub fn open(&mut self, most: usize) -> Vec<T> {
        // A load first: the swap is a locked instruction, and nearly every turn finds no mail.
        if !self.has_mail() || !self.pending.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        let messages: Vec<T> = self.messages.try_iter().take(most).collect();
        if messages.len() == most {
            // There may be more. Whoever pushes one now finds the box marked, or wakes for nothing.
            self.pending.store(true, Ordering::SeqCst);
        }
        messages
    }
}

/// A place for what replaces what stood there before: a reader that is behind finds the latest alone.
#[derive(Debug)]
pub struct Latest<T>(Mutex<Option<T>>);

impl<T> Default for Latest<T> {
    fn default() -> Latest<T> {
        Latest(Mutex::new(None))
    }
}

impl<T> Latest<T> {
    /// Whether the reader has to be told: it has taken what was here before.
    pub fn put(&self, value: T) -> bool {
        self.place().replace(value).is_none()
    }

    pub fn take(&self) -> Option<T> {
        self.place().take()
    }

    fn place(&self) -> MutexGuard<'_, Option<T>> {
        // Held for one move, in which nothing panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_full_box_wakes_once_and_an_opened_one_again() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let (sender, mut mailbox) = mailbox(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        for message in 0..3 {
            sender.send(message).expect("the box is open");
        }
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.open(9), [0, 1, 2]);
        sender.send(3).expect("the box is open");
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
        assert_eq!(mailbox.open(9), [3]);
        assert_eq!(mailbox.open(9), [0; 0]);
    }

    #[test]
    fn what_a_turn_leaves_is_still_mail_and_wakes_nobody_again() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let (sender, mut mailbox) = mailbox(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        (0..5).for_each(|message| sender.send(message).expect("the box is open"));
        assert_eq!(mailbox.open(2), [0, 1]);
        assert!(mailbox.has_mail() && !mailbox.shut(), "three are left");
        sender.send(5).expect("the box is open");
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.open(4), [2, 3, 4, 5]);
        assert!(mailbox.has_mail(), "nobody has seen that it is empty");
        assert_eq!(mailbox.open(4), [0; 0]);
        assert!(!mailbox.has_mail() && mailbox.shut());
    }

    #[test]
    fn only_the_latest_is_read_and_told_of_once() {
        let latest = Latest::default();
        assert_eq!([latest.put(1), latest.put(2), latest.put(3)], [true, false, false]);
        assert_eq!((latest.take(), latest.take()), (Some(3), None));
        assert!(latest.put(4));
    }

    #[test]
    fn only_an_empty_box_is_shut_and_then_messages_are_given_back() {
        let (sender, mut mailbox) = mailbox(Arc::new(|| {}));
        sender.send(1).expect("the box is open");
        assert!(!mailbox.shut());
        assert_eq!(mailbox.open(9), [1]);
        assert!(mailbox.shut());
        assert_eq!(sender.send(2), Err(2));
    }

    #[test]
    fn a_message_is_read_or_given_back_however_the_end_falls() {
        for _ in 0..300 {
            let (sender, mut mailbox) = mailbox(Arc::new(|| {}));
            // A writer without an end can stay ahead of a reader that never finds the box empty.
            let writer = std::thread::spawn(move || {
                (0..10_000).take_while(|n| sender.send(*n).is_ok()).count()
            });
            let mut read = 0;
            loop {
                read += mailbox.open(100).len();
                if read > 0 && mailbox.shut() {
                    break;
                }
            }
            drop(mailbox);
            assert_eq!(writer.join().expect("the writer ends"), read);
        }
    }

    #[test]
    fn no_message_is_lost_between_threads() {
        let (wake, woken) = mpsc::channel();
        let (sender, mut mailbox) = mailbox(Arc::new(move || wake.send(()).unwrap_or_default()));
        let writer = std::thread::spawn(move || (0..100_000).try_for_each(|n| sender.send(n)));
        let mut expected = 0;
        while expected < 100_000 {
            // Sleeps until woken: a lost wake-up would hang here.
            woken.recv_timeout(std::time::Duration::from_secs(20)).expect("a lost wake-up");
            for message in mailbox.open(usize::MAX) {
                assert_eq!(message, expected);
                expected += 1;
            }
        }
        writer.join().expect("the writer ends").expect("the box was open");
    }
}
