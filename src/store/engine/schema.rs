//! The tables of the engine, and bringing nodes up to date.
//!
//! The statements stand in `config/clickhouse/`, so that an operator can read them and run them by hand; they are part of the program as well. A node keeps in
//! `migrations` which of them it has had. Each can be run twice without harm, so one that broke off is run again.
//!
//! Columns of `records_local`, `ends_local` and `coverage_local` are those of the Parquet files, in the same order; a test holds the one against the other.

use super::client::{Engine, EngineError, NodeId};

/// The database in which everything lies.
pub const DATABASE: &str = "tracehop";

/// Tables with replicas.
pub const REPLICATED: [&str; 6] = [
    "records_local",
    "numbers_local",
    "ends_local",
    "coverage_local",
    "probes_local",
    "forgotten_local",
];

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, rising from 1.
    pub version: u16,
    /// What it is called.
    pub name: &'static str,
    /// Its statements, each ended by a semicolon at the end of a line.
    pub text: &'static str,
}

/// All steps, in order.
pub const MIGRATIONS: [Migration; 2] = [
    Migration {
        version: 1,
        name: "tables",
        text: include_str!("../../../config/clickhouse/001-tables.sql"),
    },
    Migration {
        version: 2,
        name: "first entries",
        text: include_str!("../../../config/clickhouse/002-first-entries.sql"),
    },
];

impl Migration {
    /// Its statements, without comments.
    pub fn statements(&self) -> impl Iterator<Item = String> {
        let lines = self.text.lines().filter(|l| !l.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let statements: Vec<String> = text
            .split(";\n")
            .map(|s| s.trim().trim_end_matches(';').to_owned())
            .filter(|s| !s.is_empty())
            .collect();
        statements.into_iter()
    }
}

/// The version that a node has, 0 for none.
///
/// # Errors
///
/// [`EngineError`].
pub fn version(engine: &Engine, node: NodeId) -> Result<u16, EngineError> {
    let tables = format!(
        "SELECT count() FROM system.tables WHERE database = '{DATABASE}' AND name = 'migrations'"
    );
    let [tables] = engine.ask_numbers(node, &tables)?;
    if tables == 0 {
        return Ok(0);
    }
    let [version] = engine.ask_numbers(
        node,
        &format!("SELECT max(version) FROM {DATABASE}.migrations"),
    )?;
    Ok(u16::try_from(version).unwrap_or(u16::MAX))
}

/// Runs at a node what it lacks. Gives what was run.
///
/// # Errors
///
/// [`EngineError`]; what was run before it stays.
pub fn migrate(engine: &Engine, node: NodeId) -> Result<Vec<Migration>, EngineError> {
    let has = version(engine, node)?;
    let mut run = Vec::new();
    for migration in MIGRATIONS {
        if migration.version <= has {
            continue;
        }
        for statement in migration.statements() {
            engine.ask(node, &statement)?;
        }
        let Migration { version, name, .. } = migration;
        engine.ask(
            node,
            &format!("INSERT INTO {DATABASE}.migrations (version, name, applied) SELECT {version}, '{name}', now()"),
        )?;
        run.push(migration);
    }
    Ok(run)
}

/// Names of columns as a statement lists them.
pub(super) fn names(columns: &[crate::store::embedded::spool::Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::spool::{
        Column, columns_of_coverage, columns_of_ends, columns_of_records,
    };

    /// Columns of a table as the migrations leave it.
    fn columns(table: &str) -> Vec<(String, String)> {
        let mut columns = Vec::new();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            let create = format!("CREATE TABLE IF NOT EXISTS tracehop.{table}\n(\n");
            let add = format!("ALTER TABLE tracehop.{table} ADD COLUMN ");
            let lines = if let Some(rest) = statement.strip_prefix(&create) {
                rest.split_once("\n)").unwrap().0.to_owned()
            } else if let Some(rest) = statement.strip_prefix(&add) {
                rest.to_owned()
            } else {
                continue;
            };
            columns.extend(lines.lines().map(|l| {
                let (name, kind) = l.trim().trim_end_matches(',').split_once(' ').unwrap();
                (name.to_owned(), kind.to_owned())
            }));
        }
        columns
    }

    fn own(
        before: &[(&str, &str)],
        shared: Vec<Column>,
        after: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let own = |c: &(&str, &str)| (c.0.to_owned(), c.1.to_owned());
        let shared = shared.into_iter().map(|(n, t)| (n.to_owned(), t));
        let before = before.iter().map(own);
        before.chain(shared).chain(after.iter().map(own)).collect()
    }

    #[test]
    fn the_tables_have_the_columns_of_the_files() {
        let origin = [("probe", "UInt16"), ("seq", "UInt64"), ("chunk", "UInt32")];
        let records = own(&[], columns_of_records(), &origin);
        assert_eq!(columns("records_local"), records);
        let ends = own(
            &[("uid", "Int64"), ("hour", "Int64")],
            columns_of_ends(),
            &origin,
        );
        assert_eq!(columns("ends_local"), ends);
        let coverage = own(
            &[("probe", "UInt16"), ("version", "UInt64")],
            columns_of_coverage(),
            &[],
        );
        assert_eq!(columns("coverage_local"), coverage);
    }

    #[test]
    fn versions_rise_from_one_and_every_statement_can_be_run_twice() {
        for (i, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, i);
            for statement in migration.statements() {
                let safe = [
                    "CREATE DATABASE IF NOT EXISTS ",
                    "CREATE TABLE IF NOT EXISTS ",
                    "INSERT INTO ",
                    "ALTER TABLE ",
                ];
                assert!(safe.iter().any(|s| statement.starts_with(s)), "{statement}");
                assert!(!statement.contains(';'), "{statement}");
            }
        }
        let tables: Vec<String> = MIGRATIONS
            .iter()
            .flat_map(Migration::statements)
            .filter(|s| s.contains("Replicated"))
            .map(|s| s.split_whitespace().nth(5).unwrap().to_owned())
            .collect();
        assert_eq!(tables, REPLICATED.map(|t| format!("{DATABASE}.{t}")));
    }
}
