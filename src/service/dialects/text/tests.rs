use crate::service::Dialect::Text;
use crate::service::Ending::Whole;
use crate::service::tests::recorded::{first_output, replay_stream};

const STREAM: &[u8] = include_bytes!("recorded/stream.txt");

#[test]
fn text_is_whole_with_http_and_its_first_letter_is_output() {
    let told = replay_stream(Text, STREAM);
    assert_eq!((told.dialect, told.ending, told.usage), (Text, Whole, [None; 4]));
    assert_eq!(first_output(Text, STREAM), "W");
    assert_eq!(first_output(Text, b" \r\n\n"), "");
}
