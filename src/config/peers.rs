//! `peers.toml`: neighbours and the ordered rules that name them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::reader::{Problem, Reader, Section};
use crate::call::peer::{Peer, PeerKind, PeerRule, PeerTable};

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
    if rules.is_empty() {
        reader.problem(
            &(0..0),
            "no [[rule]]: every call would come from an unknown upstream".to_owned(),
            "write a [[peer]] and a [[rule]] for each neighbour and for your own platform",
        );
    }
    let table = PeerTable {
        peers,
        rules,
        version: 0,
    };
    (table, reader.into_problems())
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
        country,
        ocn: optional("ocn"),
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
    let networks = networks(s);
    let port = s
        .integer_if("port", 1..65_536)
        .and_then(|n| u16::try_from(n).ok());
    let vlan = s
        .integer_if("vlan", 0..4_096)
        .and_then(|n| u16::try_from(n).ok());
    let trunk_group = s.text("trunk_group").map(|(t, _)| Box::from(t));
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
    if networks.is_empty() && port.is_none() && vlan.is_none() && trunk_group.is_none() {
        s.problem_at(
            &s.span(),
            format!("rule {name:?} has no key and would match every call"),
            "write networks, vlan, port or trunk_group",
        );
    }
    let rule = PeerRule {
        name: name.into(),
        peer,
        networks,
        port,
        vlan,
        trunk_group,
    };
    if let Some(wider) = before.iter().find(|w| shadows(w, &rule)) {
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

fn networks(s: &Section<'_, '_>) -> Vec<IpNet> {
    let mut out = Vec::new();
    for (text, span) in s.texts("networks") {
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

/// Whether everything that `narrow` matches is matched by `wide` as well.
fn shadows(wide: &PeerRule, narrow: &PeerRule) -> bool {
    let within = |n: &IpNet| wide.networks.iter().any(|w| w.contains(n));
    let networks = wide.networks.is_empty()
        || (!narrow.networks.is_empty() && narrow.networks.iter().all(within));
    networks
        && (wide.port.is_none() || wide.port == narrow.port)
        && (wide.vlan.is_none() || wide.vlan == narrow.vlan)
        && (wide.trunk_group.is_none()
            || matches!((&wide.trunk_group, &narrow.trunk_group), (Some(w), Some(n)) if w.eq_ignore_ascii_case(n)))
}
