//! Through which tunnels a packet came. Part of every key: the same addresses in two tunnels are two networks.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Opened, TunnelKind};
use crate::wire::Vlans;

/// Tunnels from the outermost to the innermost; none for nearly all packets, and then it costs eight octets and no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TunnelPath(Option<Arc<Hop>>);

/// The innermost tunnel of a path, and the path to it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// What it is.
    pub kind: TunnelKind,
    /// Its number: see [`TunnelKind`].
    pub id: Option<u32>,
    /// Between which addresses it runs, the lower one first, so that both directions have the same path. A tunnel below IP has none.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// VLAN ids of the frame that carries the tunnel, outermost first, where the tunnel holds a frame of its own.
    pub vlans: Vlans,
    /// What is around it.
    pub outer: TunnelPath,
}

impl TunnelPath {
    /// No tunnel.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The path into a tunnel found on this path.
    #[must_use]
    pub fn into_tunnel(
        self,
        opened: &Opened<'_>,
        ends: Option<(IpAddr, IpAddr)>,
        vlans: Vlans,
    ) -> Self {
        Self(Some(Arc::new(Hop {
            kind: opened.kind,
            id: opened.id,
            ends: ends.map(|(a, b)| (a.min(b), a.max(b))),
            vlans,
            outer: self,
        })))
    }

    /// The innermost tunnel.
    pub fn innermost(&self) -> Option<&Hop> {
        self.0.as_deref()
    }

    /// Whether there is no tunnel.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Tunnels from the innermost to the outermost.
    pub fn iter(&self) -> impl Iterator<Item = &Hop> {
        std::iter::successors(self.innermost(), |hop| hop.outer.innermost())
    }

    /// How many tunnels.
    pub fn depth(&self) -> usize {
        self.iter().count()
    }
}
