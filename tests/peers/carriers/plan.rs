//! Who there is, which way calls go, and so what every traceback must find.
//!
//! A route is named by the area code of the numbers that are called over it: every switch knows from the number where a call goes on. Numbers are
//! those of the fictitious 555-01xx.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Carriers.
pub const CARRIERS: usize = 10;

/// Legal names, by number.
pub const NAMES: [&str; CARRIERS] = [
    "Ashgrove Telephone Cooperative",
    "Birchfield Mobile Inc.",
    "Cedar Ridge Telecom LLC",
    "Driftwood Voice LLC",
    "Elmhurst Wholesale Inc.",
    "Fernhill Networks LLC",
    "Granite Carrier Services",
    "Harbor Transit Inc.",
    "Ironwood Voice LLC",
    "Juniper Reach Telecom",
];

/// Whose daemon is dead when the tracebacks begin. Its switch goes on.
pub const DEAD: usize = 7;
/// Whose daemons get the processor for a moment only, now and then.
pub const SLOW: [usize; 2] = [3, 5];
/// Whose switch is a proxy and a back-to-back agent: on the way out a call has another Call-ID and other tags.
pub const AGENTS: [usize; 3] = [3, 5, 8];
/// Whose proxy hides what was before it: Call-ID, Via and Contact on the way out are masked.
pub const HIDING: [usize; 2] = [4, 6];

/// How a carrier writes called numbers when it hands a call on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// `+12025550123`
    Plus,
    /// `12025550123`
    Country,
    /// `2025550123`
    National,
    /// [`PREFIX`] before `12025550123`: names a product of the next carrier.
    Prefixed,
}

/// Technical prefix.
pub const PREFIX: &str = "7788";

/// How a carrier writes.
pub fn writing(carrier: usize) -> Writing {
    match carrier {
        9 => Writing::National,
        6 => Writing::Country,
        5 => Writing::Prefixed,
        _ => Writing::Plus,
    }
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A customer of the first carrier.
    Customer,
    /// A carrier abroad, which has no probe.
    Abroad,
}

/// One way through the network.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Area code that is called over it.
    pub area: u16,
    pub from: From,
    /// Carriers, the originating one first.
    pub path: &'static [usize],
    /// The carrier at this place of the path tries that one first; it refuses with 503, or hands on to the next one of the path, who does.
    pub first_tries: Option<(usize, &'static [usize])>,
    /// The last carrier's subscriber sends calls on to the same line under this area code.
    pub forwards_to: Option<u16>,
}

const fn route(area: u16, path: &'static [usize]) -> Route {
    Route {
        area,
        from: From::Customer,
        path,
        first_tries: None,
        forwards_to: None,
    }
}

/// All routes.
pub const ROUTES: [Route; 15] = [
    route(201, &[9, 8, 4, 0]),
    route(202, &[8, 5, 3, 0]),
    route(203, &[9, 6, 4, 2, 1]),
    route(205, &[6, 8, 5, 4, 2, 0]),
    route(206, &[3, 5, 6, 8, 4, 1]),
    route(207, &[9, 8, 6, 5, 4, 3, 2]),
    route(208, &[5, 9, 8, 6, 4, 3, 1, 0]),
    route(209, &[8, 9, 6, 5, 4, 3, 2, 1, 0]),
    // Through the dead one.
    route(210, &[9, 8, 7, 3, 0]),
    route(212, &[6, 9, 8, 7, 5, 4, 3, 2, 1, 0]),
    // The last carrier refuses what comes over 5, and takes it over 4.
    Route {
        first_tries: Some((1, &[5, 0])),
        ..route(213, &[9, 8, 4, 0])
    },
    // 3 refuses, 2 takes it.
    Route {
        first_tries: Some((1, &[3])),
        ..route(214, &[5, 6, 2, 1])
    },
    Route {
        from: From::Abroad,
        ..route(215, &[6, 4, 2, 0])
    },
    // A subscriber of 2 has his calls sent on to a number of 0's.
    Route {
        forwards_to: Some(217),
        ..route(216, &[9, 6, 4, 2])
    },
    route(217, &[2, 3, 1, 0]),
];

/// Of the routes that are called; 217 is reached by forwarding alone.
pub fn called_routes() -> impl Iterator<Item = (usize, &'static Route)> {
    ROUTES.iter().enumerate().filter(|(_, r)| r.area != 217)
}

/// One call to be placed and traced.
#[derive(Clone, Debug)]
pub struct Call {
    pub route: &'static Route,
    /// As the caller dials it, digits with the country code.
    pub dialled: String,
    pub calling: String,
    /// Whether the originating side signed it.
    pub signed: bool,
}

impl Call {
    /// The number that rings in the end.
    pub fn rings(&self) -> String {
        match self.route.forwards_to {
            Some(area) => format!("1{area}{}", &self.dialled[4..]),
            None => self.dialled.clone(),
        }
    }

    /// Carriers from the one where it rings to the one where it began.
    pub fn traced(&self) -> Vec<usize> {
        let mut path: Vec<usize> = self.route.path.to_vec();
        if let Some(area) = self.route.forwards_to {
            let on = ROUTES.iter().find(|r| r.area == area).unwrap();
            path.extend(&on.path[1..]);
        }
        path.reverse();
        path
    }
}

/// So many calls, spread over the routes and mixed.
pub fn calls(count: usize) -> Vec<Call> {
    let routes: Vec<_> = called_routes().collect();
    (0..count)
        .map(|n| {
            let (place, route) = routes[n % routes.len()];
            let line = n / routes.len();
            Call {
                route,
                dialled: format!("1{}55501{line:02}", route.area),
                calling: format!("1303555{:04}", 100 + place * 7 % 50 + line),
                signed: route.from == From::Customer && n % 2 == 0,
            }
        })
        .collect()
}

/// The carrier's socket towards others.
pub fn address(carrier: usize) -> Ipv4Addr {
    of(10, carrier)
}

/// Where a carrier's customers call from.
pub fn caller(carrier: usize) -> Ipv4Addr {
    of(110, carrier)
}

/// Where its subscribers' phones are.
pub fn phone(carrier: usize) -> Ipv4Addr {
    of(210, carrier)
}

/// The carrier abroad.
pub const ABROAD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 140);

/// A carrier's address on the management network; the portal is at [`PORTAL`].
pub fn management(carrier: usize) -> Ipv4Addr {
    let n = u8::try_from(10 + carrier).unwrap();
    Ipv4Addr::new(192, 0, 2, n)
}

/// The portal's.
pub const PORTAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn of(first: usize, carrier: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, u8::try_from(first + carrier).unwrap())
}

/// A carrier's id at the portal.
pub fn id(carrier: usize) -> String {
    format!("C-{carrier}")
}

/// Carriers where calls begin, and those where they end.
pub fn ends() -> (BTreeSet<usize>, BTreeSet<usize>) {
    let first = called_routes().filter(|(_, r)| r.from == From::Customer);
    let last = ROUTES.iter().filter(|r| r.forwards_to.is_none());
    (
        first.map(|(_, r)| r.path[0]).collect(),
        last.map(|r| *r.path.last().unwrap()).collect(),
    )
}
