//! The seats that plugins have in an exchange.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::snapshot::Snapshot;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::plugged::PluggedExchange;
use crate::plugins::Hook;
use crate::plugins::seat::{PluginSeat, SharedSeat};
use crate::plugins::settings::RoutePlugins;

/// The next number of an exchange, in all workers.
static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Exchange {
    /// Takes a seat for each plugin of its route.
    #[cold]
    pub(crate) fn seat_plugins(&mut self, plugins: &RoutePlugins, snapshot: &Snapshot) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = self.id.to_string();
        let seats = plugins.indices.iter().filter_map(|index| {
            let plugin = snapshot.plugins.active.get(*index)?;
            Some(Rc::new(RefCell::new(PluginSeat::new(plugin, number, &id))))
        });
        let seats = seats.collect();
        self.aside_mut().plugged = Some(Box::new(PluggedExchange {
            seats,
            hooks: plugins.hooks,
            next: plugins.hooks.has(Hook::Request).then_some(0),
            asked: None,
            next_on_head: 0,
            target: None,
            request_rules: Vec::new(),
            answer_rules: Vec::new(),
            replaced: false,
        }));
    }

    /// Its plugins; `None`: its route has none.
    pub(crate) fn plugged(&self) -> Option<&PluggedExchange> {
        self.aside.as_ref()?.plugged.as_deref()
    }

    pub(crate) fn plugged_mut(&mut self) -> Option<&mut PluggedExchange> {
        self.aside.as_mut()?.plugged.as_deref_mut()
    }

    /// The seats whose plugins have this hook.
    pub(crate) fn seats_with(&self, hook: Hook) -> Vec<SharedSeat> {
        let seats = self.plugged().map_or(&[][..], |plugged| &plugged.seats);
        let has = |seat: &&SharedSeat| seat.try_borrow().is_ok_and(|seat| seat.has(hook));
        seats.iter().filter(has).cloned().collect()
    }

    /// How much of its body its plugins want before they are asked about it; `None`: they are not to be asked.
    pub(crate) fn body_wanted_by_plugins(&self) -> Option<u64> {
        self.plugged()?.next?;
        let seats = self.seats_with(Hook::Request);
        let wanted = seats.iter().filter_map(|seat| Some(seat.try_borrow().ok()?.body_max()));
        Some(wanted.max().unwrap_or(0))
    }

    /// Whether an answer of a plugin is awaited, about the head of an answer.
    pub(crate) fn awaits_plugin(&self) -> bool {
        let seats = self.plugged().map_or(&[][..], |plugged| &plugged.seats);
        seats.iter().any(|seat| seat.try_borrow().is_ok_and(|seat| seat.is_awaited()))
    }

    /// No answer about the head of an answer is waited for any more.
    pub(crate) fn forget_questions(&mut self) {
        let Some(plugged) = self.plugged_mut() else { return };
        plugged.next_on_head = 0;
        for seat in &plugged.seats {
            if let Ok(mut seat) = seat.try_borrow_mut() {
                seat.forget_question();
            }
        }
    }

    /// Whether what servers are sent is no longer the client's own body.
    pub(crate) fn has_other_body(&self) -> bool {
        self.plugged().is_some_and(|plugged| plugged.replaced)
    }

    /// Whether a plugin may change events of its answer.
    pub(crate) fn has_events_changed(&self) -> bool {
        let seats = self.plugged().map_or(&[][..], |plugged| &plugged.seats);
        seats.iter().any(|seat| {
            seat.try_borrow().is_ok_and(|seat| seat.has(Hook::Event) && seat.changes_events())
        })
    }
}
