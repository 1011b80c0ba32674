//! What trust rests on, and when another list takes the place of the one at hand (rules L1, L3, N15, R2, R5). No clock, no socket.
//!
//! A list that comes in is used only if it verifies and is not older than one that was used before
//! ([`ListHistory`]). Otherwise the one at hand stays, and the operator gets a note.

use std::time::Duration;

use super::desk::ListsInUse;
use super::lists::Lists;
use crate::base::Timestamp;
use crate::stir::credential::{CaList, Crl, ListHistory, TrustStore};

/// How often a list is asked for: the revocation list is asked for twice a day by verifiers in the field.
const PERIOD: Duration = Duration::from_secs(12 * 3600);

/// After trouble.
const RETRY: Duration = Duration::from_secs(600);

/// How long before the list of authorities ends the next one is asked for: six tries.
const BEFORE_END: Duration = Duration::from_secs(3600);

/// The lists at hand, and when newer ones are due.
#[derive(Clone, Debug, Default)]
pub struct Renewal {
    /// The lists.
    pub lists: Lists,
    /// When each is asked for next.
    pub next: NextTimes,
    history: ListHistory,
}

/// When each list is asked for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTimes {
    /// List of authorities.
    pub ca_list: Timestamp,
    /// Revocation list.
    pub crl: Timestamp,
}

impl Default for NextTimes {
    /// At once.
    fn default() -> Self {
        Self {
            ca_list: Timestamp::MIN,
            crl: Timestamp::MIN,
        }
    }
}

impl Renewal {
    /// Begins with lists from files, to be renewed at once.
    pub fn new(lists: Lists) -> Self {
        let mut history = ListHistory::default();
        // An empty history takes any.
        let _ = lists.ca_list.as_ref().map(|l| history.admit_ca_list(l));
        let _ = lists.crl.as_ref().map(|l| history.admit_crl(l));
        Self {
            lists,
            next: NextTimes::default(),
            history,
        }
    }

    /// Trust by the lists at hand.
    pub fn trust(&self) -> TrustStore {
        self.lists.trust()
    }

    /// The lists at hand, for whoever watches when they end.
    pub fn in_use(&self) -> ListsInUse {
        let crl = self.lists.crl.as_ref();
        ListsInUse {
            authorities: self.lists.ca_list.as_ref().map_or(0, |l| l.anchors.len())
                + self.lists.anchors.len(),
            ca_list_ends: self.lists.ca_list.as_ref().map(|l| l.expires),
            crl_ends: crl
                .and_then(|c| c.window().next_update)
                .map(Timestamp::from_secs),
        }
    }

    /// Other lists from files: each takes the place of the one at hand unless that is newer, because it was fetched since.
    pub fn handle_files(&mut self, files: Lists) {
        let mut new = files;
        let keep_ca_list = match &new.ca_list {
            Some(list) => self.history.admit_ca_list(list).is_err(),
            None => new.anchors.is_empty(),
        };
        if keep_ca_list {
            new.ca_list = self.lists.ca_list.take();
        }
        let keep_crl = match &new.crl {
            Some(crl) => self.history.admit_crl(crl).is_err(),
            None => true,
        };
        if keep_crl {
            new.crl = self.lists.crl.take();
        }
        self.lists = new;
    }

    /// A list of authorities with its signer's certificate, unless that one is pinned.
    ///
    /// # Errors
    ///
    /// Why the one at hand stays.
    pub fn handle_ca_list(
        &mut self,
        jws: &[u8],
        signer: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(), String> {
        self.next.ca_list = now.plus(RETRY);
        let root = self.lists.pins.root.as_ref().ok_or(NO_ROOT)?;
        let signer = signer
            .or(self.lists.pins.ca_list_signer.as_deref())
            .unwrap_or(root);
        let list = CaList::verify_at(jws, signer, root, now).map_err(|e| e.to_string())?;
        if list.expired {
            return Err(format!("the CA list ended at {}", list.expires));
        }
        self.history
            .admit_ca_list(&list)
            .map_err(|e| e.to_string())?;
        self.next.ca_list = now
            .plus(PERIOD)
            .min(list.expires.minus(BEFORE_END))
            .max(now.plus(RETRY));
        self.lists.ca_list = Some(list);
        Ok(())
    }

    /// A revocation list.
    ///
    /// # Errors
    ///
    /// Why the one at hand stays.
    pub fn handle_crl(&mut self, der: &[u8], now: Timestamp) -> Result<(), String> {
        self.next.crl = now.plus(RETRY);
        let root = self.lists.pins.root.as_ref().ok_or(NO_ROOT)?;
        let signer = self.lists.pins.crl_signer.as_ref().unwrap_or(root);
        let crl = Crl::verify(der, signer, root).map_err(|e| e.to_string())?;
        let window = crl.window();
        if window.this_update > now.secs() {
            return Err("the revocation list is of the future".to_owned());
        }
        self.history.admit_crl(&crl).map_err(|e| e.to_string())?;
        let due = window
            .next_update
            .map_or(Timestamp::MAX, Timestamp::from_secs);
        self.next.crl = now.plus(PERIOD).min(due).max(now.plus(RETRY));
        self.lists.crl = Some(crl);
        Ok(())
    }

    /// The list of authorities could not be had.
    pub fn handle_no_ca_list(&mut self, now: Timestamp) {
        self.next.ca_list = now.plus(RETRY);
    }

    /// The revocation list could not be had.
    pub fn handle_no_crl(&mut self, now: Timestamp) {
        self.next.crl = now.plus(RETRY);
    }
}

const NO_ROOT: &str = "sti_pa_root is not set: no list can be verified";

#[cfg(test)]
mod tests {
    use super::super::lists::Pins;
    use super::*;
    use crate::stir::credential::testpki as pki;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(pki::NOW + secs)
    }

    fn lists() -> Renewal {
        let pins = Pins {
            root: Some(pki::pem(&[&pki::sti_pa_root().der])),
            ca_list_signer: Some(pki::pem(&[&pki::list_signer(43, 0x80).der])),
            crl_signer: None,
        };
        Renewal::new(Lists {
            pins,
            ..Lists::default()
        })
    }

    fn ca_list(ends: i64) -> Vec<u8> {
        let entry = String::from_utf8(pki::pem(&[&pki::root().der])).unwrap();
        let payload = serde_json::json!({"version": "1.0", "sequence": 0, "exp": pki::NOW + ends, "trustList": [entry]});
        let header = r#"{"alg":"ES256","typ":"JWT","x5u":"https://sti-pa.example/signer.pem"}"#;
        pki::jws(
            header,
            &payload.to_string(),
            &pki::list_signer(43, 0x80).key,
        )
        .into_bytes()
    }

    #[test]
    fn n15_a_list_that_verifies_takes_the_place_of_the_one_at_hand() {
        let mut l = lists();
        assert_eq!(l.trust().anchor_count(), 0);
        l.handle_ca_list(&ca_list(86_400), None, at(0)).unwrap();
        assert_eq!(l.trust().anchor_count(), 1);
        assert_eq!(l.next.ca_list, at(12 * 3600));
        l.handle_ca_list(&ca_list(2 * 86_400), None, at(80_000))
            .unwrap();
        assert_eq!(l.lists.ca_list.unwrap().expires, at(2 * 86_400));
    }

    #[test]
    fn l3_one_that_ends_earlier_or_has_ended_or_does_not_verify_is_refused_and_the_old_one_stays() {
        let mut l = lists();
        l.handle_ca_list(&ca_list(86_400), None, at(0)).unwrap();
        let mut forged = ca_list(90_000);
        let last = forged.len() - 2;
        forged[last] ^= 1;
        let stranger = pki::pem(&[&pki::root().der]);
        for (list, signer, now) in [
            (ca_list(86_399), None, at(1)),
            (ca_list(90_000), None, at(90_001)),
            (forged, None, at(1)),
            (b"<html>".to_vec(), None, at(1)),
            (ca_list(90_000), Some(&stranger[..]), at(1)),
        ] {
            l.handle_ca_list(&list, signer, now).unwrap_err();
            assert_eq!(l.lists.ca_list.as_ref().unwrap().expires, at(86_400));
            assert_eq!(l.next.ca_list, now.plus(RETRY));
        }
        l.handle_crl(b"<html>", at(1)).unwrap_err();
        assert!(l.lists.crl.is_none());
        assert_eq!(l.next.crl, at(601));
    }

    #[test]
    fn without_the_root_nothing_is_believed() {
        let mut l = Renewal::default();
        assert_eq!(
            l.handle_ca_list(&ca_list(86_400), None, at(0)),
            Err(NO_ROOT.to_owned())
        );
        assert_eq!(l.handle_crl(b"", at(0)), Err(NO_ROOT.to_owned()));
    }
}
