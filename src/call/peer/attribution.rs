//! By what a neighbour was told: which keys of the rule matched, and the values of those that a record has no other place for.
//!
//! What the packet shows (interface, tags, addresses) nobody on the far side can choose freely; what the message says anybody can write.
//! So the two are told apart ([`PeerKey::is_shown`]).

macro_rules! keys {
    ($( $id:ident $label:literal $shown:literal $what:literal; )*) => {
        /// What a rule can ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum PeerKey { $(
            #[doc = $what]
            $id,
        )* }

        impl PeerKey {
            /// Every key, those that the packet shows first.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// Its name, as in peers.toml and in records.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$id => $label),* }
            }

            /// Whether the packet shows it, rather than the message says it.
            pub const fn is_shown(self) -> bool {
                match self { $(Self::$id => $shown),* }
            }
        }
    };
}

impl PeerKey {
    /// Keys that the packet shows.
    pub const SHOWN: [Self; 10] = [
        Self::Interface,
        Self::Agent,
        Self::Mac,
        Self::Vlan,
        Self::InnerVlan,
        Self::Networks,
        Self::Port,
        Self::OwnNetworks,
        Self::OwnPort,
        Self::Transport,
    ];

    /// Keys that the message says.
    pub const SAID: [Self; 6] = [
        Self::TrunkGroup,
        Self::TrunkContext,
        Self::Otg,
        Self::OrigIoi,
        Self::TechPrefix,
        Self::Header,
    ];
}

keys! {
    Interface "interface" true "sensor that saw it";
    Agent "agent" true "HEP agent that mirrored it";
    Mac "mac" true "hardware address of the sender's router";
    Vlan "vlan" true "outer VLAN id";
    InnerVlan "inner_vlan" true "second VLAN id";
    Networks "networks" true "the neighbour's address";
    Port "port" true "the neighbour's port";
    OwnNetworks "own_networks" true "our address";
    OwnPort "own_port" true "our port";
    Transport "transport" true "what carried it";
    TrunkGroup "trunk_group" false "trunk group (RFC 4904 `tgrp`, or `otg`)";
    TrunkContext "trunk_context" false "`trunk-context` beside it";
    Otg "otg" false "`otg` alone";
    OrigIoi "orig_ioi" false "`orig-ioi` of P-Charging-Vector";
    TechPrefix "tech_prefix" false "technical prefix in front of the called number";
    Header "header" false "a header and its value";
}

/// A set of keys, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeerKeys(pub u32);

impl PeerKeys {
    /// Adds a key.
    pub fn insert(&mut self, key: PeerKey) {
        self.0 |= 1 << key as u8;
    }

    /// Whether a key is in it.
    pub fn contains(self, key: PeerKey) -> bool {
        self.0 & (1 << key as u8) != 0
    }

    /// Its keys in the order of [`PeerKey::ALL`].
    pub fn iter(self) -> impl Iterator<Item = PeerKey> {
        PeerKey::ALL
            .iter()
            .copied()
            .filter(move |k| self.contains(*k))
    }
}

impl FromIterator<PeerKey> for PeerKeys {
    fn from_iter<I: IntoIterator<Item = PeerKey>>(keys: I) -> Self {
        let mut set = Self::default();
        keys.into_iter().for_each(|k| set.insert(k));
        set
    }
}

impl serde::Serialize for PeerKeys {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter().map(PeerKey::label))
    }
}

/// The evidence that a record keeps of its neighbour. Values are there where the rule asked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Attribution {
    /// Keys of the rule that named the neighbour, all of which matched.
    pub keys: PeerKeys,
    /// Another rule with the same addresses and another neighbour exists: only what the message says tells them apart.
    pub shared: bool,
    /// Hardware address of the neighbour's router.
    #[serde(serialize_with = "serialize_mac")]
    pub mac: Option<[u8; 6]>,
    /// `trunk-context`.
    pub trunk_context: Option<Box<str>>,
    /// `orig-ioi` of P-Charging-Vector.
    pub orig_ioi: Option<Box<str>>,
    /// Technical prefix that was taken off the called number.
    pub tech_prefix: Option<Box<str>>,
    /// The header that matched, `Name: value`.
    pub header: Option<Box<str>>,
}

/// A hardware address as records write it: `00:00:5e:00:53:01`.
pub fn mac_text(mac: &[u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// Undoes [`mac_text`]: two digits each, in any case.
pub fn mac_from(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut mac {
        let part = parts.next()?;
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(mac)
}

fn serialize_mac<S: serde::Serializer>(mac: &Option<[u8; 6]>, s: S) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => s.serialize_some(&mac_text(mac)),
        None => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_goes_both_ways() {
        let mac = [0, 0, 0x5e, 0, 0x53, 0xaf];
        assert_eq!(mac_text(&mac), "00:00:5e:00:53:af");
        assert_eq!(mac_from("00:00:5E:00:53:AF"), Some(mac));
        for bad in [
            "",
            "00:00:5e:00:53",
            "00:00:5e:00:53:af:00",
            "0:0:5e:0:53:+f",
            "00-00-5e-00-53-af",
        ] {
            assert_eq!(mac_from(bad), None, "{bad}");
        }
    }
}
