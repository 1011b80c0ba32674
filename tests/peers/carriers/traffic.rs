//! The calls: a sipp for each carrier's customers, signed and unsigned ones apart, and one at each end where they ring.

use tracehop::host::clock;
use tracehop::lab::passport::{Claims, Token};
use tracehop::lab::pki::Signer;
use tracehop::stir::verify::Attestation;

use super::super::edge::Ends;
use super::net::Net;
use super::plan::{self, Call, From};

const CALLER: &str = include_str!("caller.xml");
const CALLEE: &str = include_str!("../edge/callee.xml");
const SIGNED: &str = "Identity: [field2];info=<[field3]>;alg=ES256;ppt=shaken";

/// From answer to hanging up, in milliseconds.
const HOLD_MS: &str = "1500";
/// Calls a second of one carrier's customers.
const RATE: &str = "2";

/// Phones that answer every call.
pub fn phones(net: &Net) -> Vec<Ends> {
    let scenario = net.write("callee.xml", CALLEE);
    let (_, last) = plan::ends();
    let ring = |n: &usize| {
        let at = plan::phone(*n).to_string();
        let sipp = [
            "sipp", "-sf", &scenario, "-i", &at, "-p", "5060", "-nostdin",
        ];
        let ends = net.start(&net.customers(), &sipp, &format!("phone{n}.log"));
        net.listens(&net.customers(), &format!("{at}:5060"));
        ends
    };
    last.iter().map(ring).collect()
}

/// Places all calls, and waits for their ends.
pub fn place(net: &Net, calls: &[Call], signers: &[Signer]) {
    let mut running = Vec::new();
    for carrier in 0..plan::CARRIERS {
        for (from, at) in [
            (From::Customer, plan::caller(carrier)),
            (From::Abroad, plan::ABROAD),
        ] {
            for signed in [true, false] {
                let own = |c: &&Call| {
                    c.route.path[0] == carrier && c.route.from == from && c.signed == signed
                };
                let own: Vec<_> = calls.iter().filter(own).collect();
                if own.is_empty() {
                    continue;
                }
                let signer = signed.then(|| &signers[carrier % signers.len()]);
                let name = format!("{carrier}-{from:?}-{signed}");
                running.push(start(net, &name, carrier, &at.to_string(), &own, signer));
            }
        }
    }
    for sipp in running {
        sipp.finish();
    }
}

fn start(
    net: &Net,
    name: &str,
    carrier: usize,
    at: &str,
    calls: &[&Call],
    signer: Option<&Signer>,
) -> Ends {
    let mut lines = "SEQUENTIAL\n".to_owned();
    for (n, call) in calls.iter().enumerate() {
        lines += &format!("{};{}", call.calling, call.dialled);
        if let Some(signer) = signer {
            let claims = Claims {
                attest: Attestation::A,
                orig: call.calling.clone(),
                dest: call.dialled.clone(),
                iat: clock::now().secs(),
                origid: format!("123e4567-e89b-12d3-a456-{n:012}"),
            };
            let value = Token::shaken(&claims, &signer.url).sign(&signer.key);
            // A semicolon ends sipp's field.
            let token = value.split(';').next().unwrap();
            lines += &format!(";{token};{}", signer.url);
        }
        lines += "\n";
    }
    let numbers = net.write(&format!("calls-{name}.csv"), &lines);
    let scenario = match signer {
        Some(_) => CALLER.replace("IDENTITY", SIGNED),
        None => CALLER.replace("IDENTITY\n", ""),
    };
    let scenario = net.write(&format!("caller-{name}.xml"), &scenario);
    let errors = net.path(&format!("calls-{name}.err"));
    let to = format!("{}:5060", plan::address(carrier));
    let port = if signer.is_some() { "5060" } else { "5062" };
    let count = calls.len().to_string();
    let errors = errors.display().to_string();
    let sipp = [
        "sipp",
        &to,
        "-sf",
        &scenario,
        "-inf",
        &numbers,
        "-i",
        at,
        "-p",
        port,
        "-r",
        RATE,
        "-m",
        &count,
        "-d",
        HOLD_MS,
        "-timeout",
        "40",
        "-nostdin",
        "-trace_err",
        "-error_file",
        &errors,
    ];
    let mut ends = net.start(&net.customers(), &sipp, &format!("calls-{name}.log"));
    ends.said_in(errors.into());
    ends
}
