//! What this process costs the host, out of /proc/self. What can't be read is not said: a sandbox may hide it.

use std::fs;
use std::time::Duration;

use crate::base::Timestamp;

/// Ticks a second in /proc: USER_HZ, which is 100 on every Linux that we know.
const TICKS: f64 = 100.0;

/// This process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// When it started.
    pub started: Option<Timestamp>,
    /// CPU time of all threads.
    pub cpu: Option<Duration>,
    /// Memory in RAM.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// Reads it.
    pub fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        let stat = text("stat").and_then(|t| Stat::parse(&t));
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|t| {
            let line = t.lines().find_map(|l| l.strip_prefix("btime "))?;
            line.trim().parse::<i64>().ok()
        });
        let status = text("status").unwrap_or_default();
        let started = boot
            .zip(stat)
            .map(|(boot, s)| Timestamp::from_secs(boot).plus(ticks(s.started)));
        Self {
            started,
            cpu: stat.map(|s| ticks(s.cpu)),
            resident_bytes: after(&status, "VmRSS:").map(|kb| kb.saturating_mul(1024)),
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|d| u64::try_from(d.count()).ok())
                // The folder itself is open while it is counted.
                .map(|n| n.saturating_sub(1)),
            max_fds: text("limits").and_then(|t| after(&t, "Max open files")),
            threads: after(&status, "Threads:"),
        }
    }
}

/// Descriptors that the daemon asks for: as its unit file gives it.
const FILES: u64 = 65_536;

/// Lets this process have as many open files as it may, up to 65,536: usual is 1,024, and look-ups keep the files of a day open. Where the system refuses,
/// all goes on with what there is.
pub fn allow_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(FILES)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES), hard);
    }
}

/// Has the system write no memory of this process to disk when it dies. Gives whether that holds: a unit's filter of system calls may refuse it, and its
/// `LimitCORE=0` has done it before.
pub fn no_core() -> bool {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let is_off = || getrlimit(Resource::RLIMIT_CORE).is_ok_and(|(soft, _)| soft == 0);
    is_off() || (setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok() && is_off())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    cpu: u64,
    started: u64,
}

impl Stat {
    /// proc(5): fields 14 and 15 are the times, 22 is the start, counted from 1; the name in field 2 may hold anything, also parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let field = |n: usize| rest.split_whitespace().nth(n - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)?.saturating_add(field(15)?),
            started: field(22)?,
        })
    }
}

fn ticks(n: u64) -> Duration {
    Duration::try_from_secs_f64(n as f64 / TICKS).unwrap_or_default()
}

/// The number behind a name at the beginning of a line.
fn after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|l| l.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let p = Process::read();
        let age = crate::host::clock::now().distance(p.started.unwrap());
        assert!(age < Duration::from_secs(86_400), "{age:?}");
        assert!(p.resident_bytes.unwrap() > 1 << 20);
        assert!(p.open_fds.unwrap() >= 3 && p.open_fds < p.max_fds);
        assert!(p.threads.unwrap() >= 1);
        assert!(p.cpu.is_some());
    }

    #[test]
    fn its_memory_is_not_written_to_disk() {
        assert!(no_core() && no_core());
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|l| l.starts_with("Max core file size"));
        let soft = line.unwrap().split_whitespace().nth(4);
        assert_eq!(soft, Some("0"));
    }

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let text = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        let stat = Stat::parse(text);
        assert_eq!(
            stat,
            Some(Stat {
                cpu: 11 + 12,
                started: 19
            })
        );
        assert_eq!(Stat::parse("7 (a) R 1"), None);
    }
}
