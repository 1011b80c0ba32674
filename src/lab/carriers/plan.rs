//! Who there is, which calls are made, and what a traceback of each must find.

use std::net::Ipv4Addr;

/// Carriers.
pub const CARRIERS: usize = 10;

/// A carrier.
#[derive(Clone, Copy, Debug)]
pub struct Carrier {
    /// Its id at the portal.
    pub id: &'static str,
    /// Legal name.
    pub name: &'static str,
    /// Service provider code, and the lab's signer that stands for it, where it signs its customers' calls.
    pub signer: Option<usize>,
    /// How it writes called numbers towards others.
    pub writing: Writing,
    /// Whether its switch begins a call of its own towards the next one, with another Call-ID.
    pub agent: bool,
    /// Whether it hands Identity headers on.
    pub passes_identity: bool,
}

/// How a called number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// `+12025550123`
    Plus,
    /// `12025550123`
    Country,
    /// `2025550123`
    National,
    /// [`PREFIX`] before `12025550123`.
    Prefixed,
}

/// Technical prefix of one carrier's calls.
pub const PREFIX: &str = "7788";

/// The carriers, by number.
pub static ALL: [Carrier; CARRIERS] = {
    const fn named(id: &'static str, name: &'static str) -> Carrier {
        Carrier {
            id,
            name,
            signer: None,
            writing: Writing::Plus,
            agent: false,
            passes_identity: true,
        }
    }
    [
        named("ASHGROVE", "Ashgrove Telephone Co."),
        named("BIRCHFIELD", "Birchfield Mobile Inc."),
        named("CEDAR-RIDGE", "Cedar Ridge Telecom LLC"),
        Carrier {
            agent: true,
            passes_identity: false,
            ..named("DRIFTWOOD", "Driftwood Voice LLC")
        },
        Carrier {
            agent: true,
            ..named("ELMHURST", "Elmhurst Wholesale Inc.")
        },
        Carrier {
            writing: Writing::Prefixed,
            ..named("FERNHILL", "Fernhill Networks LLC")
        },
        Carrier {
            writing: Writing::Country,
            signer: Some(3),
            ..named("GRANITE", "Granite Carrier Services")
        },
        named("HARBOR", "Harbor Transit Inc."),
        Carrier {
            agent: true,
            signer: Some(2),
            ..named("IRONWOOD", "Ironwood Voice LLC")
        },
        Carrier {
            writing: Writing::National,
            signer: Some(1),
            ..named("JUNIPER", "Juniper Reach Telecom")
        },
    ]
};

/// One of them.
pub fn carrier(n: usize) -> &'static Carrier {
    &ALL[n]
}

/// Number of Ashgrove, where many of the calls end.
pub const ASHGROVE: usize = 0;
/// Whose answers wait for a person's click.
pub const ASSISTED: usize = 5;
/// Whose daemon does not answer.
pub const SILENT: usize = 7;

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A customer of the first carrier.
    Customer,
    /// A carrier abroad, to which the first one is the gateway.
    Abroad,
}

/// What a traceback finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The carrier whose customer called.
    Originator(usize),
    /// The carrier that took the call in from abroad.
    PointOfEntry(usize),
    /// The carrier that did not answer.
    NonResponsive(usize),
}

/// One way through the network, with the trouble that calls on it are.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// What is told about such calls.
    pub campaign: &'static str,
    /// Carriers, the originating one first.
    pub path: &'static [usize],
    /// Who calls.
    pub source: Source,
    /// The carrier at this place tries those first; the last of them refuses with 503.
    pub first_tries: Option<(usize, &'static [usize])>,
    /// The subscriber at this place of the path has his calls sent on: before it another number is called.
    pub forwarded_at: Option<usize>,
    /// Area codes of the called and of the calling number.
    pub areas: (u16, u16),
    /// Attested `A`, or `C`; not signed.
    pub attested: Option<bool>,
}

const fn route(campaign: &'static str, path: &'static [usize], areas: (u16, u16)) -> Route {
    Route {
        campaign,
        path,
        source: Source::Customer,
        first_tries: None,
        forwarded_at: None,
        areas,
        attested: None,
    }
}

/// All routes.
pub static ROUTES: [Route; 10] = [
    // Four hops, signed, and a number that the caller may use.
    Route {
        attested: Some(true),
        ..route("Vehicle warranty", &[9, 8, 4, 0], (202, 303))
    },
    // Seven hops; numbers are rewritten four times.
    Route {
        attested: Some(false),
        ..route("Vehicle warranty", &[9, 8, 6, 4, 3, 2, 1], (206, 303))
    },
    // A number of the called party's own carrier, from abroad.
    Route {
        source: Source::Abroad,
        ..route("Bank impersonation", &[6, 4, 2, 0], (202, 202))
    },
    // The first upstream that was tried failed further on.
    Route {
        first_tries: Some((1, &[2, 0])),
        ..route("Utility cut-off", &[9, 8, 4, 0], (202, 614))
    },
    // Forwarded by a subscriber of Cedar Ridge.
    Route {
        forwarded_at: Some(3),
        attested: Some(true),
        ..route("Tax impersonation", &[6, 8, 4, 2, 1, 0], (202, 512))
    },
    // Through the one whose staff must click.
    route("Debt relief", &[8, 5, 3, 1], (206, 702)),
    // Through the one that is silent.
    route("Parcel delivery", &[9, 8, 7, 4, 0], (202, 917)),
    // Nine carriers, all but the silent one.
    Route {
        attested: Some(false),
        ..route("Vehicle warranty", &[9, 6, 8, 5, 4, 3, 2, 1, 0], (202, 303))
    },
    // Short: the caller's carrier hands to the called one's.
    route("Timeshare exit", &[3, 0], (202, 407)),
    // Many calls to one number.
    route("Emergency line flooded", &[8, 4, 2], (312, 773)),
];

impl Route {
    /// What a traceback of a call on it finds when everybody who is asked in person answers.
    pub fn finding(&self) -> Finding {
        let first = self.path.first().copied().unwrap_or(ASHGROVE);
        if self.path.contains(&SILENT) {
            return Finding::NonResponsive(SILENT);
        }
        match self.source {
            Source::Customer => Finding::Originator(first),
            Source::Abroad => Finding::PointOfEntry(first),
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its way.
    pub route: &'static Route,
    /// Called number where it rings, digits with the country code.
    pub called: u64,
    /// The number that was dialled, where the call was forwarded.
    pub dialled: u64,
    /// Number that is shown.
    pub calling: u64,
    /// When the caller's carrier got it, nanoseconds since 1970.
    pub at: i64,
    /// Nanoseconds from answer to release.
    pub lasts: i64,
}

impl Call {
    /// The n-th call on the route at a place of [`ROUTES`]; `None` where there is none.
    pub fn new(place: usize, n: usize, at: i64) -> Option<Self> {
        let route = ROUTES.get(place)?;
        let (called, calling) = route.areas;
        let number = |area: u16, line: usize| {
            10_000_000_000 + u64::from(area) * 10_000_000 + 5_550_100 + line as u64 % 100
        };
        let line = place * 10 + n % 10;
        let called = number(called, line);
        Some(Self {
            route,
            called,
            dialled: match route.forwarded_at {
                Some(_) => number(216, line),
                None => called,
            },
            calling: number(calling, (line * 7 + 3) % 100),
            at,
            lasts: (8 + (line as i64 * 13) % 40) * 1_000_000_000,
        })
    }
}

/// A carrier's signalling address.
pub fn address(carrier: usize) -> Ipv4Addr {
    host(10, carrier)
}

/// Where its customers call from.
pub fn customer(carrier: usize) -> Ipv4Addr {
    host(110, carrier)
}

/// Where its subscribers' phones are.
pub fn phone(carrier: usize) -> Ipv4Addr {
    host(210, carrier)
}

/// The carrier abroad.
pub const ABROAD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);

fn host(first: u8, carrier: usize) -> Ipv4Addr {
    let n = u8::try_from(carrier).unwrap_or(0);
    Ipv4Addr::new(198, 51, 100, first.saturating_add(n))
}
