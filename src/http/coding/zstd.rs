//! zstd (RFC 8878): the head of a frame, which tells how much memory it takes, and the decoder behind it.
//!
//! * The decoder is that of the reference library: it gives away at once what a server has flushed, which
//!   the decoders in Rust do only when a whole window lies behind it.
//! * No window is larger than 8 MiB, and none larger than the first frame of a body has announced.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Give, PIECE, Undecodable};

/// The largest window, as a power of two: what a browser takes too (RFC 9659).
pub(super) const WINDOW_LOG_MAX: u32 = 23;

/// The smallest window that a decoder is made for: later frames may want more than a small first one.
const WINDOW_LOG_MIN: u32 = 17;

/// What the decoder takes beside its window: its tables, and a block that comes and one that goes.
const FIXED_BYTES: usize = 512 << 10;

/// Frames in what is fed at once. Each costs some work, however little is in it.
const FRAMES_MAX: usize = 4_096;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Magic, descriptor, dictionary and the size of the content, each as long as it can be.
const HEAD_MAX: usize = 4 + 1 + 4 + 8;

pub(super) type Context = DCtx<'static>;

/// The first bytes of a frame, as far as they have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameHead {
    bytes: [u8; HEAD_MAX],
    length: usize,
}

impl FrameHead {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Takes bytes from the front of `data`, until they tell the window. `None`: more are needed.
    pub(super) fn take(&mut self, data: &mut &[u8]) -> Result<Option<u32>, Undecodable> {
        while let [byte, rest @ ..] = *data {
            // Only one that was refused already, and is fed all the same, is longer.
            *self.bytes.get_mut(self.length).ok_or(Undecodable::Malformed)? = *byte;
            self.length += 1;
            *data = rest;
            if let Some(window_log) = window_log(self.bytes())? {
                return Ok(Some(window_log));
            }
        }
        Ok(None)
    }
}

/// The window of a frame that begins like this, as a power of two (RFC 8878 §3.1.1.1). `None`: more bytes
/// are needed, and [`HEAD_MAX`] are enough.
fn window_log(head: &[u8]) -> Result<Option<u32>, Undecodable> {
    if head.iter().zip(MAGIC).any(|(byte, magic)| *byte != magic) {
        return Err(Undecodable::Malformed);
    }
    let Some((descriptor, rest)) = head.get(MAGIC.len()..).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    let is_single_segment = descriptor & 0x20 != 0;
    let window: u64 = if is_single_segment {
        // The window is the content.
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = 1 << (descriptor >> 6);
        let Some(field) = rest.get(dictionary..dictionary + size) else { return Ok(None) };
        let low_first = field.iter().rev();
        let size = low_first.fold(0, |size: u64, byte| size << 8 | u64::from(*byte));
        if field.len() == 2 { size + 256 } else { size }
    } else {
        let Some(byte) = rest.first() else { return Ok(None) };
        let base = 1 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    };
    if window > 1 << WINDOW_LOG_MAX {
        return Err(Undecodable::Window);
    }
    let log = window.max(1).next_power_of_two().trailing_zeros();
    Ok(Some(log.max(WINDOW_LOG_MIN)))
}

/// The memory of a decoder whose window is two to this.
pub(super) fn memory(window_log: u32) -> usize {
    (1 << window_log) + FIXED_BYTES
}

/// A decoder that takes windows of up to two to this.
pub(super) fn context(window_log: u32) -> Result<Context, Undecodable> {
    let mut context = DCtx::try_create().ok_or(Undecodable::Window)?;
    let limited = context.set_parameter(DParameter::WindowLogMax(window_log));
    limited.map_err(|_| Undecodable::Window)?;
    Ok(context)
}

/// Decodes. Returns whether the data ends where a frame does.
pub(super) fn feed(
    context: &mut Context,
    data: &[u8],
    give: &mut Give<'_>,
) -> Result<bool, Undecodable> {
    let mut piece = [0; PIECE];
    let (mut input, mut frames) = (InBuffer::around(data), 0);
    loop {
        let mut output = OutBuffer::around(&mut piece[..]);
        let left = context.decompress_stream(&mut output, &mut input);
        let written = output.pos();
        let left = left.map_err(|_| Undecodable::Malformed)?;
        if written > 0 {
            give(&piece[..written])?;
        }
        let is_read = input.pos() == data.len();
        match left {
            0 if is_read => return Ok(true),
            0 => frames += 1,
            // What is not full holds all that there is.
            _ if is_read && written < PIECE => return Ok(false),
            _ => {}
        }
        if frames > FRAMES_MAX {
            return Err(Undecodable::Malformed);
        }
    }
}
