//! Where the wrapping key comes from: a file that only its owner may read, or what a command prints.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::cipher::{KEY, Secret};
use crate::store::StoreError;

/// How long a command may take: it may ask a key service over the network. Whoever starts the daemon waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read: 32 octets as text have at most 64 digits, and there may be blanks around them.
const LONGEST: usize = 256;
/// How often it is looked whether the command is done.
const STEP: Duration = Duration::from_millis(10);

/// Where the key comes from that wraps the keys of a store's days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file with 32 octets as hexadecimal digits or base64. Only its owner may read it.
    File(PathBuf),
    /// A program and its arguments. It prints the same. No shell is between.
    Command(Vec<String>),
}

impl KeySource {
    /// Fetches the key.
    pub(super) fn fetch(&self) -> Result<Secret, StoreError> {
        self.fetch_within(PATIENCE)
    }

    fn fetch_within(&self, patience: Duration) -> Result<Secret, StoreError> {
        let (place, text) = match self {
            Self::File(path) => (path.clone(), file(path)?),
            Self::Command(words) => {
                let place = PathBuf::from(words.first().map_or("", String::as_str));
                let text = command(words, patience).map_err(|e| match e.kind() {
                    // What went wrong in words: the system's own texts don't name the command's part in it.
                    io::ErrorKind::Other => StoreError::key(&place, e.to_string()),
                    _ => StoreError::io(&place, e),
                })?;
                (place, text)
            }
        };
        // Whatever it holds instead is not repeated: it may be a key with a letter missing.
        parse(&text).ok_or_else(|| {
            let what =
                "this is no key: 32 octets are wanted, as 64 hexadecimal digits or as base64";
            StoreError::key(&place, what)
        })
    }
}

fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let io = |e| StoreError::io(path, e);
    let file = File::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if about.mode() & 0o077 != 0 {
        let what = format!(
            "others than its owner may use this key (mode {:03o}): chmod 600 it, and think about whether they have",
            about.mode() & 0o777
        );
        return Err(StoreError::key(path, what));
    }
    read(file).map_err(io)
}

/// Runs the command and gives what it printed.
fn command(words: &[String], patience: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::other("the command has no name"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let done = wait(&mut child, patience);
    if done.is_err() {
        // It may have ended just now.
        let _ = child.kill();
        let _ = child.wait();
    }
    done
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
    let begin = Instant::now();
    let late = || {
        let what = format!("no key within {} s", patience.as_secs_f32());
        io::Error::other(what)
    };
    let stdout = child.stdout.take();
    let stdout = stdout.ok_or_else(|| io::Error::other("it has no output"))?;
    // Of its own, because a child of the command may hold the pipe for ever; it ends with the pipe.
    let (says, said) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("key command".to_owned())
        .spawn(move || says.send(read(stdout)))?;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if begin.elapsed() >= patience => return Err(late()),
            None => thread::sleep(STEP),
        }
    };
    if !status.success() {
        return Err(io::Error::other(format!("no key: it ended with {status}")));
    }
    let rest = patience.saturating_sub(begin.elapsed());
    said.recv_timeout(rest).map_err(|_| late())?
}

/// Reads to the end, or more than a key with blanks around it.
fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    from.take(LONGEST as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// A key as one line of text.
fn parse(text: &[u8]) -> Option<Secret> {
    let text = text.trim_ascii();
    let mut octets = Zeroizing::new([0; KEY]);
    if text.len() == 2 * KEY {
        for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            let digits = pair.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = u8::from_str_radix(pair, 16).ok().filter(|_| digits)?;
        }
    } else {
        let read = Zeroizing::new(STANDARD.decode(text).ok()?);
        octets.copy_from_slice(read.get(..KEY).filter(|_| read.len() == KEY)?);
    }
    Some(Secret::from_octets(*octets))
}

/// Writes a new key into a new file that only its owner may read.
///
/// # Errors
///
/// [`StoreError::Io`]: also where there is a file of that name.
pub fn make_key_file(path: &Path) -> Result<(), StoreError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let io = |e| StoreError::io(path, e);
    let secret = Secret::random().map_err(io)?;
    let mut text = Zeroizing::new(STANDARD.encode(secret.octets()));
    text.push('\n');
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn fetched(source: &KeySource) -> Result<u64, String> {
        let fetched = source.fetch_within(Duration::from_millis(300));
        fetched.map(|s| s.id()).map_err(|e| e.to_string())
    }

    fn shell(script: &str) -> KeySource {
        KeySource::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_key_is_a_line_of_hexadecimal_digits_or_base64() {
        let id = parse(HEX.as_bytes()).unwrap().id();
        assert_eq!(parse(format!(" {HEX}\r\n").as_bytes()).unwrap().id(), id);
        assert_eq!(parse(BASE64.as_bytes()).unwrap().id(), id);
        let bad = [
            "",
            &HEX[1..],
            &format!("{HEX}0"),
            &HEX.replace('f', "g"),
            &HEX.replace("00", "+0"),
            &BASE64[4..],
        ];
        for bad in bad {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        make_key_file(&path).unwrap();
        assert!(make_key_file(&path).is_err(), "there is one already");
        let source = KeySource::File(path.clone());
        fetched(&source).unwrap();
        for mode in [0o640, 0o604, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let why = fetched(&source).unwrap_err();
            assert!(why.contains(&format!("mode {mode:03o}")), "{why}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "secret-and-short").unwrap();
        let why = fetched(&source).unwrap_err();
        assert!(
            !why.contains("secret") && why.contains("32 octets"),
            "{why}"
        );
    }

    #[test]
    fn a_command_gives_the_key_or_a_reason() {
        let id = parse(HEX.as_bytes()).unwrap().id();
        assert_eq!(fetched(&shell(&format!("echo {HEX}"))), Ok(id));
        let cases = [
            (shell("exit 3"), "exit status: 3"),
            (shell("exec sleep 60"), "no key within 0.3 s"),
            (shell("exec yes"), "no key: it ended with signal"),
            // It leaves a child behind that holds the pipe.
            (shell("sleep 2 &"), "no key within 0.3 s"),
            (shell("true"), "32 octets"),
            (
                KeySource::Command(vec!["/nowhere/key".into()]),
                "/nowhere/key: No such file",
            ),
            (KeySource::Command(vec![]), "has no name"),
        ];
        for (source, expected) in cases {
            let begin = Instant::now();
            let why = fetched(&source).unwrap_err();
            assert!(why.contains(expected), "{why}");
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }
}
