//! Monstrous messages.

use super::*;

/// The longest that judging one message may take in a debug build.
const LONG: Duration = Duration::from_millis(200);

#[test]
fn monstrous_messages_are_judged_in_time_and_for_what_they_are() {
    let lab = Lab::new(35, 400);
    let settings = settings(&lab.config, 1);
    let invite = signed_invite(&lab);
    let (head, identity, body) = taken_apart(&invite.bytes);
    let (token, params) = identity.split_once(';').unwrap();
    let [jose, claims, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let with_claims = |json: &str| {
        let payload = URL_SAFE_NO_PAD.encode(json);
        format!("Identity: {jose}.{payload}.{signature};{params}\r\n")
    };
    let good = format!("Identity: {identity}\r\n");
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let claims_and =
        |more: &str| with_claims(&format!("{},{more}}}", claims.strip_suffix('}').unwrap()));
    let members = |n: usize| {
        (0..n)
            .map(|i| format!("\"m{i}\":0"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let nested = |n: usize| format!("\"deep\":{}{}", "[".repeat(n), "]".repeat(n));
    use Validation::{Failed, Passed, Undetermined};
    let cases: Vec<(&str, String, Validation, Option<Rule>)> = vec![
        ("as sent", good.clone(), Passed, None),
        (
            "a header of 60 KB",
            format!("X: {}\r\n{good}", "x".repeat(60_000)),
            Passed,
            None,
        ),
        (
            "20,000 headers, Identity behind them",
            format!("{}{good}", "a:b\r\n".repeat(20_000)),
            Undetermined,
            Some(Rule::H4),
        ),
        (
            "20,000 headers, Identity before them",
            format!("{good}{}", "a:b\r\n".repeat(20_000)),
            Passed,
            None,
        ),
        ("17 good Identity headers", good.repeat(17), Passed, None),
        ("200 good Identity headers", good.repeat(200), Passed, None),
        (
            "200 broken Identity headers",
            "Identity: a.b.c;info=<https://cert.example.net/a.pem>\r\n".repeat(200),
            Failed,
            None,
        ),
        (
            "1 MB of commas",
            format!("Identity: {}\r\n", ",".repeat(1 << 20)),
            Failed,
            Some(Rule::H7),
        ),
        (
            "15 KB of commas",
            format!("Identity: {}\r\n", ",".repeat(15_000)),
            Failed,
            None,
        ),
        (
            "15 KB of semicolons",
            format!("Identity: {}\r\n", ";".repeat(15_000)),
            Failed,
            None,
        ),
        (
            "15 KB of dots",
            format!("Identity: {}\r\n", ".".repeat(15_000)),
            Failed,
            None,
        ),
        (
            "a good token with 20 KB of parameters",
            format!("Identity: {identity};x={}\r\n", "x".repeat(20_000)),
            Failed,
            Some(Rule::H7),
        ),
        (
            "17 KB of token",
            format!("Identity: {}.a.b;{params}\r\n", "A".repeat(17_000)),
            Failed,
            Some(Rule::H7),
        ),
        ("JSON 5,000 deep", claims_and(&nested(5_000)), Failed, None),
        (
            "JSON with 1,000 members",
            claims_and(&members(1_000)),
            Failed,
            None,
        ),
        (
            "JSON with 100,000 members",
            claims_and(&members(100_000)),
            Failed,
            Some(Rule::H7),
        ),
        (
            "a number with 9,000 digits",
            claims_and(&format!("\"n\":{}", "9".repeat(9_000))),
            Failed,
            None,
        ),
        (
            "an escape for each octet",
            claims_and(&format!("\"t\":\"{}\"", "\\u0061".repeat(1_500))),
            Failed,
            None,
        ),
    ];
    let mut judge = Judge::new(settings.credentials.clone(), settings.verify.clone());
    let mut wrong = Vec::new();
    for (what, headers, validation, rule) in cases {
        let bytes = format!("{head}{headers}\r\n{body}").into_bytes();
        let begin = Instant::now();
        let judged = judge.judge(Message {
            bytes,
            ..invite.clone()
        });
        let took = begin.elapsed();
        let Ok(Facts::Invite(facts)) = judged.facts else {
            panic!("{what}: {:?}", judged.facts)
        };
        let v = &facts.verdict;
        if v.validation != validation
            || rule.is_some_and(|r| v.decided_by != Some(r))
            || took > LONG
        {
            wrong.push(format!(
                "{what}: {:?} by {:?} in {took:?}, not {validation:?}",
                v.validation, v.decided_by
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_header_filled_with_one_pattern_takes_long() {
    let lab = Lab::new(36, 400);
    let settings = settings(&lab.config, 1);
    let invite = signed_invite(&lab);
    let (head, identity, _) = taken_apart(&invite.bytes);
    let names = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Content-Length",
        "Date",
        "Diversion",
        "History-Info",
        "Identity",
        "P-Asserted-Identity",
        "P-Charging-Vector",
        "Privacy",
        "Reason",
        "Remote-Party-ID",
        "Session-ID",
        "X-Unknown",
    ];
    let patterns = [
        ",",
        ";",
        "\"",
        "\\\"",
        "\"\\",
        "<",
        ">",
        "<>",
        "<sip:",
        ";a=",
        "%",
        "%2",
        "(",
        "@",
        ":",
        "=",
        "?",
        "[",
        "\t",
        "\r\n ",
        "9",
        "+1",
        "\u{e9}",
        ".",
        "a.b.c,",
        "sip:a@b,",
        "a;b,",
        "Q.850;cause=",
        "<sip:+12025550123@x>,",
    ];
    let mut judge = Judge::new(settings.credentials.clone(), settings.verify.clone());
    let mut slow = Vec::new();
    for name in names {
        for pattern in patterns {
            for lead in ["", "<sip:", "\""] {
                // With the header in its place, and with a response that carries it.
                let filled = format!(
                    "{name}: {lead}{}\r\n",
                    pattern.repeat(60_000 / pattern.len())
                );
                let kept: String = head
                    .lines()
                    .filter(|l| !l.starts_with(&format!("{name}:")))
                    .map(|l| format!("{l}\r\n"))
                    .collect();
                let request = format!("{kept}{filled}Identity: {identity}\r\n\r\n");
                let response =
                    request.replacen(head.lines().next().unwrap(), "SIP/2.0 486 Busy Here", 1);
                for bytes in [request, response] {
                    let begin = Instant::now();
                    let judged = judge.judge(Message {
                        bytes: bytes.into_bytes(),
                        ..invite.clone()
                    });
                    assert!(
                        judged.facts.is_ok(),
                        "{name} {lead}{pattern}: {:?}",
                        judged.facts
                    );
                    if begin.elapsed() > LONG {
                        slow.push(format!(
                            "{name}: {lead}{pattern:?} takes {:?}",
                            begin.elapsed()
                        ));
                    }
                }
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
