//! The path: from the terminating provider on, slot by slot, to whoever has not answered yet, or to its end.

use std::collections::BTreeSet;

use super::call::{apart, seen, sharpened};
use super::slot::{Again, Claim, Says, Slot};
use super::{
    Branch, Clarify, End, FindingKind, HopState, Outcome, Plan, Question, Standing, WalkAnswer,
    WalkCase, WalkHop, WalkRules,
};
use crate::traceback::answer::Resolution;

/// A step of the path that was made.
struct Step<'a> {
    slot: Slot<'a>,
    hop: &'a WalkHop,
    answer: &'a WalkAnswer,
}

struct Follow<'a, 'p> {
    case: &'a WalkCase,
    rules: &'p WalkRules,
    plan: &'p mut Plan,
    needed: &'p mut BTreeSet<u32>,
    /// Providers that were asked again and still have time: the end waits for them.
    waiting: BTreeSet<u32>,
    path: Vec<Step<'a>>,
}

/// Follows the path. `needed` gets the questions that bear it, or that it waits for.
pub(super) fn follow(
    case: &WalkCase,
    rules: &WalkRules,
    plan: &mut Plan,
    needed: &mut BTreeSet<u32>,
) -> Standing {
    let mut follow = Follow {
        case,
        rules,
        plan,
        needed,
        waiting: BTreeSet::new(),
        path: Vec::new(),
    };
    let standing = follow.go();
    let path: Vec<u32> = follow.path.iter().map(|s| s.hop.n).collect();
    let standing = match standing {
        Standing::Ended(_) => follow.waits().unwrap_or(standing),
        _ => standing,
    };
    plan.path = path;
    standing
}

/// Where the path goes from a slot.
enum Way<'a> {
    On(Slot<'a>),
    Stop(Standing),
}

impl<'a> Follow<'a, '_> {
    fn go(&mut self) -> Standing {
        let mut slot = Slot::of(&self.case.hops, None, &self.case.first);
        if slot.is_empty() {
            self.plan.ask.push(Question {
                provider: self.case.first.clone(),
                downstream: None,
                parent: None,
                depth: 1,
                branch: Branch::Main,
                previous_digest: None,
                call: self.case.call.clone(),
                remark: None,
            });
            return Standing::Walking;
        }
        // Each turn goes to a slot that the one before led to, and those are a tree.
        loop {
            match self.turn(slot) {
                Way::On(next) => slot = next,
                Way::Stop(standing) => return standing,
            }
        }
    }

    /// The path came to an end, and somebody on it may still give another word: who has time is waited for, who asks back is told more.
    fn waits(&mut self) -> Option<Standing> {
        let mut all = self.waiting.iter().filter_map(|&n| self.hop(n));
        let owes = |h: &&WalkHop| h.state != HopState::NeedsInfo;
        let first = all.clone().next()?;
        match all.any(|h| owes(&h)) {
            true => Some(Standing::Walking),
            false => Some(self.asks_back(first)),
        }
    }

    fn turn(&mut self, slot: Slot<'a>) -> Way<'a> {
        let Some(says) = slot.says() else {
            return Way::Stop(Standing::Walking);
        };
        let (hop, answer, claim) = match says {
            Says::This(hop, answer, claim) => (hop, answer, claim),
            Says::Nothing(hop) => {
                self.needed.insert(hop.n);
                return Way::Stop(Standing::Walking);
            }
            Says::Silent(hop) => {
                self.needed.insert(hop.n);
                return Way::Stop(self.silent(hop));
            }
            Says::Question(hop) => {
                self.needed.insert(hop.n);
                return Way::Stop(self.asks_back(hop));
            }
            Says::Disputed(hop) => {
                self.keep_below(hop.n);
                let why = format!(
                    "the answer of {} is disputed, and counts when it stands by it or gives another",
                    self.case.name(&hop.provider)
                );
                return Way::Stop(Standing::Stuck(why));
            }
        };
        let (hop, answer, claim) = match self.changed_its_mind(&slot) {
            Changed::No => (hop, answer, claim),
            Changed::ButWasRight(hop, answer, claim) => (hop, answer, claim),
            Changed::Wait(n) => {
                self.keep_below(n);
                return Way::Stop(Standing::Walking);
            }
        };
        self.needed.insert(hop.n);
        if let Some(open) = slot.open() {
            self.needed.insert(open.n);
            self.waiting.insert(open.n);
        }
        if claim.has_it()
            && matches!(slot.said_before(), Some((_, _, Claim::Denies)))
            && let Some(open) = self.path.last().and_then(|d| d.slot.open())
        {
            // It has found the call: who named it need not answer again.
            self.needed.remove(&open.n);
            self.waiting.remove(&open.n);
        }
        if let Some(seconds) = apart(&hop.call, answer) {
            let text = format!(
                "the leg that {} found lies {seconds:.0} s from the call that was asked about",
                self.case.name(&hop.provider)
            );
            self.plan.find(FindingKind::Unverified, Some(hop.n), text);
        }
        let step = Step { slot, hop, answer };
        match claim {
            Claim::Upstream(to) => self.on(step, to, Branch::Main, None),
            Claim::Diverted(to) => match answer.forwarded.as_deref() {
                Some(called) => self.on(step, to, Branch::Diversion, Some(called)),
                None => {
                    let text = format!(
                        "{} says that a subscriber of its own forwarded the call, and not which number was called before: that leg can't be asked about",
                        self.case.name(&hop.provider)
                    );
                    self.path.push(step);
                    let n = Some(hop.n);
                    self.plan.find(FindingKind::Diversion, n, text.clone());
                    Way::Stop(Standing::Stuck(text))
                }
            },
            Claim::Denies => self.denies(step),
            Claim::Foreign => self.end(step, Outcome::PointOfEntry, "the call came from abroad to"),
            Claim::Origin => self.end(step, Outcome::Originator, "the call began at"),
            Claim::Test => {
                let text = "a test call, or one inside the network of";
                self.end(step, Outcome::Test, text)
            }
            Claim::NoRecord => {
                let text = "the records do not show the call at";
                self.end(step, Outcome::NoRecord, text)
            }
            Claim::Refused => self.end(step, Outcome::Refused, "no answer is given by"),
        }
    }

    /// The step upstream, to whom an answer names.
    fn on(&mut self, step: Step<'a>, to: &'a str, branch: Branch, called: Option<&str>) -> Way<'a> {
        let (hop, answer) = (step.hop, step.answer);
        if answer.named.as_ref().is_some_and(|p| !p.listed) {
            self.path.push(step);
            let text = format!(
                "{} names {}, who is not in the directory, or is suspended there",
                self.case.name(&hop.provider),
                self.case.name(to)
            );
            let n = Some(hop.n);
            self.plan.find(FindingKind::Unlisted, n, text.clone());
            return Way::Stop(Standing::Stuck(text));
        }
        if self.is_circle(hop, to, called) {
            return self.circle(step, to);
        }
        let next = Slot::of(&self.case.hops, Some((hop, answer)), to);
        if next.is_empty() {
            if hop.depth >= self.rules.most_hops {
                let text = format!("the path is longer than {} hops", self.rules.most_hops);
                self.path.push(step);
                let n = Some(hop.n);
                self.plan.find(FindingKind::TooLong, n, text.clone());
                return Way::Stop(Standing::Stuck(text));
            }
            let mut call = seen(&hop.call, answer);
            if let Some(called) = called {
                call.called = Some(called.to_owned());
                // What names the leg after the forwarding does not name the one before.
                call.sip_call_id = None;
                call.session_id = None;
            }
            self.plan.ask.push(Question {
                provider: to.into(),
                downstream: Some(hop.provider.clone()),
                parent: Some(hop.n),
                depth: hop.depth.saturating_add(1),
                branch,
                previous_digest: Some(answer.digest.clone()),
                call,
                remark: None,
            });
            self.path.push(step);
            return Way::Stop(Standing::Walking);
        }
        self.path.push(step);
        Way::On(next)
    }

    /// Whether going on to a provider would go in a circle: it was asked about the same leg, or stands on the path twice already. Legs before and after
    /// a forwarding are not the same.
    fn is_circle(&self, hop: &WalkHop, to: &str, called: Option<&str>) -> bool {
        if *hop.provider == *to {
            return true;
        }
        let called = called.or(hop.call.called.as_deref());
        let same_call = |h: &&WalkHop| h.call.called.as_deref() == called;
        let been: Vec<_> = self
            .path
            .iter()
            .map(|s| s.hop)
            .chain([hop])
            .filter(same_call)
            .filter(|h| *h.provider == *to)
            .collect();
        been.len() >= 2
            || been
                .iter()
                .any(|h| h.downstream.as_deref() == Some(&*hop.provider))
    }

    fn circle(&mut self, step: Step<'a>, to: &str) -> Way<'a> {
        let hop = step.hop;
        let case = self.case;
        let to = case.name(to);
        let text = format!(
            "{} names {to}, who is on the path already: it goes in a circle",
            self.case.name(&hop.provider)
        );
        let n = Some(hop.n);
        self.plan.find(FindingKind::Loop, n, text.clone());
        let standing = match step.slot.again() {
            Again::Not => {
                let remark = format!(
                    "Your answer names {to}, and closes a circle: {to} is on the path of this call already. Please look again, with what is known of your leg."
                );
                self.ask_again(&step.slot, Some(remark));
                Standing::Walking
            }
            Again::Open(_) => Standing::Walking,
            Again::Question(n) => self.question(n),
            Again::Silent(_) | Again::Answered(_) => ended(Outcome::Loop, None, text),
        };
        self.path.push(step);
        Way::Stop(standing)
    }

    /// There was no such call here, or it never went on: somebody else says that it did.
    fn denies(&mut self, step: Step<'a>) -> Way<'a> {
        let hop = step.hop;
        let provider = self.case.name(&hop.provider);
        if let Some((_, _, Claim::Upstream(named) | Claim::Diverted(named))) =
            step.slot.said_before()
        {
            let named = self.case.name(named);
            let text = format!("{provider} named {named} at first, and then had no record");
            let n = Some(hop.n);
            self.plan.find(FindingKind::Contradiction, n, text.clone());
            self.path.push(step);
            return Way::Stop(ended(Outcome::Contradiction, None, text));
        }
        if self.path.is_empty() {
            // The call was refused there, and it is known who brought it.
            if step.answer.resolution == Resolution::BlockedHere
                && let Some(named) = &step.answer.named
            {
                return self.on(step, &named.id, Branch::Main, None);
            }
            return self.end(step, Outcome::NotFound, "there was no such call at");
        }
        let standing = self.contradiction(&step);
        self.path.push(step);
        Way::Stop(standing)
    }

    /// Both sides are asked again, once.
    fn contradiction(&mut self, step: &Step<'a>) -> Standing {
        let Some(before) = self.path.last() else {
            return Standing::Walking;
        };
        let case = self.case;
        let (named, namer) = (
            case.name(&step.hop.provider),
            case.name(&before.hop.provider),
        );
        let text = format!("{namer} names {named}, and {named} has no record of the call");
        let (here, there) = (step.slot.again(), before.slot.again());
        let slot = before.slot.clone();
        let n = Some(step.hop.n);
        self.plan.find(FindingKind::Contradiction, n, text);
        if here == Again::Not {
            let remark = format!(
                "{namer} says that you handed this call over, and you have no record. Please look again, with what is known of its leg."
            );
            self.ask_again(&step.slot, Some(remark));
        }
        if there == Again::Not {
            let remark = format!(
                "You named {named}, and {named} has no record of the call. Please look again, and confirm or correct your answer."
            );
            self.ask_again(&slot, Some(remark));
        }
        let waits = |a| matches!(a, Again::Not | Again::Open(_));
        match (here, there) {
            (Again::Question(n), _) | (_, Again::Question(n)) => self.question(n),
            _ if waits(here) || waits(there) => Standing::Walking,
            (_, Again::Silent(n)) => match self.hop(n) {
                Some(hop) => self.silent(hop),
                None => Standing::Walking,
            },
            _ => {
                let text = format!(
                    "{namer} says that it got the call from {named}, and {named} that it has no record of it; both stand by it"
                );
                ended(Outcome::Contradiction, None, text)
            }
        }
    }

    /// Asks the provider of a slot the same again, with everything that the path knows of the leg.
    fn ask_again(&mut self, slot: &Slot<'a>, remark: Option<String>) {
        let Some(first) = slot.first() else {
            return;
        };
        let before = first.parent.and_then(|n| self.hop(n));
        let answer = before.and_then(|b| b.answer.as_ref());
        self.plan.ask.push(Question {
            provider: first.provider.clone(),
            downstream: first.downstream.clone(),
            parent: first.parent,
            depth: first.depth,
            branch: Branch::Again,
            previous_digest: answer.map(|a| a.digest.clone()),
            call: sharpened(&first.call, answer),
            remark,
        });
    }

    /// What a provider said before it was asked again, and whether that was right after all.
    fn changed_its_mind(&self, slot: &Slot<'a>) -> Changed<'a> {
        let Some((hop, answer, claim @ (Claim::Upstream(named) | Claim::Diverted(named)))) =
            slot.said_before()
        else {
            return Changed::No;
        };
        let old = Slot::of(&self.case.hops, Some((hop, answer)), named);
        match (old.says(), old.again()) {
            (Some(Says::This(_, _, said)), _) if said.has_it() => {
                Changed::ButWasRight(hop, answer, claim)
            }
            (Some(Says::This(..)), Again::Open(_)) => Changed::Wait(hop.n),
            _ => Changed::No,
        }
    }

    fn silent(&mut self, hop: &WalkHop) -> Standing {
        let text = format!("{} did not answer in time", self.case.name(&hop.provider));
        let n = Some(hop.n);
        self.plan.find(FindingKind::NonResponsive, n, text.clone());
        ended(Outcome::NonResponsive, Some(&hop.provider), text)
    }

    fn question(&mut self, n: u32) -> Standing {
        match self.hop(n) {
            Some(hop) => self.asks_back(hop),
            None => Standing::Walking,
        }
    }

    /// The provider asks back: what the path knows is told by itself.
    fn asks_back(&mut self, hop: &WalkHop) -> Standing {
        let before = hop.parent.and_then(|n| self.hop(n));
        let call = sharpened(&hop.call, before.and_then(|b| b.answer.as_ref()));
        if call != hop.call {
            self.plan.clarify.push(Clarify { n: hop.n, call });
            return Standing::Walking;
        }
        Standing::Stuck(format!(
            "{} asks back, and nothing more is known here: a person says more",
            self.case.name(&hop.provider)
        ))
    }

    fn end(&mut self, step: Step<'a>, outcome: Outcome, text: &str) -> Way<'a> {
        let (provider, answer) = (&step.hop.provider, step.answer);
        let mut text = format!("{text} {}", self.case.name(provider));
        if outcome == Outcome::NotFound {
            text.push_str(", and no provider says that there was");
        }
        let standing = Standing::Ended(Box::new(End {
            outcome,
            at: Some(provider.clone()),
            party: answer.party.clone(),
            text,
        }));
        self.path.push(step);
        Way::Stop(standing)
    }

    fn hop(&self, n: u32) -> Option<&'a WalkHop> {
        self.case.hops.iter().find(|h| h.n == n)
    }

    /// A question and all that came of its answer stay until it is decided.
    fn keep_below(&mut self, n: u32) {
        self.needed.insert(n);
        // Questions come after what led to them.
        for hop in &self.case.hops {
            if hop.parent.is_some_and(|p| self.needed.contains(&p)) {
                self.needed.insert(hop.n);
            }
        }
    }
}

/// Whether a provider's second word takes the place of the first.
enum Changed<'a> {
    /// It does, or there is none.
    No,
    /// It does not: whom the first one named has found the call.
    ButWasRight(&'a WalkHop, &'a WalkAnswer, Claim<'a>),
    /// Whom the first one named may still find it.
    Wait(u32),
}

fn ended(outcome: Outcome, at: Option<&str>, text: String) -> Standing {
    Standing::Ended(Box::new(End {
        outcome,
        at: at.map(Into::into),
        party: None,
        text,
    }))
}
