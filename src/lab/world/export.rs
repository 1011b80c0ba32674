//! One world on disk: for each provider a folder that a daemon can be started on, and what would be asked of it.
//!
//! ```text
//! DIR/certs/anchors.pem, x5u/            what everybody trusts
//! DIR/p0042/tracehop.toml, peers.toml    a provider's configuration
//! DIR/p0042/store/                       its embedded store, sealed
//! DIR/truth.jsonl                        for each request: who is asked, with what, and what is true
//! DIR/traces.jsonl                       for each traced call: its hops from the last provider to the first, by request
//! ```

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::edge::{self, Edge, portal_id};
use super::{Trust, World, WorldError, WorldOptions};
use crate::lab::LabError;
use crate::store::Store;
use crate::store::embedded::{EmbeddedStore, StoreSettings};

/// What was written.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Exported {
    /// Providers with a folder.
    pub providers: usize,
    /// Requests.
    pub requests: usize,
    /// Traces.
    pub traces: usize,
}

/// Writes one world to `out`, which must be empty or not exist.
///
/// # Errors
///
/// [`WorldError`], when a file can't be written.
pub fn export(options: &WorldOptions, out: &Path) -> Result<Exported, WorldError> {
    let trust = Trust::new(options.seed)?;
    let seed = options.seed.wrapping_mul(1_000);
    let world = World::new(options, &trust, seed, options.requests, 0);
    let mut index = String::new();
    for (i, (url, pem)) in trust.certificates.iter().enumerate() {
        if url == "anchors.pem" {
            write(&out.join("certs/anchors.pem"), pem)?;
            continue;
        }
        let file = format!("{i}.pem");
        write(&out.join("certs/x5u").join(&file), pem)?;
        index += &format!("\"{url}\" = \"{file}\"\n");
    }
    write(&out.join("certs/x5u/index.toml"), index.as_bytes())?;
    let mut done = Exported::default();
    for v in 0..world.network.providers.len() {
        if world.network.providers[v].foreign {
            continue;
        }
        let folder = out.join(folder(v));
        let moved = world.network.providers[v].remaps_at.is_some();
        let peers = edge::peers_toml(&world.network, v, moved);
        write(&folder.join("peers.toml"), peers.as_bytes())?;
        let config = edge::tracehop_toml(&world.network, v);
        write(&folder.join("tracehop.toml"), config.as_bytes())?;
        let edge = Edge::new(&world.network, v, world.span).map_err(WorldError::Defect)?;
        let mut store = EmbeddedStore::open(&folder.join("store"), StoreSettings::default())?;
        let seen = &world.seen[v];
        let (legs, identities) = (&world.carried.legs, &world.carried.identities);
        edge.run(seen, legs, identities, &trust.credentials, &mut store)?;
        for row in edge.ledger(&world.network, seen, world.span) {
            store.append_coverage(&row)?;
        }
        store.commit()?;
        done.providers += 1;
    }
    let mut truth = lines(&out.join("truth.jsonl"))?;
    let mut hops: Vec<Vec<serde_json::Value>> = world
        .traces
        .iter()
        .map(|t| vec![json!(null); t.len()])
        .collect();
    for q in world.questions.iter().flatten() {
        let request: serde_json::Value = serde_json::from_slice(&q.octets).unwrap_or_default();
        let line = json!({
            "request": request,
            "provider": portal_id(q.provider),
            "folder": folder(q.provider),
            "truth": q.truth,
            "ruse": q.ruse,
        });
        writeln!(truth, "{line}").map_err(|e| io(out, e))?;
        done.requests += 1;
        if let Some(hop) = hops.get_mut(q.trace.0).and_then(|t| t.get_mut(q.trace.1)) {
            *hop = json!({ "provider": portal_id(q.provider), "folder": folder(q.provider), "request": request["id"], "truth": q.truth });
        }
    }
    truth.flush().map_err(|e| io(out, e))?;
    let mut traces = lines(&out.join("traces.jsonl"))?;
    for hops in hops {
        writeln!(traces, "{}", json!({ "hops": hops })).map_err(|e| io(out, e))?;
        done.traces += 1;
    }
    traces.flush().map_err(|e| io(out, e))?;
    Ok(done)
}

fn folder(v: usize) -> String {
    format!("p{v:04}")
}

fn io(path: &Path, source: std::io::Error) -> LabError {
    LabError::Io {
        path: path.to_owned(),
        source,
    }
}

fn lines(path: &Path) -> Result<BufWriter<fs::File>, LabError> {
    let file = fs::File::create(path).map_err(|e| io(path, e))?;
    Ok(BufWriter::new(file))
}

fn write(path: &Path, content: &[u8]) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| io(path, e))?;
    }
    fs::write(path, content).map_err(|e| io(path, e))
}
