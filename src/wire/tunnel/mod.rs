//! Tunnels: from a tunnel's header to the frame or packet inside it.
//!
//! Each decoder takes the octets behind the header that announced the tunnel and gives [`Opened`]: which tunnel it is, what it carries, and
//! the octets inside. It refuses, with a [`TunnelError`] to count, what a receiver would drop and what carries no IP. Nothing here
//! allocates; the caller goes inwards, at most [`MAX_TUNNELS`] deep, and keeps the way as a [`TunnelPath`].
//!
//! - [`path`]: the way in, part of every key
//! - [`mpls`], [`pppoe`]: below IP
//! - [`gre`], [`erspan`], [`ip_in_ip`]: on IP
//! - [`vxlan`], [`geneve`]: on UDP

pub mod erspan;
pub mod geneve;
pub mod gre;
pub mod ip_in_ip;
pub mod mpls;
pub mod path;
pub mod pppoe;
pub mod vxlan;

pub use path::TunnelPath;

/// The most tunnels around one packet. A mirrored (ERSPAN) overlay (VXLAN) over an MPLS core with PPPoE inside is four; Suricata stops at
/// sixteen layers of all kinds, which is about as deep.
pub const MAX_TUNNELS: usize = 4;

/// The tunnels in which SIP may run. What is off is neither let through by the kernel's filter nor opened here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnels {
    /// MPLS label stacks (RFC 3032).
    pub mpls: bool,
    /// PPPoE sessions (RFC 2516).
    pub pppoe: bool,
    /// GRE (RFC 2784, RFC 2890), and in it ERSPAN I to III.
    pub gre: bool,
    /// IPv4 or IPv6 in IPv4 or IPv6 (protocols 4 and 41).
    pub ip_in_ip: bool,
    /// UDP ports of VXLAN (RFC 7348; 4789).
    pub vxlan_ports: Vec<u16>,
    /// UDP ports of GENEVE (RFC 8926; 6081).
    pub geneve_ports: Vec<u16>,
}

impl Default for Tunnels {
    /// All of them, at their registered ports: what a capture file is read with.
    fn default() -> Self {
        Self {
            mpls: true,
            pppoe: true,
            gre: true,
            ip_in_ip: true,
            vxlan_ports: vec![4789],
            geneve_ports: vec![6081],
        }
    }
}

impl Tunnels {
    /// None of them.
    pub const fn none() -> Self {
        Self {
            mpls: false,
            pppoe: false,
            gre: false,
            ip_in_ip: false,
            vxlan_ports: Vec::new(),
            geneve_ports: Vec::new(),
        }
    }

    /// Which tunnel an IP protocol announces, if it is to be opened.
    pub fn of_protocol(&self, protocol: u8) -> Option<Announced> {
        match protocol {
            gre::PROTOCOL if self.gre => Some(Announced::Gre),
            ip_in_ip::IPV4 | ip_in_ip::IPV6 if self.ip_in_ip => Some(Announced::IpInIp),
            _ => None,
        }
    }

    /// Which tunnel a UDP port of destination announces, if it is to be opened.
    pub fn of_port(&self, destination: u16) -> Option<Announced> {
        if self.vxlan_ports.contains(&destination) {
            Some(Announced::Vxlan)
        } else if self.geneve_ports.contains(&destination) {
            Some(Announced::Geneve)
        } else {
            None
        }
    }
}

/// A tunnel that the header before it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A label stack.
    Mpls,
    /// A PPPoE session.
    Pppoe,
    /// GRE, perhaps with ERSPAN in it.
    Gre,
    /// An IP packet.
    IpInIp,
    /// VXLAN.
    Vxlan,
    /// GENEVE.
    Geneve,
}

impl Announced {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`TunnelError`], when it is broken, asks for what nobody should grant, or carries no IP.
    pub fn open(self, bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
        match self {
            Self::Mpls => mpls::open(bytes),
            Self::Pppoe => pppoe::open(bytes),
            Self::Gre => gre::open(bytes),
            Self::IpInIp => ip_in_ip::open(bytes),
            Self::Vxlan => vxlan::open(bytes),
            Self::Geneve => geneve::open(bytes),
        }
    }
}

/// What stands behind a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// An IP packet.
    Ip,
    /// An Ethernet frame.
    Ethernet,
    /// A label stack.
    Mpls,
    /// A PPPoE session.
    Pppoe,
}

/// Kinds of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TunnelKind {
    /// MPLS; its id is the innermost label.
    Mpls,
    /// PPPoE; its id is the session's.
    Pppoe,
    /// GRE; its id is the key.
    Gre,
    /// ERSPAN of any type; its id is the session and, above it, the VLAN that was mirrored.
    Erspan,
    /// IP in IP; it has no id.
    IpInIp,
    /// VXLAN; its id is the VNI.
    Vxlan,
    /// GENEVE; its id is the VNI.
    Geneve,
}

impl TunnelKind {
    /// Lower-case name, as in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::IpInIp => "ip-in-ip",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

/// A tunnel opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// What it is.
    pub kind: TunnelKind,
    /// Its number, as the kind has one. `None`: it has none, which is another thing than 0.
    pub id: Option<u32>,
    /// What is inside.
    pub carries: Carries,
    /// A VLAN tag that was taken off the frame inside and put into the tunnel's header.
    pub vlan: Option<u16>,
    /// The tunnel says that it cut the frame inside.
    pub truncated: bool,
    /// The octets inside.
    pub inside: &'a [u8],
}

/// Why a tunnel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelError {
    /// It ends before its header does.
    Truncated,
    /// Its header contradicts itself, or a receiver has to drop it.
    Malformed,
    /// Another version than we know.
    Version,
    /// GRE with source routing (RFC 1701): no receiver follows it any more.
    Routed,
    /// It carries something else than IP, or control messages of its own.
    NotIp,
}

pub(crate) fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), TunnelError> {
    bytes.split_first_chunk().ok_or(TunnelError::Truncated)
}

/// What an EtherType says stands behind it.
pub(crate) const fn of_ethertype(ethertype: u16) -> Option<Carries> {
    match ethertype {
        0x0800 | 0x86dd => Some(Carries::Ip),
        // Transparent Ethernet bridging (RFC 1701, IANA).
        0x6558 => Some(Carries::Ethernet),
        // Unicast, and what used to be multicast (RFC 5332).
        0x8847 | 0x8848 => Some(Carries::Mpls),
        0x8864 => Some(Carries::Pppoe),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
