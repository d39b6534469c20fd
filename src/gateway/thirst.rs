//! Thirst: connections that wait for a buffer, in the order they came.
//!
//! The pool of buffers is finite. A connection that finds too few says how many it needs, joins the
//! queue, once, and is driven again in the reap of a turn in which so many are free.

use std::collections::VecDeque;

use crate::gateway::Gateway;
use crate::gateway::record::verdict::Step;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::buffers::READ_RESERVE;

/// The clients that wait for a buffer. How many each of them needs stands in its record.
#[derive(Default)]
pub(crate) struct Thirst(VecDeque<Token>);

impl Thirst {
    #[inline]
    pub(crate) fn is_quenched(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Net> Gateway<N> {
    /// Has the connection driven again when there are buffers for a read.
    pub(crate) fn wait_for_read(&mut self, token: Token) -> Step {
        self.wait_for_buffer(token, self.desk.buffers.read_reserve())
    }

    /// Has the connection driven again when `needs` buffers can be had.
    pub(crate) fn wait_for_buffer(&mut self, token: Token, needs: usize) -> Step {
        if let Some(downstream) = self.downstreams.get_mut(token)
            && std::mem::replace(&mut downstream.thirst, needs as u32) == 0
        {
            self.desk.tally.buffers_dry.add(1);
            self.thirst.0.push_back(token);
        }
        Step::Wait
    }

    /// The fewest buffers that one of the waiting needs.
    pub(crate) fn least_thirst(&self) -> Option<usize> {
        let waiting = self.thirst.0.iter().filter_map(|token| self.downstreams.get(*token));
        waiting.map(|downstream| downstream.thirst as usize).min()
    }

    /// Queues connections that wait for buffers, as far as there are enough. One that needs more than
    /// there are goes on waiting: if it were woken, it would only come back, in every turn.
    #[cold]
    pub(crate) fn serve_thirsty(&mut self, cx: &mut Cx<N>) {
        let mut left = self.desk.buffers.left();
        let mut next = 0;
        while left >= READ_RESERVE
            && let Some(token) = self.thirst.0.get(next).copied()
        {
            match self.downstreams.get_mut(token) {
                Some(downstream) if downstream.thirst as usize > left => {
                    next += 1;
                    continue;
                }
                Some(downstream) => {
                    left -= downstream.thirst as usize;
                    downstream.thirst = 0;
                    self.enqueue(token, &mut cx.run);
                }
                None => {}
            }
            self.thirst.0.remove(next);
        }
    }
}
