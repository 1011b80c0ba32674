//! What an operator should know of his rules: which of them can match the same call, which share addresses, which reach far.
//!
//! None of it is wrong by itself. What can never be right, a rule that never matches, the reader of the configuration refuses ([`shadows`]).

use std::sync::Arc;

use ipnet::IpNet;

use super::attribution::PeerKey;
use super::rule::{HeaderTest, PeerRule, Way};
use super::{PeerKind, PeerTable};

/// A network of so many addresses is hardly one neighbour's: IPv4 /8 and wider.
const WIDE_V4: u8 = 8;

/// The same for IPv6: registries give providers /32 to /20.
const WIDE_V6: u8 = 19;

/// Most remarks of one kind: the rest are counted.
const MOST: usize = 1_000;

/// What kind of thing is remarked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemarkKind {
    /// Two rules of different neighbours can match one call by what packets show; the first wins.
    Overlap,
    /// Two neighbours share addresses: only what a message says tells them apart.
    SharedAddress,
    /// A network so wide that it is hardly one neighbour's.
    WideNetwork,
    /// A rule that names no networks: any address but our own.
    AnyAddress,
    /// A neighbour that no rule names.
    PeerWithoutRule,
}

impl RemarkKind {
    /// Its name in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::SharedAddress => "shared-address",
            Self::WideNetwork => "wide-network",
            Self::AnyAddress => "any-address",
            Self::PeerWithoutRule => "peer-without-rule",
        }
    }
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// Its kind.
    pub kind: RemarkKind,
    /// Rules that it is about, the one that wins first; for a neighbour without rules, its id.
    pub about: Vec<Arc<str>>,
    /// For people.
    pub what: String,
}

/// Everything worth knowing of a table, by kind and in the order written; and how many more overlaps there are than are listed.
pub fn review(table: &PeerTable) -> (Vec<Remark>, usize) {
    let (mut out, mut more) = (Vec::new(), 0);
    for (n, first) in table.rules.iter().enumerate() {
        for second in table.rules.iter().skip(n + 1) {
            if let Some(remark) = pair(table, first, second) {
                if out.len() < MOST {
                    out.push(remark);
                } else {
                    more += 1;
                }
            }
        }
    }
    for rule in &table.rules {
        out.extend(alone(rule));
    }
    for (i, peer) in table.peers.iter().enumerate() {
        if !table.rules.iter().any(|r| r.peer == i) {
            out.push(Remark {
                kind: RemarkKind::PeerWithoutRule,
                about: vec![peer.id.clone()],
                what: format!("no rule names {}: no call is ever its", peer.id),
            });
        }
    }
    out.sort_by_key(|r| r.kind);
    (out, more)
}

fn pair(table: &PeerTable, first: &PeerRule, second: &PeerRule) -> Option<Remark> {
    if first.peer == second.peer || !meet(table, first, second) {
        return None;
    }
    let id = |r: &PeerRule| table.peers.get(r.peer).map(|p| p.id.clone());
    let (one, other) = (id(first)?, id(second)?);
    let (a, b) = (&first.name, &second.name);
    let at = meeting(first, second);
    // A narrower network within a wider one is told by the address.
    let (kind, what) = if first.listens() {
        let what = format!(
            "{one} and {other} share {at}: {a} takes calls that say {}, {b} the others; records of both are marked as shared",
            words(first)
        );
        (RemarkKind::SharedAddress, what)
    } else {
        let what = format!("{a} ({one}) and {b} ({other}) both match calls at {at}: {a} wins");
        (RemarkKind::Overlap, what)
    };
    Some(Remark {
        kind,
        about: vec![a.clone(), b.clone()],
        what,
    })
}

fn alone(rule: &PeerRule) -> Vec<Remark> {
    let remark = |kind, what| Remark {
        kind,
        about: vec![rule.name.clone()],
        what,
    };
    let wide = |n: &&IpNet| {
        let least = if n.addr().is_ipv4() { WIDE_V4 } else { WIDE_V6 };
        n.prefix_len() <= least
    };
    let mut out: Vec<_> = rule
        .networks
        .iter()
        .filter(wide)
        .map(|n| {
            let what = format!("{} names {n}, which is hardly one neighbour's", rule.name);
            remark(RemarkKind::WideNetwork, what)
        })
        .collect();
    if rule.networks.is_empty() {
        let keys: Vec<_> = rule.keys().iter().map(PeerKey::label).collect();
        let what = format!(
            "{} names no networks: any address with the same {} is this neighbour",
            rule.name,
            keys.join(", ")
        );
        out.push(remark(RemarkKind::AnyAddress, what));
    }
    out
}

/// What a rule asks of the message.
fn words(rule: &PeerRule) -> String {
    let mut said = Vec::new();
    let mut add = |key: PeerKey, value: &Option<Box<str>>| {
        if let Some(value) = value {
            said.push(format!("{} {value}", key.label()));
        }
    };
    add(PeerKey::TrunkGroup, &rule.trunk_group);
    add(PeerKey::TrunkContext, &rule.trunk_context);
    add(PeerKey::Otg, &rule.otg);
    add(PeerKey::OrigIoi, &rule.orig_ioi);
    add(PeerKey::TechPrefix, &rule.tech_prefix);
    if let Some(h) = &rule.header {
        let test = match &h.test {
            HeaderTest::Value(v) => format!("{}: {v}", h.name),
            HeaderTest::Prefix(v) => format!("{}: {v}…", h.name),
            HeaderTest::Pattern(p) => format!("{} like {}", h.name, p.as_str()),
        };
        said.push(test);
    }
    said.join(", ")
}

/// A network at which both match, for people.
fn meeting(a: &PeerRule, b: &PeerRule) -> String {
    let mut common = a.networks.iter().flat_map(|x| {
        let narrower = move |y: &IpNet| match (x.contains(y), y.contains(x)) {
            (true, _) => Some(*y),
            (_, true) => Some(*x),
            _ => None,
        };
        b.networks.iter().filter_map(narrower)
    });
    match (a.networks.is_empty(), b.networks.is_empty()) {
        (false, false) => common.next().map(|n| n.to_string()),
        (false, true) => a.networks.first().map(IpNet::to_string),
        (true, false) => b.networks.first().map(IpNet::to_string),
        (true, true) => None,
    }
    .unwrap_or_else(|| "any address".to_owned())
}

/// Whether some packet fits both rules, and some message as far as one can tell: two values of one header may both be there, two trunk groups not.
fn meet(table: &PeerTable, a: &PeerRule, b: &PeerRule) -> bool {
    fn same<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
        a.is_none() || b.is_none() || a == b
    }
    fn nets(a: &[IpNet], b: &[IpNet]) -> bool {
        let near = |x: &IpNet| b.iter().any(|y| x.contains(y) || y.contains(x));
        a.is_empty() || b.is_empty() || a.iter().any(near)
    }
    let own = |r: &PeerRule| {
        table
            .peers
            .get(r.peer)
            .is_some_and(|p| p.kind == PeerKind::Own)
    };
    // A rule without networks never takes an address of our own platform.
    let ours = (own(a) && b.networks.is_empty()) || (own(b) && a.networks.is_empty());
    let macs = a.macs.is_empty() || b.macs.is_empty() || a.macs.iter().any(|m| b.macs.contains(m));
    let sensors = (a.interface.is_none() || b.agent.is_none())
        && (a.agent.is_none() || b.interface.is_none());
    !ours
        && macs
        && sensors
        && a.way.meets(b.way)
        && nets(&a.networks, &b.networks)
        && nets(&a.own_networks, &b.own_networks)
        && same(&a.interface, &b.interface)
        && same(&a.agent, &b.agent)
        && same(&a.vlan, &b.vlan)
        && same(&a.inner_vlan, &b.inner_vlan)
        && same(&a.port, &b.port)
        && same(&a.own_port, &b.own_port)
        && same(&a.transport, &b.transport)
}

/// Whether everything that `narrow` matches is matched by `wide` as well, so that behind `wide` it never matches.
pub fn shadows(wide: &PeerRule, narrow: &PeerRule) -> bool {
    fn no_wider<T: PartialEq>(wide: &Option<T>, narrow: &Option<T>) -> bool {
        wide.is_none() || wide == narrow
    }
    fn text(wide: &Option<Box<str>>, narrow: &Option<Box<str>>) -> bool {
        match (wide, narrow) {
            (None, _) => true,
            (Some(w), Some(n)) => w.eq_ignore_ascii_case(n),
            (Some(_), None) => false,
        }
    }
    fn nets(wide: &[IpNet], narrow: &[IpNet]) -> bool {
        let within = |n: &IpNet| wide.iter().any(|w| w.contains(n));
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(within))
    }
    let macs = wide.macs.is_empty()
        || (!narrow.macs.is_empty() && narrow.macs.iter().all(|m| wide.macs.contains(m)));
    macs && (wide.way == Way::Both || wide.way == narrow.way)
        && nets(&wide.networks, &narrow.networks)
        && nets(&wide.own_networks, &narrow.own_networks)
        && no_wider(&wide.interface, &narrow.interface)
        && no_wider(&wide.agent, &narrow.agent)
        && no_wider(&wide.vlan, &narrow.vlan)
        && no_wider(&wide.inner_vlan, &narrow.inner_vlan)
        && no_wider(&wide.port, &narrow.port)
        && no_wider(&wide.own_port, &narrow.own_port)
        && no_wider(&wide.transport, &narrow.transport)
        && text(&wide.trunk_group, &narrow.trunk_group)
        && text(&wide.trunk_context, &narrow.trunk_context)
        && text(&wide.otg, &narrow.otg)
        && text(&wide.orig_ioi, &narrow.orig_ioi)
        // A shorter prefix fits wherever a longer one does.
        && match (&wide.tech_prefix, &narrow.tech_prefix) {
            (None, _) => true,
            (Some(w), Some(n)) => n.starts_with(&**w) && n.bytes().skip(w.len()).all(|b| b.is_ascii_digit()),
            (Some(_), None) => false,
        }
        && no_wider(&wide.header, &narrow.header)
}

#[cfg(test)]
mod tests {
    use super::super::Peer;
    use super::*;

    fn kinds(rules: Vec<PeerRule>) -> Vec<(RemarkKind, String)> {
        let peers = vec![
            Peer::new("us", PeerKind::Own),
            Peer::new("a", PeerKind::Provider),
            Peer::new("b", PeerKind::Provider),
        ];
        let mut all = vec![rule("us", 0, &["192.0.2.0/28"])];
        all.extend(rules);
        let (remarks, more) = review(&PeerTable::new(peers, all, 1));
        assert_eq!(more, 0);
        let about = |r: &Remark| r.about.join(" ");
        remarks.iter().map(|r| (r.kind, about(r))).collect()
    }

    fn rule(name: &str, peer: usize, nets: &[&str]) -> PeerRule {
        PeerRule {
            networks: nets.iter().map(|n| n.parse().unwrap()).collect(),
            ..PeerRule::new(name, peer)
        }
    }

    #[test]
    fn rules_that_meet_are_told_with_the_one_that_wins() {
        let narrow = || rule("n", 1, &["198.51.100.4/32"]);
        let wide = || rule("w", 2, &["198.51.100.0/28"]);
        let meet = |a, b| kinds(vec![a, b]);
        assert_eq!(
            meet(narrow(), wide()),
            [(RemarkKind::Overlap, "n w".to_owned())]
        );
        let shared = PeerRule {
            trunk_group: Some("t".into()),
            ..narrow()
        };
        assert_eq!(
            meet(shared, wide()),
            [(RemarkKind::SharedAddress, "n w".to_owned())]
        );
        // Apart by VLAN, way or address they never meet.
        let vlan = |r, v| PeerRule { vlan: Some(v), ..r };
        assert_eq!(meet(vlan(narrow(), 1), vlan(wide(), 2)), []);
        let way = |r, way| PeerRule { way, ..r };
        assert_eq!(
            meet(way(narrow(), Way::Ingress), way(wide(), Way::Egress)),
            []
        );
        assert_eq!(meet(narrow(), rule("w", 2, &["198.51.100.16/28"])), []);
    }

    #[test]
    fn what_reaches_far_and_who_has_no_rule_is_told() {
        let vlan = PeerRule {
            vlan: Some(7),
            ..PeerRule::new("v", 1)
        };
        let all = kinds(vec![vlan, rule("w", 1, &["10.0.0.0/8", "2001:db8::/32"])]);
        let expected = [
            (RemarkKind::WideNetwork, "w"),
            (RemarkKind::AnyAddress, "v"),
            (RemarkKind::PeerWithoutRule, "b"),
        ];
        assert_eq!(all, expected.map(|(k, t)| (k, t.to_owned())));
    }
}
