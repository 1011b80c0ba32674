//! Each flag with a call that earns it, and one that just does not.

use proptest::prelude::*;

use super::evidence::evidence;
use super::verdict::failure_flag;
use super::*;
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::attempt::Facts;
use crate::call::classify::Verstat;
use crate::call::peer::{Peer, PeerRule};
use crate::call::record::{Clock, ClockSource, Ids};
use crate::number::NumberPlan;
use crate::stir::verify::{Attestation, CallVerdict, Rule};
use crate::wire::sip::Message;
use crate::wire::{Provenance, Transport};

const CALLED: &str = "+12025550142";

/// An INVITE from one number to another.
fn invite(from: &str) -> InviteFacts {
    message(&format!("sip:{CALLED}@192.0.2.1"), from, "")
}

fn message(uri: &str, from: &str, headers: &str) -> InviteFacts {
    let text = format!(
        "INVITE {uri} SIP/2.0\r\nFrom: <sip:{from}@example.net>;tag=1\r\nTo: <{uri}>\r\nCall-ID: 1@example.net\r\n\
         CSeq: 1 INVITE\r\n{headers}\r\n"
    );
    let message = Message::scan(text.as_bytes()).unwrap();
    let plan = NumberPlan::default();
    let Facts::Invite(facts) = Facts::of_invite(&message, CallVerdict::default(), &plan, &[])
    else {
        panic!("an INVITE")
    };
    *facts
}

fn signed(from: &str, attest: Attestation, validation: Validation) -> InviteFacts {
    let mut facts = invite(from);
    facts.verdict = Verdict {
        validation,
        attest: Some(attest),
        orig: facts.numbers.from,
        spc: Some("709J".into()),
        identities: 1,
        ..Verdict::default()
    };
    facts
}

const PROVIDER: Option<PeerKind> = Some(PeerKind::Provider);
const INGRESS: Direction = Direction::Ingress;

fn settings() -> FlagSettings {
    let plan = NumberPlan::default();
    FlagSettings {
        own: OwnNumbers(vec!["1202555014".into()]),
        do_not_originate: Arc::new(NumberSet::parse("12025550190\n1202555017*", &plan).unwrap()),
        allocations: Some(Arc::new(
            Allocations::parse("212,555,0,assigned\n212,*,,unassigned\n212,556,,premium").unwrap(),
        )),
        ..FlagSettings::default()
    }
}

fn flagged(facts: &InviteFacts, direction: Direction, kind: Option<PeerKind>) -> Flagged {
    let peer = kind.map(peer);
    let rule = rule();
    let resolved = Resolved {
        direction,
        peer: peer.as_ref().map(|p| (p, &rule)),
    };
    flag(facts, &resolved, &settings(), false)
}

fn peer(kind: PeerKind) -> Peer {
    Peer::new("p", kind)
}

fn rule() -> PeerRule {
    PeerRule::new("r", 0)
}

fn labels(flagged: &Flagged) -> Vec<&'static str> {
    flagged.flags.iter().map(Flag::label).collect()
}

fn flags(facts: &InviteFacts, direction: Direction, kind: Option<PeerKind>) -> Vec<&'static str> {
    labels(&flagged(facts, direction, kind))
}

/// Of an unsigned call from a provider, without `unsigned`.
fn of(from: &str) -> Vec<&'static str> {
    let mut out = flags(&invite(from), INGRESS, PROVIDER);
    out.retain(|f| *f != "unsigned");
    out
}

#[test]
fn own_numbers_may_come_from_customers_only() {
    let call = message("sip:+12125550101@192.0.2.1", "+12025550142", "");
    use PeerKind::*;
    assert_eq!(
        flags(&call, INGRESS, Some(Provider)),
        ["unsigned", "own-number-inbound"]
    );
    assert_eq!(flags(&call, INGRESS, Some(Customer)), ["unsigned"]);
    assert_eq!(
        flags(&call, Direction::Egress, Some(Provider)),
        ["unsigned"]
    );
    assert_eq!(
        flags(&call, INGRESS, None),
        ["unsigned", "own-number-inbound", "unknown-upstream"]
    );
}

#[test]
fn numbers_that_can_not_exist() {
    assert_eq!(of("11115550100"), ["invalid-nanp"]);
    assert!(of("442079460123").is_empty());
}

#[test]
fn could_not_find_out_is_neither_unsigned_nor_failed() {
    let mut call = invite("13125550100");
    call.verdict.validation = Validation::Undetermined;
    call.verdict.decided_by = Some(Rule::H4);
    assert_eq!(flags(&call, Direction::Egress, None), ["undetermined"]);
    call.verdict.decided_by = None;
    assert_eq!(
        flags(&call, Direction::Egress, None),
        ["undetermined", "not-verified"]
    );
}

#[test]
fn an_attestation_counts_only_when_valid() {
    use Attestation::*;
    for (attest, label) in [(A, "attest-a"), (B, "attest-b"), (C, "attest-c")] {
        let call = signed("13125550100", attest, Validation::Passed);
        assert_eq!(flags(&call, INGRESS, PROVIDER), [label]);
        let mut call = signed("13125550100", attest, Validation::Failed);
        call.verdict.decided_by = Some(Rule::S2);
        assert_eq!(flags(&call, INGRESS, PROVIDER), ["bad-signature"]);
    }
}

#[test]
fn every_family_of_failure_has_its_flag() {
    for (rule, want) in [
        (Rule::J3, Flag::Malformed),
        (Rule::F1, Flag::Stale),
        (Rule::O1, Flag::OrigMismatch),
        (Rule::D1, Flag::DestMismatch),
        (Rule::X2, Flag::BadCredential),
        (Rule::X4, Flag::Untrusted),
        (Rule::R3, Flag::Revoked),
        (Rule::S2, Flag::BadSignature),
    ] {
        assert_eq!(failure_flag(rule), want);
    }
}

#[test]
fn only_kinds_that_nobody_verifies_are_not_unsigned() {
    let mut call = invite("13125550100");
    call.unknown_ppt_only = true;
    assert_eq!(flags(&call, INGRESS, PROVIDER), ["unknown-ppt"]);
}

#[test]
fn what_others_say_disagrees_only_when_it_is_the_opposite() {
    let mut call = signed("13125550100", Attestation::A, Validation::Passed);
    call.verstat = Some(Verstat::Failed);
    assert_eq!(flags(&call, INGRESS, PROVIDER), ["attest-a", "disagrees"]);
    call.verstat = Some(Verstat::Passed);
    assert_eq!(flags(&call, INGRESS, PROVIDER), ["attest-a"]);
}

#[test]
fn numbers_of_the_do_not_originate_list_in_from_or_p_asserted_identity() {
    assert_eq!(of("+12025550190"), ["do-not-originate", "neighbour-spoof"]);
    assert_eq!(of("+12025550191"), ["neighbour-spoof"]);
    let asserted = message(
        "sip:+12125550101@192.0.2.1",
        "+13125550100",
        "P-Asserted-Identity: <tel:+12025550171>\r\n",
    );
    let got = flagged(&asserted, INGRESS, PROVIDER);
    assert_eq!(labels(&got), ["unsigned", "do-not-originate"]);
    assert_eq!(
        got.notes.of(Flag::DoNotOriginate),
        Some("P-Asserted-Identity 12025550171, listed as 1202555017*")
    );
    assert_eq!(flags(&asserted, Direction::Egress, PROVIDER), ["unsigned"]);
}

#[test]
fn blocks_that_nobody_has_and_those_of_which_nothing_is_known() {
    let got = flagged(&invite("+12125551123"), INGRESS, PROVIDER);
    assert_eq!(labels(&got), ["unsigned", "unallocated-number"]);
    assert_eq!(
        got.notes.of(Flag::Unallocated),
        Some("From 12125551123: nobody has 12125551xxx")
    );
    assert!(of("+12125550123").is_empty(), "assigned");
    assert!(of("+12135551123").is_empty(), "nothing is known");
    let call = invite("+12125551123");
    let peer = peer(PeerKind::Provider);
    let rule = rule();
    let resolved = Resolved {
        direction: INGRESS,
        peer: Some((&peer, &rule)),
    };
    let without = flag(&call, &resolved, &FlagSettings::default(), false);
    assert_eq!(labels(&without), ["unsigned"], "without data never");
}

#[test]
fn premium_by_area_code_or_by_the_data() {
    assert_eq!(of("+19005550123"), ["premium-number"]);
    assert_eq!(of("+12125560123"), ["premium-number"]);
    assert!(of("+18005550123").is_empty());
}

#[test]
fn what_stands_for_a_number_and_is_none() {
    let many = "1".repeat(1_000);
    assert_eq!(of(&many), ["malformed-number"]);
    assert_eq!(of("1202555O123"), ["malformed-number"]);
    let got = flagged(&invite("+0123"), INGRESS, PROVIDER);
    assert_eq!(
        got.notes.of(Flag::MalformedNumber),
        Some("+0123 (5 octets): a country code that begins with 0")
    );
    for sound in ["alice", "anonymous", "*67", "611", "442079460123"] {
        assert!(of(sound).is_empty(), "{sound}");
    }
    assert_eq!(
        flags(&invite(&many), Direction::Egress, PROVIDER),
        ["unsigned"]
    );
}

#[test]
fn neighbour_spoofing_is_the_same_exchange_from_outside_without_valid_a() {
    let near = "+12025550123";
    assert_eq!(of(near), ["neighbour-spoof"]);
    assert!(of("+12025560123").is_empty(), "the next exchange");
    let customer = flags(&invite(near), INGRESS, Some(PeerKind::Customer));
    assert_eq!(customer, ["unsigned"]);
    let own = flags(&invite(near), INGRESS, Some(PeerKind::Own));
    assert_eq!(own, ["unsigned"]);
    let stranger = flags(&invite(near), INGRESS, None);
    assert_eq!(
        stranger,
        ["unsigned", "unknown-upstream", "neighbour-spoof"]
    );
    let a = signed(near, Attestation::A, Validation::Passed);
    assert_eq!(flags(&a, INGRESS, PROVIDER), ["attest-a"]);
    let b = signed(near, Attestation::B, Validation::Passed);
    assert_eq!(
        flags(&b, INGRESS, PROVIDER),
        ["attest-b", "neighbour-spoof"]
    );
    // Anybody can write A: only a valid one speaks for the caller.
    for validation in [Validation::Failed, Validation::Undetermined] {
        let claimed = flags(&signed(near, Attestation::A, validation), INGRESS, PROVIDER);
        assert!(claimed.contains(&"neighbour-spoof"), "{claimed:?}");
    }
    let asserted = message(
        &format!("sip:{CALLED}@192.0.2.1"),
        "anonymous",
        "P-Asserted-Identity: <tel:+12025550123>\r\n",
    );
    assert_eq!(
        flags(&asserted, INGRESS, PROVIDER),
        ["unsigned", "neighbour-spoof"]
    );
    let shown = message(
        &format!("sip:{CALLED}@192.0.2.1"),
        "+13125550100",
        "P-Asserted-Identity: <tel:+12025550123>\r\n",
    );
    assert_eq!(flags(&shown, INGRESS, PROVIDER), ["unsigned"]);
}

#[test]
fn emergency_calls_are_spared_in_either_direction() {
    for uri in [
        "sip:911@192.0.2.1",
        "sip:112@192.0.2.1",
        "urn:service:sos.police",
    ] {
        let call = message(uri, "+12025550123", "");
        for direction in [INGRESS, Direction::Egress, Direction::Unknown] {
            let got = flagged(&call, direction, PROVIDER);
            assert_eq!(labels(&got), ["unsigned", "emergency"], "{uri}");
            assert!(got.exempt);
        }
    }
    assert_eq!(
        flags(
            &message("sip:988@192.0.2.1", "+12025550123", ""),
            INGRESS,
            PROVIDER
        ),
        ["unsigned"]
    );
}

#[test]
fn a_callback_that_is_only_claimed_spares_nobody() {
    let uri = format!("sip:{CALLED}@192.0.2.1");
    let claimed = message(&uri, "+12025550123", "Priority: psap-callback\r\n");
    let got = flagged(&claimed, INGRESS, PROVIDER);
    assert_eq!(
        labels(&got),
        ["unsigned", "neighbour-spoof", "emergency-callback"]
    );
    assert!(!got.exempt);
    let peer = peer(PeerKind::Provider);
    let rule = rule();
    let resolved = Resolved {
        direction: INGRESS,
        peer: Some((&peer, &rule)),
    };
    let seen = flag(&invite("+12025550123"), &resolved, &settings(), true);
    assert_eq!(labels(&seen), ["unsigned", "emergency-callback"]);
    assert!(seen.exempt);
}

#[test]
fn hidden_callers_that_somebody_attests() {
    let anonymous = |asserted: &str| {
        let mut call = message(&format!("sip:{CALLED}@192.0.2.1"), "anonymous", asserted);
        call.verdict.attest = Some(Attestation::C);
        call.verdict.validation = Validation::Failed;
        call
    };
    assert_eq!(
        flags(&anonymous(""), INGRESS, PROVIDER),
        ["anonymous-attested"]
    );
    assert!(
        flags(&anonymous(""), Direction::Egress, PROVIDER).is_empty(),
        "not ours to ask"
    );
    let asserted = anonymous("P-Asserted-Identity: <tel:+13125550100>\r\n");
    assert!(flags(&asserted, INGRESS, PROVIDER).is_empty());
    let mut unsigned = anonymous("");
    unsigned.verdict = Verdict::default();
    assert_eq!(flags(&unsigned, INGRESS, PROVIDER), ["unsigned"]);
}

#[test]
fn signers_that_are_not_expected_here() {
    let (mut call, expected) = (
        signed("13125550100", Attestation::A, Validation::Passed),
        |codes: &[&str]| -> Vec<Box<str>> { codes.iter().map(|c| (*c).into()).collect() },
    );
    let ask = |call: &InviteFacts, direction, signers: &[Box<str>]| {
        let mut out = Flagged::default();
        let subject = Subject {
            direction,
            kind: PROVIDER,
            signers,
            numbers: &call.numbers,
            verdict: &call.verdict,
        };
        flag_configured(&subject, &settings(), &mut out);
        out
    };
    let got = ask(&call, INGRESS, &expected(&["1234", "5678"]));
    assert_eq!(labels(&got), ["signer-unexpected"]);
    assert_eq!(
        got.notes.of(Flag::SignerUnexpected),
        Some("signed by 709J, expected 1234 5678")
    );
    let none = |call: &InviteFacts, direction, codes: &[&str]| {
        ask(call, direction, &expected(codes)).flags == Flags::default()
    };
    assert!(none(&call, INGRESS, &["1234", "709j"]), "in any case");
    assert!(none(&call, INGRESS, &[]), "any may sign");
    assert!(none(&call, Direction::Egress, &["1234"]));
    call.verdict.validation = Validation::Failed;
    assert!(none(&call, INGRESS, &["1234"]), "who signed is not known");
}

#[test]
fn a_flag_that_is_switched_off_is_never_set() {
    let s = FlagSettings {
        disabled: [Flag::Unsigned].into_iter().collect(),
        ..settings()
    };
    let all: Flags = Flag::ALL.iter().copied().collect();
    assert!(!s.keep(all).contains(Flag::Unsigned));
    assert_eq!(s.keep(all).iter().count(), Flag::ALL.len() - 1);
}

fn record(facts: &InviteFacts, got: Flagged) -> Begin {
    Begin {
        uid: 1,
        at: Timestamp::from_secs(1_000),
        clock: Clock {
            source: ClockSource::File,
            error_ns: 0,
        },
        sensor: "edge".into(),
        provenance: Provenance::File,
        config: 1,
        direction: INGRESS,
        peer: None,
        peer_rule: None,
        attribution: Default::default(),
        pair: None,
        transport: Transport::Udp,
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        vlan: None,
        trunk: None,
        numbers: facts.numbers,
        called_text: facts.called_text.clone(),
        ids: Ids {
            call_id: IdDigest(1),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: facts.verdict.clone(),
        verstat: facts.verstat,
        flags: got.flags,
        notes: got.notes,
    }
}

#[test]
fn evidence_is_read_from_the_record() {
    let mut call = signed("+12025550123", Attestation::B, Validation::Failed);
    let v = &mut call.verdict;
    v.decided_by = Some(Rule::O1);
    v.failed = [Rule::F1, Rule::O1].into_iter().collect();
    (v.iat, v.passport) = (Some(900), Some(Digest128::of(b"x")));
    v.orig = Tn::from_canonical(b"12025550199");
    let got = flagged(&call, INGRESS, PROVIDER);
    let begin = record(&call, got);
    for (flag, want) in [
        (
            Flag::OrigMismatch,
            "O1 F1 (orig-mismatch); signed for 12025550199, From 12025550123, P-Asserted-Identity none",
        ),
        (Flag::NeighbourSpoof, "both numbers are of 202-555"),
        (
            Flag::UnknownUpstream,
            "from 198.51.100.1:5060 to 192.0.2.1:5060",
        ),
    ] {
        assert_eq!(evidence(flag, &(&begin).into()), want);
    }
    let stale = evidence(Flag::Stale, &(&begin).into());
    assert!(
        stale.ends_with("iat 900, 100 s before the INVITE"),
        "{stale}"
    );
    for flag in Flag::ALL {
        assert!(!evidence(*flag, &(&begin).into()).is_empty() || *flag == Flag::InvalidNanp);
    }
    let all = super::evidence::of_call(&begin);
    assert_eq!(all.len(), begin.flags.iter().count());
    assert_eq!((all[0].flag, all[0].severity), ("orig-mismatch", "bad"));
}

proptest! {
    /// Whatever stands in From: no panic, one flag at most says that it is no number, and notes stay short.
    #[test]
    fn any_from_is_judged(from in "[^\\s<>@\"]{0,80}|[0-9]{1,1000}|(%[0-9a-f]{2}){1,30}") {
        let got = flagged(&invite(&from), INGRESS, PROVIDER);
        prop_assert!(got.notes.iter().all(|(_, n)| n.len() <= crate::call::classify::note::MAX_NOTE));
        prop_assert!(!got.exempt);
    }

    /// What a record keeps gives the same configured flags as the call did.
    #[test]
    fn a_record_gives_the_same_configured_flags(from in "\\+?1?[0-9]{10}", private in any::<bool>()) {
        let mut call = invite(&from);
        call.numbers.private = private;
        let peer = peer(PeerKind::Provider);
        let rule = rule();
        let resolved = Resolved { direction: INGRESS, peer: Some((&peer, &rule)) };
        let live = flag(&call, &resolved, &settings(), false);
        let begin = record(&call, live.clone());
        let mut again = Flagged::default();
        flag_configured(&Subject::of_record(&begin, &resolved), &settings(), &mut again);
        let configured = live.flags.iter().filter(|f| f.is_configured()).collect();
        prop_assert_eq!(again.flags, configured);
    }
}
