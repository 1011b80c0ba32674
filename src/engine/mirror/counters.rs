//! What became of every packet and message. At each level the outcomes add up to what came in: [`MirrorCounters::imbalance`] says so.

use super::agent::Refusal;
use crate::base::counters::counters;
use crate::wire::Cut;
use crate::wire::hep::HepError;

counters! {
    /// Counters of a [`Mirror`](super::Mirror) since its beginning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MirrorCounters {
        counters: {
            dropped "datagrams dropped unread, by the kernel or by the listener, because we were not fast enough";
            packets_in "packets taken in";
            packets_not_hep "packets that are no HEP of a known version";
            packets_truncated "packets that end before they say";
            packets_malformed "packets whose lengths contradict each other";
            packets_field_size "packets with a field whose size is not that of its type";
            refused_address "packets from an address of no agent";
            refused_carrier "packets of an agent over another carrier than its own";
            refused_certificate "packets of an agent without its client certificate";
            refused_id "packets under a number that no agent of that address has";
            refused_key "packets without the key of their agent";
            packets_keep_alive "packets without payload";
            packets_rtcp "packets of admitted agents that carry RTP or RTCP";
            packets_log "packets of admitted agents that carry log lines";
            packets_other_type "packets of admitted agents that carry something else than SIP";
            packets_no_address "packets that say not between whom their message ran";
            packets_inflate_broken "packets whose compressed payload is broken";
            packets_inflate_too_large "packets whose compressed payload is larger than a SIP message may be";
            packets_sip "packets that carry SIP";
            payloads_whole "payloads that are a message of their own";
            payloads_stream "payloads of a stream, framed by Content-Length";
            payloads_keep_alive "payloads that are keep-alives between the neighbours";
            payloads_not_sip "payloads that say to be SIP and begin like something else";
            transports_unknown "payloads over an IP protocol that we don't know, taken for UDP";
            times_missing "payloads without a time of their agent: arrival counts";
            times_off "payloads whose agent's clock is further from ours than we grant: arrival counts";
            threads_lost "times that a stream went on with something else than a message";
            splits_begun "messages of which a packet brought a part";
            splits_completed "split messages put together";
            splits_age "split messages whose rest did not come in time";
            splits_evicted "split messages given up for want of room";
            splits_replaced "split messages cut by what came next in their stream";
            splits_too_long "split messages longer than a SIP message may be";
            splits_end "split messages incomplete at the end";
            messages_out "SIP messages given out";
            messages_whole "SIP messages given out whole";
            messages_cut "SIP messages given out cut";
            connections_seen "connections over which an agent was admitted";
        }
        gauges: {
            splits_open "split messages in progress";
            split_octets "octets kept for split messages";
            agents_open "agents that are heard: over UDP lately, or connected";
        }
    }
}

impl MirrorCounters {
    /// The first level at which what came in is not what came out, if any: then we have a bug.
    pub fn imbalance(&self) -> Option<&'static str> {
        let c = self;
        let refused = c.refused_address
            + c.refused_carrier
            + c.refused_certificate
            + c.refused_id
            + c.refused_key;
        let levels = [
            (
                "packets",
                c.packets_in,
                c.packets_not_hep
                    + c.packets_truncated
                    + c.packets_malformed
                    + c.packets_field_size
                    + refused
                    + c.packets_keep_alive
                    + c.packets_rtcp
                    + c.packets_log
                    + c.packets_other_type
                    + c.packets_no_address
                    + c.packets_inflate_broken
                    + c.packets_inflate_too_large
                    + c.packets_sip,
            ),
            (
                "payloads",
                c.packets_sip,
                c.payloads_whole + c.payloads_stream + c.payloads_keep_alive + c.payloads_not_sip,
            ),
            (
                "splits",
                c.splits_begun,
                c.splits_completed
                    + c.splits_age
                    + c.splits_evicted
                    + c.splits_replaced
                    + c.splits_too_long
                    + c.splits_end
                    + c.splits_open,
            ),
            (
                "messages",
                c.messages_out,
                c.messages_whole + c.messages_cut,
            ),
        ];
        let wrong = levels.into_iter().find(|(_, into, out)| into != out);
        wrong.map(|(level, _, _)| level)
    }

    pub(super) fn of_error(&mut self, e: HepError) -> &mut u64 {
        match e {
            HepError::NotHep => &mut self.packets_not_hep,
            HepError::Truncated => &mut self.packets_truncated,
            HepError::Length => &mut self.packets_malformed,
            HepError::Size => &mut self.packets_field_size,
            HepError::Inflate => &mut self.packets_inflate_broken,
            HepError::TooLarge => &mut self.packets_inflate_too_large,
        }
    }

    pub(super) fn of_refusal(&mut self, r: Refusal) -> &mut u64 {
        match r {
            Refusal::Address => &mut self.refused_address,
            Refusal::Carrier => &mut self.refused_carrier,
            Refusal::Certificate => &mut self.refused_certificate,
            Refusal::Id => &mut self.refused_id,
            Refusal::Key => &mut self.refused_key,
        }
    }

    /// By protocol type: Rev 37's RTP, RTCP and MOS, and the numbers that rtpagent and horaclifix use; 100 and OpenSIPS's 0x56 are log lines.
    pub(super) fn of_kind(&mut self, kind: u8) -> &mut u64 {
        match kind {
            0x04 | 0x05 | 0x22 | 0x23 | 0x26 | 0x3a => &mut self.packets_rtcp,
            0x56 | 100 => &mut self.packets_log,
            _ => &mut self.packets_other_type,
        }
    }

    pub(super) fn of_cut(&mut self, cut: Option<Cut>) -> &mut u64 {
        match cut {
            None => &mut self.messages_whole,
            Some(_) => &mut self.messages_cut,
        }
    }
}
