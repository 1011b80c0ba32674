//! What became of every frame, fragment, datagram, segment and message. At each level the outcomes add up to what came in:
//! [`AssembleCounters::imbalance`] says so, and the tests ask it.

use crate::base::counters::counters;
use crate::wire::Cut;
use crate::wire::ip::IpError;
use crate::wire::ip::reassembly::LostWhy;
use crate::wire::link::LinkError;
use crate::wire::tunnel::{TunnelError, TunnelKind};

counters! {
    /// Counters of an [`Assembler`](super::Assembler) since its beginning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AssembleCounters {
        counters: {
            capture_dropped "packets that the capture itself reports as lost";
            frames_in "frames taken in";
            frames_link_unsupported "frames of a link type that we don't know";
            frames_link_truncated "frames that end within their link header";
            frames_not_ip "frames that carry something else than IP";
            frames_vlan_depth "frames with too many VLAN tags";
            frames_ip_version "IP packets of no known version";
            frames_ip_truncated "packets that end within their IP headers";
            frames_ip_malformed "packets whose IP header contradicts itself or is longer than the packet";
            frames_ip_extensions "IPv6 packets with too many extension headers";
            frames_other_protocol "packets that are neither UDP nor TCP nor SCTP, nor a tunnel that we open";
            frames_tunnel "frames and packets that hold a tunnel";
            frames_fragment "packets that are fragments";
            frames_udp "packets that are whole UDP datagrams";
            frames_tcp "packets that are whole TCP segments";
            frames_sctp "packets that are whole SCTP packets";
            tunnels_mpls "MPLS label stacks opened: what is inside counts as a packet again";
            tunnels_pppoe "PPPoE sessions' packets opened";
            tunnels_gre "GRE packets opened";
            tunnels_erspan "ERSPAN packets opened";
            tunnels_ip_in_ip "IP packets in IP opened";
            tunnels_vxlan "VXLAN packets opened";
            tunnels_geneve "GENEVE packets opened";
            tunnels_truncated "tunnels that end within their header";
            tunnels_malformed "tunnels whose header is wrong";
            tunnels_version "tunnels of a version that we don't know";
            tunnels_routed "GRE packets with source routing, which are refused";
            tunnels_not_ip "tunnels that carry something else than IP";
            tunnels_too_deep "tunnels within too many tunnels";
            fragments_held "fragments kept until others come";
            fragments_duplicate "fragments that had come before";
            fragments_overlap "fragments that overlap another one, or belong to a datagram spoiled so";
            fragments_malformed "fragments of impossible length or place";
            fragments_refused "fragments past the limit for their datagram or source";
            fragments_completing "fragments that completed their datagram";
            datagrams_begun "datagrams of which a fragment came";
            datagrams_completed "datagrams put together";
            datagrams_lost_age "datagrams whose rest did not come in time";
            datagrams_lost_evicted "datagrams given up for want of room";
            datagrams_lost_overlap "datagrams given up because fragments overlapped";
            datagrams_lost_refused "datagrams given up because of a limit on fragments or source";
            datagrams_lost_end "datagrams incomplete at the end of the capture";
            datagrams_duplicate "datagrams that were nothing but late duplicates of fragments";
            datagrams_udp "datagrams put together that are UDP";
            datagrams_tcp "datagrams put together that are TCP";
            datagrams_sctp "datagrams put together that are SCTP";
            datagrams_tunnel "datagrams put together that are tunnels on IP";
            datagrams_other "datagrams put together that are something else";
            fronts_sip "lost datagrams given out as cut SIP messages";
            fronts_sip_overlap "lost datagrams with a SIP front that overlapping fragments made doubtful";
            fronts_not_sip "lost datagrams whose front is no SIP";
            fronts_not_udp "lost datagrams whose front is neither UDP nor SCTP nor a tunnel";
            fronts_sctp "lost datagrams whose front is SCTP, and is read as far as it goes";
            fronts_tunnel "lost datagrams whose front holds a tunnel, which is opened as far as it goes";
            fronts_tunnel_overlap "lost datagrams whose front holds a tunnel that overlapping fragments made doubtful";
            fronts_missing_text "lost datagrams without a front, whose rest reads like text";
            fronts_missing "lost datagrams without a front, whose rest does not read like text";
            udp_sip "UDP payloads that begin like SIP";
            udp_keep_alive "UDP payloads that are keep-alives";
            udp_tunnel "UDP payloads that hold a tunnel";
            udp_not_sip "UDP payloads that are something else";
            udp_malformed "UDP datagrams whose header is wrong";
            segments_control "TCP segments without payload";
            segments_delivered "TCP segments that brought octets in order";
            segments_repeated "TCP segments that brought nothing new";
            segments_held "TCP segments kept until what is missing comes";
            segments_not_sip "TCP segments of streams that are not SIP";
            segments_malformed "TCP segments whose header is wrong";
            streams_begun "TCP streams begun, by SYN or in the middle";
            streams_not_sip "TCP streams found to be something else than SIP";
            streams_idle "TCP streams idle for too long";
            streams_evicted "TCP streams pushed out for want of room";
            streams_replaced "TCP streams replaced by a new connection between the same ports";
            streams_ended "TCP streams ended with the capture";
            stream_gaps "holes in TCP streams given up on";
            stream_gaps_between "holes in SIP streams that cut no message we know of";
            stream_lost_threads "times that a SIP stream went on with something else than a message";
            stream_keep_alives "CRLF keep-alives in TCP streams and WebSockets";
            stream_messages "SIP messages right out of TCP streams, whole or cut";
            ws_messages "SIP messages out of WebSockets, whole or cut";
            ws_not_sip "WebSocket messages that are no SIP";
            ws_compressed "WebSocket messages that are compressed, which can't be read";
            ws_control "pings, pongs and closes of WebSockets";
            sctp_read "SCTP packets whose chunks were looked at";
            sctp_malformed "SCTP packets that end within their header";
            sctp_chunks "chunks in SCTP packets";
            sctp_control "SCTP chunks that carry no data";
            sctp_sip "SCTP messages that begin like SIP";
            sctp_not_sip "SCTP messages that are something else";
            sctp_parts_sip "first pieces of SIP messages that are spread over several SCTP chunks";
            sctp_parts "other pieces of messages that are spread over several SCTP chunks";
            sctp_chunks_malformed "SCTP chunks of impossible length";
            messages_out "SIP messages given out";
            messages_whole "SIP messages given out whole";
            messages_cut_snap_length "SIP messages cut by the capture's snap length";
            messages_cut_lost_fragment "SIP messages cut by a lost fragment";
            messages_cut_tcp_gap "SIP messages cut by a lost segment";
            messages_cut_end_of_stream "SIP messages cut by the end of their stream, or longer than we grant";
        }
        gauges: {
            datagrams_open "datagrams in progress";
            datagram_octets "octets kept for datagrams in progress";
            streams_open "TCP streams kept";
            stream_octets "octets kept for TCP streams";
        }
    }
}

impl AssembleCounters {
    /// The first level at which what came in is not what came out, if any: then we have a bug.
    pub fn imbalance(&self) -> Option<&'static str> {
        let c = self;
        let lost = c.datagrams_lost_age
            + c.datagrams_lost_evicted
            + c.datagrams_lost_overlap
            + c.datagrams_lost_refused
            + c.datagrams_lost_end;
        let opened = c.tunnels_mpls
            + c.tunnels_pppoe
            + c.tunnels_gre
            + c.tunnels_erspan
            + c.tunnels_ip_in_ip
            + c.tunnels_vxlan
            + c.tunnels_geneve;
        let levels = [
            (
                "frames",
                // What is inside a tunnel is a packet again.
                c.frames_in + opened,
                c.frames_link_unsupported
                    + c.frames_link_truncated
                    + c.frames_not_ip
                    + c.frames_vlan_depth
                    + c.frames_ip_version
                    + c.frames_ip_truncated
                    + c.frames_ip_malformed
                    + c.frames_ip_extensions
                    + c.frames_other_protocol
                    + c.frames_fragment
                    + c.frames_tunnel
                    + c.frames_udp
                    + c.frames_tcp
                    + c.frames_sctp,
            ),
            (
                "tunnels",
                c.frames_tunnel + c.datagrams_tunnel + c.fronts_tunnel + c.udp_tunnel,
                opened
                    + c.tunnels_truncated
                    + c.tunnels_malformed
                    + c.tunnels_version
                    + c.tunnels_routed
                    + c.tunnels_not_ip
                    + c.tunnels_too_deep,
            ),
            (
                "fragments",
                c.frames_fragment,
                c.fragments_held
                    + c.fragments_duplicate
                    + c.fragments_overlap
                    + c.fragments_malformed
                    + c.fragments_refused
                    + c.fragments_completing,
            ),
            (
                "datagrams",
                c.datagrams_begun,
                c.datagrams_completed + lost + c.datagrams_duplicate + c.datagrams_open,
            ),
            (
                "datagrams completed",
                c.datagrams_completed,
                c.datagrams_udp
                    + c.datagrams_tcp
                    + c.datagrams_sctp
                    + c.datagrams_tunnel
                    + c.datagrams_other,
            ),
            (
                "datagrams lost",
                lost,
                c.fronts_sip
                    + c.fronts_sip_overlap
                    + c.fronts_not_sip
                    + c.fronts_not_udp
                    + c.fronts_sctp
                    + c.fronts_tunnel
                    + c.fronts_tunnel_overlap
                    + c.fronts_missing_text
                    + c.fronts_missing,
            ),
            (
                "udp",
                c.frames_udp + c.datagrams_udp,
                c.udp_sip + c.udp_keep_alive + c.udp_tunnel + c.udp_not_sip + c.udp_malformed,
            ),
            (
                "sctp",
                c.frames_sctp + c.datagrams_sctp + c.fronts_sctp,
                c.sctp_read + c.sctp_malformed,
            ),
            (
                "sctp chunks",
                c.sctp_chunks,
                c.sctp_control
                    + c.sctp_sip
                    + c.sctp_not_sip
                    + c.sctp_parts_sip
                    + c.sctp_parts
                    + c.sctp_chunks_malformed,
            ),
            (
                "segments",
                c.frames_tcp + c.datagrams_tcp,
                c.segments_control
                    + c.segments_delivered
                    + c.segments_repeated
                    + c.segments_held
                    + c.segments_not_sip
                    + c.segments_malformed,
            ),
            (
                "streams",
                c.streams_begun,
                c.streams_not_sip
                    + c.streams_idle
                    + c.streams_evicted
                    + c.streams_replaced
                    + c.streams_ended
                    + c.streams_open,
            ),
            (
                "messages by origin",
                c.messages_out,
                c.udp_sip + c.fronts_sip + c.stream_messages + c.ws_messages + c.sctp_sip,
            ),
            (
                "messages",
                c.messages_out,
                c.messages_whole
                    + c.messages_cut_snap_length
                    + c.messages_cut_lost_fragment
                    + c.messages_cut_tcp_gap
                    + c.messages_cut_end_of_stream,
            ),
        ];
        let wrong = levels.into_iter().find(|(_, into, out)| into != out);
        wrong.map(|(level, _, _)| level)
    }

    pub(super) fn of_link(&mut self, e: LinkError) -> &mut u64 {
        match e {
            LinkError::Unsupported => &mut self.frames_link_unsupported,
            LinkError::Truncated => &mut self.frames_link_truncated,
            LinkError::NotIp => &mut self.frames_not_ip,
            LinkError::TooManyVlans => &mut self.frames_vlan_depth,
        }
    }

    pub(super) fn of_ip(&mut self, e: IpError) -> &mut u64 {
        match e {
            IpError::Version => &mut self.frames_ip_version,
            IpError::Truncated => &mut self.frames_ip_truncated,
            IpError::Malformed => &mut self.frames_ip_malformed,
            IpError::TooManyExtensions => &mut self.frames_ip_extensions,
        }
    }

    pub(super) fn of_opened(&mut self, kind: TunnelKind) -> &mut u64 {
        match kind {
            TunnelKind::Mpls => &mut self.tunnels_mpls,
            TunnelKind::Pppoe => &mut self.tunnels_pppoe,
            TunnelKind::Gre => &mut self.tunnels_gre,
            TunnelKind::Erspan => &mut self.tunnels_erspan,
            TunnelKind::IpInIp => &mut self.tunnels_ip_in_ip,
            TunnelKind::Vxlan => &mut self.tunnels_vxlan,
            TunnelKind::Geneve => &mut self.tunnels_geneve,
        }
    }

    pub(super) fn of_tunnel(&mut self, e: TunnelError) -> &mut u64 {
        match e {
            TunnelError::Truncated => &mut self.tunnels_truncated,
            TunnelError::Malformed => &mut self.tunnels_malformed,
            TunnelError::Version => &mut self.tunnels_version,
            TunnelError::Routed => &mut self.tunnels_routed,
            TunnelError::NotIp => &mut self.tunnels_not_ip,
        }
    }

    pub(super) fn of_lost(&mut self, why: LostWhy) -> &mut u64 {
        match why {
            LostWhy::Age => &mut self.datagrams_lost_age,
            LostWhy::Evicted => &mut self.datagrams_lost_evicted,
            LostWhy::Overlap => &mut self.datagrams_lost_overlap,
            LostWhy::Refused => &mut self.datagrams_lost_refused,
            LostWhy::End => &mut self.datagrams_lost_end,
            LostWhy::Duplicate => &mut self.datagrams_duplicate,
        }
    }

    pub(super) fn of_cut(&mut self, cut: Option<Cut>) -> &mut u64 {
        match cut {
            None => &mut self.messages_whole,
            Some(Cut::SnapLength) => &mut self.messages_cut_snap_length,
            Some(Cut::LostFragment) => &mut self.messages_cut_lost_fragment,
            Some(Cut::TcpGap) => &mut self.messages_cut_tcp_gap,
            Some(Cut::EndOfStream) => &mut self.messages_cut_end_of_stream,
        }
    }
}
