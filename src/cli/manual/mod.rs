//! `tracehop man` and `tracehop completions`: what a package ships beside the program, made from the parser itself.
//!
//! In: the commands as clap knows them, and the commented default of the configuration. Out: a page of section 1 for each command, one of section 5 for the
//! file, and scripts for shells. The same program gives the same octets.

mod file;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, Failure, Outcome, output};

/// The program's name, as the parser has it.
const NAME: &str = "tracehop";

/// Files of configuration that have a page: name, what it is, and the commented default.
const FILES: [(&str, &str, &str); 2] = [
    (
        "tracehop.toml",
        "configuration of tracehop",
        include_str!("../../../config/tracehop.toml"),
    ),
    (
        "tracehop-portal.toml",
        "portal.toml, configuration of a traceback portal",
        include_str!("../../../config/portal.toml"),
    ),
];

/// What no page that is made from arguments says: exit codes and files, in the first of them.
const ENDING: &str = include_str!("ending.roff");

/// Writes the manual pages: one for each command, and one for the configuration
#[derive(Debug, Args)]
pub struct Man {
    /// Where they go; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Outcome {
        let written = write_pages(&self.dir);
        written
            .map(|()| ExitCode::SUCCESS)
            .map_err(|e| Failure::io(format!("{}: {e}", self.dir.display())))
    }
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Arguments::command(), dir)?;
    let first = dir.join(format!("{NAME}.1"));
    let page = fs::read_to_string(&first)?;
    fs::write(&first, page + ENDING)?;
    for (name, what, text) in FILES {
        fs::write(dir.join(format!("{name}.5")), file::page(name, what, text))?;
    }
    Ok(())
}

/// Prints completions for a shell: source them, or put them where it looks
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), NAME, &mut script);
        output::say!("{}", String::from_utf8_lossy(&script).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of all commands that are shown, with those above them.
    fn names(command: &clap::Command, above: &str, into: &mut Vec<String>) {
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        for c in shown.filter(|c| c.get_name() != "help") {
            let name = format!("{above}-{}", c.get_name());
            names(c, &name, into);
            into.push(name);
        }
    }

    #[test]
    fn every_command_that_is_shown_has_a_page_and_the_first_one_its_ending() {
        let dir = tempfile::tempdir().unwrap();
        write_pages(dir.path()).unwrap();
        let mut all = Vec::new();
        names(&Arguments::command(), NAME, &mut all);
        assert!(all.contains(&"tracehop-audit-verify".to_owned()), "{all:?}");
        for name in all {
            assert!(dir.path().join(format!("{name}.1")).is_file(), "{name}");
        }
        assert!(!dir.path().join("tracehop-man.1").exists(), "it is hidden");
        let first = fs::read_to_string(dir.path().join("tracehop.1")).unwrap();
        assert!(first.contains("EXIT STATUS") && first.contains("sysexits(3)"));
    }

    #[test]
    fn completions_know_commands_below_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("approve"), "{shell}");
        }
    }
}
