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
//! A worker that ends shuts its box, and only an empty one can be shut: a message is either read or
//! given back. Both happen under one lock, which is held for a push and never while anybody works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

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

    /// Opens the box; what arrives from now on wakes the worker again.
    pub fn open(&mut self) -> impl Iterator<Item = T> + '_ {
        // A load first: the swap is a locked instruction, and nearly every turn finds no mail.
        let mail = self.has_mail() && self.pending.swap(false, Ordering::SeqCst);
        std::iter::from_fn(move || if mail { self.messages.try_recv().ok() } else { None })
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
        assert_eq!(mailbox.open().collect::<Vec<_>>(), [0, 1, 2]);
        sender.send(3).expect("the box is open");
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
        assert_eq!(mailbox.open().collect::<Vec<_>>(), [3]);
        assert_eq!(mailbox.open().next(), None);
    }

    #[test]
    fn only_an_empty_box_is_shut_and_then_messages_are_given_back() {
        let (sender, mut mailbox) = mailbox(Arc::new(|| {}));
        sender.send(1).expect("the box is open");
        assert!(!mailbox.shut());
        assert_eq!(mailbox.open().collect::<Vec<_>>(), [1]);
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
                read += mailbox.open().count();
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
            for message in mailbox.open() {
                assert_eq!(message, expected);
                expected += 1;
            }
        }
        writer.join().expect("the writer ends").expect("the box was open");
    }
}
