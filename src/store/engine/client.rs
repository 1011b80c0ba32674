//! Statements to the nodes of the engine, and their answers: HTTP, `RowBinary`, a bound on everything.
//!
//! The exchange runs on a thread of its own, so that a look-up may come from any thread. Answers come whole or not at all (`wait_end_of_query`).
//!
//! Which replica may be asked: one that has everything that any replica of its shard had acknowledged when it was asked. [`Engine::fresh`] looks for one: its log
//! pointer stands behind the last entry of the shard's log, and no insert waits in its queue. A node that lost its coordinator can't say so and is passed over.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use super::{EngineSettings, schema};
use crate::store::StoreError;
use crate::web::client::{Answer, Ask, Client, ClientError, ClientSettings, escaped};

/// Connections kept to a node: the look-ups at once, and the forwarder.
const KEPT: usize = 5;
/// More time for an insert than for a question: the coordinator may be slow.
const INSERT_WAIT: Duration = Duration::from_secs(60);
/// How long a replica may take to catch up before another is asked.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(40);
/// Octets of an error that are kept.
const ERROR: usize = 400;
/// The first version that may gather inserts by itself, which must be switched off: 21.11.
const ASYNC_INSERTS: u32 = 21;

/// Why the engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No answer.
    #[error("{node}: {why}")]
    Exchange {
        /// Of which node.
        node: String,
        /// Why.
        why: ClientError,
    },
    /// The server refused.
    #[error("{node}: error {code}: {text}")]
    Server {
        /// Which node.
        node: String,
        /// ClickHouse's number of the error, 0 where it gave none.
        code: u32,
        /// Its words, shortened.
        text: String,
    },
    /// No replica of a shard can be asked.
    #[error("shard {shard}: no replica can be asked now: {why}")]
    NoReplica {
        /// Which shard, from 1.
        shard: usize,
        /// What the last one said.
        why: String,
    },
    /// An answer that can't be.
    #[error("{node}: an answer that can't be read: {what}")]
    Odd {
        /// Of which node.
        node: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another store has this probe's number.
    #[error("probe {probe} is another store's number ({other}); give this one a number of its own")]
    Taken {
        /// The number.
        probe: u16,
        /// What that store calls itself.
        other: String,
    },
    /// A batch is there in part: somebody deleted from it, or the engine broke its word.
    #[error("batch {batch}: {found} of {rows} rows are in the engine; nothing was sent")]
    Partial {
        /// Which.
        batch: String,
        /// Rows that are there.
        found: u64,
        /// Rows that it has.
        rows: u64,
    },
    /// The schema is not the one that this version needs.
    #[error("{node}: {what}; run \"tracehop store engine migrate\"")]
    Schema {
        /// Which node.
        node: String,
        /// What is wrong.
        what: String,
    },
}

impl EngineError {
    /// Whether it is certain that nothing of what was sent has arrived.
    pub fn nothing_sent(&self) -> bool {
        matches!(
            self,
            Self::Exchange {
                why: ClientError::Connect { .. } | ClientError::Setup(_) | ClientError::Request(_),
                ..
            }
        )
    }
}

impl From<EngineError> for StoreError {
    fn from(e: EngineError) -> Self {
        Self::Engine(e.to_string())
    }
}

/// A server of the engine.
#[derive(Debug)]
struct Node {
    settings: ClientSettings,
    idle: Mutex<Vec<Client>>,
    /// Its major version, 0 while unknown.
    version: AtomicU32,
}

/// The cluster.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    shards: Vec<Vec<Node>>,
    /// Of each shard, the node that worked last.
    first: Vec<AtomicUsize>,
    runtime: Handle,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Engine {
    /// Makes ready; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// What the system says: no thread.
    pub fn new(settings: EngineSettings) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                // It is an error that ends it: the other side is gone.
                let _ = runtime.block_on(stopped);
            })?;
        let node = |settings: &ClientSettings| Node {
            settings: settings.clone(),
            idle: Mutex::default(),
            version: AtomicU32::new(0),
        };
        let shards = settings.shards.iter();
        Ok(Self {
            shards: shards.map(|s| s.iter().map(node).collect()).collect(),
            first: settings
                .shards
                .iter()
                .map(|_| AtomicUsize::new(0))
                .collect(),
            settings,
            runtime: handle,
            _stop: stop,
        })
    }

    /// What it was made by.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// How many shards there are; at least one.
    pub fn shards(&self) -> usize {
        self.shards.len().max(1)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let shards = self.shards.iter().enumerate();
        shards.flat_map(|(shard, nodes)| (0..nodes.len()).map(move |node| NodeId { shard, node }))
    }

    /// What a node is called in messages.
    pub fn name(&self, id: NodeId) -> String {
        self.node(id)
            .map_or_else(|_| id.to_string(), |n| n.settings.url.authority())
    }

    /// A node as the place from which answers come.
    pub fn place(&self, id: NodeId, table: &str) -> PathBuf {
        Path::new(&self.name(id)).join(table)
    }

    /// Runs a statement at a node and gives its answer.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn ask(&self, id: NodeId, statement: &str) -> Result<Bytes, EngineError> {
        let node = self.node(id)?;
        let seconds = node.settings.timeout.as_secs().max(1);
        let path = format!("/?wait_end_of_query=1&max_execution_time={seconds}");
        self.exchange(id, path, Bytes::from(statement.to_owned()), Duration::ZERO)
    }

    /// The answer as one line of fields.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn ask_numbers<const N: usize>(
        &self,
        id: NodeId,
        statement: &str,
    ) -> Result<[i64; N], EngineError> {
        let answer = self.ask(id, &format!("{statement} FORMAT TabSeparated"))?;
        let text = String::from_utf8_lossy(&answer);
        let numbers: Option<Vec<i64>> = text
            .trim_end()
            .split('\t')
            .map(|f| f.parse().ok())
            .collect();
        let numbers = numbers.and_then(|n| <[i64; N]>::try_from(n).ok());
        numbers.ok_or_else(|| EngineError::Odd {
            node: self.name(id),
            what: text.chars().take(ERROR).collect(),
        })
    }

    /// Puts rows into a table, as one block.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; unless [`EngineError::nothing_sent`] it may be there all the same.
    pub fn insert(
        &self,
        id: NodeId,
        table: &str,
        columns: &str,
        rows: Bytes,
    ) -> Result<(), EngineError> {
        let statement = format!(
            "INSERT INTO {}.{table} ({columns}) FORMAT RowBinary",
            schema::DATABASE
        );
        // One block, however many rows: it is the block that is known again when it is sent twice.
        let mut path = format!(
            "/?query={}&insert_deduplicate=1&max_insert_block_size=1048576&min_insert_block_size_rows=1048576&min_insert_block_size_bytes=1073741824",
            escaped(&statement)
        );
        if self.settings.quorum > 1 {
            let seconds = INSERT_WAIT.as_millis() / 2;
            path.push_str(&format!(
                "&insert_quorum={}&insert_quorum_timeout={seconds}",
                self.settings.quorum
            ));
        }
        if self.version(id)? >= ASYNC_INSERTS {
            path.push_str("&async_insert=0");
        }
        self.exchange(id, path, rows, INSERT_WAIT).map(drop)
    }

    /// Puts rows into a table of a shard, through whichever replica takes them.
    ///
    /// # Errors
    ///
    /// [`EngineError`] of the last replica tried; one that leaves open whether the rows arrived, if there was any.
    pub fn insert_into_shard(
        &self,
        shard: usize,
        table: &str,
        columns: &str,
        rows: &Bytes,
    ) -> Result<(), EngineError> {
        let mut failed: Option<EngineError> = None;
        for id in self.replicas(shard) {
            match self.insert(id, table, columns, rows.clone()) {
                Ok(()) => {
                    self.note_good(id);
                    return Ok(());
                }
                Err(e) => {
                    if failed.as_ref().is_none_or(EngineError::nothing_sent) {
                        failed = Some(e);
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| no_replica(shard, "it has no node")))
    }

    /// A replica of a shard that has everything that was acknowledged before this was called.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoReplica`].
    pub fn fresh(&self, shard: usize) -> Result<NodeId, EngineError> {
        let mut why = "it has no node".to_owned();
        for id in self.replicas(shard) {
            let begun = Instant::now();
            loop {
                match self.is_fresh(id) {
                    Ok(true) => {
                        self.note_good(id);
                        return Ok(id);
                    }
                    Ok(false) if begun.elapsed() < CATCH_UP => thread::sleep(LOOK),
                    Ok(false) => {
                        why = format!("{}: has not caught up", self.name(id));
                        break;
                    }
                    Err(e) => {
                        why = e.to_string();
                        break;
                    }
                }
            }
        }
        Err(no_replica(shard, &why))
    }

    /// Whether a node has all of its shard that it could have by now.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn is_fresh(&self, id: NodeId) -> Result<bool, EngineError> {
        let [tables, cut_off, waiting, behind] = self.ask_numbers(
            id,
            &format!(
                "SELECT count(), sum(is_readonly + is_session_expired), sum(inserts_in_queue), \
                 max(toInt64(log_max_index) + 1 - toInt64(log_pointer)) \
                 FROM system.replicas WHERE database = '{}'",
                schema::DATABASE
            ),
        )?;
        if usize::try_from(tables).ok() != Some(schema::REPLICATED.len()) {
            return Err(EngineError::Schema {
                node: self.name(id),
                what: format!("{tables} of {} tables are there", schema::REPLICATED.len()),
            });
        }
        Ok(cut_off == 0 && waiting == 0 && behind <= 0)
    }

    /// Replicas of a shard, the one that worked last first.
    fn replicas(&self, shard: usize) -> impl Iterator<Item = NodeId> + use<> {
        let count = self.shards.get(shard).map_or(0, Vec::len);
        let first = self
            .first
            .get(shard)
            .map_or(0, |f| f.load(Ordering::Relaxed));
        (0..count).map(move |i| NodeId {
            shard,
            node: (first + i) % count.max(1),
        })
    }

    fn note_good(&self, id: NodeId) {
        if let Some(first) = self.first.get(id.shard) {
            first.store(id.node, Ordering::Relaxed);
        }
    }

    fn version(&self, id: NodeId) -> Result<u32, EngineError> {
        let known = self.node(id)?.version.load(Ordering::Relaxed);
        if known != 0 {
            return Ok(known);
        }
        let answer = self.ask(id, "SELECT version()")?;
        let text = String::from_utf8_lossy(&answer);
        let major = text.trim().split('.').next().and_then(|m| m.parse().ok());
        let major = major.ok_or_else(|| EngineError::Odd {
            node: self.name(id),
            what: text.chars().take(ERROR).collect(),
        })?;
        self.node(id)?.version.store(major, Ordering::Relaxed);
        Ok(major)
    }

    fn node(&self, id: NodeId) -> Result<&Node, EngineError> {
        let node = self.shards.get(id.shard).and_then(|s| s.get(id.node));
        node.ok_or_else(|| no_replica(id.shard, "there is no such node"))
    }

    fn exchange(
        &self,
        id: NodeId,
        path: String,
        body: Bytes,
        wait: Duration,
    ) -> Result<Bytes, EngineError> {
        let node = self.node(id)?;
        let failed = |why| EngineError::Exchange {
            node: self.name(id),
            why,
        };
        let kept = lock(&node.idle).pop();
        let mut client = match kept {
            Some(client) => client,
            None => Client::new(node.settings.clone()).map_err(failed)?,
        };
        let mut ask = Ask::new(Method::POST, path, body).waiting(wait);
        ask.headers.clear();
        let (tell, told) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let answer = client.send(&ask).await;
            // Nobody waits for it any more: then it is not needed.
            let _ = tell.send((client, answer));
        });
        let Ok((client, answer)) = told.recv() else {
            return Err(failed(ClientError::Setup("the thread ended".to_owned())));
        };
        let answer = answer.map_err(failed)?;
        let mut idle = lock(&node.idle);
        if idle.len() < KEPT {
            idle.push(client);
        }
        drop(idle);
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(self.refused(id, &answer))
    }

    fn refused(&self, id: NodeId, answer: &Answer) -> EngineError {
        let text = String::from_utf8_lossy(&answer.body);
        let code = text
            .split_once("Code: ")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|n| n.parse().ok());
        let text = text.trim();
        EngineError::Server {
            node: self.name(id),
            code: code.unwrap_or(0),
            text: match text {
                "" => answer.status.to_string(),
                text => text.chars().take(ERROR).collect(),
            },
        }
    }
}

/// A node by its place in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    /// Of which shard, from 0.
    pub shard: usize,
    /// Which of its replicas, from 0.
    pub node: usize,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} of shard {}", self.node + 1, self.shard + 1)
    }
}

fn no_replica(shard: usize, why: &str) -> EngineError {
    EngineError::NoReplica {
        shard: shard + 1,
        why: why.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
