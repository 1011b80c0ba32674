//! tshark as the judge of the laboratory's tunnels: it reads the same Call-IDs and Identity values out of them as out of bare frames,
//! and so do we.

use std::collections::BTreeSet;

use clap::ValueEnum;
use tracehop::lab::{Encapsulation, LabOptions};
use tracehop::wire::sip::{HeaderName, Message};

use super::{Lab, messages, tshark_invites};

/// Call-IDs in packets with an INVITE, and Identity values without blanks.
type Seen = (BTreeSet<String>, BTreeSet<String>);

fn theirs(lab: &Lab) -> Seen {
    let (mut ids, mut identities) = Seen::default();
    for file in lab.captures() {
        let out = tshark_invites(&file, &["sip.Call-ID", "sip.Identity"]);
        for line in out.lines() {
            let (id, identity) = line.split_once(';').unwrap_or((line, ""));
            ids.extend(id.split('|').map(str::to_owned));
            let values = identity.split('|').filter(|v| !v.is_empty());
            identities.extend(values.map(squeezed));
        }
    }
    (ids, identities)
}

fn ours(lab: &Lab) -> Seen {
    let (mut ids, mut identities) = Seen::default();
    for m in messages(lab) {
        let Ok(sip) = Message::scan(&m.bytes) else {
            continue;
        };
        if sip.start.is_method("INVITE") && m.cut.is_none() {
            let id = sip.headers.first(HeaderName::CallId).unwrap_or_default();
            ids.insert(String::from_utf8_lossy(id).into_owned());
            let values = sip.headers.all(HeaderName::Identity);
            identities.extend(values.map(|v| squeezed(&String::from_utf8_lossy(v))));
        }
    }
    (ids, identities)
}

/// tshark writes the ends of folded lines as they are or as escapes.
fn squeezed(value: &str) -> String {
    let value = value
        .replace("\\r", "")
        .replace("\\n", "")
        .replace("\\t", "");
    value.split_whitespace().collect()
}

#[test]
#[ignore = "needs tshark"]
fn peer_tshark_reads_the_same_out_of_every_encapsulation() {
    let lab = |encapsulation| {
        Lab::with(|options| LabOptions {
            seed: 3,
            calls: 400,
            lossy: false,
            encapsulation,
            ..options
        })
    };
    let bare = theirs(&lab(Encapsulation::None));
    assert!(bare.0.len() > 300 && bare.1.len() > 300);
    for encapsulation in Encapsulation::value_variants() {
        let lab = lab(*encapsulation);
        let (theirs, ours) = (theirs(&lab), ours(&lab));
        let unseen: Vec<_> = bare.0.difference(&theirs.0).collect();
        assert!(
            unseen.is_empty(),
            "{encapsulation:?}: tshark misses {unseen:?}"
        );
        assert!(
            theirs.1 == bare.1,
            "{encapsulation:?}: Identity values differ"
        );
        let unseen: Vec<_> = ours.0.difference(&theirs.0).collect();
        assert!(
            unseen.is_empty(),
            "{encapsulation:?}: only we see {unseen:?}"
        );
        let unseen: Vec<_> = theirs.1.difference(&ours.1).take(2).collect();
        assert!(unseen.is_empty(), "{encapsulation:?}: we miss {unseen:?}");
    }
}
