//! What a portal of 10,000 open cases costs: acts a second, and how long machines and people wait at the server.
//!
//! `cargo bench --bench portal -- [CASES [ANSWERS]]` (10,000 and 5,000 where nothing is said)
//!
//! The database is made by the acts themselves, in a temporary folder: so many cases, each with its first question open, at 50 providers; then a portal on
//! loopback, which answers over real HTTP. 100,000 hop questions a day are 1.2 a second: each is an answer that is verified, kept and walked on, a receipt and
//! two looks into lists.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracehop::host::clock;
use tracehop::portal::docket::directory::Card;
use tracehop::portal::docket::user::User;
use tracehop::portal::docket::{Actor, Docket, Handed};
use tracehop::portal::password::Secret;
use tracehop::portal::service::Opened;
use tracehop::portal::settings::PortalSettings;
use tracehop::portal::word::Role;
use tracehop::proof::Who;
use tracehop::proof::sign::{Kind, Signer, new_key};
use tracehop::traceback::answer::answer_id;
use tracehop::traceback::request::sha256_hex;

/// Providers of the directory that are asked.
const PROVIDERS: usize = 50;

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let mut number = |default: usize| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (cases, answers) = (number(10_000), number(5_000));
    let dir = tempfile::tempdir().unwrap();
    let mut settings = PortalSettings::sample(dir.path());
    settings.intake.per_day = u32::MAX;
    settings.per_minute = u32::MAX;
    new_key(&settings.key_file).unwrap();
    let portal = Opened::open(settings).unwrap().start(clock::now).unwrap();
    let docket = portal.docket().clone();
    let keys: Vec<Signer> = (0..PROVIDERS)
        .map(|n| {
            let key = new_key(&dir.path().join(format!("{n}.key"))).unwrap();
            let (who, now) = (Who::Automatic, clock::now());
            docket
                .add_provider(&who, &Card::new(&name(n), &format!("Provider {n}")), now)
                .unwrap();
            docket
                .add_keys(&who, &name(n), key.jwks().to_string().as_bytes(), now)
                .unwrap();
            key
        })
        .collect();

    let begun = Instant::now();
    for n in 0..cases {
        submit(&docket, n);
    }
    said("requests handed in", cases, begun.elapsed());

    let mut taken = 0;
    let mut times = Vec::new();
    let begun = Instant::now();
    'all: loop {
        let before = taken;
        for (n, key) in keys.iter().enumerate() {
            let page = docket.open_questions(&name(n), 0).unwrap();
            for question in page.entries {
                if taken >= answers {
                    break 'all;
                }
                let at = Instant::now();
                answer(&docket, n, key, &question);
                times.push(at.elapsed());
                taken += 1;
            }
        }
        if taken == before {
            break;
        }
    }
    said(
        "answers verified, kept and walked on",
        taken,
        begun.elapsed(),
    );
    spread("an answer", times);

    let mut times = Vec::new();
    for n in 0..200 {
        let at = Instant::now();
        docket.open_questions(&name(n % PROVIDERS), 0).unwrap();
        times.push(at.elapsed());
    }
    spread("a page of questions", times);
    let mut times = Vec::new();
    for _ in 0..20 {
        let at = Instant::now();
        docket.tick(clock::now()).unwrap();
        times.push(at.elapsed());
    }
    spread("a tick where nothing is due", times);
    let mut times = Vec::new();
    for _ in 0..20 {
        let at = Instant::now();
        docket.figures().unwrap();
        times.push(at.elapsed());
    }
    spread("figures for metrics", times);

    let secret = Secret::of("a long password of this bench", &[]).unwrap();
    for (who, role, provider) in [
        ("ana", Role::Analyst, None),
        ("pat", Role::Provider, Some(name(0))),
    ] {
        let user = User {
            name: who.into(),
            full_name: who.into(),
            role,
            organisation: "portal".into(),
            provider: provider.map(Into::into),
            disabled: false,
        };
        docket
            .add_user(&Who::Automatic, &user, &secret, clock::now())
            .unwrap();
        let cookie = docket
            .begin_session(who, "127.0.0.1", clock::now())
            .unwrap();
        let pages: &[&str] = match role {
            Role::Provider => &["/inbox"],
            _ => &[
                "/cases",
                "/cases/TB-2026-000001",
                "/campaigns",
                "/providers",
                "/statistics",
                "/audit",
                "/reports",
            ],
        };
        for page in pages {
            page_times(portal.console(), page, cookie.text());
        }
    }
    assert!(portal.stop());
}

fn name(n: usize) -> String {
    format!("P{n}")
}

fn submit(docket: &Docket, n: usize) {
    let handed = Handed {
        called: format!("+1{}555{:04}", 202 + n % 700, 100 + n / 700 % 100),
        calling: "+13035550147".into(),
        time: clock::now()
            .minus(Duration::from_secs(600 + 60 * n as u64 % 500_000))
            .to_string(),
        provider: name(n % PROVIDERS),
        campaign: format!("Campaign {}", n % 40),
        evidence: "A voice.".into(),
        ..Handed::default()
    };
    let actor = Actor {
        who: Who::User("ana".into()),
        role: Role::Analyst,
        organisation: "portal".into(),
        provider: None,
    };
    docket.submit(&actor, &handed, clock::now()).unwrap();
}

/// Every fifth says who made the call; the others name the next provider.
fn answer(docket: &Docket, n: usize, key: &Signer, question: &[u8]) {
    let asked: Value = serde_json::from_slice(question).unwrap();
    let hop = asked["id"].as_str().unwrap();
    let id = answer_id(hop, 1);
    let depth = asked["hop_no"].as_u64().unwrap_or(1);
    let mut answer = json!({
        "id": id, "request_id": hop, "case_id": asked["case_id"], "hop_no": asked["hop_no"],
        "request_sha256": sha256_hex(question), "revision": 1, "provider": { "name": name(n), "portal_id": name(n) },
        "produced_by": "auto", "matcher_version": "2.1",
    });
    if let Some(digest) = asked.get("previous_hop_digest") {
        answer["previous_hop_digest"] = digest.clone();
    }
    let party = |name: String| json!({ "name": name, "portal_id": name, "country": "US", "gateway": false });
    if depth >= 5 {
        answer["resolution"] = json!("ORIGIN_END_CUSTOMER");
        answer["originator"] = party(format!("Customer {}", n % 9));
    } else {
        answer["resolution"] = json!("UPSTREAM_DOMESTIC");
        answer["upstream"] = party(name((n + 7) % PROVIDERS));
    }
    let signed = key.sign_value(Kind::Answer, &answer).unwrap();
    let done = docket
        .answer(&name(n), hop, &id, &signed.json, clock::now())
        .unwrap();
    assert_eq!(done, tracehop::portal::docket::Received::New);
}

fn page_times(to: SocketAddr, page: &str, cookie: &str) {
    let mut times = Vec::new();
    let mut octets = 0;
    for _ in 0..20 {
        let at = Instant::now();
        let (code, body) = get(to, page, cookie);
        times.push(at.elapsed());
        if code != 200 {
            println!("{page}: {code}");
            return;
        }
        octets = body.len();
    }
    spread(&format!("{page} ({} KB)", octets / 1024), times);
}

fn get(to: SocketAddr, path: &str, cookie: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nCookie: session={cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    let text = String::from_utf8_lossy(&octets);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

fn said(what: &str, n: usize, took: Duration) {
    println!(
        "{n} {what} in {:.1} s: {:.0} a second",
        took.as_secs_f64(),
        n as f64 / took.as_secs_f64()
    );
}

fn spread(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: {:.2} ms at the median, {:.2} at 95 in a hundred, {:.2} at most",
        at(0.5),
        at(0.95),
        at(1.0)
    );
}
