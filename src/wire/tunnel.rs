//! Which tunnels are looked into.

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
