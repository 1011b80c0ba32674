//! What the world is like: every share and spread that it is drawn from, by profile.
//!
//! Chosen from the traceback reference (§5 to §7 and §10) and from how voice networks are run *before* any result was looked at; where the
//! reference gives a figure it stands beside the constant. The matcher's own figures are in `traceback::score`; `docs/ACCURACY.md` shows both.

/// A kind of world and of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A portal that is run well, networks as they are.
    Normal,
    /// Bad clocks, sloppy requests, many retries and redials.
    Harsh,
    /// As normal, and half of the requests are lies or fish for what they can get.
    Adversarial,
    /// As normal, and of every fiftieth leg no sensor saw anything, which no ledger knows.
    Gaps,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Harsh, Self::Adversarial, Self::Gaps];

    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Harsh => "harsh",
            Self::Adversarial => "adversarial",
            Self::Gaps => "gaps",
        }
    }

    /// Its figures. Skew and redials are multiplied by what is asked for.
    pub fn figures(self, skew: f64, redials: f64) -> Figures {
        let mut f = match self {
            Self::Harsh => HARSH,
            _ => NORMAL,
        };
        if self == Self::Gaps {
            f.legs_lost = 0.02;
        }
        if self == Self::Adversarial {
            f.hostile = 0.5;
        }
        f.skew *= skew;
        f.redials = (f.redials * redials).min(0.9);
        f
    }
}

/// Shares are of 1, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Figures {
    // Networks.
    /// A hop refuses with 503 before it has passed the call on. With five or six hops, nearly one call in seven fails somewhere first
    /// (§7: 15 %).
    pub congested: f64,
    /// A hop never answers, and the sender gives up on it after seconds.
    pub silent: f64,
    /// The last provider refuses with a 5xx or 404 (§7: 3 % refused by the same downstream).
    pub refused_at_end: f64,
    /// The last provider rings, as early media does, and then fails; the upstream advances.
    pub failed_after_ringing: f64,
    /// A hop sends the call over two routes at once and keeps the first that answers.
    pub forked: f64,
    /// The caller gives up within three seconds.
    pub early_cancel: f64,
    /// The caller dials again within minutes (§7: 5 %, harsh 15 %).
    pub redials: f64,
    /// A subscriber forwards the call.
    pub diverted: f64,
    // Sensors.
    /// Time in which a sensor is blind or loses packets, and the ledger says so.
    pub outages: f64,
    /// Probes whose clock is wrong by 0.5 to 4 s while they claim 50 ms.
    pub lying_clocks: f64,
    /// Probes whose clock is bad and which know it.
    pub bad_clocks: f64,
    /// Legs that no sensor saw, which no ledger knows.
    pub legs_lost: f64,
    // Requests.
    /// Factor on the spread of the clocks from which requests take their time. Those of the switches that write call records are not the
    /// probes' clocks: see [`super::network::Provider::cdr_clock_s`].
    pub skew: f64,
    /// Weights of clocks: kept by NTP, roughly kept, left alone, set by hand.
    pub clocks: [u32; 4],
    /// Time cut to the minute, or rounded to it (§7: 30 %).
    pub minute: f64,
    /// Time of the answer instead of the INVITE.
    pub answer_time: f64,
    /// Time off by whole hours: half of them daylight saving, half another zone. The LCO form is in UTC always (§1.1); operators do meet
    /// other zones (§1.2).
    pub wrong_zone: f64,
    /// Calling number missing (§1.2: "often, not always").
    pub calling_missing: f64,
    /// Another calling number altogether (§7: 1.2 %).
    pub calling_wrong: f64,
    /// Downstream not named. A portal knows whom it asked before, so this is the exception.
    pub downstream_missing: f64,
    /// Another neighbour named by mistake.
    pub downstream_wrong: f64,
    /// Duration known (§7: half).
    pub duration_known: f64,
    /// Call-ID given, and PASSporT given where the call carried one (§1.2: sometimes).
    pub identifiers: f64,
    /// Traced calls to toll-free numbers: pumping and attacks. Most tracebacks are of robocalls to subscribers (§1.5).
    pub toll_free_traced: f64,
    /// Requests that are lies.
    pub hostile: f64,
}

const NORMAL: Figures = Figures {
    congested: 0.025,
    silent: 0.005,
    refused_at_end: 0.02,
    failed_after_ringing: 0.003,
    forked: 0.003,
    early_cancel: 0.02,
    redials: 0.05,
    diverted: 0.02,
    outages: 0.001,
    lying_clocks: 0.01,
    bad_clocks: 0.005,
    legs_lost: 0.0,
    skew: 1.0,
    clocks: [78, 17, 4, 1],
    minute: 0.30,
    answer_time: 0.01,
    wrong_zone: 0.005,
    calling_missing: 0.01,
    calling_wrong: 0.004,
    downstream_missing: 0.03,
    downstream_wrong: 0.001,
    duration_known: 0.5,
    identifiers: 0.10,
    toll_free_traced: 0.08,
    hostile: 0.0,
};

const HARSH: Figures = Figures {
    congested: 0.04,
    silent: 0.01,
    refused_at_end: 0.04,
    failed_after_ringing: 0.01,
    forked: 0.01,
    early_cancel: 0.04,
    redials: 0.15,
    diverted: 0.03,
    outages: 0.002,
    lying_clocks: 0.02,
    bad_clocks: 0.01,
    legs_lost: 0.0,
    skew: 2.0,
    clocks: [65, 25, 8, 2],
    minute: 0.40,
    answer_time: 0.02,
    wrong_zone: 0.01,
    calling_missing: 0.02,
    calling_wrong: 0.012,
    downstream_missing: 0.08,
    downstream_wrong: 0.002,
    duration_known: 0.35,
    identifiers: 0.05,
    toll_free_traced: 0.15,
    hostile: 0.0,
};
