//! What the machine says: time, memory, octets, the file cache.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

/// Clock and processor from a point on.
pub struct Since {
    wall: Instant,
    cpu: ProcessTime,
    written: u64,
}

/// What passed.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    pub wall: Duration,
    pub cpu: Duration,
    /// Octets that this process had written to the disk.
    pub written: u64,
}

impl Since {
    pub fn now() -> Self {
        Self {
            written: written(),
            cpu: ProcessTime::now(),
            wall: Instant::now(),
        }
    }

    pub fn spent(&self) -> Spent {
        Spent {
            wall: self.wall.elapsed(),
            cpu: self.cpu.elapsed(),
            written: written() - self.written,
        }
    }
}

impl Spent {
    pub fn per_second(&self, n: u64) -> f64 {
        n as f64 / self.wall.as_secs_f64()
    }

    pub fn cpu_us(&self, n: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / n as f64
    }
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    let word = line.and_then(|l| l.split_whitespace().next());
    word.and_then(|w| w.parse().ok()).unwrap_or(0)
}

fn written() -> u64 {
    field("/proc/self/io", "write_bytes:")
}

/// Resident memory in MB: now, and the most since [`forget_peak`].
pub fn resident() -> (f64, f64) {
    let mb = |name| field("/proc/self/status", name) as f64 / 1024.0;
    (mb("VmRSS:"), mb("VmHWM:"))
}

/// From now on the peak is counted anew.
pub fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Empties the system's file cache; `false` where that is not allowed.
pub fn drop_cache() -> bool {
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Octets of all files in a folder whose names end so.
pub fn octets(folder: &Path, ending: &str) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sum += octets(&path, ending);
        } else if path.to_string_lossy().ends_with(ending) {
            sum += entry.metadata().map_or(0, |m| m.len());
        }
    }
    sum
}

/// Median, 99 of 100 and longest, in milliseconds.
pub fn quantiles(times: &mut [Duration]) -> (f64, f64, f64) {
    times.sort_unstable();
    let at = |q: f64| {
        let place = ((times.len().max(1) - 1) as f64 * q).ceil() as usize;
        times.get(place).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    (at(0.5), at(0.99), at(1.0))
}
