//! A step of a leg as the octets of a SIP message. Both ends of a leg see the same octets.

use std::fmt::Write;

use super::chance;
use super::leg::{Leg, Step};
use super::network::{PREFIX, Writing};
use crate::lab::message::reason;

/// Routing number of ported numbers.
const ROUTING: &str = "+12125550100";

/// Renders one step. `place` names the leg: it is in branch and tags.
pub fn render(leg: &Leg, place: usize, step: Step, identities: &[String]) -> Vec<u8> {
    let h = &leg.head;
    let mut text = String::with_capacity(1_100);
    let t = &mut text;
    let branch = chance::fixed(&[place as u64, 11]);
    let (here, there) = (leg.source.ip(), leg.destination.ip());
    let target = called(h.called, leg.writing.0);
    let (first, cseq) = match step {
        Step::Invite => ("INVITE", "1 INVITE"),
        Step::Ack => ("ACK", "1 ACK"),
        Step::Cancel => ("CANCEL", "1 CANCEL"),
        Step::Bye(_) => ("BYE", "2 BYE"),
        Step::Ringing(_) | Step::Final(_) => ("", "1 INVITE"),
    };
    let _ = match step {
        Step::Ringing(code) | Step::Final(code) => {
            write!(t, "SIP/2.0 {code} {}\r\n", reason(code))
        }
        _ => write!(
            t,
            "{first} sip:{target}@[{there}]:5060;user=phone SIP/2.0\r\n"
        ),
    };
    let own = match step {
        Step::Ack => 12,
        Step::Bye(_) => 13,
        _ => 11,
    };
    let branch = if own == 11 {
        branch
    } else {
        chance::fixed(&[place as u64, own])
    };
    let _ = write!(
        t,
        "Via: SIP/2.0/UDP [{here}]:5060;branch=z9hG4bK{branch:016x}\r\nMax-Forwards: 66\r\n"
    );
    let tag = chance::fixed(&[h.call_id, 21]);
    let to_tag = chance::fixed(&[place as u64, 22]);
    let from = match h.from {
        Some(n) => format!("<sip:{}@[{here}];user=phone>", written(n, leg.writing.1)),
        None => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
    };
    let to = format!(
        "<sip:{}@[{there}];user=phone>",
        written(h.to, leg.writing.1)
    );
    let _ = match step {
        Step::Bye(false) => write!(
            t,
            "From: {to};tag={to_tag:016x}\r\nTo: {from};tag={tag:016x}\r\n"
        ),
        Step::Invite | Step::Cancel => write!(t, "From: {from};tag={tag:016x}\r\nTo: {to}\r\n"),
        _ => write!(
            t,
            "From: {from};tag={tag:016x}\r\nTo: {to};tag={to_tag:016x}\r\n"
        ),
    };
    let _ = write!(t, "Call-ID: {}\r\nCSeq: {cseq}\r\n", call_id(leg));
    if step == Step::Invite {
        invite(t, leg, identities);
    } else {
        t.push_str("Content-Length: 0\r\n\r\n");
    }
    text.into_bytes()
}

/// Call-ID of a leg.
pub fn call_id(leg: &Leg) -> String {
    format!("{:016x}@sip.example", leg.head.call_id)
}

/// Session-ID, its local UUID.
pub fn session_id(session: u64) -> String {
    format!("{session:016x}{:016x}", chance::fixed(&[session]))
}

fn invite(t: &mut String, leg: &Leg, identities: &[String]) {
    let h = &leg.head;
    let here = leg.source.ip();
    let _ = match &leg.group {
        Some(group) => write!(
            t,
            "Contact: <sip:gw;tgrp={group};trunk-context=sip.example@[{here}]:5060>\r\n"
        ),
        None => write!(t, "Contact: <sip:gw@[{here}]:5060>\r\n"),
    };
    if let Some(n) = h.asserted {
        let n = written(n, leg.writing.1);
        let _ = write!(t, "P-Asserted-Identity: <sip:{n}@[{here}];user=phone>\r\n");
    }
    if h.from.is_none() {
        t.push_str("Privacy: id\r\n");
    }
    if let Some(n) = h.diverted {
        let n = written(n, leg.writing.1);
        let _ = write!(t, "Diversion: <sip:{n}@[{here}]>;reason=unconditional\r\n");
    }
    if let Some(s) = h.session {
        let _ = write!(
            t,
            "Session-ID: {};remote=00000000000000000000000000000000\r\n",
            session_id(s)
        );
    }
    if let Some(icid) = h.icid {
        let _ = write!(t, "P-Charging-Vector: icid-value={icid:016x}\r\n");
    }
    if let Some(value) = h.identity.and_then(|i| identities.get(i)) {
        let _ = write!(t, "Identity: {value}\r\n");
    }
    let id = h.sdp >> 24;
    let body = format!(
        "v=0\r\no=- {id} {id} IN IP6 {here}\r\ns=-\r\nc=IN IP6 {here}\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 101\r\n"
    );
    // The origin line keeps the address of whoever wrote it.
    let body = body.replacen(
        &format!("IN IP6 {here}\r\ns="),
        "IN IP6 2001:db8::1\r\ns=",
        1,
    );
    let _ = write!(
        t,
        "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// A canonical number as a trunk writes it in a header.
pub fn written(n: u64, writing: Writing) -> String {
    let text = n.to_string();
    match (writing, text.strip_prefix('1').filter(|t| t.len() == 10)) {
        (Writing::Ten, Some(national)) => national.to_owned(),
        (Writing::Ten | Writing::Eleven, None) => format!("011{text}"),
        (Writing::Eleven, Some(_)) => text,
        _ => format!("+{text}"),
    }
}

fn called(n: u64, writing: Writing) -> String {
    match writing {
        Writing::Prefix => format!("{PREFIX}{n}").replace('#', "%23"),
        Writing::Ported => format!("+{n};npdi;rn={ROUTING}"),
        _ => written(n, writing),
    }
}
