//! Mask: an example plugin, which changes events. Each word of its configuration is covered with stars.
//!
//! ```toml
//! [[plugin]]
//! name = "mask"
//! path = "/usr/lib/sluicegate/libsluicegate_plugin_mask.so"
//! sha256 = "…"
//! config = "sesame, secret"
//! ```
//!
//! A word that a server sends in two events is not seen: a plugin that has to find those keeps the end of
//! the text in its `Exchange`, and holds the event back.

use sluicegate_plugin::{
    Call, End, Error, Event, Hook, Host, Plugin, Request, ResponseHead, Verdict, export_plugin,
};

struct Mask {
    host: Host,
    words: Vec<Vec<u8>>,
}

impl Plugin for Mask {
    const NAME: &'static str = "mask";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const HOOKS: &'static [Hook] = &[Hook::Request, Hook::ResponseHead, Hook::Event, Hook::End];
    const CHANGES_EVENTS: bool = true;
    /// Words masked so far.
    type Exchange = u64;

    fn open(host: Host, config: &str) -> Result<Mask, Error> {
        let words = config.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(|word| word.as_bytes().to_vec()).collect();
        if words.is_empty() {
            return Err(Error::new("config has to name words, with commas between them"));
        }
        host.info(&format!("masks {} words", words.len()));
        Ok(Mask { host, words })
    }

    /// A compressed answer could not be looked into.
    fn on_request(
        &self,
        _: &mut u64,
        _: &Request<'_>,
        call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        call.set_field("Accept-Encoding", "identity");
        Ok(Verdict::Pass)
    }

    fn on_response_head(
        &self,
        _: &mut u64,
        _: &ResponseHead<'_>,
        call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        call.set_field("X-Masked", "yes");
        Ok(Verdict::Pass)
    }

    fn on_event(
        &self,
        masked: &mut u64,
        event: &Event<'_>,
        call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        let mut text = event.raw().to_vec();
        let mut found = 0;
        for word in &self.words {
            let mut from = 0;
            while let Some(at) = text[from..].windows(word.len()).position(|it| it == word) {
                text[from + at..][..word.len()].fill(b'*');
                from += at + word.len();
                found += 1;
            }
        }
        if found == 0 {
            return Ok(Verdict::Pass);
        }
        *masked += found;
        call.write(text);
        Ok(Verdict::Replace)
    }

    fn on_end(&self, masked: u64, _: &End<'_>, _: &mut Call<'_>) -> Result<(), Error> {
        if masked > 0 {
            self.host.debug(&format!("masked {masked} words"));
        }
        Ok(())
    }
}

export_plugin!(Mask);
