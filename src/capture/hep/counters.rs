//! What became of every connection. Packets are counted by [`Mirror`](crate::engine::mirror::Mirror).

use crate::base::counters::counters;

counters! {
    /// Counters of a listener since its beginning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ListenCounters {
        counters: {
            accepted "connections accepted";
            accept_errors "times that the system gave us no connection";
            refused_address "connections from an address of no agent";
            refused_many "connections past the limit for all";
            refused_many_of_one "connections past the limit for one address";
            closed_handshake "connections whose TLS handshake failed or took too long";
            closed_peer "connections that their agent ended between two packets";
            closed_cut "connections that ended within a packet";
            closed_idle "connections on which nothing came for too long";
            closed_slow "connections closed because a packet took too long";
            closed_broken "connections closed because their stream is no HEP v3";
            closed_stop "connections closed because we stop";
            queue_full "datagrams dropped by us because the stages behind did not keep up";
            drops_unknown "times that the kernel's count of dropped datagrams could not be read";
        }
        gauges: {
            open "connections open";
            receive_buffer "octets of the smallest receive buffer that the kernel granted for UDP";
        }
    }
}

impl ListenCounters {
    /// The first level at which what came in is not what came out, if any: then we have a bug.
    pub fn imbalance(&self) -> Option<&'static str> {
        let c = self;
        let refused = c.refused_address + c.refused_many + c.refused_many_of_one;
        let closed = c.closed_handshake
            + c.closed_peer
            + c.closed_cut
            + c.closed_idle
            + c.closed_slow
            + c.closed_broken
            + c.closed_stop;
        (c.accepted != refused + closed + c.open).then_some("connections")
    }
}
