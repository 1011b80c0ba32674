//! Section `[http]`: where metrics and health are served.

use std::net::{Ipv4Addr, SocketAddr};

use super::reader::Section;
use crate::web::WebSettings;

/// Registered with nobody, and taken by no exporter in the Prometheus project's list near it that runs on a SIP edge.
const PORT: u16 = 9464;

pub(super) fn read(s: Section<'_, '_>) -> WebSettings {
    let enabled = s.flag("enabled", true);
    let mut listen = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    if let Some((text, span)) = s.text("listen") {
        match text.parse() {
            Ok(address) => listen = address,
            Err(_) => s.problem_at(
                &span,
                format!("{text:?} is no address with a port"),
                "write, for instance: listen = \"127.0.0.1:9464\"; names are not looked up",
            ),
        }
    }
    let connections = s.integer("connections", 32, 1..1_025);
    s.finish();
    WebSettings {
        listen: enabled.then_some(listen),
        connections: usize::try_from(connections).unwrap_or(32),
    }
}
