//! What a certificate lets its holder sign for and claim: X11, X13, X14.

use super::*;
use crate::stir::credential::testpki::{CONSTRAINTS, ENHANCED, Issuer, Limits};

fn code(spc: &str) -> Vec<u8> {
    pki::tlv(0xa0, &pki::tlv(0x16, spc.as_bytes()))
}

fn run(start: &str, count: u8) -> Vec<u8> {
    let parts = [pki::tlv(0x16, start.as_bytes()), pki::tlv(0x02, &[count])];
    pki::tlv(0xa1, &pki::seq(&parts))
}

fn one(number: &str) -> Vec<u8> {
    pki::tlv(0xa2, &pki::tlv(0x16, number.as_bytes()))
}

/// authorityInfoAccess: where a TNAuthList is kept.
fn access(url: &str) -> Vec<u8> {
    let method = pki::oid("1.3.6.1.5.5.7.48.14");
    pki::seq(&[pki::seq(&[method, pki::tlv(0x86, url.as_bytes())])])
}

/// A call under a delegate: the leaf's entries, and those of each delegate above it, nearest first.
fn under(leaf: &[Vec<u8>], above: &[&[Vec<u8>]]) -> Call {
    let mut issuer = pki::root();
    let mut chain = Vec::new();
    for (n, entries) in (3u8..).zip(above.iter().rev()) {
        issuer = pki::intermediate_with(&issuer, &format!("Delegate {n}"), n, |b| {
            b.tn_auth_list(&pki::seq(entries))
        });
        chain.push(issuer.der.clone());
    }
    let builder = pki::leaf(&issuer, "709J").tn_auth_list(&pki::seq(leaf));
    call().with(|c| {
        c.leaf = builder;
        c.extras = chain;
    })
}

#[test]
fn e3_x13_each_delegate_lies_inside_the_one_above_it() {
    let number = "12025550123";
    let v = under(&[one(number)], &[&[run("12025550100", 50)]]).passes();
    assert!(v.passed.contains(Rule::X13) && v.passed.contains(Rule::X10));
    let outside = under(&[one(number)], &[&[run("12025550100", 20)]]);
    let v = outside.fails(Rule::X13);
    assert!(v.passed.contains(Rule::X10), "the leaf itself covers orig");
    assert_eq!(
        outside.note(Rule::X13),
        "failed: 12025550123 < 20 numbers from 12025550100"
    );
    // The leaf may be inside its issuer, and that one outside its own.
    let (wide, narrow) = ([run("12025550100", 100)], [run("12025550120", 10)]);
    under(&[one(number)], &[&narrow, &wide]).passes();
    under(&[one(number)], &[&wide, &narrow]).fails(Rule::X13);
    // One entry of several is enough to break it, though the call is of another number.
    under(&[one(number), one("12025550199")], &[&narrow]).fails(Rule::X13);
}

#[test]
fn x13_x13s_codes_and_numbers_under_a_code() {
    under(&[code("709J")], &[&[code("709J")]]).passes();
    under(&[code("709J")], &[&[code("710J")]]).fails(Rule::X13);
    under(&[code("709J")], &[&[run("12025550100", 50)]]).fails(Rule::X13);
    let by_code = under(&[one("12025550123")], &[&[code("709J")]]);
    by_code.gives(&[], &[Rule::X13], &[Rule::X13S]);
    assert_eq!(by_code.note(Rule::X13S), "finding: 12025550123 < code 709J");
}

#[test]
fn x13_a_certificate_without_a_list_between_delegates_limits_nobody() {
    let parent = pki::intermediate_with(&pki::root(), "Delegate", 3, |b| {
        b.tn_auth_list(&pki::seq(&[run("12025550100", 20)]))
    });
    let plain = pki::intermediate(&parent, "No Delegate", 4);
    let through = |number| {
        call().with(|c| {
            c.leaf = pki::leaf(&plain, "709J").tn_auth_list(&pki::seq(&[one(number)]));
            c.extras = vec![plain.der.clone(), parent.der.clone()];
        })
    };
    through("12025550123").fails(Rule::X13);
    let above = |b: Builder| b.tn_auth_list(&pki::seq(&[run("12025550100", 50)]));
    let parent = pki::intermediate_with(&pki::root(), "Delegate", 3, above);
    let plain = pki::intermediate(&parent, "No Delegate", 4);
    call()
        .with(|c| {
            c.leaf = pki::leaf(&plain, "709J").tn_auth_list(&pki::seq(&[one("12025550123")]));
            c.extras = vec![plain.der.clone(), parent.der.clone()];
        })
        .passes();
}

#[test]
fn x13_a_list_of_an_issuer_that_cannot_be_read_limits_to_nothing() {
    let odd = pki::intermediate_with(&pki::root(), "Delegate", 3, |b| {
        b.tn_auth_list(b"\x30\x06\x80\x04709J")
    });
    call()
        .with(|c| {
            c.leaf = pki::leaf(&odd, "709J");
            c.extras = vec![odd.der.clone()];
        })
        .fails(Rule::X13);
}

#[test]
fn x13_a_list_that_is_kept_elsewhere_leaves_open_what_lies_inside_it() {
    let elsewhere = |b: Builder| {
        b.without(pki::TN_AUTH_LIST).extension(
            "1.3.6.1.5.5.7.1.1",
            false,
            &access("https://tnlist.example.net/1"),
        )
    };
    let issuer = pki::intermediate_with(&pki::root(), "Delegate", 3, elsewhere);
    let c = call().with(|c| {
        c.leaf = pki::leaf(&issuer, "709J");
        c.extras = vec![issuer.der.clone()];
    });
    c.gives(&[], &[Rule::X13], &[Rule::X13S]);
    let leaf = under(&[one("12025550123")], &[&[run("12025550100", 50)]]);
    leaf.with(|c| c.leaf = elsewhere(c.leaf.clone())).gives(
        &[],
        &[Rule::X10, Rule::X13],
        &[Rule::X11, Rule::X13S],
    );
}

#[test]
fn x13_delegate_issuers_need_the_ca_bit() {
    let list = pki::seq(&[run("12025550100", 50)]);
    let no_ca = Issuer::new(
        pki::leaf(&pki::root(), "709J").tn_auth_list(&list),
        pki::key(5),
    );
    call()
        .with(|c| {
            c.leaf = pki::leaf(&no_ca, "709J").tn_auth_list(&pki::seq(&[one("12025550123")]));
            c.extras = vec![no_ca.der.clone()];
        })
        .fails(Rule::X4);
}

#[test]
fn x11_a_list_elsewhere_leaves_the_authority_open() {
    let url = "https://tnlist.example.net/709J";
    let elsewhere = |c: &mut Call| {
        let leaf = c.leaf.clone();
        c.leaf = leaf.extension("1.3.6.1.5.5.7.1.1", false, &access(url));
    };
    let alone = call().with(|c| {
        c.leaf = c.leaf.clone().without(pki::TN_AUTH_LIST);
        elsewhere(c);
    });
    let v = alone.gives(&[], &[Rule::X10], &[Rule::X11]);
    assert_eq!(v.spc, None);
    assert_eq!(alone.note(Rule::X11), format!("finding: {url}"));
    call().with(elsewhere).finds(Rule::X11);
    let other_numbers = under(&[one("12025550199")], &[]).with(elsewhere);
    other_numbers.gives(&[], &[Rule::X10], &[Rule::X11]);
    // Another access method is no list.
    let issuers = pki::seq(&[pki::seq(&[
        pki::oid("1.3.6.1.5.5.7.48.2"),
        pki::tlv(0x86, url.as_bytes()),
    ])]);
    call()
        .with(|c| {
            c.leaf = c
                .leaf
                .clone()
                .extension("1.3.6.1.5.5.7.1.1", false, &issuers)
        })
        .passes();
}

fn limited(id: &str, critical: bool, limits: Limits) -> Call {
    call().with(|c| c.leaf = c.leaf.clone().extension(id, critical, &limits.der()))
}

#[test]
fn x14_claims_keep_to_the_constraints_of_either_kind_critical_or_not() {
    let a = Limits {
        permit: &[("attest", &["A"])],
        ..Limits::default()
    };
    for id in [CONSTRAINTS, ENHANCED] {
        for critical in [false, true] {
            let c = limited(id, critical, a);
            let v = c.passes();
            assert!(v.passed.contains(Rule::X14) && v.passed.contains(Rule::X14C));
            let b = c.claims("\"A\"", "\"B\"");
            b.fails(Rule::X14);
            assert_eq!(
                b.note(Rule::X14),
                "failed: claim attest has a value that the certificate does not permit"
            );
        }
    }
}

#[test]
fn x14_permitted_values_of_objects_and_of_numbers() {
    let with = |permit| {
        limited(
            ENHANCED,
            false,
            Limits {
                permit,
                ..Limits::default()
            },
        )
    };
    with(&[("orig", &[r#"{"tn":"12025550123"}"#])]).passes();
    with(&[("orig", &[r#"{"tn":"12025550124"}"#])]).fails(Rule::X14);
    with(&[("dest", &[r#"{ "tn": ["12025550142"] }"#])]).passes();
    with(&[("iat", &["1780315200"])]).passes();
    with(&[("iat", &["1780315201"])]).fails(Rule::X14);
    with(&[("rcd", &["{}"])]).passes();
    with(&[("attest", &["A", "B"])])
        .claims(r#""attest":"A""#, r#""attest":"\u0042""#)
        .passes();
}

#[test]
fn x14_claims_that_must_be_there_and_claims_that_must_not() {
    let include = Limits {
        include: &["rcd"],
        ..Limits::default()
    };
    let exclude = Limits {
        exclude: &["rcd"],
        ..Limits::default()
    };
    let rich = |c: Call| c.claims(r#""orig":"#, r#""rcd":{"nam":"Example"},"orig":"#);
    limited(CONSTRAINTS, false, include).fails(Rule::X14);
    rich(limited(CONSTRAINTS, false, include)).passes();
    limited(ENHANCED, false, exclude).passes();
    rich(limited(ENHANCED, false, exclude)).fails(Rule::X14);
    // The claims that every token has are there without being listed, and may be listed.
    let baseline = Limits {
        include: &["iat", "orig", "dest"],
        ..Limits::default()
    };
    limited(CONSTRAINTS, false, baseline).passes();
}

#[test]
fn x14_constraints_of_an_issuer_bind_the_leaf() {
    let ca = |permit| {
        let limits = Limits {
            permit,
            ..Limits::default()
        };
        let ca = pki::intermediate_with(&pki::root(), "Example Issuing CA", 3, |b| {
            b.extension(ENHANCED, false, &limits.der())
        });
        call().with(|c| {
            c.leaf = pki::leaf(&ca, "709J");
            c.extras.push(ca.der.clone());
        })
    };
    ca(&[("attest", &["A"])]).passes();
    ca(&[("attest", &["C"])]).fails(Rule::X14);
}

#[test]
fn x14_any_path_whose_constraints_hold_will_do() {
    let cross = |issuer: &Issuer, permit| {
        let limits = Limits {
            permit,
            ..Limits::default()
        };
        pki::intermediate_with(issuer, "Cross CA", 3, |b| {
            b.extension(ENHANCED, false, &limits.der())
        })
    };
    let (a, b) = (
        cross(&pki::root(), &[("attest", &["C"])]),
        cross(&pki::other_root(), &[("attest", &["A"])]),
    );
    let both = call().with(|c| {
        c.leaf = pki::leaf(&a, "709J");
        c.extras = vec![a.der.clone(), b.der.clone()];
    });
    both.fails(Rule::X14);
    both.with(|c| {
        c.trust = |_| {
            let anchors = [pki::root(), pki::other_root()];
            TrustStore::new(anchors.iter().map(Issuer::certificate).collect(), None)
        };
    })
    .finds(Rule::R5);
}

#[test]
fn x14c_both_kinds_in_one_certificate_and_what_cannot_be_read_are_refused() {
    let a = Limits {
        permit: &[("attest", &["A"])],
        ..Limits::default()
    };
    let both = limited(CONSTRAINTS, false, a)
        .with(|c| c.leaf = c.leaf.clone().extension(ENHANCED, false, &a.der()));
    both.fails(Rule::X14C);
    assert!(both.note(Rule::X14C).ends_with("in one certificate"));
    let odd = |value: &[u8]| {
        let leaf = pki::leaf(&pki::root(), "709J").extension(CONSTRAINTS, false, value);
        call().with(|c| c.leaf = leaf)
    };
    odd(b"\x30\x00").fails(Rule::X14C);
    odd(b"\x05\x00").fails(Rule::X14C);
    // Without a path as well.
    let stranger = pki::leaf(&pki::other_root(), "709J").extension(CONSTRAINTS, false, b"\x30\x00");
    call()
        .with(|c| c.leaf = stranger)
        .gives(&[Rule::X4, Rule::X14C], &[], &[]);
}

#[test]
fn x14_a_token_that_cannot_be_read_is_not_held_against_constraints() {
    let c = limited(
        CONSTRAINTS,
        false,
        Limits {
            include: &["rcd"],
            ..Limits::default()
        },
    );
    let v = c.claims(r#"{"attest""#, r#"{"iat":1,"attest""#).verdict();
    assert!(v.failed.contains(Rule::P1));
    assert!(!v.failed.contains(Rule::X14) && !v.passed.contains(Rule::X14));
}
