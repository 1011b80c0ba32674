//! Which lists were accepted before, so that an older one is never taken back (rules L3 and R5).
//!
//! Whoever serves the lists, or writes their files, could put an old one in place, good signature and all: with the authority that was removed since,
//! or without the certificate that was revoked since. `sequence` of the CA list is zero in the wild, so its `exp` and the digests of
//! lists seen have to do; the revocation list has a running number. Pure: whoever fetches keeps it in a file beside the lists.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{CaList, Crl};
use crate::base::Timestamp;
use crate::base::digest::Digest128;

/// Most digests of CA lists that are kept. The list ends after a day, so more than a year of daily ones.
const MAX_DIGESTS: usize = 400;

/// Most revocation lists of different issuers. One country has one.
const MAX_ISSUERS: usize = 64;

/// What was accepted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListHistory {
    /// Latest end of a CA list, seconds since 1970.
    ca_list_exp: Option<i64>,
    /// CA lists, the newest last.
    ca_lists: VecDeque<Digest128>,
    /// The newest revocation list of each issuer.
    crls: BTreeMap<String, Mark>,
}

/// Where a revocation list stands among its issuer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// Its running number, hexadecimal; empty where it has none.
    number: String,
    this_update: i64,
    digest: Digest128,
}

/// Why a list is refused though its signature is good. The last good one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollBack {
    /// It ends before one that was accepted.
    #[error(
        "this CA list ends at {exp} and one that was accepted ends at {newest}: an older list is not taken back"
    )]
    CaListEnds {
        /// Its end.
        exp: Timestamp,
        /// The latest end so far.
        newest: Timestamp,
    },
    /// It was accepted, and then another one was.
    #[error("this CA list was accepted before and has been replaced since: it is not taken back")]
    CaListReplaced,
    /// Its running number is lower.
    #[error(
        "this revocation list has the number {number} and {newest} was accepted: an older list is not taken back"
    )]
    CrlNumber {
        /// Its number, hexadecimal.
        number: String,
        /// The highest so far.
        newest: String,
    },
    /// It was made before one that was accepted.
    #[error(
        "this revocation list was made at {made} and one of {newest} was accepted: an older list is not taken back"
    )]
    CrlMade {
        /// When it was made.
        made: Timestamp,
        /// When the newest one was.
        newest: Timestamp,
    },
    /// There are too many issuers of revocation lists.
    #[error("there are revocation lists of more than {MAX_ISSUERS} issuers")]
    TooMany,
}

impl ListHistory {
    /// Takes a CA list that was verified; the one accepted last may come again.
    ///
    /// # Errors
    ///
    /// [`RollBack`]; then the history is as it was.
    pub fn admit_ca_list(&mut self, list: &CaList) -> Result<(), RollBack> {
        if self.ca_lists.back() == Some(&list.digest) {
            return Ok(());
        }
        let exp = list.expires;
        if let Some(newest) = self.ca_list_exp
            && exp.secs() < newest
        {
            let newest = Timestamp::from_secs(newest);
            return Err(RollBack::CaListEnds { exp, newest });
        }
        if self.ca_lists.contains(&list.digest) {
            return Err(RollBack::CaListReplaced);
        }
        self.ca_list_exp = Some(exp.secs());
        self.ca_lists.push_back(list.digest);
        while self.ca_lists.len() > MAX_DIGESTS {
            self.ca_lists.pop_front();
        }
        Ok(())
    }

    /// Takes a revocation list that was verified; the one accepted last may come again.
    ///
    /// # Errors
    ///
    /// [`RollBack`]; then the history is as it was.
    pub fn admit_crl(&mut self, list: &Crl) -> Result<(), RollBack> {
        let issuer = list.issuer().digest().to_string();
        let mark = Mark {
            number: list.number().iter().map(|b| format!("{b:02x}")).collect(),
            this_update: list.window().this_update,
            digest: list.digest(),
        };
        match self.crls.get(&issuer) {
            Some(newest) if newest.digest != mark.digest => newest.precedes(&mark)?,
            Some(_) => return Ok(()),
            None if self.crls.len() >= MAX_ISSUERS => return Err(RollBack::TooMany),
            None => {}
        }
        self.crls.insert(issuer, mark);
        Ok(())
    }
}

impl Mark {
    /// A list without a number can't follow one that has one.
    fn precedes(&self, next: &Self) -> Result<(), RollBack> {
        let order = |m: &Self| (m.number.len(), m.number.clone());
        if order(next) < order(self) {
            return Err(RollBack::CrlNumber {
                number: next.number.clone(),
                newest: self.number.clone(),
            });
        }
        if next.this_update < self.this_update {
            return Err(RollBack::CrlMade {
                made: Timestamp::from_secs(next.this_update),
                newest: Timestamp::from_secs(self.this_update),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, CrlBuilder};

    fn list(exp: i64, note: u8) -> CaList {
        CaList {
            anchors: Vec::new(),
            skipped: Vec::new(),
            expires: Timestamp::from_secs(exp),
            expired: false,
            sequence: Some(0),
            version: None,
            signer_url: String::new(),
            digest: Digest128([note; 16]),
        }
    }

    fn crl(number: &[u8], this_update: i64) -> Crl {
        let signer = pki::list_signer(41, 0x02);
        let mut list = CrlBuilder::new(vec![]);
        list.this_update = this_update;
        list.extensions.retain(|(id, ..)| *id != "2.5.29.20");
        if !number.is_empty() {
            list.extensions
                .push(("2.5.29.20", false, pki::tlv(0x02, number)));
        }
        let root = pki::pem(&[&pki::sti_pa_root().der]);
        Crl::verify(&list.build(&signer), &pki::pem(&[&signer.der]), &root).unwrap()
    }

    #[test]
    fn l3_a_ca_list_that_ends_earlier_or_was_replaced_is_not_taken_back() {
        let mut history = ListHistory::default();
        let day = 86_400;
        history.admit_ca_list(&list(day, 1)).unwrap();
        history.admit_ca_list(&list(day, 1)).unwrap();
        history.admit_ca_list(&list(2 * day, 2)).unwrap();
        let before = history.clone();
        assert!(matches!(
            history.admit_ca_list(&list(day, 1)),
            Err(RollBack::CaListEnds { .. })
        ));
        assert!(matches!(
            history.admit_ca_list(&list(2 * day - 1, 3)),
            Err(RollBack::CaListEnds { .. })
        ));
        assert_eq!(history, before, "a refusal leaves no mark");
        // Two lists of the same end: the second replaces the first for good.
        history.admit_ca_list(&list(2 * day, 3)).unwrap();
        assert_eq!(
            history.admit_ca_list(&list(2 * day, 2)),
            Err(RollBack::CaListReplaced)
        );
    }

    #[test]
    fn l3_the_history_is_bounded() {
        let mut history = ListHistory::default();
        for n in 0..2 * MAX_DIGESTS {
            let digest = Digest128::of(&n.to_be_bytes());
            let list = CaList {
                digest,
                ..list(i64::try_from(n).unwrap(), 0)
            };
            history.admit_ca_list(&list).unwrap();
        }
        assert_eq!(history.ca_lists.len(), MAX_DIGESTS);
    }

    #[test]
    fn r5_the_number_of_a_revocation_list_never_goes_back() {
        let mut history = ListHistory::default();
        let now = pki::NOW;
        history.admit_crl(&crl(&[9], now)).unwrap();
        history.admit_crl(&crl(&[9], now)).unwrap();
        history.admit_crl(&crl(&[1, 0], now)).unwrap();
        let refused = |list: Crl, history: &mut ListHistory| history.admit_crl(&list).unwrap_err();
        assert!(matches!(
            refused(crl(&[9], now), &mut history),
            RollBack::CrlNumber { .. }
        ));
        assert!(matches!(
            refused(crl(&[0, 0xff], now + 9), &mut history),
            RollBack::CrlNumber { .. }
        ));
        assert!(matches!(
            refused(crl(&[], now + 9), &mut history),
            RollBack::CrlNumber { .. }
        ));
        assert!(matches!(
            refused(crl(&[1, 1], now - 1), &mut history),
            RollBack::CrlMade { .. }
        ));
        history.admit_crl(&crl(&[1, 0], now + 1)).unwrap();
    }

    #[test]
    fn l3_the_history_survives_its_file() {
        let mut history = ListHistory::default();
        history.admit_ca_list(&list(86_400, 1)).unwrap();
        history.admit_crl(&crl(&[9], pki::NOW)).unwrap();
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<ListHistory>(&text).unwrap(), history);
        assert!(serde_json::from_str::<ListHistory>(r#"{"ca_lists":["x"]}"#).is_err());
        assert!(serde_json::from_str::<ListHistory>(r#"{"other":1}"#).is_err());
    }
}
