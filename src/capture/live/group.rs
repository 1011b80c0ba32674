//! The threads of one interface agree on who reads it when it is made again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::packet::Fanout;

/// What the threads of an interface share.
#[derive(Debug)]
pub(super) struct Group(Mutex<State>);

/// Which interface the group reads, and as what.
#[derive(Debug)]
pub(super) struct State {
    index: i32,
    /// Id of the fanout group; none before the first has joined.
    id: Option<u16>,
    /// How many spare sockets each thread can have left.
    left: usize,
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// In a fanout group.
    Member(Fanout),
    /// Spare sockets have run out: the first thread takes its last one and reads alone, bound again as often as need be.
    Alone,
}

impl Group {
    /// For threads that read the interface of this index, with so many spare sockets each.
    pub(super) fn new(index: i32, spares: usize) -> Self {
        Self(Mutex::new(State {
            index,
            id: None,
            left: spares,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The seat of a thread that found the interface of this index.
    pub(super) fn seat(&mut self, index: i32) -> Seat {
        if index != self.index {
            self.index = index;
            self.id = None;
            self.left = self.left.saturating_sub(1);
        }
        match (self.left, self.id) {
            (0, _) => Seat::Alone,
            (_, None) => Seat::Member(Fanout::New),
            (_, Some(id)) => Seat::Member(Fanout::Join(id)),
        }
    }

    /// Somebody has joined the group of this id.
    pub(super) fn founded(&mut self, id: u16) {
        self.id = Some(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_see_a_new_interface_founds_a_group_and_the_others_join() {
        let group = Group::new(3, 2);
        assert_eq!(group.lock().seat(7), Seat::Member(Fanout::New));
        group.lock().founded(42);
        assert_eq!(group.lock().seat(7), Seat::Member(Fanout::Join(42)));
        assert_eq!(group.lock().seat(7), Seat::Member(Fanout::Join(42)));
    }

    #[test]
    fn the_last_spare_socket_is_for_one_alone() {
        let group = Group::new(3, 2);
        assert_eq!(group.lock().seat(7), Seat::Member(Fanout::New));
        assert_eq!(group.lock().seat(8), Seat::Alone);
        assert_eq!(group.lock().seat(8), Seat::Alone);
        assert_eq!(group.lock().seat(9), Seat::Alone);
    }
}
