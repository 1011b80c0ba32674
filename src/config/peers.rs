//! `peers.toml`: neighbours and the ordered rules that name them.
//!
//! It refuses what could move blame: a rule that asks for words of a message and names no networks, and a rule that can never match.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::reader::{Problem, Reader, Section};
use crate::call::peer::{
    HeaderKey, HeaderTest, Pattern, Peer, PeerKind, PeerRule, PeerTable, Way, review,
};
use crate::wire::{Mac, Transport};

/// Most rules: ten times what the largest carriers have trunks to other providers.
const MAX_RULES: usize = 10_000;

/// Most rules that ask for headers: each may have every INVITE looked through once more.
const MAX_HEADER_RULES: usize = 64;

/// Longest technical prefix. Real ones have up to eight digits.
const MAX_PREFIX: usize = 12;

/// Reads the text of a peers file. The version is filled in by the caller.
pub(super) fn read(file: &Path, text: &str) -> (PeerTable, Vec<Problem>) {
    let (reader, table) = Reader::parse(file, text);
    let root = reader.root(&table);
    let mut peers: Vec<Peer> = Vec::new();
    for section in root.sections("peer") {
        if let Some(peer) = peer(&section, &peers) {
            peers.push(peer);
        }
        section.finish();
    }
    let mut rules: Vec<PeerRule> = Vec::new();
    for section in root.sections("rule") {
        if let Some(rule) = rule(&section, &peers, &rules) {
            rules.push(rule);
        }
        section.finish();
    }
    root.finish();
    let headers = rules.iter().filter(|r| r.header.is_some()).count();
    if headers > MAX_HEADER_RULES {
        reader.problem(
            &(0..0),
            format!("{headers} rules ask for headers; {MAX_HEADER_RULES} may"),
            "tell neighbours apart by address, VLAN or trunk group where that is possible",
        );
    }
    if rules.len() > MAX_RULES {
        reader.problem(
            &(0..0),
            format!("{} rules; {MAX_RULES} are the most", rules.len()),
            "write networks that belong to one neighbour into one rule",
        );
    }
    if rules.is_empty() {
        reader.problem(
            &(0..0),
            "no [[rule]]: every call would come from an unknown upstream".to_owned(),
            "write a [[peer]] and a [[rule]] for each neighbour and for your own platform",
        );
    }
    (PeerTable::new(peers, rules, 0), reader.into_problems())
}

fn peer(s: &Section<'_, '_>, known: &[Peer]) -> Option<Peer> {
    let (id, id_span) = s.required("id", "\"northstar\"")?;
    if known.iter().any(|p| &*p.id == id) {
        s.problem_at(
            &id_span,
            format!("peer {id:?} stands twice"),
            "give each peer an id of its own",
        );
        return None;
    }
    if !id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        s.problem_at(
            &id_span,
            format!("peer id {id:?} has characters that are not letters, digits, - _ ."),
            "the id is a metric label and part of answers: keep it short and plain",
        );
    }
    let (name, _) = s.required("name", "\"Northstar Voice LLC\"")?;
    let kind = kind(s)?;
    let optional = |key| s.text(key).map(|(t, _)| Arc::from(t));
    let country = match s.text("country") {
        Some((c, span)) => {
            if c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase()) {
                s.problem_at(
                    &span,
                    format!("country {c:?} is no ISO 3166 code"),
                    "write two capital letters, such as \"US\"",
                );
            }
            Arc::from(c)
        }
        None => Arc::from("US"),
    };
    Some(Peer {
        id: id.into(),
        name: name.into(),
        kind,
        platform: s.flag("platform", false),
        country,
        ocn: optional("ocn"),
        signers: signers(s),
        frn: optional("frn"),
        portal_id: optional("portal_id"),
        rmd: optional("rmd"),
        contact: optional("contact"),
    })
}

fn kind(s: &Section<'_, '_>) -> Option<PeerKind> {
    let (text, span) = s.required("kind", "\"provider\"")?;
    match text {
        "provider" => Some(PeerKind::Provider),
        "customer" => Some(PeerKind::Customer),
        "foreign" => Some(PeerKind::Foreign),
        "own" => Some(PeerKind::Own),
        _ => {
            s.problem_at(
                &span,
                format!("kind {text:?} is unknown"),
                "write provider, customer, foreign or own",
            );
            None
        }
    }
}

fn rule(s: &Section<'_, '_>, peers: &[Peer], before: &[PeerRule]) -> Option<PeerRule> {
    let keys = keys(s);
    let (name, name_span) = s.required("name", "\"northstar-trunk\"")?;
    if before.iter().any(|r| &*r.name == name) {
        s.problem_at(
            &name_span,
            format!("rule {name:?} stands twice"),
            "give each rule a name of its own",
        );
    }
    let (id, span) = s.required("peer", "\"northstar\"")?;
    let Some(peer) = peers.iter().position(|p| &*p.id == id) else {
        s.problem_at(
            &span,
            format!("no [[peer]] has the id {id:?}"),
            "write the [[peer]], or mend the id",
        );
        return None;
    };
    let rule = PeerRule {
        name: name.into(),
        peer,
        ..keys
    };
    let own = peers.get(peer).is_some_and(|p| p.kind == PeerKind::Own);
    check(s, &rule, own);
    // A rule without networks takes no address of our own platform.
    let is_own = |r: &PeerRule| {
        let peer = peers.get(r.peer);
        peer.is_some_and(|p| p.kind == PeerKind::Own)
    };
    let near = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let ours = |n: &IpNet| {
        let own = before.iter().filter(|r| is_own(r));
        own.flat_map(|r| &r.networks).any(|o| near(n, o))
    };
    let among_ours = own || rule.networks.iter().any(ours);
    let shadows =
        |w: &PeerRule| review::shadows(w, &rule) && !(among_ours && w.networks.is_empty());
    if let Some(wider) = before.iter().find(|w| shadows(w)) {
        s.problem_at(
            &name_span,
            format!(
                "rule {name:?} can never match: {:?} stands before it and takes all its calls",
                wider.name
            ),
            "put the narrower rule first",
        );
    }
    Some(rule)
}

/// The keys of a rule; name and neighbour are filled in by the caller.
fn keys(s: &Section<'_, '_>) -> PeerRule {
    let number = |key, range| {
        let n = s.integer_if(key, range);
        n.and_then(|n| u16::try_from(n).ok())
    };
    let text = |key| s.text(key).map(|(t, _)| Box::from(t));
    let name = |key| s.text(key).map(|(t, _)| Arc::from(t));
    let ways = [
        ("both", Way::Both),
        ("ingress", Way::Ingress),
        ("egress", Way::Egress),
    ];
    PeerRule {
        way: s.choice("direction", &ways).unwrap_or_default(),
        signers: signers(s),
        interface: name("interface"),
        agent: name("agent"),
        macs: macs(s),
        vlan: number("vlan", 0..4_096),
        inner_vlan: number("inner_vlan", 0..4_096),
        networks: networks(s, "networks"),
        port: number("port", 1..65_536),
        own_networks: networks(s, "own_networks"),
        own_port: number("own_port", 1..65_536),
        transport: s.choice("transport", &TRANSPORTS),
        trunk_group: text("trunk_group"),
        trunk_context: text("trunk_context"),
        otg: text("otg"),
        orig_ioi: text("orig_ioi"),
        tech_prefix: tech_prefix(s),
        header: header(s),
        ..PeerRule::default()
    }
}

const TRANSPORTS: [(&str, Transport); 6] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
    ("ws", Transport::Ws),
    ("wss", Transport::Wss),
    ("sctp", Transport::Sctp),
];

/// Whether the keys make a rule that names one neighbour's calls.
fn check(s: &Section<'_, '_>, rule: &PeerRule, own: bool) {
    let name = &rule.name;
    let problem = |what: String, remedy: &str| s.problem_at(&s.span(), what, remedy);
    let keys = rule.keys();
    let mut listens = keys.iter().filter(|k| !k.is_shown());
    if keys.iter().next().is_none() {
        problem(
            format!("rule {name:?} has no key and would match every call"),
            "write networks, vlan, port or trunk_group",
        );
    } else if let (Some(key), true) = (listens.next(), rule.networks.is_empty()) {
        problem(
            format!(
                "rule {name:?} asks for {} and names no networks: whoever writes the same would be taken for this neighbour",
                key.label()
            ),
            "write the networks that the neighbour's calls come from beside it",
        );
    } else if own && rule.networks.is_empty() {
        problem(
            format!("rule {name:?} is for your own platform and names no networks"),
            "write networks with the addresses of your platform",
        );
    }
    if own && (rule.way != Way::Both || rule.listens() || !rule.macs.is_empty()) {
        problem(
            format!("rule {name:?} is for your own platform and asks which way a call goes"),
            "write only addresses, ports and VLANs there: your platform is told by where it is",
        );
    }
    if rule.interface.is_some() && rule.agent.is_some() {
        problem(
            format!("rule {name:?} has interface and agent: no message comes from both"),
            "write a rule for each",
        );
    }
    if rule.agent.is_some() && !rule.macs.is_empty() {
        problem(
            format!("rule {name:?} has agent and mac: agents show no hardware address"),
            "take mac out",
        );
    }
}

fn signers(s: &Section<'_, '_>) -> Vec<Box<str>> {
    let mut out: Vec<Box<str>> = Vec::new();
    for (text, span) in s.texts("signers") {
        let code = text.to_ascii_uppercase();
        if code.is_empty() || code.len() > 10 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
            s.problem_at(
                &span,
                format!("{text:?} is no service provider code"),
                "write the code as certificates have it, such as \"1234\"",
            );
        }
        out.push(code.into());
    }
    out
}

fn macs(s: &Section<'_, '_>) -> Vec<Mac> {
    let mut out = Vec::new();
    for (text, span) in s.texts("mac") {
        match mac(text) {
            Some(mac) => out.push(mac),
            None => s.problem_at(
                &span,
                format!("{text:?} is no hardware address"),
                "write six octets, such as \"00:00:5e:00:53:01\"",
            ),
        }
    }
    out
}

/// Six octets in hexadecimal between colons or hyphens.
pub fn mac(text: &str) -> Option<Mac> {
    let mut out = Mac::default();
    let mut parts = text.split([':', '-']);
    for octet in &mut out {
        let part = parts.next()?;
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(out)
}

fn tech_prefix(s: &Section<'_, '_>) -> Option<Box<str>> {
    let (text, span) = s.text("tech_prefix")?;
    let digits = |b: u8| b.is_ascii_digit() || b"*#".contains(&b);
    if text.len() > MAX_PREFIX || !text.bytes().all(digits) {
        s.problem_at(
            &span,
            format!("{text:?} is no technical prefix"),
            format!("write up to {MAX_PREFIX} digits, * or #, such as \"9011#\""),
        );
        return None;
    }
    Some(text.into())
}

/// `header = { name = "X-Trunk", value = "ACME" }`, or `prefix` or `pattern` instead of `value`.
fn header(s: &Section<'_, '_>) -> Option<HeaderKey> {
    if !s.has("header") {
        return None;
    }
    let h = s.section("header");
    let name = h.required("name", "\"X-Trunk\"");
    let text = |key| h.text(key);
    let tests = [text("value"), text("prefix"), text("pattern")];
    h.finish_ref();
    let (name, name_span) = name?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    if !name.bytes().all(token) {
        s.problem_at(
            &name_span,
            format!("{name:?} is no name of a header"),
            "write it as it stands before the colon, such as \"X-Trunk\"",
        );
    }
    let test = match tests {
        [Some((value, _)), None, None] => HeaderTest::Value(value.into()),
        [None, Some((front, _)), None] => HeaderTest::Prefix(front.into()),
        [None, None, Some((pattern, span))] => match Pattern::new(pattern) {
            Ok(pattern) => HeaderTest::Pattern(pattern),
            Err(e) => {
                s.problem_at(
                    &span,
                    format!("{pattern:?} is no regular expression: {e}"),
                    "mend it, or write value or prefix",
                );
                return None;
            }
        },
        _ => {
            s.problem_at(
                &h.span(),
                "header needs one of value, prefix and pattern".to_owned(),
                "write, for instance: header = { name = \"X-Trunk\", value = \"ACME\" }",
            );
            return None;
        }
    };
    Some(HeaderKey {
        name: name.into(),
        test,
    })
}

fn networks(s: &Section<'_, '_>, key: &'static str) -> Vec<IpNet> {
    let mut out = Vec::new();
    for (text, span) in s.texts(key) {
        match network(text) {
            Some(net) => out.push(net),
            None => bad_network(s, text, &span),
        }
    }
    out
}

fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

fn bad_network(s: &Section<'_, '_>, text: &str, span: &Range<usize>) {
    s.problem_at(
        span,
        format!("{text:?} is no network"),
        "write an address or a prefix, such as \"198.51.100.0/28\" or \"2001:db8:1::/48\"",
    );
}

#[cfg(test)]
mod tests;
