//! What the scripts in `benches/` send at the daemon.
//!
//! ```text
//! load calls DIR CALLS-PER-SECOND SECONDS   credentials and configuration, calls.pcap (whole signed dialogs), rtp.pcap
//! load garbage INTERFACE SECONDS THREADS    frames that are nothing, as fast as they go
//! load hep ADDRESS SECONDS                  the same for a HEP listener, over UDP and TCP
//! ```

mod garbage;
mod octets;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tracehop::base::Timestamp;
use tracehop::lab;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["calls", dir, rate, seconds] => calls(Path::new(dir), rate, seconds),
        ["garbage", interface, seconds, threads] => garbage::frames(interface, seconds, threads),
        ["hep", address, seconds] => garbage::hep(address, seconds),
        _ => Err("load calls DIR CALLS-PER-SECOND SECONDS | load garbage INTERFACE SECONDS THREADS | load hep ADDRESS SECONDS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("load: {e}");
            ExitCode::from(64)
        }
    }
}

/// Calls that begin now: replayed within minutes, their tokens are as old as that.
fn calls(dir: &Path, rate: &str, seconds: &str) -> Result<(), Failure> {
    let (rate, seconds) = (rate.parse::<u32>()?, seconds.parse::<u32>()?);
    let calls = usize::try_from(rate.saturating_mul(seconds))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let base = Timestamp::from_secs(i64::try_from(now.as_secs())?);
    lab::write_credentials_at(dir, 1, base)?;
    let configuration = lab::network::tracehop_toml()
        .replace("freshness_seconds = 60", "freshness_seconds = 3600")
        .replace("path = \"store\"", "path = \"state/store\"");
    fs::write(dir.join("tracehop.toml"), configuration)?;
    fs::write(dir.join("peers.toml"), lab::network::peers_toml())?;
    fs::write(
        dir.join("calls.pcap"),
        lab::bench_load(calls, rate, base, 1)?,
    )?;
    fs::write(dir.join("rtp.pcap"), rtp())?;
    println!("{calls}");
    Ok(())
}

/// Ten thousand packets of fifty streams.
fn rtp() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for i in 0..10_000u16 {
        let port = 16_384 + 2 * (i % 50);
        let mut rtp = vec![0x80, 0];
        rtp.extend(i.to_be_bytes());
        rtp.resize(172, 0xd5);
        let frame = octets::udp4([192, 0, 2, 1], [192, 0, 2, 2], (port, port), &rtp);
        let length = u32::try_from(frame.len()).unwrap_or(0);
        for word in [0, u32::from(i), length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// Seconds, as given.
fn duration(seconds: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_secs(seconds.parse()?))
}
