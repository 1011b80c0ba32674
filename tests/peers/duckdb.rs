//! DuckDB reads the store as it lies there: the same records in every column as `tracehop records --json` has, by the SQL that the documentation shows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tracehop::number::Tn;
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};
use tracehop::store::{Lookup, Store};

use super::support::{Lab, Recorder, text, tracehop};

/// What a statement gave.
#[derive(serde::Deserialize)]
struct Said {
    columns: Vec<(String, String)>,
    rows: Vec<Vec<Value>>,
}

impl Said {
    /// Rows as objects, by name of column.
    fn objects(&self) -> impl Iterator<Item = BTreeMap<&str, &Value>> {
        let names = || self.columns.iter().map(|(name, _)| name.as_str());
        self.rows.iter().map(move |row| names().zip(row).collect())
    }
}

/// Runs statements in a folder, in one session.
fn duckdb(folder: &Path, statements: &[String]) -> Vec<Said> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(root.join("target/peers/bin/python"))
        .arg(root.join("tests/peers/ask_duckdb.py"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/run installs DuckDB");
    let ask = serde_json::to_vec(statements).unwrap();
    child.stdin.take().unwrap().write_all(&ask).unwrap();
    let out = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{complaint}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The statements of every block of SQL in a document.
fn sql_of(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sql\n").skip(1);
    let blocks = blocks.map(|b| b.split("```").next().unwrap());
    let statements = blocks.flat_map(|b| b.split(";\n"));
    let statements = statements.map(|s| s.trim().to_owned());
    statements.filter(|s| !s.is_empty()).collect()
}

/// A laboratory's store of several segments, with second halves that came late, and records of kinds that it doesn't make.
fn store(lab: &Lab) {
    let mut all = Recorder::default();
    lab.replay(&mut all, 1);
    let settings = StoreSettings {
        segment_records: 150,
        ..StoreSettings::default()
    };
    let mut store = EmbeddedStore::open(&lab.config.store.path, settings).unwrap();
    for begin in &all.begins {
        store.append_begin(begin).unwrap();
    }
    // Ends of the first records come after their segments were sealed.
    store.seal().unwrap();
    for end in &all.ends {
        store.append_end(end).unwrap();
    }
    for row in &all.coverage {
        store.append_coverage(row).unwrap();
    }
    let mut odd = all.begins[0].clone();
    odd.uid = store.last_uid() + 1;
    odd.at = odd.at.plus(Duration::from_nanos(123_456_789));
    odd.numbers.called = Tn::from_canonical(b"*67");
    odd.numbers.from = Tn::from_canonical(b"0012025550123");
    odd.verdict.origid = Some("no uuid".into());
    odd.ids.session_id = Some(tracehop::base::digest::IdDigest(u64::MAX));
    store.append_begin(&odd).unwrap();
    store.close().unwrap();
    let hours = std::fs::read_dir(lab.config.store.path.join("seg")).unwrap();
    let hours = hours.flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap());
    let mut files = hours.flat_map(|hour| std::fs::read_dir(hour.unwrap().path()).unwrap());
    assert!(files.any(|f| f.unwrap().path().extension().is_some_and(|e| e == "ends")));
}

/// All records by uid, as `tracehop records --json` has them: asked for by each neighbour, since nobody gets them all.
fn by_records(lab: &Lab) -> BTreeMap<u64, Value> {
    let config = text(&lab.path("tracehop.toml"));
    let peers = lab.config.peers.peers.iter().map(|p| &*p.id);
    let mut all = BTreeMap::new();
    for peer in peers.chain(["unknown"]) {
        let ask = ["records", "--config", &config, "--case", "C-1", "--json"];
        let window = [
            "--from",
            "2026-11-24T00:00:00Z",
            "--until",
            "2026-11-24T23:59:59Z",
        ];
        let out = tracehop(&[&ask[..], &window, &["--peer", peer]].concat());
        let complaint = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{complaint}");
        for line in String::from_utf8(out.stdout).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            all.insert(record["uid"].as_u64().unwrap(), record);
        }
    }
    all
}

/// The columns of a record, from its JSON, as DuckDB is to have them.
fn columns(record: &Value) -> BTreeMap<&'static str, Value> {
    let at = |pointer: &str| record.pointer(pointer).cloned().unwrap_or(Value::Null);
    let words = |pointer: &str| match at(pointer) {
        Value::Array(all) if !all.is_empty() => {
            let words: Vec<_> = all.iter().map(|w| w.as_str().unwrap()).collect();
            json!(words.join(" "))
        }
        _ => Value::Null,
    };
    let nanos = |pointer: &str| match at(pointer) {
        Value::String(text) => {
            json!(
                tracehop::base::Timestamp::parse_rfc3339(&text)
                    .unwrap()
                    .nanos()
            )
        }
        _ => Value::Null,
    };
    let digest = |pointer: &str| match at(pointer) {
        Value::String(hex) => json!(u64::from_str_radix(&hex, 16).unwrap()),
        _ => Value::Null,
    };
    let address = |pointer: &str| {
        let text = at(pointer);
        let socket: std::net::SocketAddr = text.as_str().unwrap().parse().unwrap();
        (json!(socket.ip().to_string()), json!(socket.port()))
    };
    let (source, source_port) = address("/source");
    let (destination, destination_port) = address("/destination");
    let is_uuid = |v: &Value| v.as_str().is_some_and(|t| t.len() == 36);
    let notes = match at("/notes") {
        Value::Object(all) if !all.is_empty() => {
            let lines = all
                .iter()
                .map(|(k, v)| format!("{k} {}", v.as_str().unwrap()));
            json!(lines.collect::<Vec<_>>().join("\n"))
        }
        _ => Value::Null,
    };
    let mut out = BTreeMap::new();
    let mut others = Vec::new();
    for (column, pointer) in [
        ("called", "/numbers/called"),
        ("to_number", "/numbers/to"),
        ("diverted_from", "/numbers/diverted_from"),
        ("from_number", "/numbers/from"),
        ("asserted", "/numbers/asserted"),
        ("remote_party", "/numbers/remote_party"),
        ("orig", "/verdict/orig"),
    ] {
        let number = at(pointer);
        let digits = number.as_str().unwrap_or_default();
        let whole = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        let value = digits
            .parse::<u64>()
            .ok()
            .filter(|_| whole && digits.len() <= 18);
        if value.is_none() && !digits.is_empty() {
            others.push(format!("{column}={digits}"));
        }
        out.insert(column, json!(value));
    }
    let others = (!others.is_empty()).then(|| others.join(" "));
    out.insert("other_numbers", json!(others));
    for (column, pointer) in [
        ("called_text", "/called_text"),
        ("private", "/numbers/private"),
        ("uid", "/uid"),
        ("clock", "/clock/source"),
        ("clock_error_ns", "/clock/error_ns"),
        ("sensor", "/sensor"),
        ("config", "/config"),
        ("direction", "/direction"),
        ("peer", "/peer"),
        ("peer_rule", "/peer_rule"),
        ("transport", "/transport"),
        ("vlan", "/vlan"),
        ("trunk", "/trunk"),
        ("validation", "/verdict/validation"),
        ("decided_by", "/verdict/decided_by"),
        ("attest", "/verdict/attest"),
        ("identities", "/verdict/identities"),
        ("passport", "/verdict/passport"),
        ("iat", "/verdict/iat"),
        ("spc", "/verdict/spc"),
        ("x5u_host", "/verdict/x5u_host"),
        ("chain", "/verdict/chain"),
        ("verstat", "/verstat"),
        ("provenance", "/provenance"),
        ("shared", "/attribution/shared"),
        ("mac", "/attribution/mac"),
        ("trunk_context", "/attribution/trunk_context"),
        ("orig_ioi", "/attribution/orig_ioi"),
        ("tech_prefix", "/attribution/tech_prefix"),
        ("rule_header", "/attribution/header"),
        ("pair_uid", "/pair/uid"),
        ("pair_how", "/pair/how"),
        ("state", "/end/state"),
        ("code", "/end/code"),
        ("cause", "/end/cause"),
        ("ringing_ms", "/end/ringing_ms"),
        ("final_ms", "/end/final_ms"),
        ("duration_ms", "/end/duration_ms"),
        ("released_by", "/end/released_by"),
        ("retransmissions", "/end/retransmissions"),
        ("forks", "/end/forks"),
        ("auth_retries", "/end/auth_retries"),
        ("stir_cause", "/end/stir_cause"),
        ("disagrees", "/end/disagrees"),
        ("one_way", "/end/one_way"),
    ] {
        out.insert(column, at(pointer));
    }
    let origid = at("/verdict/origid");
    let (uuid, other) = match is_uuid(&origid) {
        true => (origid, Value::Null),
        false => (Value::Null, origid),
    };
    out.extend([
        ("begun_at", nanos("/at")),
        ("pair_at", nanos("/pair/at")),
        ("source", source),
        ("source_port", source_port),
        ("destination", destination),
        ("destination_port", destination_port),
        ("call_id", digest("/ids/call_id")),
        ("session_id", digest("/ids/session_id")),
        ("icid", digest("/ids/icid")),
        ("sdp_origin", digest("/ids/sdp_origin")),
        ("failed", words("/verdict/failed")),
        ("undetermined", words("/verdict/undetermined")),
        ("findings", words("/verdict/findings")),
        ("flags", words("/flags")),
        ("attribution", words("/attribution/keys")),
        ("origid", uuid),
        ("origid_text", other),
        ("notes", notes),
    ]);
    out
}

/// Rows of DuckDB against our JSON, every column of every record.
fn same(said: &Said, expected: &BTreeMap<u64, Value>) {
    assert_eq!(said.rows.len(), expected.len());
    for row in said.objects() {
        let uid = row["uid"].as_u64().unwrap();
        let ours = columns(&expected[&uid]);
        assert_eq!(
            row.keys().collect::<Vec<_>>(),
            ours.keys().collect::<Vec<_>>()
        );
        for (column, value) in &ours {
            assert_eq!(row[column], value, "column {column} of record {uid}");
        }
    }
}

#[test]
#[ignore = "needs DuckDB"]
fn peer_duckdb_reads_the_store_as_it_is() {
    let lab = Lab::new(31, 600);
    store(&lab);
    let folder = lab.path("");
    let expected = by_records(&lab);
    assert!(expected.len() > 600);

    // What the documentation shows, one statement after the other; then what this test asks, by the views that it made.
    let formats = sql_of("FORMATS.md");
    let manual = sql_of("STORE.md");
    assert!(formats.len() >= 4 && manual.len() >= 2);
    let export = lab.path("export.parquet");
    let peer = expected.values().find_map(|r| r["peer"].as_str()).unwrap();
    let ask = [
        "records", "--case", "C-1", "--peer", peer, "--format", "parquet", "--config",
    ];
    let window = [
        "--from",
        "2026-11-24T00:00:00Z",
        "--until",
        "2026-11-24T23:59:59Z",
    ];
    let config = text(&lab.path("tracehop.toml"));
    let out = tracehop(&[&ask[..], &[&config, "--output", &text(&export)], &window].concat());
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );

    // Python's times end at microseconds.
    let whole = "select * replace (epoch_ns(begun_at) as begun_at, epoch_ns(pair_at) as pair_at)";
    let called = expected
        .values()
        .find_map(|r| r["numbers"]["called"].as_str());
    let called = called.unwrap();
    let own = [
        format!("{whole} from records order by uid"),
        format!("{whole} from 'export.parquet' order by uid"),
        "select count(*) from records".to_owned(),
        "select attest, count(*) from records group by attest".to_owned(),
        format!(
            "select uid from records where called = {called} and begun_at between timestamptz '2026-11-24 15:00:00Z' and timestamptz '2026-11-24 15:30:00Z' order by begun_at, uid"
        ),
        "select begun_at, call_id, origid, passport, private from records limit 1".to_owned(),
    ];
    let shown = formats.len() + manual.len();
    let all: Vec<String> = formats.into_iter().chain(manual).chain(own).collect();
    let said = duckdb(&folder, &all);
    let own = &said[shown..];

    same(&own[0], &expected);
    let of_peer = expected.iter().filter(|(_, r)| r["peer"] == peer);
    let of_peer = of_peer.map(|(uid, r)| (*uid, r.clone())).collect();
    same(&own[1], &of_peer);
    assert_eq!(own[2].rows[0][0], json!(expected.len()));

    let mut attests: BTreeMap<String, u64> = BTreeMap::new();
    for record in expected.values() {
        let key = record["verdict"]["attest"].to_string();
        *attests.entry(key).or_default() += 1;
    }
    let theirs: BTreeMap<String, u64> = own[3]
        .rows
        .iter()
        .map(|r| (r[0].to_string(), r[1].as_u64().unwrap()))
        .collect();
    assert_eq!(theirs, attests);

    let ask = [
        "records", "--case", "C-1", "--json", "--called", called, "--config", &config,
    ];
    let window = [
        "--from",
        "2026-11-24T15:00:00Z",
        "--until",
        "2026-11-24T15:30:00Z",
    ];
    let out = tracehop(&[&ask[..], &window].concat());
    let ours: Vec<Value> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        // Ours finds To and diverted numbers as well.
        .filter(|r| r["numbers"]["called"] == called)
        .map(|r| r["uid"].clone())
        .collect();
    let theirs: Vec<Value> = own[4].rows.iter().map(|r| r[0].clone()).collect();
    assert_eq!(theirs, ours);
    assert!(!ours.is_empty());

    let types: Vec<&str> = own[5].columns.iter().map(|(_, t)| t.as_str()).collect();
    assert_eq!(
        types,
        ["TIMESTAMPTZ_NS", "UBIGINT", "UUID", "BLOB", "BOOLEAN"]
    );
}
