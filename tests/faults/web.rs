//! HTTP by hand, on both sides: a portal that can do what no HTTP library lets it do, and a caller who sees every octet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the daemon asks a portal.
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// What a portal does about it.
pub enum Say {
    Reply(u16, String),
    /// And does something when the reply is out.
    ReplyThen(u16, String, Box<dyn FnOnce() + Send>),
    /// Octets as they are, then nothing until the other side goes away.
    Raw(Vec<u8>),
    /// One octet at a time, so long apart.
    Drip(Vec<u8>, Duration),
    /// The same octets for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing, until the other side goes away.
    Hang,
    /// The connection is closed.
    Close,
}

pub type Handler = Arc<dyn Fn(&Asked) -> Say + Send + Sync>;

/// A portal. Its threads end with the test's process.
pub struct Server {
    pub port: u16,
    /// Octets that it got rid of.
    pub sent: Arc<AtomicU64>,
}

impl Server {
    pub fn start(handler: Handler) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let sent = Arc::<AtomicU64>::default();
        let count = sent.clone();
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (handler, count) = (handler.clone(), count.clone());
                thread::spawn(move || turn(stream, &handler, &count));
            }
        });
        Self { port, sent }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn turn(stream: TcpStream, handler: &Handler, sent: &AtomicU64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut out = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let asked = read(&mut reader)?;
        match handler(&asked) {
            Say::Reply(status, body) => out.write_all(&whole(status, &body)).ok()?,
            Say::ReplyThen(status, body, then) => {
                let written = out.write_all(&whole(status, &body));
                then();
                written.ok()?;
            }
            Say::Raw(octets) => {
                out.write_all(&octets).ok()?;
                return wait_for_end(&mut reader);
            }
            Say::Drip(octets, pause) => {
                for one in octets {
                    out.write_all(&[one]).ok()?;
                    thread::sleep(pause);
                }
            }
            Say::Endless(begin, more) => {
                out.write_all(&begin).ok()?;
                loop {
                    out.write_all(&more).ok()?;
                    sent.fetch_add(more.len() as u64, Ordering::Relaxed);
                }
            }
            Say::Hang => return wait_for_end(&mut reader),
            Say::Close => return None,
        }
    }
}

fn wait_for_end(reader: &mut BufReader<TcpStream>) -> Option<()> {
    let mut rest = [0; 1024];
    while reader.read(&mut rest).ok()? > 0 {}
    None
}

fn whole(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ")?;
        match name {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = target.split('?').next()?;
    Some(Asked {
        method,
        path: path.to_owned(),
        authorization,
        body,
    })
}

/// What the daemon's API answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// `None` where nothing came that could be one.
    pub fn of(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8(octets.to_vec()).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self {
            code: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

/// A request as octets; the connection ends after it.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// One exchange over a connection of its own; `None` where it broke.
pub fn exchange(port: u16, octets: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    stream.write_all(octets).ok()?;
    let mut answer = Vec::new();
    // Whoever refuses may break off while we still send.
    let _ = stream.read_to_end(&mut answer);
    Reply::of(&answer)
}
