//! Our neighbours and what a foreign portal calls them, both ways: of the downstream that a request names, and of the party that an answer does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::call::peer::{Peer, PeerTable};

/// Most rows: every provider of the registry (some 7,300 in January 2025) twice over.
pub const MAX_ROWS: usize = 20_000;

/// Our neighbours and what the portal calls them. A name stands for one provider; a neighbour has one name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Directory {
    /// Neighbour of peers.toml, id at the portal.
    pub rows: Vec<(Arc<str>, Box<str>)>,
    /// Id at the portal, what requests and records know the neighbour by. Filled by [`Directory::resolve`].
    #[serde(skip)]
    ids: BTreeMap<Box<str>, Vec<Arc<str>>>,
    /// What an answer says of a neighbour, id at the portal.
    #[serde(skip)]
    parties: BTreeMap<PartyKey, Box<str>>,
}

/// What an answer says of a neighbour: name, id at the portal, number in the registry, operating company number.
type PartyKey = [Box<str>; 4];

impl Directory {
    /// From its rows; they mean nothing before [`Directory::resolve`].
    pub fn new(rows: Vec<(Arc<str>, Box<str>)>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Looks the neighbours up. Gives what is wrong.
    pub fn resolve(&mut self, peers: &PeerTable) -> Vec<String> {
        let mut wrong = Vec::new();
        let (mut ids, mut parties) = (BTreeMap::<Box<str>, Vec<Arc<str>>>::new(), BTreeMap::new());
        for (id, portal) in &self.rows {
            let Some(peer) = peers.peer(id) else {
                wrong.push(format!("{id:?} is no neighbour of peers.toml"));
                continue;
            };
            let own: Vec<_> = [&peer.portal_id, &peer.ocn, &peer.rmd]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            if own.is_empty() {
                wrong.push(format!("{id:?} has neither portal_id nor ocn nor rmd in peers.toml: a request could not name it"));
            }
            let known = ids.entry(folded(portal)).or_default();
            for own in own {
                if !known.contains(&own) {
                    known.push(own);
                }
            }
            let before = parties.insert(key_of(peer), portal.clone());
            if before.is_some_and(|b| b != *portal) {
                wrong.push(format!("{id:?} and another neighbour are the same in an answer, and the portal's ids differ"));
            }
        }
        (self.ids, self.parties) = (ids, parties);
        wrong
    }

    /// What the portal calls the party of an answer; `None` where no row says so.
    pub fn portal_id(&self, party: &Value) -> Option<&str> {
        let text = |k: &str| party.get(k).and_then(Value::as_str).unwrap_or_default();
        let key = ["name", "portal_id", "rmd", "ocn"].map(|k| Box::from(text(k)));
        self.parties.get(&key).map(|t| &**t)
    }

    /// What our records know the portal's provider by.
    pub(super) fn our_ids(&self, portal: &str) -> &[Arc<str>] {
        self.ids.get(&folded(portal)).map_or(&[], Vec::as_slice)
    }
}

fn folded(id: &str) -> Box<str> {
    id.trim().to_ascii_lowercase().into()
}

fn key_of(peer: &Peer) -> PartyKey {
    let text = |t: &Option<Arc<str>>| Box::from(t.as_deref().unwrap_or_default());
    [
        Box::from(&*peer.name),
        text(&peer.portal_id),
        text(&peer.rmd),
        text(&peer.ocn),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::peer::PeerKind;

    fn peer(id: &str, name: &str, portal_id: Option<&str>) -> Peer {
        Peer {
            name: name.into(),
            portal_id: portal_id.map(Arc::from),
            ..Peer::new(id, PeerKind::Provider)
        }
    }

    fn resolve(peers: Vec<Peer>, rows: &[(&str, &str)]) -> (Directory, Vec<String>) {
        let rows = rows.iter().map(|(a, b)| (Arc::from(*a), Box::from(*b)));
        let mut directory = Directory::new(rows.collect());
        let wrong = directory.resolve(&PeerTable::new(peers, Vec::new(), 1));
        (directory, wrong)
    }

    #[test]
    fn both_ways() {
        let peers = vec![peer("east", "Eastbridge", Some("EB-07"))];
        let (directory, wrong) = resolve(peers, &[("east", "P-77")]);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(directory.our_ids(" p-77 "), [Arc::from("EB-07")]);
        let party = serde_json::json!({"name": "Eastbridge", "portal_id": "EB-07"});
        assert_eq!(directory.portal_id(&party), Some("P-77"));
        let other = serde_json::json!({"name": "Eastbridge", "portal_id": "EB-08"});
        assert_eq!(directory.portal_id(&other), None);
    }

    #[test]
    fn who_can_not_be_told_apart_has_no_two_names() {
        let peers = || vec![peer("a", "Same", Some("X")), peer("b", "Same", Some("X"))];
        let (_, wrong) = resolve(peers(), &[("a", "P-1"), ("b", "P-2")]);
        assert!(
            wrong.join("").contains("the same in an answer"),
            "{wrong:?}"
        );
        assert!(resolve(peers(), &[("a", "P-1"), ("b", "P-1")]).1.is_empty());
    }

    #[test]
    fn strangers_and_the_nameless_are_said() {
        let (_, wrong) = resolve(vec![peer("a", "A", None)], &[("a", "P-1"), ("z", "P-2")]);
        assert!(wrong[0].contains("neither portal_id nor ocn"), "{wrong:?}");
        assert!(wrong[1].contains("\"z\" is no neighbour"), "{wrong:?}");
    }
}
