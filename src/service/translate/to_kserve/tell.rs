//! A stream of a server of the open inference protocol: there is none.
//!
//! `infer` answers in one piece, which is told as the stream that it would have been. Whatever comes as a
//! stream all the same is no answer.

use super::super::events::StreamPart;
use super::super::{BadAnswer, Teller};

/// Tells no stream.
#[derive(Debug)]
pub struct InferAsChat;

impl Teller for InferAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        _: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            StreamPart::Comment => Ok(None),
            _ => Err(BadAnswer::Malformed("is a stream, which `infer` has none of".into())),
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), BadAnswer> {
        Err(BadAnswer::Unfinished)
    }
}
