//! A path out of the answers of a trace: who handed the call to whom, and whether every step holds. Pure.
//!
//! Comes in: answers as their providers signed them, in any order, each with what its signature is worth. Goes out: the hops in the order
//! of the path, from the terminating provider upstream, each with everything that is wrong with it. Answers that were replaced are set
//! aside; what belongs to no path is a hop of its own, and says so.
//!
//! A step from one hop to the next holds when the later answer bears the SHA-256 of the earlier one's signature, the earlier one names
//! the provider who gave the later one, both are of one case, and their legs are apart by no more than clocks and a call allow.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::traceback::answer::{RawAnswer, Resolution};

/// Most answers of one path. Traces have 4 to 10 hops, and each may have been answered a few times.
pub const MAX_ANSWERS: usize = 1000;
/// How far the legs of two hops may be apart beside their clock errors, in seconds: what a call is held up in a network before
/// it goes on, and the widest window of a look-up that may lead to an automatic answer (traceback.md §5: ±120 s).
pub const MAX_APART_S: f64 = 120.0;

/// An answer, and what its signature is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedAnswer {
    /// What was signed.
    pub answer: RawAnswer,
    /// SHA-256 of the compact JWS, in hexadecimal: what the next hop repeats.
    pub digest: Box<str>,
    /// Whose key it is that signed; the reason, where the signature does not hold.
    pub signature: Result<Option<Box<str>>, String>,
}

/// What is wrong with a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The signature.
    Signature(String),
    /// Nobody says whose the key is.
    KeyOfNobody,
    /// Signed with the key of somebody else than the answer says.
    KeyOf(Box<str>),
    /// It does not say who answers.
    NoProvider,
    /// Its digest of the hop before is that of no answer here.
    MissingBefore,
    /// It bears no digest, and is not the first hop.
    NotLinked,
    /// The hop before named somebody else.
    NamedOther {
        /// Whom it named.
        named: Option<Box<str>>,
    },
    /// It is of another case than the first hop.
    OtherCase,
    /// Its number within the trace does not follow.
    HopNumber {
        /// What it should be.
        wanted: u32,
    },
    /// Its provider was on the path already.
    Loop,
    /// Two answers go on from the same one.
    Fork,
    /// Its leg lies too far from that of the hop before.
    Apart {
        /// Seconds, rounded.
        seconds: i64,
    },
    /// It replaces an answer of another request or provider, or one of a later revision.
    WrongReplacement,
    /// It replaces an answer that is not here.
    MissingReplaced,
    /// There are two answers with the same id.
    SameId,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(why) => f.write_str(why),
            Self::KeyOfNobody => f.write_str("nobody says whose key signed it"),
            Self::KeyOf(who) => write!(f, "signed with the key of {who:?}"),
            Self::NoProvider => f.write_str("it does not say who answers"),
            Self::MissingBefore => {
                f.write_str("the answer of the hop before is not here, or not as it was")
            }
            Self::NotLinked => f.write_str("it bears no digest of the hop before"),
            Self::NamedOther { named: Some(named) } => write!(f, "the hop before named {named:?}"),
            Self::NamedOther { named: None } => f.write_str("the hop before named no provider"),
            Self::OtherCase => f.write_str("it is of another case"),
            Self::HopNumber { wanted } => write!(f, "it should be hop {wanted}"),
            Self::Loop => {
                f.write_str("its provider is on the path already: the path goes in a circle")
            }
            Self::Fork => f.write_str("another answer goes on from the same hop"),
            Self::Apart { seconds } => {
                write!(f, "its leg is {seconds} s from that of the hop before")
            }
            Self::WrongReplacement => f.write_str("it replaces an answer that it can't replace"),
            Self::MissingReplaced => f.write_str("the answer that it replaces is not here"),
            Self::SameId => f.write_str("another answer has the same id"),
        }
    }
}

/// One hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop<'a> {
    /// The answer.
    pub signed: &'a SignedAnswer,
    /// Whether it is the first of a path.
    pub first: bool,
    /// Everything that is wrong; nothing: it is verified.
    pub wrong: Vec<Wrong>,
}

/// The path.
#[derive(Clone, Debug, PartialEq)]
pub struct Path<'a> {
    /// Hops from the terminating provider upstream.
    pub hops: Vec<Hop<'a>>,
    /// Answers that were replaced by later ones.
    pub replaced: Vec<&'a SignedAnswer>,
    /// Where it ends.
    pub end: End,
}

/// How a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The last hop says who made the call.
    Origin,
    /// The call came from abroad.
    Foreign,
    /// The last hop names a provider whose answer is not here.
    Open,
    /// The last hop says neither.
    DeadEnd,
}

impl Path<'_> {
    /// Whether every hop is verified and they are one path.
    pub fn holds(&self) -> bool {
        !self.hops.is_empty() && self.hops.iter().all(|h| h.wrong.is_empty())
    }
}

/// Puts answers in order and checks every step. Only the first [`MAX_ANSWERS`] are looked at.
pub fn check(answers: &[SignedAnswer]) -> Path<'_> {
    let answers = answers.get(..MAX_ANSWERS).unwrap_or(answers);
    let (current, replaced, mut wrong) = revisions(answers);
    let by_digest: HashMap<&str, usize> = current.iter().map(|&i| (key(answers, i), i)).collect();
    let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut heads = Vec::new();
    for &i in &current {
        let before = answers
            .get(i)
            .and_then(|a| a.answer.previous_hop_digest.as_deref());
        match before.map(|d| by_digest.get(d)) {
            Some(Some(&before)) if before != i => next.entry(before).or_default().push(i),
            Some(_) => {
                wrong.entry(i).or_default().push(Wrong::MissingBefore);
                heads.push(i);
            }
            None => heads.insert(0, i),
        }
    }
    // The first head begins the path: one that bears no digest, of all those the one that says the lowest number.
    let number = |i: &usize| {
        let a = answers.get(*i).map(|a| &a.answer);
        let linked = a.is_some_and(|a| a.previous_hop_digest.is_some());
        (linked, a.and_then(|a| a.hop_no).unwrap_or(u32::MAX))
    };
    heads.sort_by_key(number);
    let mut order = Walk {
        answers,
        next: &next,
        seen: HashSet::new(),
        hops: Vec::new(),
    };
    for (n, &head) in heads.iter().enumerate() {
        if n > 0
            && answers
                .get(head)
                .is_some_and(|a| a.answer.previous_hop_digest.is_none())
        {
            wrong.entry(head).or_default().push(Wrong::NotLinked);
        }
        order.from(head);
    }
    // Honest digests can't make a circle, as each is of what bears the one before. Made-up ones are said to hang in the air.
    for &i in &current {
        if !order.seen.contains(&i) {
            wrong.entry(i).or_default().push(Wrong::MissingBefore);
            order.from(i);
        }
    }
    let found = order.hops;
    let mut hops = Vec::new();
    let mut names: HashSet<&str> = HashSet::new();
    for (place, &(i, before)) in found.iter().enumerate() {
        let Some(signed) = answers.get(i) else {
            continue;
        };
        let mut all = wrong.remove(&i).unwrap_or_default();
        signer(signed, &mut all);
        if let Some(before) = before.and_then(|b| answers.get(b)) {
            step(before, signed, &mut all);
        }
        if let Some(first) = found.first().and_then(|(f, _)| answers.get(*f))
            && first.answer.case_id != signed.answer.case_id
        {
            all.push(Wrong::OtherCase);
        }
        if before.is_some_and(|b| next.get(&b).is_some_and(|n| n.len() > 1)) {
            all.push(Wrong::Fork);
        }
        if let Some(id) = provider(&signed.answer)
            && !names.insert(id)
        {
            all.push(Wrong::Loop);
        }
        hops.push(Hop {
            signed,
            first: place == 0,
            wrong: all,
        });
    }
    let end = end(&hops);
    Path {
        hops,
        replaced,
        end,
    }
}

/// What is wrong with answers, by their places.
type Faults = HashMap<usize, Vec<Wrong>>;

/// Sets those aside that were replaced, and checks that they may be.
fn revisions(answers: &[SignedAnswer]) -> (Vec<usize>, Vec<&SignedAnswer>, Faults) {
    let mut wrong: Faults = HashMap::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (i, a) in answers.iter().enumerate() {
        if by_id.insert(&a.answer.id, i).is_some() {
            wrong.entry(i).or_default().push(Wrong::SameId);
        }
    }
    let mut gone = HashSet::new();
    for (i, a) in answers.iter().enumerate() {
        let Some(replaced) = a.answer.supersedes.as_deref() else {
            continue;
        };
        let old = by_id
            .get(replaced)
            .and_then(|&o| Some((o, answers.get(o)?)));
        let Some((place, old)) = old else {
            wrong.entry(i).or_default().push(Wrong::MissingReplaced);
            continue;
        };
        let may = old.answer.request_id == a.answer.request_id
            && provider(&old.answer) == provider(&a.answer)
            && old.answer.revision < a.answer.revision
            // Nobody replaces what another one has signed.
            && a.signature.is_ok()
            && a.signature == old.signature;
        if may {
            gone.insert(place);
        } else {
            wrong.entry(i).or_default().push(Wrong::WrongReplacement);
        }
    }
    let current = (0..answers.len()).filter(|i| !gone.contains(i)).collect();
    let replaced = gone.iter().filter_map(|i| answers.get(*i)).collect();
    (current, replaced, wrong)
}

struct Walk<'a> {
    answers: &'a [SignedAnswer],
    next: &'a HashMap<usize, Vec<usize>>,
    seen: HashSet<usize>,
    hops: Vec<(usize, Option<usize>)>,
}

impl Walk<'_> {
    fn from(&mut self, head: usize) {
        let mut waiting = vec![(head, None)];
        while let Some((i, before)) = waiting.pop() {
            if i >= self.answers.len() || !self.seen.insert(i) {
                continue;
            }
            self.hops.push((i, before));
            let after = self.next.get(&i).into_iter().flatten();
            waiting.extend(after.rev().map(|&n| (n, Some(i))));
        }
    }
}

fn key(answers: &[SignedAnswer], i: usize) -> &str {
    answers.get(i).map_or("", |a| &a.digest)
}

fn provider(answer: &RawAnswer) -> Option<&str> {
    let provider = answer.provider.as_ref()?;
    Some(provider.portal_id.as_deref().unwrap_or(&provider.name))
}

fn signer(signed: &SignedAnswer, wrong: &mut Vec<Wrong>) {
    let claimed = provider(&signed.answer);
    match &signed.signature {
        Err(why) => wrong.push(Wrong::Signature(why.clone())),
        Ok(None) => wrong.push(Wrong::KeyOfNobody),
        Ok(Some(owner)) if claimed.is_some_and(|c| c != &**owner) => {
            wrong.push(Wrong::KeyOf(owner.clone()));
        }
        Ok(Some(_)) => {}
    }
    if claimed.is_none() {
        wrong.push(Wrong::NoProvider);
    }
}

/// The step from one hop to the next one upstream.
fn step(before: &SignedAnswer, signed: &SignedAnswer, wrong: &mut Vec<Wrong>) {
    let (old, new) = (&before.answer, &signed.answer);
    let upstream = old.upstream.as_ref();
    let named = upstream.map(|p| p.portal_id.as_deref().unwrap_or(&p.name));
    if named.is_none() || named != provider(new) {
        wrong.push(Wrong::NamedOther {
            named: named.map(Into::into),
        });
    }
    if let (Some(a), Some(b)) = (old.hop_no, new.hop_no)
        && b != a.saturating_add(1)
    {
        wrong.push(Wrong::HopNumber {
            wanted: a.saturating_add(1),
        });
    }
    if let (Some((a, a_error)), Some((b, b_error))) = (old.leg(), new.leg()) {
        let apart = b.secs_since(a).abs();
        if apart > MAX_APART_S + a_error + b_error {
            #[allow(clippy::cast_possible_truncation)] // Timestamps are below 10^10 s apart.
            let seconds = b.secs_since(a).round() as i64;
            wrong.push(Wrong::Apart { seconds });
        }
    }
}

fn end(hops: &[Hop<'_>]) -> End {
    match hops.last().map(|h| h.signed.answer.resolution) {
        Some(Resolution::UpstreamForeign) => End::Foreign,
        Some(r) if r.names_originator() => End::Origin,
        Some(Resolution::UpstreamDomestic | Resolution::DivertedByOurSubscriber) => End::Open,
        _ => End::DeadEnd,
    }
}

#[cfg(test)]
mod tests;
