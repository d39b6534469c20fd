//! Chunked bodies by the grammar of RFC 9112 §7.1, by descent over the whole input: another make than
//! the gateway's scanner, which goes byte by byte.

/// What a body is, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It ends behind so many bytes, and carries so many of data.
    Whole(usize, usize),
    /// More may come.
    Part,
    /// The grammar has no such body.
    None,
}

struct Input<'i> {
    bytes: &'i [u8],
    at: usize,
}

/// No more input, or not by the grammar.
enum Stop {
    End,
    Wrong,
}

impl Input<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::End)
    }

    fn take(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek()? != byte {
            return Err(Stop::Wrong);
        }
        self.at += 1;
        Ok(())
    }

    fn line_end(&mut self) -> Result<(), Stop> {
        self.take(b'\r')?;
        self.take(b'\n')
    }

    /// Some bytes of a class, and how many.
    fn some(&mut self, class: impl Fn(u8) -> bool) -> Result<usize, Stop> {
        let start = self.at;
        while class(self.peek()?) {
            self.at += 1;
        }
        Ok(self.at - start)
    }

    fn token(&mut self) -> Result<(), Stop> {
        match self.some(is_token)? {
            0 => Err(Stop::Wrong),
            _ => Ok(()),
        }
    }

    fn quoted(&mut self) -> Result<(), Stop> {
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    if !is_text(self.peek()?) {
                        return Err(Stop::Wrong);
                    }
                    self.at += 1;
                }
                byte if is_text(byte) => self.at += 1,
                _ => return Err(Stop::Wrong),
            }
        }
    }

    /// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
    fn extensions(&mut self) -> Result<(), Stop> {
        loop {
            let blanks = self.some(is_blank)?;
            match self.peek()? {
                b';' => self.at += 1,
                // A blank that no extension follows.
                _ if blanks > 0 => return Err(Stop::Wrong),
                _ => return Ok(()),
            }
            self.some(is_blank)?;
            self.token()?;
            // What follows may be the blank before `=`, or before the next `;`.
            let behind = self.at;
            self.some(is_blank)?;
            if self.peek()? == b'=' {
                self.at += 1;
                self.some(is_blank)?;
                match self.peek()? {
                    b'"' => self.quoted()?,
                    _ => self.token()?,
                }
            } else {
                self.at = behind;
            }
        }
    }

    fn body(&mut self) -> Result<usize, Stop> {
        let mut data = 0;
        loop {
            let start = self.at;
            self.some(|byte| byte.is_ascii_hexdigit())?;
            let digits =
                std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Stop::Wrong)?;
            let size = usize::from_str_radix(digits, 16).map_err(|_| Stop::Wrong)?;
            self.extensions()?;
            self.line_end()?;
            if size == 0 {
                break;
            }
            let end = self.at.checked_add(size).ok_or(Stop::Wrong)?;
            if end > self.bytes.len() {
                return Err(Stop::End);
            }
            self.at = end;
            data += size;
            self.line_end()?;
        }
        while self.peek()? != b'\r' {
            self.token()?;
            self.take(b':')?;
            self.some(is_value)?;
            self.line_end()?;
        }
        self.line_end()?;
        Ok(data)
    }
}

/// Reads the body at the front of `bytes`.
pub fn read(bytes: &[u8]) -> Reading {
    let mut input = Input { bytes, at: 0 };
    match input.body() {
        Ok(data) => Reading::Whole(input.at, data),
        Err(Stop::End) => Reading::Part,
        Err(Stop::Wrong) => Reading::None,
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Of quotes, without bytes beyond ASCII: the gateway is stricter there.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (b' '..0x7f).contains(&byte)
}

fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
