//! What became of what an interface showed to one reading thread.

use crate::base::counters::counters;

counters! {
    /// Counters of a [`LiveSource`](super::LiveSource) since it was opened.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LiveCounters {
        counters: {
            packets_passed "packets that passed the kernel's filter, the dropped ones among them";
            packets_dropped "packets that the kernel dropped because nobody had read those before";
            ring_freezes "times that the whole ring was full";
            blocks "blocks of the ring that were read";
            blocks_losing "blocks in which the kernel marked that it was dropping packets";
            frames "frames read and handed on";
            frames_truncated "frames of which the capture kept only the front";
            frames_retagged "frames whose outer VLAN tag was put back";
            frames_outgoing "frames that this host sent, read and set aside because the configuration says so";
            link_downs "times that the interface went down or away";
            link_ups "times that it was up, the first time among them";
            rebinds "times that an interface made again under the same name was taken over";
            rebind_failures "attempts at that which the system refused";
            socket_errors "errors that the socket reported, beside the interface being down";
        }
        gauges: {
            link_up "1 while the interface is up and being read";
            fallback "1 where pnet reads because there is no ring: no kernel time, no outer VLAN tag";
            spare_sockets "sockets left for interfaces that are made again";
            retired "1 where another thread reads this one's share, because spare sockets ran out";
        }
    }
}
