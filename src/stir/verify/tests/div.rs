//! Diversions: V1 to V7, F4.

use super::*;

const A: &str = "12025550142";
const B: &str = "12025550143";
const C: &str = "12025550144";

/// A diversion of the good call from one number to another.
fn div(from: &str, to: &str) -> Call {
    call()
        .jose("\"shaken\"", "\"div\"")
        .parameters(&PARAMETERS.replace("shaken", "div"))
        .with(|c| {
            c.claims = format!(
                r#"{{"dest":{{"tn":["{to}"]}},"div":{{"tn":"{from}"}},"iat":{},"orig":{{"tn":"12025550123"}}}}"#,
                pki::NOW
            );
        })
}

/// The good call, sent on to a number in the end. To keeps the one that was called first.
fn sent_on(to: &str) -> Call {
    call().with(|c| c.request_uri = format!("sip:+{to}@198.51.100.7;user=phone"))
}

/// The same with the last number in To as well: only the chain explains it.
fn moved_on(to: &str) -> Call {
    sent_on(to).with(|c| c.to = format!("<sip:+{to}@example.com>"))
}

fn judge(call: &Call, headers: &[&Call]) -> CallVerdict {
    let lines: Vec<_> = headers
        .iter()
        .map(|h| format!("Identity: {}", h.identity()))
        .collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    call.judge(&call.invite_with(&lines))
}

#[test]
fn v3_an_unbroken_chain_passes_in_any_order_of_headers() {
    let (one, two) = (div(A, B), div(B, C));
    let c = sent_on(C).with(|c| c.to = format!("<sip:+{C}@example.com>"));
    for order in [
        [&c, &one, &two],
        [&two, &one, &c],
        [&one, &c, &two],
        [&two, &c, &one],
    ] {
        let v = judge(&c, &order);
        assert_eq!(v.validation(), Validation::Passed, "{:?}", v.headers);
        assert_eq!(v.chain.state, ChainState::Unbroken);
        let links: Vec<_> = [&one, &two]
            .map(|l| order.iter().position(|h| h.claims == l.claims).unwrap())
            .map(|i| u8::try_from(i).unwrap())
            .to_vec();
        assert_eq!(v.chain.links.to_vec(), links);
        assert_eq!(v.attest(), Some(Attestation::A));
        let best = v.best().unwrap();
        assert_eq!(best.ppt.as_deref(), Some("shaken"));
        assert_eq!(best.dest_match, Some(DestMatch::Chain));
        assert!(v.headers.iter().all(|h| h.passed.contains(Rule::V3)));
        assert!(!v.chain.ambiguous && !v.chain.looped);
    }
    // Without its links the call went elsewhere.
    let v = judge(&c, &[&c]);
    assert_eq!(v.decided_by(), Some(Rule::D1));
    assert_eq!(v.chain.state, ChainState::Absent);
}

#[test]
fn v5_to_keeps_the_number_called_first() {
    let c = sent_on(B);
    let v = judge(&c, &[&c, &div(A, B)]);
    assert_eq!(v.validation(), Validation::Passed);
    assert_eq!(v.best().unwrap().dest_match, Some(DestMatch::To));
}

#[test]
fn v3_a_broken_chain_fails_and_names_its_link() {
    let c = moved_on(C);
    for (links, broken) in [
        (vec![div(B, C)], 1),
        (vec![div(A, B)], 2),
        (
            vec![div(A, B), div(A, C).claims("12025550123", "12025550124")],
            2,
        ),
        (vec![div(A, B), div(B, "12025550145")], 3),
    ] {
        let mut headers = vec![&c];
        headers.extend(&links);
        let v = judge(&c, &headers);
        assert_eq!(v.chain.state, ChainState::Broken(broken));
        assert_eq!(v.decided_by(), Some(Rule::V3));
        assert_eq!(v.sip_code(), Some(438));
        // What was signed for To needs no chain, and who means ill would send none.
        let by_itself = sent_on(C);
        headers[0] = &by_itself;
        let v = judge(&by_itself, &headers);
        assert_eq!(v.chain.state, ChainState::Broken(broken));
        assert_eq!(v.validation(), Validation::Passed);
        assert!(v.headers.iter().any(|h| h.failed.contains(Rule::V3)));
    }
}

#[test]
fn v3_h4_no_cut_turns_the_verdict_of_a_call_that_was_sent_on() {
    let broken = div(B, C);
    for c in [sent_on(C), moved_on(C)] {
        for link in [&div(A, C), &broken] {
            let lines = [&c, link].map(|h| format!("Identity: {}", h.identity()));
            let asserted = c.clone().other("P-Asserted-Identity: <tel:+12025550123>");
            let whole = asserted.invite_with(&[&lines[0], &lines[1]]);
            let truth = asserted.judge(&whole).validation();
            let first_line = whole.iter().position(|b| *b == b'\n').unwrap();
            for end in first_line + 1..whole.len() - 1 {
                let v = asserted.judge(&whole[..end]).validation();
                assert!(v == Validation::Undetermined || v == truth, "cut at {end}");
            }
        }
    }
}

#[test]
fn v3_a_forged_link_is_none() {
    let c = moved_on(B);
    let forged = div(A, B).with(|c| c.key = pki::key(99));
    let v = judge(&c, &[&c, &forged]);
    assert_eq!(v.chain.state, ChainState::Broken(1));
    assert_eq!(v.headers[1].decided_by, Some(Rule::V3));
    assert!(v.headers[1].failed.contains(Rule::S2));
    // Beside a good one it breaks nothing.
    let v = judge(&c, &[&forged, &c, &div(A, B)]);
    assert_eq!(v.validation(), Validation::Passed);
    assert_eq!(v.headers[0].validation, Validation::Failed);
}

#[test]
fn v3_a_link_that_can_not_be_judged_leaves_the_call_open() {
    const OTHER: &str = "https://cert.example.org/x.pem";
    let unknown = div(A, B)
        .jose(URL, OTHER)
        .parameters(&format!(";info=<{OTHER}>;ppt=div"));
    let c = sent_on(B).with(|c| c.to = format!("<sip:+{B}@example.com>"));
    let v = judge(&c, &[&c, &unknown]);
    assert_eq!(v.validation(), Validation::Undetermined);
    assert_eq!(v.chain.state, ChainState::Undetermined);
    assert_eq!(missing_certificate(&v.headers[1]).as_deref(), Some(OTHER));
}

#[test]
fn v3_loops_and_two_ways_are_seen() {
    let c = sent_on(A);
    let v = judge(&c, &[&c, &div(A, B), &div(B, A), &div(A, C), &div(C, A)]);
    assert_eq!(v.validation(), Validation::Passed, "{:?}", v.headers);
    assert!(v.chain.looped && v.chain.ambiguous);
    assert_eq!(v.chain.links.len(), 4);
}

#[test]
fn v7_eight_links_hold_and_headers_made_to_confuse_cost_little() {
    let n = |i: usize| format!("120255501{}", 42 + i);
    let links: Vec<_> = (0..8).map(|i| div(&n(i), &n(i + 1))).collect();
    let c = sent_on(&n(8));
    let mut headers: Vec<_> = links.iter().rev().collect();
    headers.insert(3, &c);
    let v = judge(&c, &headers);
    assert_eq!(v.chain.state, ChainState::Unbroken);
    assert_eq!(v.chain.links.len(), 8);
    let same: Vec<_> = (0..15).map(|_| div(A, A)).collect();
    let c = sent_on(A);
    let mut headers: Vec<_> = same.iter().collect();
    headers.push(&c);
    let v = judge(&c, &headers);
    assert_eq!(v.validation(), Validation::Passed);
    assert!(v.chain.ambiguous && v.chain.looped);
}

#[test]
fn v3_a_div_without_the_passport_signed_first_vouches_for_nothing() {
    let c = sent_on(B);
    let v = judge(&c, &[&div(A, B)]);
    assert_eq!(v.validation(), Validation::None);
    assert_eq!((v.best, v.sip_code()), (None, None));
    assert_eq!(v.chain.state, ChainState::Broken(1));
    assert!(!v.is_unsigned());
}

#[test]
fn v1_div_names_one_number() {
    let c = moved_on(B);
    for bad in [r#""div":{"hi":"1"}"#, r#""div":"x""#, r#""x":1"#] {
        let odd = div(A, B).claims(&format!("\"div\":{{\"tn\":\"{A}\"}}"), bad);
        let v = judge(&c, &[&c, &odd]);
        assert_eq!(v.headers[1].decided_by, Some(Rule::V1), "{bad}");
        assert_eq!(v.decided_by(), Some(Rule::V3));
    }
    let more = div(A, B).claims(
        "\"div\":{",
        "\"div\":{\"hi\":\"1.1\",\"reason\":\"no-answer\",",
    );
    assert_eq!(judge(&c, &[&c, &more]).validation(), Validation::Passed);
}

#[test]
fn v2_the_certificate_is_good_for_the_number_that_sent_the_call_on() {
    let range = |start: &str| {
        let start = pki::tlv(0x16, start.as_bytes());
        let one = pki::tlv(0xa1, &pki::seq(&[start, pki::tlv(0x02, &[2])]));
        pki::seq(&[one])
    };
    let leaf = |start: &str| {
        pki::leaf(&pki::root(), "709J")
            .without(pki::TN_AUTH_LIST)
            .tn_auth_list(&range(start))
    };
    // For the link alone, by itself: its certificate has no code.
    let verdict = |start: &str| {
        let c = div(A, B).with(|c| c.leaf = leaf(start));
        judge(&c, &[&c]).headers[0].clone()
    };
    assert!(verdict(A).passed.contains(Rule::X10));
    let v = verdict("12025550123");
    assert!(v.failed.contains(Rule::X10), "{v:?}");
}

#[test]
fn f4_the_call_may_have_rung_but_the_last_link_is_fresh() {
    let at = |mut c: Call, iat: i64| {
        c.claims = c
            .claims
            .replace(&pki::NOW.to_string(), &(pki::NOW + iat).to_string());
        c
    };
    let c = at(sent_on(C), -180);
    let v = judge(&c, &[&c, &at(div(A, B), -90), &div(B, C)]);
    assert_eq!(v.validation(), Validation::Passed, "{:?}", v.headers);
    assert!(v.headers[0].passed.contains(Rule::F4));
    // All of it old.
    let v = judge(&c, &[&c, &at(div(A, B), -90), &at(div(B, C), -80)]);
    assert_eq!((v.decided_by(), v.sip_code()), (Some(Rule::F1), Some(403)));
    assert!(v.headers[0].failed.contains(Rule::F4));
    // Signed after what followed from it, by more than clocks differ.
    let c = moved_on(C);
    let v = judge(&c, &[&c, &at(div(A, B), -100), &div(B, C)]);
    assert_eq!((v.decided_by(), v.sip_code()), (Some(Rule::F4), Some(403)));
    let v = judge(&c, &[&c, &at(div(A, B), -50), &div(B, C)]);
    assert_eq!(v.validation(), Validation::Passed);
}

#[test]
fn v4_an_unsigned_diversion_is_named() {
    let c = sent_on(C).with(|c| c.to = format!("<sip:+{C}@example.com>"));
    c.clone().fails(Rule::D1);
    for header in ["Diversion", "History-Info"] {
        let with = c
            .clone()
            .other(&format!("{header}: <sip:+{A}@example.net>;index=1"));
        let v = with.gives(&[Rule::D1], &[], &[Rule::V4]);
        assert_eq!(v.decided_by, Some(Rule::D1));
        // Signed, it is explained.
        let signed = judge(&with, &[&with, &div(A, C)]);
        assert_eq!(signed.validation(), Validation::Passed);
        assert!(signed.best().unwrap().findings.is_empty());
    }
    c.other(&format!("Diversion: <sip:+{B}@example.net>"))
        .fails(Rule::D1);
}

fn nested(original: &str, from: &str, to: &str) -> Call {
    div(from, to)
        .jose("\"div\"", "\"div-o\"")
        .parameters(&PARAMETERS.replace("shaken", "div-o"))
        .claims("\"iat\"", &format!("\"opt\":\"{original}\",\"iat\""))
}

#[test]
fn v6_a_nested_original_vouches_for_the_call() {
    let old = call().claims("1780315200", "1780315020");
    let one = nested(&old.token(), A, B);
    let two = nested(&one.token(), B, C);
    for (outer, to) in [(&one, B), (&two, C)] {
        let c = sent_on(to).with(|c| c.to = format!("<sip:+{to}@example.com>"));
        let v = judge(&c, &[outer]);
        assert_eq!(v.validation(), Validation::Passed, "{:?}", v.headers);
        assert_eq!(v.attest(), Some(Attestation::A));
        assert_eq!(v.chain.state, ChainState::Unbroken);
        assert!(v.best().unwrap().origid.is_some());
    }
    let c = sent_on("12025550145");
    let v = judge(&c, &[&two]);
    assert_eq!(v.decided_by(), Some(Rule::V3));
}

#[test]
fn v6_an_original_that_does_not_hold_fails() {
    let c = sent_on(B);
    let forged = call().with(|c| c.key = pki::key(99));
    let elsewhere = call().claims(A, C);
    let other = call().claims("12025550123", "12025550124");
    let unsigned = div(A, B);
    for bad in [&forged, &elsewhere, &other, &unsigned] {
        let v = judge(&c, &[&nested(&bad.token(), A, B)]);
        assert_eq!(v.decided_by(), Some(Rule::V6), "{:?}", v.headers);
        assert_eq!(v.chain.state, ChainState::Broken(1));
    }
    for bad in ["", "x", "..c2ln"] {
        let v = judge(&c, &[&nested(bad, A, B)]);
        assert_eq!(v.decided_by(), Some(Rule::V6), "{bad}");
    }
    let unknown = call().jose(URL, "https://cert.example.org/x.pem");
    let v = judge(&c, &[&nested(&unknown.token(), A, B)]);
    assert_eq!(v.validation(), Validation::Undetermined);
    assert_eq!(v.decided_by(), Some(Rule::V6));
    assert_eq!(
        missing_certificate(&v.headers[0]).as_deref(),
        Some("https://cert.example.org/x.pem")
    );
}

#[test]
fn v6_depth_and_signature_checks_are_bounded() {
    let mut token = call().token();
    let mut outer = None;
    for _ in 0..9 {
        let next = nested(&token, A, A);
        token = next.token();
        outer = Some(next);
    }
    let outer = outer.unwrap();
    let c = sent_on(A);
    let v = judge(&c, &[&outer]);
    assert_eq!(
        v.decided_by(),
        Some(Rule::H7),
        "nine deep is past what H7 lets in"
    );
    // Sixteen headers with as many inside are more than may be checked.
    let inner = nested(&call().token(), A, A);
    let outer = nested(&inner.token(), A, A);
    let mut memo = SignatureMemo::none();
    let line = format!("Identity: {}", outer.identity());
    let bytes = c.invite_with(&[line.as_str(); 16]);
    let message = Message::scan(&bytes).unwrap();
    let v = verify_call_with_memo_at(&message, c.at, &c.credentials(), &c.settings, &mut memo);
    assert_eq!(memo.misses, 24);
    assert_eq!(v.headers[15].validation, Validation::Undetermined);
    assert_eq!(v.validation(), Validation::Passed);
}
