//! `tracehop demo --network`: a portal and ten carriers on this host, calls between them, and tracebacks that one watches walk.
//!
//! ```text
//! laboratory ─► captures ─► replay: each carrier's records ─► ten daemons ◄── push ── portal ◄─ browser
//!                                                                  └─ answers ─ relay ─►┘ ◄─ requests: this process, as a fraud desk
//! ```
//!
//! Portal and daemons are processes of this binary, and end with it. They listen on loopback alone, on ports that were free.
//!
//! - [`stage`]: keys, configurations, records, directory
//! - [`relay`]: the slow way to the portal, so that one sees the hops come
//! - [`desk`]: hands requests in, and asks what became of them
//! - [`live`]: calls while one watches
//! - [`watch`]: what is shown meanwhile, and the table at the end

mod desk;
mod live;
mod relay;
mod stage;
mod watch;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use super::{Failure, Outcome};
use crate::host::privilege::{self, Identity};
use crate::lab::carriers::plan::{ALL, carrier};
use crate::sys::kin;
use live::Live;
use stage::Stage;
use watch::Watch;

/// What the command line says.
pub struct Options {
    /// An empty folder.
    pub dir: PathBuf,
    /// How long an answer is on its way.
    pub pace: Duration,
    /// End after so long; without it at Ctrl-C.
    pub seconds: Option<u64>,
}

/// How the demonstration goes.
struct Plan {
    /// Calls of each route that are traced.
    each: usize,
    /// How long a carrier has to answer.
    deadline: Duration,
    /// Whether nobody is there to click.
    alone: bool,
}

/// Calls of each route that are traced where somebody watches.
const EACH: usize = 3;
/// How long a carrier has where somebody watches: long enough to log in and click.
const DEADLINE: Duration = Duration::from_secs(120);
/// Longest that portal and daemons may take to start, on a busy machine.
const START: Duration = Duration::from_secs(60);

impl Options {
    fn plan(&self) -> Plan {
        match self.seconds {
            None => Plan {
                each: EACH,
                deadline: DEADLINE,
                alone: false,
            },
            // The silent one must be known to be silent within the time, and nobody may need longer to answer than the pace.
            Some(seconds) => Plan {
                each: 1,
                deadline: Duration::from_secs((seconds / 2).max(5)),
                alone: true,
            },
        }
    }
}

/// Runs it.
pub fn run(options: &Options) -> Outcome {
    become_nobody(&options.dir)?;
    let plan = options.plan();
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").map_err(Failure::software)?);
    bar.enable_steady_tick(Duration::from_millis(120));
    let tell = |what: &str| bar.set_message(what.to_owned());
    let stage = stage::set(&options.dir, &plan, &tell)?;
    relay::start(stage.relay, stage.api, options.pace).map_err(Failure::io)?;
    tell("the portal and ten daemons start");
    let mut company = Company::start(&stage)?;
    company.wait_for(&stage)?;
    bar.finish_and_clear();
    print_doors(&stage);
    let live = Live::start(&stage.doors, stage.made.signers.clone()).map_err(Failure::io)?;
    let mut watch = Watch::new(&stage, &plan, options)?;
    let outcome = watch.run(&mut company);
    say!("{} more calls were made meanwhile.", live.placed());
    drop(live);
    company.end();
    outcome
}

/// Root gives the folder to `nobody` and becomes that user: a demonstration needs no more, and children of one user end with their parent.
fn become_nobody(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|e| Failure::io(format!("{}: {e}", dir.display())))?;
    if !privilege::is_root() {
        return Ok(());
    }
    let nobody = Identity::of("nobody").map_err(Failure::config)?;
    let all = fs::read_dir(dir).map_err(Failure::io)?.flatten();
    for path in all.map(|e| e.path()).chain([dir.to_owned()]) {
        nobody.own(&path).map_err(Failure::io)?;
    }
    privilege::drop_all(Some(&nobody)).map_err(Failure::config)
}

/// Portal and daemons.
struct Company(Vec<(&'static str, Child)>);

impl Company {
    fn start(stage: &Stage) -> Result<Self, Failure> {
        let mut company = Self(Vec::new());
        let portal = stage.dir.join("portal");
        company
            .0
            .push(("the portal", child(&portal, "portal", "portal.toml")?));
        for carrier in &ALL {
            let folder = stage.dir.join(carrier.id);
            company
                .0
                .push((carrier.name, child(&folder, "run", "tracehop.toml")?));
        }
        Ok(company)
    }

    /// Waits until all doors are open.
    fn wait_for(&mut self, stage: &Stage) -> Result<(), Failure> {
        let begin = Instant::now();
        let doors = [stage.api, stage.console];
        let carriers = stage.doors.iter().flat_map(|d| [d.page, d.mirror]);
        for port in doors.into_iter().chain(carriers) {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                self.check()?;
                if begin.elapsed() > START {
                    return Err(Failure::software(format!(
                        "nobody listens on port {port}: see the logs in {}",
                        stage.dir.display()
                    )));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Fails where one has ended.
    fn check(&mut self) -> Result<(), Failure> {
        for (name, child) in &mut self.0 {
            if let Some(status) = child.try_wait().map_err(Failure::io)? {
                return Err(Failure::software(format!(
                    "{name} ended, {status}: its log says why"
                )));
            }
        }
        Ok(())
    }

    /// Ends them all and waits for their ends.
    fn end(mut self) {
        for (_, child) in &mut self.0 {
            // SIGTERM, so that each drains; `drop` makes sure.
            if let Ok(id) = i32::try_from(child.id()) {
                kin::ask_to_end(id);
            }
        }
        let begin = Instant::now();
        for (_, child) in &mut self.0 {
            while begin.elapsed() < Duration::from_secs(10) && matches!(child.try_wait(), Ok(None))
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a command of this binary on a configuration; what it says goes into a log beside it.
fn child(folder: &Path, command: &str, config: &str) -> Result<Child, Failure> {
    let own = std::env::current_exe().map_err(Failure::io)?;
    let log = fs::File::create(folder.join("log")).map_err(Failure::io)?;
    let mut child = Command::new(own);
    child
        .arg(command)
        .arg("--config")
        .arg(folder.join(config))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(Failure::io)?)
        .stderr(log);
    kin::ends_with_us(&mut child).spawn().map_err(Failure::io)
}

fn print_doors(stage: &Stage) {
    say!(
        "{} calls between ten carriers; {} SIP messages passed their probes. The portal and ten daemons are running.\n",
        stage.made.calls,
        stage.made.messages
    );
    say!("  watch the traces    http://127.0.0.1:{}/", stage.console);
    for login in &stage.logins {
        say!(
            "    log in as         {:<9} {}   ({})",
            login.name,
            login.password,
            login.what
        );
    }
    if let Some(doors) = stage.doors.first() {
        say!(
            "  a probe's own page  http://127.0.0.1:{}/          ({})",
            doors.page,
            carrier(0).name
        );
    }
    say!("  folder              {}\n", stage.dir.display());
}

#[cfg(test)]
mod tests;
