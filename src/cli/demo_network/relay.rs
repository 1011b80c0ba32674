//! The slow way to the portal: what carriers send passes here and rests a moment, so that one can watch a trace walk. What comes back does not wait.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once: ten carriers have three each.
const CONNECTIONS: usize = 100;
/// Octets that one step carries.
const STEP: usize = 16 * 1024;

/// Takes connections on one port of loopback and hands them to another, until the process ends.
pub fn start(from: u16, to: u16, pace: Duration) -> io::Result<()> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, from))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new().name("relay".into()).spawn(move || {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
        // An error ends the demonstration's slow way, and carriers say that the portal is gone.
        let _ = runtime.block_on(serve(listener, to, pace));
    })?;
    Ok(())
}

async fn serve(listener: std::net::TcpListener, to: SocketAddr, pace: Duration) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let room = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return Ok(());
        };
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Whoever goes away in the middle asks again.
            let _ = carry(stream, to, pace).await;
            drop(place);
        });
    }
}

async fn carry(from: TcpStream, to: SocketAddr, pace: Duration) -> io::Result<()> {
    let to = TcpStream::connect(to).await?;
    let (mut carrier, mut to_carrier) = from.into_split();
    let (mut portal, mut to_portal) = to.into_split();
    let there = async {
        let mut step = vec![0; STEP];
        loop {
            let n = carrier.read(&mut step).await?;
            if n == 0 {
                return to_portal.shutdown().await;
            }
            let part = step.get(..n).unwrap_or_default();
            // An answer is what a hop is about; the rest goes at once.
            if part.starts_with(b"PUT ") {
                tokio::time::sleep(pace).await;
            }
            to_portal.write_all(part).await?;
        }
    };
    let back = async {
        let all = tokio::io::copy(&mut portal, &mut to_carrier).await;
        to_carrier.shutdown().await?;
        all.map(drop)
    };
    tokio::try_join!(there, back).map(drop)
}
