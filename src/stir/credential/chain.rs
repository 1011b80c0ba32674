//! One path from a leaf to its anchor with everything about it judged that does not depend on the call.

use super::TrustStore;
use super::certificate::{Certificate, Validity};
use super::constraints::ClaimConstraints;
use super::crl::{Crl, CrlWindow, Revocation};
use super::extensions::{ConstraintState, TnAuthListState};
use super::tnauthlist::{Encompassed, TnAuthList};
use crate::base::Timestamp;

/// One certificate of a path, as people want to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Common name, or a stand-in.
    pub title: Box<str>,
    /// Organization of its subject.
    pub organization: Option<Box<str>>,
    /// Serial number, hexadecimal.
    pub serial: Box<str>,
    /// When it is valid.
    pub validity: Validity,
    /// Kind of its key.
    pub key: &'static str,
    /// What its TNAuthList speaks for; empty where it has none.
    pub authority: Box<str>,
    /// Its revocation, whenever that was.
    pub revocation: Option<Revocation>,
}

/// One path to an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stir) struct PathFacts {
    /// Its certificates, leaf first.
    pub links: Vec<Link>,
    /// When all of them are valid.
    pub validity: Validity,
    /// The earliest revocation of one of them.
    pub revocation: Option<Revocation>,
    /// Time of the revocation lists that speak for all of them but the anchor; `None` where one has no list.
    pub crl: Option<CrlWindow>,
    /// An unknown critical extension of one of them.
    pub unknown_critical: Option<String>,
    /// Whether each delegate's list lies inside its issuer's (RFC 9060); `None` where there are no delegates.
    pub encompassed: Option<Encompassed>,
    /// What the holder may claim: all of them bind.
    pub constraints: Vec<ClaimConstraints>,
    /// Why constraints of one of them can't be read, where that is so.
    pub constraint_fault: Option<&'static str>,
}

/// How long a list of runs may get in [`Link::authority`]. A screen's line.
const MAX_SHOWN: usize = 6;

impl PathFacts {
    pub(super) fn of(path: &[&Certificate], trust: &TrustStore) -> Self {
        let always = Validity {
            from: i64::MIN,
            to: i64::MAX,
        };
        let lists = Lists::of(path, trust);
        let revocations = || path.iter().enumerate().map(|(i, c)| lists.revocation(i, c));
        let states = || path.iter().map(|c| &c.extensions.constraints);
        Self {
            links: path
                .iter()
                .zip(revocations())
                .map(|(c, revocation)| Link::of(c, revocation))
                .collect(),
            validity: path.iter().fold(always, |v, c| v.and(c.validity)),
            revocation: revocations().flatten().min_by_key(|r| r.at),
            crl: lists.window(),
            unknown_critical: path
                .iter()
                .find_map(|c| c.extensions.unknown_critical.clone()),
            encompassed: encompassed(path),
            constraints: states()
                .filter_map(|s| match s {
                    ConstraintState::Read(c) => Some(c.clone()),
                    ConstraintState::Absent | ConstraintState::Malformed(_) => None,
                })
                .collect(),
            constraint_fault: states().find_map(|s| match s {
                ConstraintState::Malformed(why) => Some(*why),
                ConstraintState::Absent | ConstraintState::Read(_) => None,
            }),
        }
    }

    /// Whether it could carry a call at that time: the better of two paths has the lower rank. Any path that holds will do.
    pub fn rank(&self, iat: Option<i64>, at: Timestamp) -> u8 {
        if !self.is_in_time(iat, at) {
            3
        } else if self.revocation.is_some_and(|r| r.at <= at) {
            2
        } else if self.encompassed == Some(Encompassed::No) || self.constraint_fault.is_some() {
            1
        } else {
            0
        }
    }

    /// Whether all of its certificates are valid at `iat` and at capture.
    pub fn is_in_time(&self, iat: Option<i64>, at: Timestamp) -> bool {
        self.validity.holds(at.secs()) && iat.is_none_or(|iat| self.validity.holds(iat))
    }
}

impl Link {
    /// A certificate that is on no path.
    pub fn alone(cert: &Certificate) -> Self {
        Self::of(cert, None)
    }

    fn of(cert: &Certificate, revocation: Option<Revocation>) -> Self {
        let list = cert.extensions.tn_auth_list.list();
        Self {
            title: cert.title().into(),
            organization: cert.organization.clone(),
            serial: hex(&cert.serial),
            validity: cert.validity,
            key: cert.key.label(),
            authority: list.map_or_else(Box::default, shown),
            revocation,
        }
    }
}

/// Each list inside the next one above it. Certificates without a list stand between delegates and are passed over: an authority of the
/// STI-PA's list has none (ATIS-1000080), and limits nobody. A list that can't be read limits to nothing; one that is kept elsewhere
/// (rule X11) leaves open to what.
fn encompassed(path: &[&Certificate]) -> Option<Encompassed> {
    let scoped = |c: &&&Certificate| {
        let e = &c.extensions;
        e.tn_auth_list != TnAuthListState::Absent || e.tn_auth_list_url.is_some()
    };
    let scopes: Vec<_> = path.iter().filter(scoped).map(|c| &c.extensions).collect();
    let pairs = scopes.iter().zip(scopes.iter().skip(1));
    let each: Vec<_> = pairs
        .map(
            |(child, parent)| match (&child.tn_auth_list, &parent.tn_auth_list) {
                (_, TnAuthListState::Malformed) => Encompassed::No,
                (TnAuthListState::Read(child), TnAuthListState::Read(parent)) => {
                    parent.encompasses(child)
                }
                _ => Encompassed::Unknown,
            },
        )
        .collect();
    // What can't be computed says nothing about what can.
    [Encompassed::No, Encompassed::Unknown, Encompassed::Yes]
        .into_iter()
        .find(|e| each.contains(e))
}

/// Which revocation list goes with which certificate of a path.
struct Lists<'a> {
    national: Option<&'a Crl>,
    /// One for each certificate but the anchor, which no list revokes.
    each: Vec<Option<&'a Crl>>,
}

impl<'a> Lists<'a> {
    /// A certificate that does not say where its revocation is published goes with its leaf, and a leaf with the national list.
    fn of(path: &[&Certificate], trust: &'a TrustStore) -> Self {
        let national = trust.crl();
        let own = |c: &Certificate, otherwise: Option<&'a Crl>| {
            if c.extensions.revocation_points.is_empty() {
                return otherwise;
            }
            national
                .filter(|l| l.speaks_for(c, &trust.aliases))
                .or_else(|| trust.crls.iter().find(|l| l.speaks_for(c, &[])))
        };
        let of_leaf = path.first().and_then(|leaf| own(leaf, national));
        let below_anchor = path.len().saturating_sub(1);
        let each = path.iter().take(below_anchor).map(|c| own(c, of_leaf));
        Self {
            national,
            each: each.collect(),
        }
    }

    /// An entry of the national list is believed whatever the certificate says of lists; another country's list speaks only for
    /// those that name it.
    fn revocation(&self, place: usize, cert: &Certificate) -> Option<Revocation> {
        let own = self.each.get(place).copied().flatten();
        [self.national, own]
            .into_iter()
            .flatten()
            .filter_map(|list| list.revocation(cert))
            .min_by_key(|r| r.at)
    }

    /// The time that all of them have in common.
    fn window(&self) -> Option<CrlWindow> {
        let windows: Option<Vec<_>> = self.each.iter().map(|l| l.map(Crl::window)).collect();
        windows?.into_iter().reduce(|a, b| CrlWindow {
            this_update: a.this_update.max(b.this_update),
            next_update: a.next_update.zip(b.next_update).map(|(a, b)| a.min(b)),
        })
    }
}

fn hex(octets: &[u8]) -> Box<str> {
    octets
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>()
        .into()
}

fn shown(list: &TnAuthList) -> Box<str> {
    let codes = list.spc.iter().map(|c| format!("code {c}"));
    let runs = list.ranges.iter().map(|r| match r.count {
        1 => r.start.to_string(),
        n => format!("{n} numbers from {}", r.start),
    });
    let mut all: Vec<_> = codes.chain(runs).take(MAX_SHOWN + 1).collect();
    if all.len() > MAX_SHOWN {
        all.truncate(MAX_SHOWN);
        all.push("…".to_owned());
    }
    all.join(", ").into()
}
