//! Sends a capture at its own times. tcpreplay does it too, and spins meanwhile on a processor that the daemon could use.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pnet::datalink::{self, Channel, Config};

use super::Failure;

/// Shorter sleeps cost more than what is sent meanwhile.
const NAP: Duration = Duration::from_micros(500);

/// Sends all frames of a capture in nanoseconds, as the laboratory writes it, and prints how many, in how many seconds, and by how many milliseconds the
/// latest was late.
pub fn replay(interface: &str, file: &Path) -> Result<(), Failure> {
    let file = fs::read(file)?;
    let interfaces = datalink::interfaces();
    let interface = interfaces.into_iter().find(|i| i.name == interface);
    let interface = interface.ok_or("no such interface")?;
    let Channel::Ethernet(mut out, _) = datalink::channel(&interface, Config::default())? else {
        return Err("no Ethernet".into());
    };
    let mut rest = file.get(24..).ok_or("no capture")?;
    if word(&file, 0) != 0xa1b2_3c4d {
        return Err("no capture in nanoseconds".into());
    }
    let begin = Instant::now();
    let mut first = None;
    let (mut frames, mut refused, mut late) = (0u64, 0u64, Duration::ZERO);
    while rest.len() > 16 {
        let [seconds, nanos, kept] = [0, 4, 8].map(|at| word(rest, at));
        let length = usize::try_from(kept)?;
        let frame = rest.get(16..16 + length).ok_or("the capture is cut")?;
        rest = rest.get(16 + length..).unwrap_or_default();
        let at = Duration::new(seconds.into(), nanos);
        let due = begin + (at - *first.get_or_insert(at));
        let mut now = Instant::now();
        while now < due {
            thread::sleep(NAP.max(due - now));
            now = Instant::now();
        }
        late = late.max(now - due);
        match out.send_to(frame, None) {
            Some(Ok(())) => frames += 1,
            _ => refused += 1,
        }
    }
    println!(
        "{frames} {:.3} {}",
        begin.elapsed().as_secs_f64(),
        late.as_millis()
    );
    if refused > 0 {
        return Err(format!("{refused} frames were not taken").into());
    }
    Ok(())
}

fn word(octets: &[u8], at: usize) -> u32 {
    let word = octets.get(at..at + 4).and_then(|w| w.try_into().ok());
    u32::from_le_bytes(word.unwrap_or_default())
}
