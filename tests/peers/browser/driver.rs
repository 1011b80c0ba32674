//! A browser that is driven: Chromium by the WebDriver of its own package, spoken to in JSON over plain HTTP on loopback. A client crate would bring
//! Mozilla's WebDriver library, cookies and Unicode tables for the hundred lines below.

use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The member that an element's id is in (W3C WebDriver §12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long anything on a page may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Keys of W3C WebDriver §17.4.2.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

/// One browser window, and the process behind it.
pub struct Browser {
    process: Child,
    port: u16,
    session: String,
    width: Cell<u32>,
    _profile: tempfile::TempDir,
}

/// How wide, and in which colours.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    pub phone: bool,
}

pub const DESKTOP: Look = Look {
    name: "desktop-light",
    width: 1280,
    height: 900,
    dark: false,
    phone: false,
};
pub const LOOKS: [Look; 4] = [
    DESKTOP,
    Look {
        name: "desktop-dark",
        dark: true,
        ..DESKTOP
    },
    Look {
        name: "phone-light",
        width: 390,
        height: 844,
        phone: true,
        ..DESKTOP
    },
    Look {
        name: "phone-dark",
        width: 390,
        height: 844,
        dark: true,
        phone: true,
    },
];

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("chromedriver: {e}; tests/run installs it"));
        let port = port_of(&mut process);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--no-proxy-server", "--force-device-scale-factor=1",
                format!("--user-data-dir={}", profile.path().display()),
            ] },
        } } });
        let mut browser = Self {
            process,
            port,
            session: String::new(),
            width: Cell::new(DESKTOP.width),
            _profile: profile,
        };
        let made = browser.send("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser.look(DESKTOP);
        browser
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        match self.try_send(method, path, body) {
            Ok(value) => value,
            Err(why) => panic!("{method} {path}: {why}"),
        }
    }

    fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let (status, text) = http(
            self.port,
            method,
            path,
            &[("Content-Type", "application/json")],
            &body,
        )?;
        let read: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        if status == 200 {
            Ok(read["value"].clone())
        } else {
            Err(format!(
                "{} {}",
                read["value"]["error"], read["value"]["message"]
            ))
        }
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        self.send(method, &format!("/session/{}{path}", self.session), &body)
    }

    fn tried(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        self.try_send(method, &format!("/session/{}{path}", self.session), &body)
    }

    /// A command of Chromium's own protocol.
    pub fn chromium(&self, command: &str, params: Value) -> Value {
        self.ask(
            "POST",
            "/goog/cdp/execute",
            json!({ "cmd": command, "params": params }),
        )
    }

    /// How wide the screen is; a page that is wider makes a phone's window grow with it.
    pub fn width(&self) -> u32 {
        self.width.get()
    }

    pub fn look(&self, look: Look) {
        self.width.set(look.width);
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.phone });
        self.chromium("Emulation.setDeviceMetricsOverride", size);
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chromium("Emulation.setEmulatedMedia", media);
    }

    pub fn go(&self, url: &str) {
        self.ask("POST", "/url", json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        self.ask("GET", "/url", Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a script gives. Scripts of the driver are not the page's: its policy does not hold them.
    pub fn script(&self, script: &str) -> Value {
        self.ask(
            "POST",
            "/execute/sync",
            json!({ "script": script, "args": [] }),
        )
    }

    pub fn text(&self, css: &str) -> String {
        let element = self.find(css);
        let text = self.ask("GET", &format!("/element/{element}/text"), Value::Null);
        text.as_str().unwrap().to_owned()
    }

    fn found(&self, css: &str) -> Option<String> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.tried("POST", "/element", wanted).ok()?;
        Some(found[ELEMENT].as_str()?.to_owned())
    }

    pub fn has(&self, css: &str) -> bool {
        self.found(css).is_some()
    }

    /// An element; waits until it is there.
    pub fn find(&self, css: &str) -> String {
        let mut found = None;
        self.until(&format!("{css} is there"), || {
            found = self.found(css);
            found.is_some()
        });
        found.unwrap()
    }

    /// Clicks; the element must be there and seen.
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        let path = format!("/element/{element}/click");
        self.ask("POST", &path, json!({}));
    }

    /// Types into a field that is emptied first.
    pub fn fill(&self, css: &str, text: &str) {
        let element = self.find(css);
        self.ask("POST", &format!("/element/{element}/clear"), json!({}));
        self.ask(
            "POST",
            &format!("/element/{element}/value"),
            json!({ "text": text }),
        );
    }

    /// Keys to whatever has the focus.
    pub fn press(&self, keys: &str) {
        let active = self.ask("GET", "/element/active", Value::Null);
        let active = active[ELEMENT].as_str().unwrap().to_owned();
        self.ask(
            "POST",
            &format!("/element/{active}/value"),
            json!({ "text": keys }),
        );
    }

    /// What has the focus, as a selector that a person can read.
    pub fn focus(&self) -> String {
        let script = "const e = document.activeElement; return (e.id ? '#' + e.id : e.tagName.toLowerCase()) + ' ' + (e.textContent || e.name || '').trim().slice(0, 60)";
        self.script(script).as_str().unwrap().to_owned()
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            if begun.elapsed() > PATIENCE {
                self.shot("failed", "at-failure");
                let text = self.script("return document.body.innerText");
                panic!(
                    "never: {what}; {} shows\n{}",
                    self.url(),
                    text.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page says so.
    pub fn says(&self, what: &str) {
        let quoted = json!(what).to_string();
        let script = format!("return document.body.innerText.includes({quoted})");
        self.until(&format!("the page says {what:?}"), || {
            self.script(&script) == json!(true)
        });
    }

    /// A picture of the whole page, kept among the artefacts of the run.
    pub fn shot(&self, page: &str, look: &str) -> PathBuf {
        let height = self.script(
            "return Math.min(6000, Math.max(innerHeight, document.documentElement.scrollHeight))",
        );
        let width = self.script("return innerWidth");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let taken = self.chromium(
            "Page.captureScreenshot",
            json!({ "captureBeyondViewport": true, "clip": clip }),
        );
        let octets = BASE64_STANDARD
            .decode(taken["data"].as_str().unwrap())
            .unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{page}-{look}.png"));
        fs::write(&path, octets).unwrap();
        path
    }

    /// What the browser complained of since it was asked last: scripts that failed, refused loads, breaches of the policy.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.ask("POST", "/se/log", json!({ "type": "browser" }));
        let lines = lines.as_array().unwrap().iter();
        lines
            .filter(|l| matches!(l["level"].as_str(), Some("SEVERE" | "WARNING")))
            .map(|l| l["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.tried("DELETE", "", Value::Null);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port that the driver says it has taken.
fn port_of(process: &mut Child) -> u16 {
    let mut said = String::new();
    let mut out = process.stdout.take().unwrap();
    let mut octet = [0];
    while out.read(&mut octet).unwrap() == 1 {
        said.push(char::from(octet[0]));
        if let Some(port) = said
            .split("successfully on port ")
            .nth(1)
            .and_then(|p| p.split_once('.'))
        {
            let port = port.0.parse().unwrap();
            // Whatever else it says goes nowhere, and never fills the pipe.
            std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
            return port;
        }
    }
    panic!("chromedriver ended: {said}");
}

/// One exchange on loopback: status and body.
pub fn http(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream
        .write_all(request.as_bytes())
        .map_err(|e| e.to_string())?;
    let mut octets = Vec::new();
    let mut piece = [0; 16_384];
    // The driver keeps a connection open whatever it is asked: the end of the answer is told by its head.
    loop {
        let n = stream.read(&mut piece).map_err(|e| e.to_string())?;
        octets.extend_from_slice(&piece[..n]);
        if let Some(answer) = whole(&octets, n == 0) {
            return Ok(answer);
        }
        if n == 0 {
            return Err("the answer is cut".to_owned());
        }
    }
}

/// Status and body, once all of it is there.
fn whole(octets: &[u8], ended: bool) -> Option<(u16, String)> {
    let head = octets.windows(4).position(|w| w == b"\r\n\r\n")?;
    let (head, rest) = octets.split_at(head);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let rest = &rest[4..];
    let length = head.split("content-length:").nth(1);
    let length: Option<usize> = length.and_then(|l| l.lines().next()?.trim().parse().ok());
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = match length {
        Some(length) => rest.get(..length)?.to_vec(),
        None if head.contains("chunked") && rest.ends_with(b"0\r\n\r\n") => unchunked(rest),
        None if status == 204 || status == 304 => Vec::new(),
        None if ended => rest.to_vec(),
        None => return None,
    };
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let from = end + 2;
        if size == 0 || from + size > rest.len() {
            break;
        }
        body.extend_from_slice(&rest[from..from + size]);
        rest = &rest[(from + size + 2).min(rest.len())..];
    }
    body
}
