//! The shared engine, and from where on there is one.

use super::*;
use crate::store::engine::EngineSettings;

/// The configuration that ships, with more behind it.
fn with_engine(more: &str) -> Result<Option<EngineSettings>, String> {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = good();
    let secret = dir.path().join("clickhouse-password");
    fs::write(&secret, "a password\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&path).unwrap() + more;
    fs::write(&path, text).unwrap();
    let loaded = Config::load(&path).map(|c| (c.store.engine, c.store.settings));
    loaded
        .map(|(engine, settings)| {
            // What is not known to have arrived waits only where there is an engine.
            assert_eq!(settings.forwarded.has(1), engine.is_none());
            engine
        })
        .map_err(|p| {
            let each = p.into_iter().map(|p| format!("{} / {}", p.what, p.remedy));
            each.collect::<Vec<_>>().join("; ")
        })
}

#[test]
fn there_is_no_engine_by_default() {
    assert_eq!(with_engine(""), Ok(None));
}

/// What stands in the file as comments is what would be read.
#[test]
fn the_engine_in_the_file_that_ships_is_good_when_it_is_taken_out_of_its_comments() {
    let shipped = include_str!("../../../config/tracehop.toml");
    let (_, commented) = shipped.split_once("\n#[store.engine]").unwrap();
    let (commented, _) = commented.split_once("\n[traceback]").unwrap();
    let live = format!("\n[store.engine]{commented}\n").replace("\n#", "\n");
    let kept = |l: &&str| {
        !["roots", "certificate", "key"]
            .iter()
            .any(|k| l.starts_with(k))
    };
    let live: Vec<&str> = live.lines().filter(kept).collect();
    let engine = with_engine(&live.join("\n")).unwrap().unwrap();
    assert_eq!(
        (engine.probe, &*engine.name, engine.quorum),
        (1, "edge-1", 1)
    );
    assert_eq!(engine.retention, Duration::from_secs(548 * 86_400));
    let nodes: Vec<usize> = engine.shards.iter().map(Vec::len).collect();
    assert_eq!(nodes, [2]);
    let node = &engine.shards[0][0];
    assert_eq!(node.url.authority(), "clickhouse-1a.example.net:8443");
    assert!(node.secret.is_some());
    assert!(!format!("{engine:?}").contains("a password"));
}

#[test]
fn an_engine_that_can_not_be_is_named_with_what_to_write() {
    let shard = "[[store.engine.shard]]\nnodes = [\"http://127.0.0.1:8123\"]\n";
    for (more, says) in [
        ("probe = 1\nname = \"a\"\n", "without shards"),
        ("name = \"a\"\nSHARD", "without the number of this probe"),
        ("probe = 0\nname = \"a\"\nSHARD", "probe"),
        ("probe = 512\nname = \"a\"\nSHARD", "probe"),
        ("probe = 1\nSHARD", "name is missing"),
        ("probe = 1\nname = \"a b\"\nSHARD", "no name of a probe"),
        (
            "probe = 1\nname = \"a\"\nquorum = 2\nSHARD",
            "a shard of 1 nodes",
        ),
        (
            "probe = 1\nname = \"a\"\n[[store.engine.shard]]\nnodes = [\"http://clickhouse.example.net:8123\"]\n",
            "http is for this host alone",
        ),
        (
            "probe = 1\nname = \"a\"\npassword_file = \"clickhouse-password\"\nSHARD",
            "password_file without user",
        ),
        ("probe = 1\nname = \"a\"\nshards = 1\nSHARD", "unknown key"),
    ] {
        let more = more.replace("SHARD", shard);
        let wrong = with_engine(&format!("\n[store.engine]\n{more}"));
        let wrong = wrong.expect_err(&more);
        assert!(wrong.contains(says), "{more}: {wrong}");
    }
}
