//! Who may mirror to us: the allow-list.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::wire::hep::{HepPacket, is_agent};

/// An agent of the configuration. All that it names must hold; what it leaves out is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name: the sensor's.
    pub name: Arc<str>,
    /// Which sensor it is, by index.
    pub sensor: u16,
    /// Where it sends from.
    pub networks: Vec<IpNet>,
    /// Number by which it names itself.
    pub id: Option<u32>,
    /// Key that its packets must bear.
    pub key: Option<AgentKey>,
    /// Over what it must come.
    pub carrier: Option<CarrierKind>,
    /// Name in its client certificate, or its fingerprint: see [`ClientCertificate::is`].
    pub certificate: Option<Box<str>>,
}

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentKey(Box<[u8]>);

impl AgentKey {
    /// The given octets.
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// Compares without telling by its time how much was right. That of another length may show.
    fn is(&self, said: &[u8]) -> bool {
        let differing = self.0.iter().zip(said).fold(0, |d, (a, b)| d | (a ^ b));
        self.0.len() == said.len() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentKey(…)")
    }
}

/// What brings HEP to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CarrierKind {
    /// Datagrams: anybody on the way can write them in anybody's name.
    Udp,
    /// A connection in clear.
    Tcp,
    /// A connection under TLS.
    Tls,
}

/// What brought a packet.
#[derive(Clone, Copy, Debug)]
pub enum Carrier<'a> {
    /// A datagram.
    Udp,
    /// A connection in clear.
    Tcp,
    /// A connection under TLS, and the client certificate that was verified in its handshake.
    Tls(Option<&'a ClientCertificate>),
}

impl Carrier<'_> {
    /// Which of the three.
    pub fn kind(&self) -> CarrierKind {
        match self {
            Self::Udp => CarrierKind::Udp,
            Self::Tcp => CarrierKind::Tcp,
            Self::Tls(_) => CarrierKind::Tls,
        }
    }
}

/// Whose certificate it is, as far as an agent can be known by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Common name of the subject, and the DNS names of subjectAltName.
    pub names: Vec<Box<str>>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: Box<str>,
}

impl ClientCertificate {
    /// Whether it is the one that the configuration names: by one of its names in any case, or as `sha256:` and the fingerprint in hexadecimal, with or
    /// without colons.
    pub fn is(&self, known: &str) -> bool {
        match known.strip_prefix("sha256:") {
            Some(print) => {
                let digits = print.bytes().filter(|b| *b != b':');
                digits
                    .map(|b| b.to_ascii_lowercase())
                    .eq(self.fingerprint.bytes())
            }
            None => self.names.iter().any(|n| n.eq_ignore_ascii_case(known)),
        }
    }
}

/// Why no agent fits, in the order in which it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// None sends from that address.
    Address,
    /// One does, but over something else.
    Carrier,
    /// Its client certificate is another one, or missing.
    Certificate,
    /// It names itself otherwise, or not at all.
    Id,
    /// The key is wrong or missing.
    Key,
}

/// The first agent in the order of the configuration that fits; else what the one that came nearest lacks.
///
/// # Errors
///
/// [`Refusal`]
pub fn find<'a>(
    agents: &'a [Agent],
    from: IpAddr,
    over: Carrier<'_>,
    packet: &HepPacket<'_>,
) -> Result<&'a Agent, Refusal> {
    let from = from.to_canonical();
    let mut nearest = Refusal::Address;
    for agent in agents {
        match agent.admit(from, over, packet) {
            Ok(()) => return Ok(agent),
            Err(refusal) => nearest = nearest.max(refusal),
        }
    }
    Err(nearest)
}

/// Whether some agent sends from an address over a carrier: what a connection must show before it is read.
pub fn may_connect(agents: &[Agent], from: IpAddr, over: CarrierKind) -> bool {
    let from = from.to_canonical();
    agents
        .iter()
        .any(|a| a.sends_from(from) && a.carrier.is_none_or(|c| c == over))
}

impl Agent {
    fn sends_from(&self, from: IpAddr) -> bool {
        self.networks.iter().any(|n| n.contains(&from))
    }

    fn admit(&self, from: IpAddr, over: Carrier<'_>, p: &HepPacket<'_>) -> Result<(), Refusal> {
        if !self.sends_from(from) {
            return Err(Refusal::Address);
        }
        if self.carrier.is_some_and(|c| c != over.kind()) {
            return Err(Refusal::Carrier);
        }
        if let Some(known) = &self.certificate {
            match over {
                Carrier::Tls(Some(shown)) if shown.is(known) => {}
                _ => return Err(Refusal::Certificate),
            }
        }
        if self
            .id
            .is_some_and(|known| !p.agent.is_some_and(|said| is_agent(said, known)))
        {
            return Err(Refusal::Id);
        }
        match &self.key {
            Some(known) if !p.key.is_some_and(|said| known.is(said.0)) => Err(Refusal::Key),
            _ => Ok(()),
        }
    }
}
