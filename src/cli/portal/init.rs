//! `tracehop portal init`: a folder with all that a portal needs to be looked at on this host.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::super::output::{self, say};
use super::super::terminal;
use super::super::{Failure, Outcome};
use super::user::{chance, word};
use super::{Which, failed};
use crate::host::clock;
use crate::portal::docket::{Docket, User};
use crate::portal::password::Secret;
use crate::portal::word::Role;
use crate::proof::sign;

/// The commented default, which is what a portal begins with.
const DEFAULT: &str = include_str!("../../../config/portal.toml");
const KEY: &str = "portal.key";
const CONFIG: &str = "portal.toml";

/// Makes a folder with a configuration, a key and a first analyst, whose password is printed once
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; it is made, or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Name of the first analyst
    #[arg(long, value_name = "NAME", default_value = "analyst")]
    analyst: String,
    /// Name of the portal
    #[arg(long, value_name = "NAME", default_value = "tb")]
    name: String,
    /// Where machines come
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470")]
    api: std::net::SocketAddr,
    /// Where people come
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    console: std::net::SocketAddr,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let io = |e: std::io::Error| Failure::io(format!("{}: {e}", self.folder.display()));
        fs::create_dir_all(&self.folder).map_err(io)?;
        if fs::read_dir(&self.folder).map_err(io)?.next().is_some() {
            return Err(Failure::usage(format!(
                "{} is not empty: name another folder, or run what is in it: tracehop portal --config {}",
                self.folder.display(),
                self.folder.join(CONFIG).display()
            )));
        }
        let key = self.folder.join(KEY);
        let signer =
            sign::new_key(&key).map_err(|e| Failure::io(format!("{}: {e}", key.display())))?;
        let config = self.folder.join(CONFIG);
        let text = DEFAULT
            .replace("name = \"tb\" ", &format!("name = {} ", json!(self.name)))
            .replace("\"127.0.0.1:8470\"", &format!("\"{}\"", self.api))
            .replace("\"127.0.0.1:8480\"", &format!("\"{}\"", self.console));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&config)
            .and_then(|mut f| f.write_all(text.as_bytes()));
        written.map_err(|e| Failure::io(format!("{}: {e}", config.display())))?;
        let which = Which {
            config: config.clone(),
        };
        let settings = which.load()?.settings;
        let password = chance()?;
        let secret = Secret::of(&password, &[]).map_err(Failure::software)?;
        let whpk = signer.webhook_key();
        let docket = Docket::open(settings, Arc::new(signer)).map_err(failed)?;
        let analyst = User {
            name: word(&self.analyst)?,
            full_name: self.analyst.as_str().into(),
            role: Role::Analyst,
            organisation: "".into(),
            provider: None,
            disabled: false,
        };
        docket
            .add_user(&terminal::who(), &analyst, &secret, clock::now())
            .map_err(failed)?;
        if self.json {
            output::json(&json!({
                "config": config, "user": analyst.name, "password": password,
                "console": format!("http://{}/", self.console), "api": format!("http://{}", self.api), "webhook_key": whpk,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let config = config.display();
        say!("{config}: a portal, with its key and a first analyst");
        say!("  user      {}", analyst.name);
        say!("  password  {password}   (shown this once; change it in the console)");
        if let Some(whpk) = whpk {
            say!("  providers that are pushed to put this into their webhook_secrets file:");
            say!("  {whpk}");
        }
        say!("\nstart it:       tracehop portal --config {config}");
        say!("look at it:     http://{}/", self.console);
        say!("add providers:  tracehop portal provider add --config {config} ID NAME");
        Ok(ExitCode::SUCCESS)
    }
}
