//! Plugins for Sluicegate, in Rust: implement [`Plugin`], and name the type in [`export_plugin!`].
//!
//! ```
//! use sluicegate_plugin::{Call, Error, Event, Hook, Host, Plugin, Verdict, export_plugin};
//!
//! struct Counting(Host);
//!
//! impl Plugin for Counting {
//!     const NAME: &'static str = "counting";
//!     const HOOKS: &'static [Hook] = &[Hook::Event, Hook::End];
//!     type Exchange = u64;
//!
//!     fn open(host: Host, _config: &str) -> Result<Counting, Error> {
//!         Ok(Counting(host))
//!     }
//!
//!     fn on_event(&self, events: &mut u64, _: &Event, _: &mut Call) -> Result<Verdict, Error> {
//!         *events += 1;
//!         Ok(Verdict::Pass)
//!     }
//! }
//!
//! export_plugin!(Counting);
//! # fn main() {}
//! ```
//!
//! * A panic ends at the border: it becomes an error code, and the exchange ends with a 502. It cannot where
//!   the plugin is built with `panic = "abort"`.
//! * A hook that is not in [`Plugin::HOOKS`] is never called.
//! * All that a hook is shown is borrowed for the call.
//!
//! Absent on purpose: dependencies, and whatever the header does not have.

mod border;
mod view;

pub use sluicegate_plugin_abi as abi;

#[doc(hidden)]
pub use border::table;
pub use view::{Call, End, Error, Event, EventsShown, Host, Probe, Request, ResponseHead, Verdict};

/// A hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Request,
    ResponseHead,
    Event,
    End,
    Cancel,
    HealthProbe,
}

/// A plugin: one value for all exchanges, which several threads use at once.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// What it calls itself.
    const NAME: &'static str;
    /// Which version of itself it is.
    const VERSION: &'static str = "0.1.0";
    /// The hooks that it has. Others are never called.
    const HOOKS: &'static [Hook];
    /// How many bytes of a request's body `on_request` wants. 0, the default: it is called at the head.
    const BODY_MAX: u64 = 0;
    /// Whether `on_event` may change what it is shown. `false`, the default: it looks, and the stream stays on
    /// the shortest way.
    const CHANGES_EVENTS: bool = false;
    /// What it keeps of one exchange, from its first hook to `on_end`.
    type Exchange: Default + 'static;

    /// Begins, with `config` of its `[[plugin]]`.
    fn open(host: Host, config: &str) -> Result<Self, Error>;

    /// A request, before a server is chosen.
    fn on_request(
        &self,
        _exchange: &mut Self::Exchange,
        _request: &Request<'_>,
        _call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Pass)
    }

    /// The head of an answer.
    fn on_response_head(
        &self,
        _exchange: &mut Self::Exchange,
        _head: &ResponseHead<'_>,
        _call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Pass)
    }

    /// An event of a stream.
    fn on_event(
        &self,
        _exchange: &mut Self::Exchange,
        _event: &Event<'_>,
        _call: &mut Call<'_>,
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Pass)
    }

    /// The exchange was broken off. `on_end` follows.
    fn on_cancel(
        &self,
        _exchange: &mut Self::Exchange,
        _end: &End<'_>,
        _call: &mut Call<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// The exchange is over: the last call about it.
    fn on_end(
        &self,
        _exchange: Self::Exchange,
        _end: &End<'_>,
        _call: &mut Call<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Whether a server is well that has answered like this. [`Verdict::Refuse`]: it is not.
    fn health_probe(&self, _probe: &Probe<'_>, _call: &mut Call<'_>) -> Result<Verdict, Error> {
        Ok(Verdict::Pass)
    }
}

/// Makes a shared object of this crate: the one symbol of a plugin, for a type that implements [`Plugin`].
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        /// The plugin's table.
        #[unsafe(no_mangle)]
        pub extern "C" fn sluicegate_plugin() -> *const $crate::abi::sg_plugin {
            struct Table($crate::abi::sg_plugin);
            // SAFETY: it is constant.
            unsafe impl Sync for Table {}
            static TABLE: Table = Table($crate::table::<$plugin>());
            &raw const TABLE.0
        }
    };
}
