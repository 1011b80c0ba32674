//! What carriers write, and what attackers do.

use super::*;
use proptest::prelude::*;

const INVITE: &[u8] = b"INVITE sip:+12025550123@192.0.2.1;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK-1, SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK-0\r\n\
From: \"Doe, <Jane>\" <sip:+12025550100@example.net>;tag=a1\r\n\
t: <tel:+12025550123>\r\n\
i: call-1@example.net\r\n\
CSeq: 7 INVITE\r\n\
y: aaaa.bbbb.cccc;info=<https://cert.example.net/a;b=c.pem>\r\n ;alg=ES256\r\n\t;ppt=\"shaken\"\r\n\
Identity : second\r\n\
l: 4\r\n\
\r\n\
v=0\n";

#[test]
fn long_and_compact_names_folding_and_blanks() {
    let m = Message::scan(INVITE).unwrap();
    assert!(m.start.is_method("INVITE"));
    assert!(m.is_initial_invite());
    assert_eq!(
        m.headers.first(HeaderName::CallId),
        Some(&b"call-1@example.net"[..])
    );
    assert_eq!(m.cseq(), Some((7, &b"INVITE"[..])));
    assert_eq!(m.branch(), Some(&b"z9hG4bK-1"[..]));
    let ids: Vec<_> = m.headers.all(HeaderName::Identity).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0].starts_with(b"aaaa") && ids[0].ends_with(b"\"shaken\""));
    assert_eq!(ids[1], b"second");
    assert!(m.anomalies.folded && m.anomalies.space_before_colon && !m.anomalies.no_blank_line);
    assert_eq!(m.body, b"v=0\n");
}

#[test]
fn addresses() {
    let m = Message::scan(INVITE).unwrap();
    let from = NameAddr::parse(m.headers.first(HeaderName::From).unwrap());
    assert_eq!(from.uri.user, b"+12025550100");
    assert_eq!(from.uri.host(), b"example.net");
    assert_eq!(from.param("TAG"), Some(&b"a1"[..]));
    assert_eq!(from.display, b"\"Doe, <Jane>\"");
    let to = NameAddr::parse(m.headers.first(HeaderName::To).unwrap());
    assert!(to.uri.is_tel());
    assert_eq!(to.uri.user, b"+12025550123");
}

#[test]
fn trunk_group_sits_in_the_user_part() {
    let uri = Uri::parse(
        b"sip:+12025550123;tgrp=tg-1;trunk-context=example.net@192.0.2.1:5060;user=phone?x=y",
    );
    assert_eq!(uri.param("tgrp"), Some(&b"tg-1"[..]));
    assert_eq!(uri.param("user"), Some(&b"phone"[..]));
    assert_eq!(uri.host(), b"192.0.2.1");
    assert_eq!(
        Uri::parse(b"sips:[2001:db8::1]:5061").host(),
        b"2001:db8::1"
    );
    let bare = NameAddr::parse(b"sip:+12025550100;x=y@example.net;tag=9");
    assert_eq!(bare.param("tag"), Some(&b"9"[..]));
    assert_eq!(bare.uri.user, b"+12025550100;x=y");
}

#[test]
fn a_latin1_octet_hides_nothing() {
    let m = Message::scan(
        b"INVITE sip:a@b SIP/2.0\r\nFrom: Jos\xe9 <sip:a@b>;tag=1\r\nIdentity: x\r\n\r\n",
    )
    .unwrap();
    assert_eq!(m.headers.first(HeaderName::Identity), Some(&b"x"[..]));
}

#[test]
fn bare_lf_leading_lines_lower_case_version_and_odd_lines() {
    let m = Message::scan(b"\r\n\r\nINVITE tel:+12025550123 sip/2.0\nrubbish\nIdentity: x\n\nbody")
        .unwrap();
    assert!(
        m.anomalies.bare_lf && m.anomalies.leading_empty_lines && m.anomalies.line_without_colon
    );
    assert_eq!(m.headers.first(HeaderName::Identity), Some(&b"x"[..]));
    assert_eq!(m.body, b"body");
}

#[test]
fn a_cut_message_says_so() {
    let m = Message::scan(&INVITE[..200]).unwrap();
    assert!(m.anomalies.no_blank_line);
    assert_eq!(Message::scan(b"\r\n\r\n").unwrap_err(), NotSip::Empty);
    assert_eq!(
        Message::scan(b"GET / HTTP/1.1\r\n\r\n").unwrap_err(),
        NotSip::NoStartLine
    );
}

#[test]
fn responses() {
    let m = Message::scan(b"SIP/2.0 183 Session Progress\r\nCSeq: 1 INVITE\r\n\r\n").unwrap();
    assert_eq!(
        m.start,
        StartLine::Response {
            code: 183,
            reason: b"Session Progress"
        }
    );
    assert!(Message::scan(b"SIP/2.0 99 x\r\n\r\n").is_err());
    assert!(Message::scan(b"SIP/2.0 2000 x\r\n\r\n").is_err());
}

#[test]
fn a_reinvite_has_a_tag_in_to() {
    let m =
        Message::scan(b"INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b;tag=no>;tag=yes\r\n\r\n").unwrap();
    assert!(!m.is_initial_invite());
    let m = Message::scan(b"INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b;tag=no>\r\n\r\n").unwrap();
    assert!(m.is_initial_invite());
}

#[test]
fn endless_headers_end() {
    let mut bytes = b"INVITE sip:a@b SIP/2.0\r\n".to_vec();
    for _ in 0..10_000 {
        bytes.extend_from_slice(b"a:\r\n");
    }
    bytes.extend_from_slice(b"\r\nbody");
    let m = Message::scan(&bytes).unwrap();
    assert!(m.anomalies.too_many_headers);
    assert_eq!(m.body, b"body");
}

#[test]
fn commas_in_quotes_and_brackets_do_not_split() {
    let v: Vec<_> = uri::split_values(b"\"a,b\" <sip:a,b@c>, <tel:+1>,,").collect();
    assert_eq!(v, [&b"\"a,b\" <sip:a,b@c>"[..], b"<tel:+1>"]);
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = frame::frame(&bytes);
        let _ = frame::resync(&bytes);
        let _ = NameAddr::parse(&bytes).param("tag");
        let _ = Uri::parse(&bytes).host();
        if let Ok(m) = Message::scan(&bytes) { let _ = (m.cseq(), m.branch(), m.is_initial_invite()); }
    }

    #[test]
    fn a_changed_octet_never_panics(at in 0usize..INVITE.len(), to: u8, cut in 0usize..INVITE.len()) {
        let mut bytes = INVITE.to_vec();
        bytes[at] = to;
        for b in [&bytes[..], &bytes[..cut]] {
            if let Ok(m) = Message::scan(b) {
                let _ = (m.cseq(), m.branch(), m.is_initial_invite());
                for h in m.headers.iter() { let _ = NameAddr::parse(h.value).param("tag"); }
            }
        }
    }

    /// No octet outside the Identity line itself can hide the Identity header.
    #[test]
    fn one_octet_hides_no_identity(at in 0usize..INVITE.len(), to in 0x20u8..=0xff) {
        let line = memchr::memmem::find(INVITE, b"y: aaaa").unwrap();
        let first_line = memchr(b'\n', INVITE).unwrap();
        let near = line..line + 7;
        prop_assume!(at > first_line && !near.contains(&at) && at + 2 < line && INVITE[at] != b'\r' && INVITE[at] != b'\n');
        let mut bytes = INVITE.to_vec();
        bytes[at] = to;
        let m = Message::scan(&bytes).unwrap();
        prop_assert!(m.headers.all(HeaderName::Identity).any(|v| v.starts_with(b"aaaa")));
    }
}
