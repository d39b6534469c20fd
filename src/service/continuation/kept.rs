//! Bytes that are kept for a while, and the purse they are paid from.

use std::cell::Cell;
use std::rc::Rc;

/// The least that is taken at once.
const STEP: usize = 512;

/// What all streams of a worker may keep together. What is dropped is paid back.
#[derive(Clone, Debug, Default)]
pub struct Purse(Rc<Account>);

#[derive(Debug, Default)]
struct Account {
    limit: Cell<usize>,
    spent: Cell<usize>,
}

impl Purse {
    pub fn new(bytes: usize) -> Purse {
        let purse = Purse::default();
        purse.set_limit(bytes);
        purse
    }

    /// From now on it holds so much. What is kept stays kept.
    pub fn set_limit(&self, bytes: usize) {
        self.0.limit.set(bytes);
    }

    /// Bytes that somebody keeps.
    pub fn spent(&self) -> usize {
        self.0.spent.get()
    }

    fn pay(&self, bytes: usize) -> bool {
        let spent = self.spent().saturating_add(bytes);
        let enough = spent <= self.0.limit.get();
        if enough {
            self.0.spent.set(spent);
        }
        enough
    }
}

impl Purse {
    /// Memory for something that is not bytes of a text; `None`: there is not enough.
    pub fn allot(&self, bytes: usize) -> Option<Allotment> {
        self.pay(bytes).then(|| Allotment { bytes, purse: self.clone() })
    }
}

/// A part of a purse that somebody has taken. It is paid back when this is dropped.
#[derive(Debug)]
pub struct Allotment {
    bytes: usize,
    purse: Purse,
}

impl Drop for Allotment {
    fn drop(&mut self) {
        let account = &self.purse.0;
        account.spent.set(account.spent.get().saturating_sub(self.bytes));
    }
}

/// Bytes that are kept.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    purse: Purse,
}

impl Kept {
    pub fn new(purse: &Purse) -> Kept {
        Kept { bytes: Vec::new(), purse: purse.clone() }
    }

    /// Keeps these too; `None`: there is not enough in the purse.
    pub fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let needed = self.bytes.len() + bytes.len();
        let capacity = self.bytes.capacity();
        if needed > capacity {
            let wanted = needed.max(capacity.saturating_mul(2)).max(STEP);
            if !self.purse.pay(wanted - capacity) {
                return None;
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Some(())
    }

    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps nothing any more.
    pub fn clear(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let account = &self.purse.0;
        account.spent.set(account.spent.get().saturating_sub(bytes.capacity()));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}
