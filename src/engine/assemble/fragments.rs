//! Datagrams in fragments: put together, or lost and looked into as far as they go.

use super::Assembler;
use super::layers::Place;
use crate::wire::ip::reassembly::{Datagram, DatagramKey, Lost, LostWhy, Taken};
use crate::wire::ip::{self, Fragment, Packet};
use crate::wire::sip::looks_like_sip;
use crate::wire::{Cut, Transport, sctp, udp};

impl Assembler {
    pub(super) fn handle_fragment(
        &mut self,
        packet: &Packet<'_>,
        fragment: Fragment,
        place: Place,
    ) {
        if packet.source.is_ipv4() && !self.is_of_interest(packet.protocol) {
            self.counters.frames_other_protocol += 1;
            return;
        }
        self.counters.frames_fragment += 1;
        let (vlans, path) = (place.vlans.clone(), place.path.clone());
        let key = DatagramKey {
            macs: place.macs,
            ..DatagramKey::of(packet, fragment, place.sensor, vlans, path)
        };
        match self.reassembler.handle(key, fragment, packet, place.at) {
            Taken::Held => self.counters.fragments_held += 1,
            Taken::Duplicate => self.counters.fragments_duplicate += 1,
            Taken::Overlap => self.counters.fragments_overlap += 1,
            Taken::Malformed => self.counters.fragments_malformed += 1,
            Taken::Refused => self.counters.fragments_refused += 1,
            Taken::Complete(datagram) => {
                self.counters.fragments_completing += 1;
                self.counters.datagrams_completed += 1;
                self.handle_datagram(packet, datagram, place);
            }
        }
        self.gather_lost();
    }

    fn is_of_interest(&self, protocol: u8) -> bool {
        matches!(protocol, ip::UDP | ip::TCP | sctp::PROTOCOL)
            || self.tunnels.of_protocol(protocol).is_some()
    }

    /// A datagram put together. Its buffer becomes the message.
    fn handle_datagram(&mut self, packet: &Packet<'_>, mut datagram: Datagram, place: Place) {
        let place = Place {
            short: datagram.snapped.then_some(Cut::SnapLength),
            ..place
        };
        let (protocol, front) = upper(packet.source.is_ipv6(), datagram.protocol, &datagram.bytes);
        let bytes = datagram.bytes.get(front..).unwrap_or_default();
        let said = datagram.said.saturating_sub(front);
        let ends = (packet.source, packet.destination);
        match protocol {
            Some(ip::UDP) => {
                self.counters.datagrams_udp += 1;
                let Some(d) = udp::parse(bytes, said) else {
                    self.counters.udp_malformed += 1;
                    return;
                };
                if let Some(announced) = self.tunnel_of(&d) {
                    self.counters.udp_tunnel += 1;
                    return self.open(announced, d.payload, Some(ends), place);
                }
                if !self.is_sip(d.payload) {
                    return;
                }
                let flow = place.flow(ends, Transport::Udp, d.source, d.destination);
                let cut = d.short.then(|| place.why_short());
                let length = d.payload.len();
                datagram.bytes.drain(..front + udp::HEADER);
                datagram.bytes.truncate(length);
                self.push(flow, datagram.bytes, cut, place.sensor, place.at);
            }
            Some(ip::TCP) => {
                self.counters.datagrams_tcp += 1;
                self.handle_segment(ends, bytes, said, place);
            }
            Some(sctp::PROTOCOL) => {
                self.counters.datagrams_sctp += 1;
                self.handle_sctp(ends, bytes, said, place);
            }
            other => match other.and_then(|p| self.tunnels.of_protocol(p)) {
                Some(announced) => {
                    self.counters.datagrams_tunnel += 1;
                    self.open(announced, bytes, Some(ends), place);
                }
                None => self.counters.datagrams_other += 1,
            },
        }
    }

    /// Takes note of the datagrams that were given up. The front of a SIP message comes out as a cut message.
    ///
    /// What is given up may hold a fragment in a tunnel, which may push out what is next: that is taken up here as well, not within.
    pub(super) fn gather_lost(&mut self) {
        if std::mem::replace(&mut self.gathers_lost, true) {
            return;
        }
        while let Some(lost) = self.reassembler.poll_lost() {
            *self.counters.of_lost(lost.why) += 1;
            if lost.why != LostWhy::Duplicate {
                self.handle_lost(lost);
            }
        }
        self.gathers_lost = false;
    }

    fn handle_lost(&mut self, mut lost: Lost) {
        let Lost { key, at, .. } = &lost;
        let (sensor, at) = (key.sensor, *at);
        if lost.front.is_empty() {
            // Of a datagram without its first fragment we know no port. Reading like text is all that SIP and it have in common.
            if lost.text {
                self.counters.fronts_missing_text += 1;
                self.count_incomplete(sensor, at);
            } else {
                self.counters.fronts_missing += 1;
            }
            return;
        }
        let (protocol, front) = upper(key.source.is_ipv6(), lost.protocol, &lost.front);
        let bytes = lost.front.get(front..).unwrap_or_default();
        let ends = (key.source, key.destination);
        let place = Place {
            sensor,
            at,
            vlans: key.vlans.clone(),
            macs: key.macs,
            path: key.path.clone(),
            depth: key.path.depth(),
            short: Some(Cut::LostFragment),
        };
        let is_doubtful = lost.why == LostWhy::Overlap;
        if protocol == Some(sctp::PROTOCOL) && !is_doubtful {
            self.counters.fronts_sctp += 1;
            return self.handle_sctp(ends, bytes, usize::from(u16::MAX), place);
        }
        let datagram = match protocol {
            Some(ip::UDP) => udp::parse(bytes, usize::from(u16::MAX)),
            _ => None,
        };
        let tunnel = match (protocol, &datagram) {
            (_, Some(d)) => self.tunnel_of(d).map(|t| (t, d.payload)),
            (Some(p), None) => self.tunnels.of_protocol(p).map(|t| (t, bytes)),
            (None, None) => None,
        };
        match (tunnel, datagram) {
            (Some(_), _) if is_doubtful => {
                self.counters.fronts_tunnel_overlap += 1;
                self.count_incomplete(sensor, at);
            }
            (Some((announced, inside)), _) => {
                self.counters.fronts_tunnel += 1;
                self.open(announced, inside, Some(ends), place);
            }
            // Overlapping fragments leave it open what the receiver saw: that there was something is all we say.
            (None, Some(d)) if looks_like_sip(d.payload) && is_doubtful => {
                self.counters.fronts_sip_overlap += 1;
                self.count_incomplete(sensor, at);
            }
            (None, Some(d)) if looks_like_sip(d.payload) => {
                self.counters.fronts_sip += 1;
                let flow = place.flow(ends, Transport::Udp, d.source, d.destination);
                let length = d.payload.len();
                let mut bytes = std::mem::take(&mut lost.front);
                bytes.drain(..front + udp::HEADER);
                bytes.truncate(length);
                self.push(flow, bytes, Some(Cut::LostFragment), sensor, at);
            }
            // A segment that is missing shows as a gap in its stream.
            (None, None) if protocol != Some(ip::UDP) => self.counters.fronts_not_udp += 1,
            _ => self.counters.fronts_not_sip += 1,
        }
    }

    fn count_incomplete(&mut self, sensor: u16, at: crate::base::Timestamp) {
        self.ledger.count(sensor, at, |row| {
            row.incomplete += 1;
            row.lost_fragments += 1;
        });
    }
}

/// What the octets behind the IP header are, and where that begins: in IPv6 more extension headers may come first. `None` when they
/// can't be read.
fn upper(is_v6: bool, protocol: u8, bytes: &[u8]) -> (Option<u8>, usize) {
    if !is_v6 {
        return (Some(protocol), 0);
    }
    match ip::walk_extensions(protocol, bytes) {
        Ok(u) if u.fragment.is_none() => (Some(u.protocol), u.skipped),
        _ => (None, 0),
    }
}
