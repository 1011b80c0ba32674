//! The filter that the kernel runs on every frame: what may be SIP comes up to us, and RTP, which is nearly all of the traffic, does not.
//!
//! A frame passes when it is
//!
//! 1. UDP, TCP or SCTP from or to a SIP port;
//! 2. **any** fragment. A fragment past the first has no port, and signed INVITEs are the ones that fragment. First fragments pass whatever their port:
//!    without its front, what is not SIP could be told neither from a lost INVITE nor be put together and forgotten;
//! 3. IPv6 with any extension header: a Fragment header may stand behind it. They are rare, and we walk them;
//! 4. a configured tunnel, whole: what runs in it is looked at by us;
//! 5. SNAP with an Ethernet type: rare, and it may nest.
//!
//! All that under as many VLAN tags as [`link::peel`](crate::wire::link::peel) goes through. The outer tag of a received frame stands beside it, not in its
//! octets, which then are those of a frame with one tag fewer; so the program need not ask for it. It is classic BPF, walks forward only, and holds
//! what passes to be longer than any frame, unless [`FilterSettings::snap`] says less.

mod program;

use crate::sys::packet::Instruction;
use crate::wire::link::MAX_VLANS;
use crate::wire::tunnel::Tunnels;
use program::{Load, Program, Target, Test};

/// Most SIP ports, and most ports of a kind of tunnel: with these the program stays below the kernel's 4,096 instructions (`BPF_MAXINSNS`).
pub const MAX_PORTS: usize = 64;

/// What the kernel lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSettings {
    /// Ports of SIP over UDP, TCP and SCTP, in clear.
    pub sip_ports: Vec<u16>,
    /// Tunnels to look into.
    pub tunnels: Tunnels,
    /// How many octets of a frame are kept.
    pub snap: u32,
}

impl Default for FilterSettings {
    /// SIP's registered port and the one that many switches use beside it, and all tunnels at theirs.
    fn default() -> Self {
        Self {
            sip_ports: vec![5060, 5080],
            tunnels: Tunnels::default(),
            snap: 262_144,
        }
    }
}

/// What frames of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// An Ethernet header.
    Ethernet,
    /// The IP packet itself.
    Ip,
}

/// Nothing passes: what a socket starts with that is not to hear before others are ready, too.
pub fn nothing() -> Vec<Instruction> {
    let mut p = Program::new(0);
    p.go(Target::Drop);
    p.finish()
}

/// The program for these settings.
pub fn generate(
    settings: &FilterSettings,
    front: Front,
    ignore_outgoing: bool,
) -> Vec<Instruction> {
    let mut p = Program::new(settings.snap);
    if ignore_outgoing {
        // In a fanout group the socket's own option has no effect, and older kernels know no other.
        p.load(Load::PacketType);
        p.when(Test::Equal, PACKET_OUTGOING, Target::Drop);
    }
    p.set_x(0);
    if front == Front::Ethernet {
        ethernet(&mut p, &settings.tunnels);
    }
    // X stands at the IP header. Its own version counts, not what the link says.
    let (v4, v6, protocol) = (p.label(), p.label(), p.label());
    p.load(Load::Octet(0));
    p.shift_right(4);
    p.when(Test::Equal, 4, Target::To(v4));
    p.when(Test::Equal, 6, Target::To(v6));
    p.go(Target::Drop);

    p.place(v4);
    p.load(Load::Short(6));
    // More fragments, or an offset.
    p.when(Test::AnyBit, 0x3fff, Target::Pass);
    p.load(Load::Octet(9));
    p.store();
    p.load(Load::Octet(0));
    p.and(0x0f);
    p.shift_left(2);
    p.add_x();
    p.a_to_x();
    p.recall();
    p.go(Target::To(protocol));

    p.place(v6);
    p.load(Load::Octet(6));
    for header in EXTENSIONS {
        p.when(Test::Equal, header, Target::Pass);
    }
    p.store();
    p.advance(40);
    p.recall();

    // A is the protocol, and X stands behind the IP header.
    p.place(protocol);
    let (udp, ports) = (p.label(), p.label());
    p.when(Test::Equal, 17, Target::To(udp));
    p.when(Test::Equal, 6, Target::To(ports));
    p.when(Test::Equal, 132, Target::To(ports));
    if settings.tunnels.gre {
        p.when(Test::Equal, 47, Target::Pass);
    }
    if settings.tunnels.ip_in_ip {
        p.when(Test::Equal, 4, Target::Pass);
        p.when(Test::Equal, 41, Target::Pass);
    }
    p.go(Target::Drop);

    p.place(udp);
    let tunnels = &settings.tunnels;
    let tunnel_ports = tunnels.vxlan_ports.iter().chain(&tunnels.geneve_ports);
    either_port(&mut p, tunnel_ports);
    p.place(ports);
    either_port(&mut p, settings.sip_ports.iter());
    p.go(Target::Drop);
    p.finish()
}

/// Goes through the Ethernet header and its tags, and leaves X at the IP header.
fn ethernet(p: &mut Program, tunnels: &Tunnels) {
    let (kind, ip) = (p.label(), p.label());
    for _ in 0..MAX_VLANS {
        let tag = p.label();
        p.load(Load::Short(12));
        for tpid in TPIDS {
            p.when(Test::Equal, tpid, Target::To(tag));
        }
        p.go(Target::To(kind));
        p.place(tag);
        p.advance(4);
    }
    p.load(Load::Short(12));
    p.place(kind);
    p.when(Test::Equal, 0x0800, Target::To(ip));
    p.when(Test::Equal, 0x86dd, Target::To(ip));
    if tunnels.mpls {
        p.when(Test::Equal, 0x8847, Target::Pass);
        p.when(Test::Equal, 0x8848, Target::Pass);
    }
    if tunnels.pppoe {
        p.when(Test::Equal, 0x8864, Target::Pass);
    }
    // A length (IEEE 802.3 §3.2.6) and SNAP with an Ethernet type.
    let snap = p.label();
    p.when(Test::AtLeast, 1536, Target::Drop);
    p.load(Load::Long(14));
    p.when(Test::Equal, 0xaaaa_0300, Target::To(snap));
    p.go(Target::Drop);
    p.place(snap);
    p.load(Load::Short(18));
    p.when(Test::Equal, 0, Target::Pass);
    p.go(Target::Drop);
    p.place(ip);
    p.advance(14);
}

/// Passes what comes from or goes to one of these ports. X stands at the transport's header.
fn either_port<'a>(p: &mut Program, ports: impl Iterator<Item = &'a u16> + Clone) {
    for offset in [0, 2] {
        p.load(Load::Short(offset));
        for port in ports.clone() {
            p.when(Test::Equal, u32::from(*port), Target::Pass);
        }
    }
}

/// Sent by this host (`linux/if_packet.h`).
const PACKET_OUTGOING: u32 = 4;
/// 802.1Q, 802.1ad, and what came before 802.1ad, as [`crate::wire::link`] knows them.
const TPIDS: [u32; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// IPv6 extension headers, Fragment (44) among them, as [`crate::wire::ip::walk_extensions`] knows them.
const EXTENSIONS: [u32; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;
