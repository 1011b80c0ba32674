//! Cases that were really walked: providers with keys, answers that they signed.

use serde_json::{Value, json};

use super::browser::{NOW, Site};
use crate::base::Timestamp;
use crate::portal::docket::directory::Card;
use crate::portal::docket::read::case::{CaseView, HopView};
use crate::portal::docket::{Actor, Docket, Handed, Received};
use crate::portal::word::{HopState, Role};
use crate::proof::Who;
use crate::proof::sign::{Kind, Signer, new_key};
use crate::traceback::answer::answer_id;

/// Names of the carriers C1 to C7.
pub(crate) const NAMES: [&str; 7] = [
    "Alder Telephone Cooperative",
    "Birch Wholesale",
    "Cedar Transit Networks",
    "Dogwood Voice",
    "Elm Carrier Services",
    "Fernhill Networks",
    "Gorse Cloud Telephony",
];

/// A site with carriers, and people of every role.
pub(crate) struct Traced {
    pub site: Site,
    pub signers: Vec<Signer>,
}

impl Traced {
    pub fn new() -> Self {
        let site = Site::new();
        let by = Who::Terminal("root".into());
        let keys = tempfile::tempdir().unwrap();
        let mut signers = Vec::new();
        for (n, name) in (1..).zip(NAMES) {
            let (id, signer) = (
                format!("C{n}"),
                new_key(&keys.path().join(format!("{n}.pem"))).unwrap(),
            );
            let card = Card::new(&id, name);
            site.docket.add_provider(&by, &card, NOW).unwrap();
            let set = signer.jwks().to_string();
            site.docket.add_keys(&by, &id, set.as_bytes(), NOW).unwrap();
            signers.push(signer);
        }
        for (name, role, of) in [
            ("req", Role::Requester, None),
            ("ann", Role::Analyst, None),
            ("aud", Role::Auditor, None),
            ("staff", Role::Provider, Some("C2")),
        ] {
            site.user(name, role, of);
        }
        Self { site, signers }
    }

    pub fn docket(&self) -> &Docket {
        &self.site.docket
    }

    pub fn actor(&self, name: &str) -> Actor {
        self.docket().user(name).unwrap().actor()
    }

    /// A case, opened; minutes ago.
    pub fn open(&self, minutes: u64, campaign: &str) -> String {
        let at = before(minutes);
        let handed = Handed {
            called: format!("202 555 01{:02}", minutes % 100),
            calling: "+1 303 555 0147".into(),
            time: before(minutes + 30).to_string(),
            precision_s: Some(30.0),
            provider: "C1".into(),
            campaign: campaign.into(),
            evidence: "A recorded voice says that a tax refund waits.\nFour people complained."
                .into(),
            legal_basis: "Example Act §7".into(),
            ..Handed::default()
        };
        let done = self.docket().submit(&self.actor("req"), &handed, at);
        let done = done.unwrap();
        if done.state == crate::portal::word::CaseState::Submitted {
            self.docket()
                .open_case(&self.actor("ann"), &done.case, at)
                .unwrap();
        }
        done.case.to_string()
    }

    pub fn case(&self, id: &str) -> CaseView {
        self.docket().case(&self.actor("ann"), id).unwrap()
    }

    /// The question that waits.
    pub fn asked(&self, case: &str) -> HopView {
        let all = self.case(case).hops;
        let open = |h: &HopView| matches!(h.state, HopState::Asked | HopState::Acknowledged);
        all.into_iter().rev().find(open).unwrap()
    }

    /// The provider that is asked answers, and names `party`.
    pub fn goes(&self, case: &str, resolution: &str, party: &str, at: Timestamp) {
        let hop = self.asked(case);
        let body = answer(&hop, resolution, party);
        let n: usize = hop.provider.id[1..].parse().unwrap();
        let signed = self.signers[n - 1].sign_value(Kind::Answer, &body).unwrap();
        let id = body["id"].as_str().unwrap();
        let taken = self
            .docket()
            .answer(&hop.provider.id, &hop.id, id, &signed.json, at);
        assert_eq!(taken.unwrap(), Received::New);
    }
}

/// The time so many minutes ago.
pub(crate) fn before(minutes: u64) -> Timestamp {
    NOW.minus(std::time::Duration::from_secs(60 * minutes))
}

/// An answer before it is signed. `party` is a carrier's id, or the name of somebody who is none.
fn answer(hop: &HopView, resolution: &str, party: &str) -> Value {
    let request = hop.request.as_ref().unwrap();
    let mut answer = json!({
        "id": answer_id(&hop.id, 1), "request_id": hop.id, "case_id": request["case_id"], "hop_no": hop.depth,
        "request_sha256": hop.sha256, "revision": 1,
        "provider": { "name": hop.provider.name, "portal_id": hop.provider.id }, "resolution": resolution,
        "evidence": { "class": "IDENTIFIER", "posterior": 0.9999, "runner_up": 0.00001, "null": 0.00009, "background_per_s": 0.0, "candidates": 1,
            "leg": { "at": request["call"]["time"]["value"], "clock_error_ms": 4.0, "delta_s": 0.4, "passport": { "validation": "passed", "spc": "709J", "attest": "B" } },
            "windows": [{ "coverage": 1.0 }], "gaps": [], "gap_count": 0 },
        "produced_by": "auto", "matcher_version": "2.1",
    });
    if let Some(digest) = request.get("previous_hop_digest") {
        answer["previous_hop_digest"] = digest.clone();
    }
    let member = if resolution.starts_with("ORIGIN") {
        "originator"
    } else {
        "upstream"
    };
    if let Some(n) = party
        .strip_prefix('C')
        .and_then(|n| n.parse::<usize>().ok())
    {
        answer[member] =
            json!({ "name": NAMES[n - 1], "portal_id": party, "country": "US", "gateway": false });
    } else if !party.is_empty() {
        answer[member] = json!({ "name": party, "country": "US", "gateway": false });
    }
    answer
}
