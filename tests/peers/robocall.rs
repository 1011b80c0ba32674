//! A robocaller and a stranger at a real daemon: behaviours, the campaign, and who is not known; and a capture explained rule by rule.

use std::fs;

use serde_json::Value;
use tracehop::call::classify::Flag;

use super::edge::{CALLEE, CALLER, Edge, STRANGER, until};
use super::findings::invites;
use super::running::{Daemon, calls};
use super::support::{text, tracehop};

const CALLER_XML: &str = include_str!("robocall/caller.xml");
const CALLEE_XML: &str = include_str!("robocall/callee.xml");

const COUNT: usize = 60;
const STRANGERS: usize = 7;

/// What a command prints with `--json`.
fn json(edge: &Edge, arguments: &[&str]) -> Value {
    let config = text(&edge.path("tracehop.toml"));
    let out = tracehop(&[arguments, &["--json", "--config", &config]].concat());
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

fn campaigns(edge: &Edge) -> Vec<Value> {
    let all = json(edge, &["campaigns"]);
    all["campaigns"].as_array().unwrap().clone()
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_daemon_makes_a_campaign_of_a_robocaller_and_lists_a_stranger() {
    let edge = Edge::new();
    edge.configure(
        "[[capture.interface]]\nname = \"vb\"\n[behaviour]\nhigh_volume_minute = 20\nlow_answer_least = 20\n[campaign]\nleast_calls = 10\n",
    );
    for (name, content) in [("robo.xml", CALLER_XML), ("busy.xml", CALLEE_XML)] {
        fs::write(edge.path(name), content).unwrap();
    }
    let called: Vec<String> = (0..COUNT)
        .map(|n| format!("1303555{:02}{:02}", n % 10 + 1, n))
        .collect();
    let numbers = format!("SEQUENTIAL\n{}\n", called.join(";\n") + ";");
    fs::write(edge.path("robo.csv"), numbers).unwrap();
    let busy = [
        "sipp", "-sf", "busy.xml", "-i", CALLEE, "-p", "5060", "-nostdin",
    ];
    let _callee = edge.start(&edge.b, &busy);
    let oracle = edge.tcpdump("robo.pcap");
    let daemon = Daemon::start(&edge);
    let count = COUNT.to_string();
    let to = format!("{CALLEE}:5060");
    let robo = [
        "sipp", &to, "-sf", "robo.xml", "-inf", "robo.csv", "-i", CALLER, "-p", "5060", "-r", "20",
        "-m", &count, "-timeout", "30", "-nostdin",
    ];
    edge.start(&edge.a, &robo).finish();
    invites(&edge, STRANGER, "13035550199", "+12025550177", STRANGERS);

    // While it runs: its campaign, behaviours and the stranger, on the metrics page and for the commands beside it.
    let metric = |name: &str, label: &str| daemon.metric(name, label);
    until("all records", || {
        metric("tracehop_records_total", "begin") as usize == COUNT + STRANGERS
    });
    until("the campaign", || !campaigns(&edge).is_empty());
    let of = "peer=\"northstar\"";
    assert_eq!(metric("tracehop_campaigns_open", of), 1.0);
    let counted = metric("tracehop_campaign_calls_total", of);
    assert!((10.0..=COUNT as f64).contains(&counted), "{counted}");
    let high = metric(
        "tracehop_findings_open",
        "kind=\"high-volume\",peer=\"northstar\"",
    );
    assert_eq!(high, 1.0);
    let flagged = metric("tracehop_call_flags_total", "flag=\"high-volume\"") as usize;
    assert!((20..=40).contains(&flagged), "{flagged}");
    assert!(metric("tracehop_store_appended_total", "campaign") >= 1.0);
    until("the stranger on the page", || {
        metric("tracehop_unknown_neighbours", "") == 1.0
    });
    let ended = daemon.stop();
    oracle.end();

    // After its end: all of it. The list of strangers is written once a minute, and then.
    let list = json(&edge, &["peers", "unknown"]);
    assert_eq!(list["neighbours"].as_array().unwrap().len(), 1, "{list:#}");
    assert_eq!(list["neighbours"][0]["address"], STRANGER);
    assert_eq!(list["neighbours"][0]["calls"], STRANGERS);
    let all = campaigns(&edge);
    assert_eq!(all.len(), 1, "{all:#?}\n{}", ended.said);
    assert_eq!(all[0]["peer"], "northstar");
    assert_eq!(all[0]["key"]["kind"], "calling-number");
    assert_eq!(all[0]["key"]["value"], "12025550100");
    // The counter begins with the call that makes it a campaign; the campaign holds the nine before as well.
    assert_eq!(all[0]["volume"].as_u64().unwrap(), counted as u64 + 9);
    let records: Vec<_> = called.iter().flat_map(|n| calls(&edge, n)).collect();
    assert_eq!(records.len(), COUNT);
    let with = |flag| {
        records
            .iter()
            .filter(|c| c.begin.flags.contains(flag))
            .count()
    };
    assert_eq!(with(Flag::Unsigned), COUNT);
    assert_eq!(with(Flag::HighVolume), flagged, "the page and the records");
    assert!(with(Flag::LowAnswer) > 0);
    let strangers = calls(&edge, "13035550199");
    assert_eq!(strangers.len(), STRANGERS);
    for call in &strangers {
        assert_eq!(call.begin.peer, None);
        assert!(
            call.begin.flags.contains(Flag::UnknownUpstream),
            "{call:#?}"
        );
    }

    // The capture beside it, rule by rule.
    let pcap = text(&edge.path("robo.pcap"));
    let explained = json(&edge, &["peers", "explain", "--capture", &pcap]);
    let messages = explained["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 10, "as many as are shown");
    for message in messages {
        let said = message["explanation"].to_string();
        assert!(said.contains("northstar-trunk"), "{message:#}");
    }
}
