//! Loading: from the bytes of a shared object to a table that is known to be of this version.
//!
//! The bytes are copied into memory of their own and loaded from there. So what is loaded is what was
//! looked at, whatever becomes of the file; and a file that was replaced is loaded as what it is now: the
//! loader knows an object by its inode, and would hand out the old one.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use libloading::os::unix::{Library as Dynamic, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::write;
use sluicegate_plugin_abi::{SG_HEADER_HASH, SG_SYMBOL, SG_VERSION, sg_entry, sg_plugin};

/// A shared object with a table of this version, which is not open yet.
#[derive(Debug)]
pub struct Loaded {
    pub(crate) table: sg_plugin,
    // In this order: the memory stays as long as the object is loaded. Its number in `/proc/self/fd` is
    // the object's name to the loader, which must not be given to another.
    pub(crate) dynamic: Dynamic,
    pub(crate) memory: OwnedFd,
}

/// Why an object cannot be loaded: the rest of a sentence about it.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadFailed {
    /// No memory for its bytes.
    Memory(String),
    /// It is not all there: the loader would map what no byte stands behind.
    Cut,
    /// The loader does not take it.
    Loader(String),
    NoSymbol,
    NoTable,
    /// `SG_VERSION` of its header.
    Version(u32),
    Size(u32),
    /// `SG_HEADER_HASH` of its header.
    Header(String),
    NoOpen,
}

impl fmt::Display for LoadFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadFailed::Memory(why) => write!(f, "cannot be copied to memory: {why}"),
            LoadFailed::Cut => write!(f, "is no shared object, or is cut short"),
            LoadFailed::Loader(why) => write!(f, "is no shared object that can be loaded: {why}"),
            LoadFailed::NoSymbol => write!(f, "has no symbol {SG_SYMBOL}"),
            LoadFailed::NoTable => write!(f, "gives no table: {SG_SYMBOL}() returned NULL"),
            LoadFailed::Version(version) => write!(
                f,
                "is of version {version} of the plugin interface, and this gateway of {SG_VERSION}: \
                 build it with this version's sluicegate_plugin.h"
            ),
            LoadFailed::Size(size) => write!(
                f,
                "has a table of {size} bytes, and sg_plugin has {}",
                size_of::<sg_plugin>()
            ),
            LoadFailed::Header(hash) => write!(
                f,
                "was built with another sluicegate_plugin.h (SG_HEADER_HASH {hash:?}, here \
                 {SG_HEADER_HASH:?})"
            ),
            LoadFailed::NoOpen => write!(f, "has no open() or no close() in its table"),
        }
    }
}

impl std::error::Error for LoadFailed {}

/// Whether the bytes that an ELF object of 64 bits has mapped are all in it (ELF-64, "Program Header").
fn is_whole(object: &[u8]) -> bool {
    /// Of an entry of the table of segments.
    const ENTRY: usize = 56;

    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = object.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let segments = || {
        let begin = usize::try_from(number(32, 8)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        (0..count)
            .map(|index| {
                let at = begin.checked_add(index * ENTRY)?;
                let end = number(at + 8, 8)?.checked_add(number(at + 32, 8)?)?;
                (end <= object.len() as u64).then_some(())
            })
            .collect::<Option<Vec<()>>>()
    };
    // The loader says what else is wrong.
    object.starts_with(b"\x7fELF\x02\x01")
        && number(54, 2) == Some(ENTRY as u64)
        && segments().is_some()
}

/// Memory with these bytes, as a file that nobody else can reach.
fn memory_of(bytes: &[u8]) -> rustix::io::Result<OwnedFd> {
    let memory = memfd_create("sluicegate-plugin", MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = write(&memory, rest)?;
        rest = &rest[written..];
    }
    Ok(memory)
}

impl Loaded {
    /// Loads a shared object. Its initialisers run, and its entry is called.
    pub fn of(object: &[u8]) -> Result<Loaded, LoadFailed> {
        if !is_whole(object) {
            return Err(LoadFailed::Cut);
        }
        let memory = memory_of(object).map_err(|error| LoadFailed::Memory(error.to_string()))?;
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        // SAFETY: the object's initialisers are foreign code. The operator has named it by its hash, and
        // trusts it as this crate's documentation says.
        let dynamic = unsafe { Dynamic::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let dynamic = dynamic.map_err(|error| {
            // Its name in memory tells nobody anything.
            LoadFailed::Loader(error.to_string().replace(&format!("{path}: "), ""))
        })?;
        // SAFETY: the header gives the symbol this type.
        let entry = unsafe { dynamic.get::<sg_entry>(SG_SYMBOL.as_bytes()) };
        let entry = *entry.map_err(|_| LoadFailed::NoSymbol)?;
        // SAFETY: as the header has it, the entry takes nothing and can be called at any time.
        let table = unsafe { entry() };
        Ok(Loaded { table: read_table(table)?, dynamic, memory })
    }
}

/// Reads the table, as far as it says it goes.
fn read_table(table: *const sg_plugin) -> Result<sg_plugin, LoadFailed> {
    if table.is_null() {
        return Err(LoadFailed::NoTable);
    }
    // SAFETY: the first eight bytes of every version's table are its version and its size, and the object
    // keeps the table as long as it is loaded.
    let (version, size) =
        unsafe { ((&raw const (*table).version).read(), (&raw const (*table).size).read()) };
    if version != SG_VERSION {
        return Err(LoadFailed::Version(version));
    }
    if size as usize != size_of::<sg_plugin>() {
        return Err(LoadFailed::Size(size));
    }
    // SAFETY: a table of this version and this size is an `sg_plugin`, which any bytes are valid for but
    // those of functions: NULL or one of the object's.
    let table = unsafe { table.read() };
    let hash = table.header_hash.map(|letter| letter as u8);
    let hash = CStr::from_bytes_until_nul(&hash).unwrap_or_default().to_string_lossy();
    if hash != SG_HEADER_HASH {
        return Err(LoadFailed::Header(hash.into_owned()));
    }
    if table.open.is_none() || table.close.is_none() {
        return Err(LoadFailed::NoOpen);
    }
    Ok(table)
}
