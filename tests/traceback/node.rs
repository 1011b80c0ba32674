//! One provider's daemon, as a process.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A daemon; it ends with the test.
pub struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Node {
    pub fn start(folder: &Path) -> Self {
        if is_root() {
            let owned = Command::new("chown")
                .args(["-R", "nobody"])
                .arg(folder)
                .status();
            assert!(owned.unwrap().success());
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["run", "--config"])
            .arg(folder.join("tracehop.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

/// Whom the daemon goes on as.
pub fn run_section() -> &'static str {
    match is_root() {
        true => "[run]\nuser = \"nobody\"\njudges = 1\n",
        false => "[run]\njudges = 1\n",
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A file that only its owner may read.
pub fn secret(path: PathBuf, text: &str) {
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A port of loopback that nobody has now.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}
