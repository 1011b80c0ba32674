//! The carriers' switches: a Kamailio each, a sippy behind it where it is a back-to-back agent.
//!
//! ```text
//! sip0 ─► Kamailio ─► sip0                                  a proxy
//! sip0 ─► Kamailio ─► lo ─► sippy ─► lo ─► Kamailio ─► sip0  an agent: the probe on sip0 sees two calls
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::super::edge::Ends;
use super::super::support::text;
use super::net::Net;
use super::plan::{self, AGENTS, HIDING, PREFIX, ROUTES, Route, Writing};

const CONFIG: &str = include_str!("switch.cfg");

/// Where the agent is, in its carrier's namespace.
const AGENT_PORT: u16 = 5070;

/// Starts a carrier's switch, and waits until it listens.
pub fn start(net: &Net, n: usize) -> Vec<Ends> {
    let own = plan::address(n);
    let name = net.carrier(n);
    let folder = net.folder(n).join("switch");
    fs::create_dir_all(&folder).unwrap();
    let config = text(&folder.join("switch.cfg"));
    fs::write(&config, render(n)).unwrap();
    let (dir, pid) = (text(&folder), text(&folder.join("pid")));
    let kamailio = [
        "kamailio", "-f", &config, "-DD", "-E", "-m", "16", "-M", "4", "-w", &dir, "-Y", &dir,
        "-P", &pid,
    ];
    let log = format!("{}/switch/log", plan::id(n));
    let mut parts = vec![net.start(&name, &kamailio, &log)];
    if AGENTS.contains(&n) {
        parts.push(agent(net, n, &folder));
        net.listens(&name, &format!("127.0.0.1:{AGENT_PORT}"));
    }
    net.listens(&name, &format!("{own}:5060"));
    parts
}

fn agent(net: &Net, n: usize, folder: &Path) -> Ends {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/b2bua_radius");
    assert!(program.exists(), "{program:?}: tests/run installs it");
    let at = |name: &str| text(&folder.join(name));
    // Every second agent hands the signature on.
    let passes = if n == 3 { "x-none" } else { "identity" };
    let arguments = [
        text(&program),
        "--foreground=on".into(),
        "--auth_enable=off".into(),
        "--acct_enable=off".into(),
        "--sip_address=127.0.0.1".into(),
        format!("--sip_port={AGENT_PORT}"),
        "--hide_call_id=on".into(),
        "--static_route=127.0.0.1:5060".into(),
        format!("--pass_headers={passes}"),
        format!("--b2bua_socket={}", at("b2b.sock")),
        format!("--logfile={}", at("b2b.log")),
        format!("--pidfile={}", at("b2b.pid")),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = format!("{}/switch/agent.log", plan::id(n));
    net.start(&net.carrier(n), &arguments, &log)
}

/// A carrier's Kamailio.
fn render(n: usize) -> String {
    let agent = AGENTS.contains(&n);
    let mut modules = String::new();
    if HIDING.contains(&n) {
        let _ = write!(
            modules,
            "loadmodule \"topoh.so\"\nmodparam(\"topoh\", \"mask_key\", \"example {n}\")\n\
             modparam(\"topoh\", \"mask_ip\", \"203.0.113.{}\")\nmodparam(\"topoh\", \"mask_callid\", 1)\n",
            10 + n
        );
    }
    let inside = match agent {
        true => "listen=udp:127.0.0.1:5060\n",
        false => "",
    };
    let to_agent = match agent {
        true => format!(
            "  if ($si != \"127.0.0.1\") {{ $fs = \"udp:127.0.0.1:5060\"; $du = \"sip:127.0.0.1:{AGENT_PORT}\"; t_relay(); exit; }}\n"
        ),
        false => String::new(),
    };
    let (routes, refusals) = routes(n);
    CONFIG
        .replace("OWN", &plan::address(n).to_string())
        .replace("INSIDE\n", inside)
        .replace("MODULES\n", &modules)
        .replace("TO_AGENT\n", &to_agent)
        .replace("PREFIX", PREFIX)
        .replace("LENGTH", &PREFIX.len().to_string())
        .replace("ROUTES\n", &routes)
        .replace("REFUSALS\n", &refusals)
        .replace("WRITING", written(plan::writing(n)))
}

fn written(writing: Writing) -> &'static str {
    match writing {
        Writing::Plus => "",
        Writing::Country => "strip(1);",
        Writing::National => "strip(2);",
        Writing::Prefixed => "strip(1); prefix(\"7788\");",
    }
}

/// Where a carrier sends calls, by area code, and whose calls it refuses.
fn routes(n: usize) -> (String, String) {
    let (mut routes, mut refusals) = (String::new(), String::new());
    for r in &ROUTES {
        if let Some(before) = refused_from(r, n) {
            let _ = writeln!(
                refusals,
                "  if ($rU =~ \"^\\+1{}\" && $si == \"{}\") {{ sl_send_reply(\"503\", \"Congestion\"); exit; }}",
                r.area,
                plan::address(before)
            );
        }
        if let Some(what) = hand_on(r, n) {
            let _ = writeln!(
                routes,
                "  if ($rU =~ \"^\\+1{}\") {{ {what} exit; }}",
                r.area
            );
        }
    }
    (routes, refusals)
}

/// Who hands over calls of this route that a carrier refuses: the last one of a detour does.
fn refused_from(r: &Route, n: usize) -> Option<usize> {
    let (place, tries) = r.first_tries?;
    let (last, before) = tries.split_last()?;
    (*last == n).then(|| *before.last().unwrap_or(&r.path[place]))
}

/// What a carrier does with a call of this route.
fn hand_on(r: &Route, n: usize) -> Option<String> {
    let to = |next: usize, how: &str| {
        let next = plan::address(next);
        format!("$avp(next) = \"sip:{next}:5060\"; {how}")
    };
    let Some(here) = r.path.iter().position(|c| *c == n) else {
        let (_, tries) = r.first_tries?;
        let next = tries.get(tries.iter().position(|c| *c == n)? + 1)?;
        return Some(to(*next, "route(HAND_ON);"));
    };
    let Some(next) = r.path.get(here + 1) else {
        return Some(match r.forwards_to {
            None => format!("$avp(next) = \"sip:{}:5060\"; route(RING);", plan::phone(n)),
            Some(area) => {
                let on = ROUTES.iter().find(|r| r.area == area).unwrap();
                let own = plan::address(n);
                to(
                    on.path[1],
                    &format!(
                        "append_hf(\"Diversion: <sip:$rU@{own}>;reason=unconditional\\r\\n\"); strip(5); prefix(\"+1{area}\"); route(HAND_ON);"
                    ),
                )
            }
        });
    };
    Some(match r.first_tries {
        Some((place, tries)) if place == here => {
            let then = plan::address(*next);
            to(
                tries[0],
                &format!(
                    "$avp(then) = \"sip:{then}:5060\"; t_on_failure(\"NEXT\"); route(HAND_ON);"
                ),
            )
        }
        _ => to(*next, "route(HAND_ON);"),
    })
}
