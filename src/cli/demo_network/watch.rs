//! What is shown while traces walk, and the table at the end: what was found beside what is true.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::desk::{Case, Desk};
use super::stage::Stage;
use super::{Company, Options, Plan};
use crate::cli::output::{self, say};
use crate::cli::{Failure, Outcome};
use crate::host::clock;
use crate::lab::carriers::plan::{ASSISTED, Call, Finding, carrier};
use crate::portal::docket::read::inbox::InboxPart;
use crate::portal::docket::{Actor, Decision, Docket};
use crate::portal::settings::PortalSettings;
use crate::portal::word::Role;
use crate::proof::Who;
use crate::proof::sign::Signer;

/// How often the portal is asked how things stand.
const LOOK: Duration = Duration::from_millis(500);

/// The demonstration under way.
pub struct Watch {
    desk: Desk,
    docket: Docket,
    traces: Vec<Trace>,
    /// Between two cases.
    pause: Duration,
    until: Option<Instant>,
    alone: bool,
    signals: Signals,
}

struct Trace {
    call: Call,
    case: Option<String>,
    last: Option<Case>,
}

impl Trace {
    fn is_over(&self) -> bool {
        self.last
            .as_ref()
            .is_some_and(|c| c.state == "closed" || c.state == "stuck")
    }

    /// Whether it ended at the carrier whose staff must click, and nobody did.
    fn waited_in_vain(&self) -> bool {
        self.last.as_ref().is_some_and(|c| {
            c.outcome.as_deref() == Some("non-responsive")
                && c.ended_at.as_deref() == Some(carrier(ASSISTED).name)
        })
    }

    /// Whether the portal found what is true.
    fn is_right(&self) -> bool {
        let (outcome, who) = match self.call.route.finding() {
            Finding::Originator(n) => ("originator", n),
            Finding::PointOfEntry(n) => ("point-of-entry", n),
            Finding::NonResponsive(n) => ("non-responsive", n),
        };
        self.last.as_ref().is_some_and(|c| {
            c.outcome.as_deref() == Some(outcome)
                && c.ended_at.as_deref() == Some(carrier(who).name)
                && c.verified
        })
    }
}

impl Watch {
    pub fn new(stage: &Stage, plan: &Plan, options: &Options) -> Result<Self, Failure> {
        let portal = stage.dir.join("portal");
        let signer = Signer::read(&portal.join("portal.key")).map_err(Failure::io)?;
        let settings = PortalSettings {
            state: portal.join("state"),
            ..PortalSettings::sample(&portal)
        };
        let trace = |call: &Call| Trace {
            call: call.clone(),
            case: None,
            last: None,
        };
        Ok(Self {
            desk: Desk::new(stage.api, &stage.token)?,
            docket: Docket::open(settings, signer.into()).map_err(Failure::io)?,
            traces: stage.made.traced.iter().map(trace).collect(),
            pause: match plan.alone {
                true => Duration::ZERO,
                false => options.pace * 4,
            },
            until: options
                .seconds
                .map(|s| Instant::now() + Duration::from_secs(s)),
            alone: plan.alone,
            signals: Signals::new([SIGINT, SIGTERM]).map_err(Failure::io)?,
        })
    }

    /// Opens cases and tells what becomes of them, until the time is over, or Ctrl-C.
    pub fn run(&mut self, company: &mut Company) -> Outcome {
        let mut opened = Instant::now();
        loop {
            if self.signals.pending().next().is_some() {
                break;
            }
            company.check()?;
            let next = self.traces.iter_mut().find(|t| t.case.is_none());
            if let Some(trace) = next
                && opened <= Instant::now()
            {
                trace.case = Some(self.desk.hand_in(&trace.call)?);
                opened = Instant::now() + self.pause;
                continue;
            }
            self.look()?;
            if self.alone {
                self.click()?;
            }
            let over = self.traces.iter().all(Trace::is_over);
            if self.until.is_some_and(|u| over || Instant::now() >= u) {
                break;
            }
            sleep(LOOK);
        }
        Ok(self.end())
    }

    /// Asks about every case that is not over.
    fn look(&mut self) -> Result<(), Failure> {
        for trace in self.traces.iter_mut().filter(|t| !t.is_over()) {
            let Some(id) = &trace.case else { continue };
            let case = self.desk.look(id)?;
            let before = trace.last.replace(case);
            if let (Some(now), false) = (&trace.last, self.alone)
                && before.is_none_or(|b| b.hops != now.hops || b.state != now.state)
            {
                say!("{}", line(id, &trace.call, now));
            }
        }
        Ok(())
    }

    /// Approves the drafts of the carrier whose staff is not there.
    fn click(&self) -> Result<(), Failure> {
        let own = carrier(ASSISTED);
        let staff = Actor {
            who: Who::User("fernhill".into()),
            role: Role::Provider,
            organisation: own.name.into(),
            provider: Some(own.id.into()),
        };
        let open = self.docket.inbox(own.id, InboxPart::Open, None, 100);
        for line in open.map_err(Failure::io)? {
            let Some(draft) = line.draft.filter(|d| d.decision.is_none()) else {
                continue;
            };
            let now = clock::now();
            let decided =
                self.docket
                    .decide_draft(&staff, &line.hop, &draft.answer, &Decision::Approve, now);
            decided.map_err(Failure::io)?;
        }
        Ok(())
    }

    fn end(&self) -> ExitCode {
        let head = [
            "case",
            "what it is about",
            "hops",
            "found",
            "is true",
            "right",
        ];
        let opened = self.traces.iter().filter(|t| t.case.is_some());
        let rows: Vec<Vec<String>> = opened.map(row).collect();
        say!("\n{}", output::table(&head, rows, 3));
        let (right, all) = (
            self.traces.iter().filter(|t| t.is_right()).count(),
            self.traces.len(),
        );
        say!("{right} of {all} traces found what is true.");
        let good = match self.until {
            Some(_) => right == all,
            // Whoever stops it in the middle has seen no failure.
            None => !self
                .traces
                .iter()
                .any(|t| t.is_over() && !t.is_right() && !t.waited_in_vain()),
        };
        ExitCode::from(u8::from(!good))
    }
}

fn line(id: &str, call: &Call, case: &Case) -> String {
    let path: Vec<&str> = case.path.iter().map(|s| short(&s.provider)).collect();
    let path = path.join(" ← ");
    let end = match (case.outcome.as_deref(), case.path.last()) {
        (Some(outcome), _) => format!("{outcome}: {}", case.ended_at.as_deref().unwrap_or("?")),
        (None, Some(step)) => format!("{} is {}", short(&step.provider), step.state),
        (None, None) => case.state.clone(),
    };
    format!("{id}  {:<22} {path}  {end}", call.route.campaign)
}

/// The first word of a name.
fn short(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

fn row(trace: &Trace) -> Vec<String> {
    let found = match &trace.last {
        Some(Case {
            outcome: Some(outcome),
            ended_at,
            ..
        }) => format!("{outcome}, {}", ended_at.as_deref().map_or("?", short)),
        Some(case) => case.state.clone(),
        None => "nothing yet".to_owned(),
    };
    let truth = match trace.call.route.finding() {
        Finding::Originator(n) => format!("originator, {}", short(carrier(n).name)),
        Finding::PointOfEntry(n) => format!("point-of-entry, {}", short(carrier(n).name)),
        Finding::NonResponsive(n) => format!("non-responsive, {}", short(carrier(n).name)),
    };
    let right = match (trace.is_right(), trace.is_over()) {
        (true, _) => "yes",
        (false, true) if trace.waited_in_vain() => "nobody clicked",
        (false, true) => "NO",
        (false, false) => "open",
    };
    vec![
        trace.case.clone().unwrap_or_default(),
        trace.call.route.campaign.to_owned(),
        trace.last.as_ref().map_or(0, |c| c.hops).to_string(),
        found,
        truth,
        right.to_owned(),
    ]
}
