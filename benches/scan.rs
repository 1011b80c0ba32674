//! Nanoseconds to scan one signed INVITE, beside rsip and beside the bare memchr loop that no scanner can beat by much.
//!
//! `cargo bench --bench scan`

use std::hint::black_box;

use cpu_time::ThreadTime;
use tracehop::wire::sip::{HeaderName, Message, NameAddr};

fn main() {
    let invite = invite();
    assert!(
        rsip::SipMessage::try_from(&invite[..]).is_ok(),
        "rsip reads it too"
    );
    println!(
        "one INVITE of {} octets, {} headers; median of 21 rounds, CPU time of the thread",
        invite.len(),
        lines(&invite)
    );
    let bound = median(|| black_box(lines(black_box(&invite))) as u64);
    let rows: [(&str, f64); 4] = [
        ("memchr over the lines (the bound)", bound),
        (
            "tracehop: scan",
            median(|| {
                Message::scan(black_box(&invite)).map_or(0, |m| m.headers.iter().count() as u64)
            }),
        ),
        (
            "tracehop: scan, From, To, Identity, Call-ID, branch",
            median(|| facts(black_box(&invite))),
        ),
        (
            "rsip 0.4: message",
            median(|| rsip::SipMessage::try_from(black_box(&invite[..])).map_or(0, |_| 1)),
        ),
    ];
    for (what, ns) in rows {
        println!("{what:<55} {ns:>8.0} ns   {:>6.2} of the bound", bound / ns);
    }
}

fn facts(bytes: &[u8]) -> u64 {
    let Ok(m) = Message::scan(bytes) else {
        return 0;
    };
    let user = |name| {
        m.headers
            .first(name)
            .map_or(0, |v| NameAddr::parse(v).uri.user.len())
    };
    let identity = m.headers.first(HeaderName::Identity).map_or(0, <[u8]>::len);
    let call_id = m.headers.first(HeaderName::CallId).map_or(0, <[u8]>::len);
    let branch = m.branch().map_or(0, <[u8]>::len);
    (user(HeaderName::From) + user(HeaderName::To) + identity + call_id + branch) as u64
}

fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes)
        .filter(|i| bytes.get(i + 1).is_some_and(|b| *b != b' ' && *b != b'\r'))
        .count()
}

/// Median nanoseconds of one call, over 21 rounds of 20,000 calls.
fn median(mut work: impl FnMut() -> u64) -> f64 {
    const CALLS: u32 = 20_000;
    let mut rounds: Vec<f64> = (0..21)
        .map(|_| {
            let start = ThreadTime::now();
            let mut sum = 0u64;
            for _ in 0..CALLS {
                sum = sum.wrapping_add(work());
            }
            black_box(sum);
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[10]
}

/// An INVITE as a carrier's SBC sends it, with one Identity header and a session description.
fn invite() -> Vec<u8> {
    let token = "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUubmV0L3NwLTEyMzQucGVtIn0";
    let body = "v=0\r\no=- 20518 0 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 8 101\r\n\
                a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    format!(
        "INVITE sip:+12025550123@192.0.2.1:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK74bf9;rport\r\n\
         Max-Forwards: 69\r\n\
         From: \"Example Caller\" <sip:+12025550100@example.net;user=phone>;tag=9fxced76sl\r\n\
         To: <sip:+12025550123@example.com;user=phone>\r\n\
         Call-ID: 3848276298220188511@example.net\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:+12025550100@198.51.100.1:5060;transport=udp>\r\n\
         P-Asserted-Identity: <sip:+12025550100@example.net;user=phone>\r\n\
         Date: Tue, 24 Nov 2026 15:00:00 GMT\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\n\
         Supported: timer, 100rel\r\n\
         Identity: {token}.{token}{token}.{}==;info=<https://cert.example.net/sp-1234.pem>;alg=ES256;ppt=shaken\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        &token[..86],
        body.len()
    )
    .into_bytes()
}
