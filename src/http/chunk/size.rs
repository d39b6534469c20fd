//! The size of a chunk, read in one go where all of its line is here.

/// Hex digits of a chunk size: 60 bits, so that no sum of ours can overflow.
pub(super) const SIZE_DIGITS_MAX: u8 = 15;

/// The size and the length of a line of digits and CR LF, if `input` starts with a whole one.
/// Tokens come in small chunks, so this line is a good part of the work on each.
#[inline(always)]
pub(super) fn ordinary_size_line(input: &[u8]) -> Option<(u64, usize)> {
    // Two digits, as nearly all of them have.
    if let [high, low, b'\r', b'\n', ..] = *input {
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        if (high | low) != NOT_HEX {
            return Some((u64::from(high << 4 | low), 4));
        }
    }
    size_line(input)
}

/// The same for any number of digits. Apart, so that the line above is read where it is needed.
#[inline(never)]
fn size_line(input: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in input.iter().enumerate().take(usize::from(SIZE_DIGITS_MAX) + 1) {
        let digit = HEX[usize::from(byte)];
        if digit == NOT_HEX {
            let whole = index > 0 && byte == b'\r' && input.get(index + 1) == Some(&b'\n');
            return whole.then_some((value, index + 2));
        }
        value = value << 4 | u64::from(digit);
    }
    None
}

/// The data of a chunk of `size` bytes, not the last one, if `input` starts with all of it and the
/// end of its line.
#[inline]
pub(super) fn whole_data(input: &[u8], size: u64) -> Option<&[u8]> {
    let (data, behind) = input.split_at_checked(usize::try_from(size).ok()?)?;
    (size > 0 && behind.starts_with(b"\r\n")).then_some(data)
}

pub(super) const NOT_HEX: u8 = 0xff;

/// The value of each hex digit.
pub(super) static HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};
