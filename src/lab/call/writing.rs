//! How numbers, addresses and the usual headers are written by the switches on both sides.

use super::marked::SOS;
use super::plan::Plan;
use crate::lab::network::{Neighbour, ROUTING_NUMBER, TECH_PREFIX, Writing};
use crate::lab::random::Random;

/// A number as a user part or `tel:` number.
fn written(number: &str, writing: Writing) -> String {
    match writing {
        // Short codes are dialled as they are.
        _ if number.len() <= 6 => number.to_owned(),
        Writing::Ten => number.strip_prefix('1').unwrap_or(number).to_owned(),
        Writing::Eleven => number.to_owned(),
        _ => format!("+{number}"),
    }
}

/// A number as the value of From, To or P-Asserted-Identity.
pub fn address(number: &str, writing: Writing, host: &str) -> String {
    if number == SOS {
        return format!("<{SOS}>");
    }
    match writing {
        Writing::Tel => format!("<tel:+{number}>"),
        _ => format!("<sip:{}@{host};user=phone>", written(number, writing)),
    }
}

/// A number as a Request-URI.
pub fn request_uri(number: &str, writing: Writing, host: &str) -> String {
    if number == SOS {
        return SOS.to_owned();
    }
    match writing {
        Writing::Tel => format!("tel:+{number}"),
        Writing::International => format!("sip:011{number}@{host}"),
        Writing::TechPrefix => format!("sip:{TECH_PREFIX}{number}@{host}"),
        Writing::Portability => format!("sip:+{number};rn={ROUTING_NUMBER};npdi@{host};user=phone"),
        _ => format!("sip:{}@{host}", written(number, writing)),
    }
}

/// The canonical number in an address that we wrote ourselves.
pub fn number_in(address: &str) -> String {
    if address.contains(SOS) {
        return SOS.to_owned();
    }
    let digits: String = address
        .chars()
        .skip_while(|c| *c != ':')
        .take_while(|c| *c != '@' && *c != '>')
        .filter(char::is_ascii_digit)
        .collect();
    if digits.len() == 10 {
        format!("1{digits}")
    } else {
        digits
    }
}

/// From without its tag.
pub fn from_value(plan: &Plan, writing: Writing, host: &str) -> String {
    if plan.anonymous {
        return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
    }
    if let Some(odd) = plan.odd {
        return format!("<sip:{odd}@{host};user=phone>");
    }
    address(plan.shown.as_ref().unwrap_or(&plan.calling), writing, host)
}

/// What else is said about the caller: P-Asserted-Identity and Privacy.
pub fn caller_headers(plan: &Plan, writing: Writing, host: &str) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if plan.asserted {
        headers.push(("P-Asserted-Identity", address(&plan.calling, writing, host)));
    }
    if plan.anonymous {
        headers.push(("Privacy", "id".to_owned()));
    }
    if plan.claims_callback {
        headers.push(("Priority", "psap-callback".to_owned()));
    }
    headers
}

/// What every INVITE has.
pub fn common_headers(headers: &mut Vec<(&'static str, String)>, agent: &str) {
    headers.push((
        "Allow",
        "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO".to_owned(),
    ));
    headers.push(("Supported", "timer, 100rel, replaces".to_owned()));
    headers.push(("Session-Expires", "1800;refresher=uac".to_owned()));
    headers.push(("Accept", "application/sdp, multipart/mixed".to_owned()));
    headers.push(("User-Agent", agent.to_owned()));
}

/// The headers of an INVITE for measurements.
pub fn bench_headers(calling: &str, session: &str, icid: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        (
            "P-Asserted-Identity",
            address(calling, Writing::Plus, "sip.northstar.example"),
        ),
        (
            "P-Charging-Vector",
            format!("icid-value=\"{icid}\";orig-ioi=sip.northstar.example"),
        ),
        (
            "Session-ID",
            format!(
                "{};remote=00000000000000000000000000000000",
                session.replace('-', "")
            ),
        ),
    ];
    common_headers(&mut headers, "ExampleSwitch/7.4.2");
    headers
}

/// An offer or answer whose origin line is its own.
pub fn sdp(rng: &mut Random, host: &Neighbour) -> String {
    let id = 1_000_000 + rng.below(8_999_999);
    let ip = host.hosts.first().copied().unwrap_or("203.0.113.254");
    let family = if ip.contains(':') { "IP6" } else { "IP4" };
    let port = 20_000 + 2 * rng.below(5_000);
    format!(
        "v=0\r\no=- {id} {id} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 8 18 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\n\
         a=fmtp:18 annexb=no\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n"
    )
}
