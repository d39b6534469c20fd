//! Commit: how much of an answer the client has, and how far the answer under way has come.
//!
//! Until a byte of a server's answer is with the client, another attempt, or the predefined answer,
//! can take its place; from then on no other answer can. Everything that decides about that is this
//! one type. Each method is an event, and these are all the transitions (`·`: the event changes
//! nothing here):
//!
//! | state | `begin` | `decide` | `hold` | `pass` | `event` | `settle` | `end_attempt` |
//! |---|---|---|---|---|---|---|---|
//! | Open(has, Awaited) | Open(Head, Awaited) | Open(has, Final) | Open(has, Held) | Passed(Head) | · | · | · |
//! | Open(has, Final) | Open(Head, Final) | · | Open(has, Released) | Passed(Head) | · | · | Open(has, Awaited) |
//! | Open(has, Held) | Open(Head, Held) | Open(has, Released) | · | Passed(Head) | · | · | Open(has, Awaited) |
//! | Open(has, Released) | Open(Head, Released) | · | · | Passed(Head) | · | · | Open(has, Awaited) |
//! | Passed(Head) | · | · | · | · | Passed(Events) | · | Open(Part, Awaited) |
//! | Passed(Events) | · | · | · | · | · | Passed(Steady) | Open(Part, Awaited) |
//! | Passed(Steady) | · | · | · | · | · | · | Open(Part, Awaited) |
//!
//! `begin` changes what the client has only where it has nothing.

mod questions;

/// Whether another attempt may still answer, and how far the answer under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Nothing of the answer under way is with the client.
    Open(Has, Response),
    /// Bytes of the answer under way are with the client, or may be.
    Passed(Passed),
}

/// What a client has while no server's answer is on its way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    Nothing,
    /// The head of a stream, made by us, and perhaps comments.
    Head,
    /// A part of a stream that has broken: a server is asked for the rest.
    Part,
}

/// How far an answer has come while nothing of it is with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Its head is not here yet.
    Awaited,
    /// Its head is not here yet, and no other attempt follows: whatever comes is the answer.
    Final,
    /// Its head is here, and is held back until the answer says something.
    Held,
    /// It was held back, and is the answer whatever it says.
    Released,
}

/// How far an answer has come that is on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The client has its head, and no event that says something.
    Head,
    /// The client has an event that says something (a byte of the body where there are no events).
    Events,
    /// The same, and how the events come has been learnt: the short way passes them on.
    Steady,
}

impl Commit {
    /// The state of a request that has just come.
    pub const NEW: Commit = Commit::Open(Has::Nothing, Response::Awaited);

    /// The client is sent the head of a stream, made by us, before any server has answered.
    pub fn begin(&mut self) {
        if let Commit::Open(has @ Has::Nothing, _) = self {
            *has = Has::Head;
        }
    }

    /// No other attempt follows: whatever comes is the answer.
    pub fn decide(&mut self) {
        if let Commit::Open(_, answer) = self {
            *answer = match answer {
                Response::Awaited | Response::Final => Response::Final,
                Response::Held | Response::Released => Response::Released,
            };
        }
    }

    /// The head of an answer is here and is held back.
    pub fn hold(&mut self) {
        if let Commit::Open(_, answer) = self {
            *answer = match answer {
                Response::Awaited | Response::Held => Response::Held,
                Response::Final | Response::Released => Response::Released,
            };
        }
    }

    /// The answer is on its way to the client from here on.
    pub fn pass(&mut self) {
        if let Commit::Open(..) = self {
            *self = Commit::Passed(Passed::Head);
        }
    }

    /// An event that says something has been passed on.
    pub fn event(&mut self) {
        if let Commit::Passed(Passed::Head) = self {
            *self = Commit::Passed(Passed::Events);
        }
    }

    /// How the events come has been learnt.
    pub fn settle(&mut self) {
        if let Commit::Passed(Passed::Events) = self {
            *self = Commit::Passed(Passed::Steady);
        }
    }

    /// The attempt is over without a whole answer, and another attempt follows.
    pub fn end_attempt(&mut self) {
        let has = match self {
            Commit::Open(has, _) => *has,
            Commit::Passed(_) => Has::Part,
        };
        *self = Commit::Open(has, Response::Awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Event = (&'static str, fn(&mut Commit));

    const EVENTS: [Event; 7] = [
        ("begin", Commit::begin),
        ("decide", Commit::decide),
        ("hold", Commit::hold),
        ("pass", Commit::pass),
        ("event", Commit::event),
        ("settle", Commit::settle),
        ("end_attempt", Commit::end_attempt),
    ];

    /// A state as the table writes it, with `has` where the table says that.
    fn read(text: &str, has: Has) -> Commit {
        let has = if text.contains("has") { has } else { Has::Part };
        let has = if text.contains("Open(Head") { Has::Head } else { has };
        let open = |answer| Commit::Open(has, answer);
        match text.rsplit(['(', ' ']).next().expect("a word").trim_end_matches(')') {
            "Awaited" => open(Response::Awaited),
            "Final" => open(Response::Final),
            "Held" => open(Response::Held),
            "Released" => open(Response::Released),
            "Head" => Commit::Passed(Passed::Head),
            "Events" => Commit::Passed(Passed::Events),
            "Steady" => Commit::Passed(Passed::Steady),
            other => panic!("no state: {other}"),
        }
    }

    #[test]
    fn the_table_is_what_happens() {
        let lines =
            include_str!("commit.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows: Vec<Vec<&str>> = lines
            .filter(|line| line.starts_with("Open") || line.starts_with("Passed"))
            .map(|line| line.trim_end_matches(" |").split(" | ").collect())
            .collect();
        assert_eq!(rows.len(), 7);
        let mut walked = 0;
        for row in rows {
            for has in [Has::Nothing, Has::Head, Has::Part] {
                let from = read(row[0], has);
                for ((name, event), cell) in EVENTS.iter().zip(&row[1..]) {
                    let begins = *name == "begin" && from.has_begun();
                    let expected = match *cell {
                        "·" => from,
                        _ if begins => from,
                        cell => read(cell, has),
                    };
                    let mut state = from;
                    event(&mut state);
                    assert_eq!(state, expected, "{from:?} {name}");
                    walked += 1;
                }
            }
        }
        assert_eq!(walked, 7 * 3 * EVENTS.len());
    }

    #[test]
    fn what_a_state_says_fits_together() {
        let mut states = vec![Commit::NEW];
        let mut next = 0;
        while let Some(state) = states.get(next).copied() {
            next += 1;
            for (_, event) in EVENTS {
                let mut after = state;
                event(&mut after);
                if !states.contains(&after) {
                    states.push(after);
                }
            }
            assert!(!(state.is_passed() && (state.is_prefaced() || state.is_held())), "{state:?}");
            assert!(state.has_begun() || !state.is_continuing());
            let stages = [state.awaits_event(), state.is_settling(), state.is_steady()];
            let stages = stages.into_iter().filter(|stage| *stage).count();
            assert_eq!(stages, usize::from(state.is_passed()), "{state:?}");
        }
        assert_eq!(states.len(), 3 * 4 + 3, "every state can be reached");
    }
}
