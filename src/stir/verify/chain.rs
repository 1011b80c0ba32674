//! Rules V3, V5 and F4: the chain of diversions across the Identity headers of a call (RFC 8946).
//!
//! The order of headers on the wire says nothing. Each `div` is a link from the number that sent the call on to the numbers that it was
//! sent to; a chain leads from a number of the PASSporT signed first over such links to the Request-URI. Where one is found, To need not
//! hold the number called, and all but the last link may be old: the call rang somewhere before it was sent on.
//!
//! Cold: only calls with a `div` come here, and their tokens are read once more.

use std::time::Duration;

use smallvec::SmallVec;

use super::dest::holds;
use super::div::{follows, same_party};
use super::facts::CallFacts;
use super::freshness;
use super::token::{self, ReadToken, Room, SignedDest};
use super::verdict::{Chain, ChainState, DestMatch};
use super::{
    CallVerdict, HeaderVerdict, Profile, Rule, RuleStates, Validation, VerifySettings, conclude,
};
use crate::stir::passport::{Extension, Identity, Kind, Orig};

/// Most diversions of one call: France's MAN has up to five (rule V7). The search below is over as many.
const MAX_LINKS: usize = 8;

/// Most steps of the search. Real chains fit in one way and take one step a link; only headers made to confuse take more.
const MAX_STEPS: usize = 256;

/// A header that takes part.
struct Member<'a> {
    /// Which one.
    index: usize,
    orig: &'a Orig<'a>,
    dest: SignedDest<'a>,
    /// Who sent the call on; absent in the one signed first.
    div: Orig<'a>,
    iat: i64,
}

/// Judges the chain of each PASSporT that speaks for the calling number, and explains or refuses it by that.
/// `identities` are those of the verdicts, in their order.
pub(super) fn judge(
    out: &mut CallVerdict,
    identities: &[Identity<'_>],
    facts: &CallFacts<'_>,
    settings: &VerifySettings,
) {
    let speaks =
        |kind| kind == Kind::Shaken || kind == Kind::Base && settings.profile == Profile::Generic;
    let mut rooms: Vec<Room> = identities.iter().map(|_| Room::default()).collect();
    let read: Vec<_> = identities
        .iter()
        .zip(&mut rooms)
        .zip(&out.headers)
        .map(|((identity, room), header)| {
            let takes_part = speaks(header.kind) || header.kind == Kind::Div;
            let mut unused = RuleStates::default();
            let token =
                takes_part.then(|| token::judge(identity, facts, room, settings, &mut unused))?;
            let extension = token.extension();
            Some((token, extension))
        })
        .collect();
    let members: Vec<_> = read
        .iter()
        .enumerate()
        .filter_map(|(index, read)| {
            let (token, extension) = read.as_ref()?;
            member(index, token, extension.as_ref(), settings)
        })
        .collect();
    let verdict = |m: &Member<'_>| out.headers.get(m.index);
    let (links, first): (Vec<_>, Vec<_>) = members
        .iter()
        .partition(|m| verdict(m).is_some_and(|v| v.kind == Kind::Div));
    // A link whose header fails for more than its age is none.
    let links: SmallVec<[&Member<'_>; MAX_LINKS]> = links
        .into_iter()
        .filter(|m| verdict(m).is_some_and(holds_but_for_age))
        .take(MAX_LINKS)
        .collect();
    let mut linked = SmallVec::<[usize; MAX_LINKS]>::new();
    let mut settled: Option<Chain> = None;
    for start in first {
        let chain = find(start, &links, facts, settings);
        let path: Vec<&Member<'_>> = std::iter::once(start)
            .chain(chain.path.iter().filter_map(|i| links.get(*i).copied()))
            .collect();
        let state = apply(out, &path, chain.complete, settings.window);
        if chain.complete {
            linked.extend(path.iter().map(|m| m.index));
        }
        let better = state == ChainState::Unbroken
            || settled
                .as_ref()
                .is_none_or(|s| matches!(s.state, ChainState::Broken(_)));
        if better {
            settled = Some(Chain {
                state,
                links: path
                    .iter()
                    .skip(1)
                    .filter_map(|m| u8::try_from(m.index).ok())
                    .collect(),
                ambiguous: chain.ambiguous,
                looped: is_looped(&path, settings),
            });
        }
    }
    let cut = out.truncated;
    // Nothing was signed first: the chain has no beginning, or one that can't be read.
    out.chain = settled.unwrap_or(Chain {
        state: if cut {
            ChainState::Undetermined
        } else {
            ChainState::Broken(1)
        },
        ..Chain::default()
    });
    for (index, header) in out.headers.iter_mut().enumerate() {
        if header.kind == Kind::Div {
            let part = linked.contains(&index);
            change(header, |states| match (part, cut) {
                (true, _) => drop(states.judge(Rule::V3, true)),
                (false, true) => states.cannot_tell(Rule::V3),
                (false, false) => drop(states.judge(Rule::V3, false)),
            });
        }
    }
}

/// Judges rule V3 of a `div-o`, which holds its whole chain: its own `dest` has to be the Request-URI.
pub(super) fn judge_outermost(
    dest: &SignedDest<'_>,
    facts: &CallFacts<'_>,
    settings: &VerifySettings,
    states: &mut RuleStates,
) {
    states.judge(Rule::V3, ends(dest, facts, settings));
}

fn member<'a>(
    index: usize,
    token: &'a ReadToken<'_>,
    extension: Option<&'a Extension>,
    settings: &VerifySettings,
) -> Option<Member<'a>> {
    Some(Member {
        index,
        orig: &token.claims()?.orig,
        dest: token.dest(&settings.plan)?,
        div: match token.kind {
            Kind::Div => extension?.div(),
            _ => Orig::Absent,
        },
        iat: token.iat()?,
    })
}

fn holds_but_for_age(verdict: &HeaderVerdict) -> bool {
    let mut failed = verdict.failed;
    failed.remove(Rule::F1);
    failed.is_empty()
}

/// Whether a chain that ends here ends where the call goes.
fn ends(dest: &SignedDest<'_>, facts: &CallFacts<'_>, settings: &VerifySettings) -> bool {
    // Judged by numbers alone there is no Request-URI.
    let goal = facts.request.as_ref().or(facts.to.as_ref());
    goal.is_some_and(|p| holds(dest, p, &settings.plan))
}

/// What the search found: indexes of links.
#[derive(Default)]
struct Found {
    path: SmallVec<[usize; MAX_LINKS]>,
    complete: bool,
    ambiguous: bool,
}

/// Looks for the longest chain from `start` that ends at the Request-URI; failing that, the longest at all.
fn find<'m, 'a>(
    start: &'m Member<'a>,
    links: &[&'m Member<'a>],
    facts: &CallFacts<'_>,
    settings: &VerifySettings,
) -> Found {
    let mut found = Found::default();
    let mut steps = 0;
    // Paths that are still to be tried, by depth first.
    let mut open: Vec<SmallVec<[usize; MAX_LINKS]>> = vec![SmallVec::new()];
    while let Some(path) = open.pop() {
        steps += 1;
        if steps > MAX_STEPS {
            found.ambiguous = true;
            break;
        }
        let last = path
            .last()
            .and_then(|i| links.get(*i))
            .copied()
            .unwrap_or(start);
        let complete = !path.is_empty() && ends(&last.dest, facts, settings);
        let rank = |complete: bool, path: &[usize]| (complete, path.len());
        let (new, old) = (rank(complete, &path), rank(found.complete, &found.path));
        found.ambiguous |= complete && new == old;
        if new > old {
            (found.path, found.complete, found.ambiguous) = (path.clone(), complete, false);
        }
        for (i, link) in links.iter().enumerate() {
            let before = (last.orig, &last.dest);
            if !path.contains(&i) && follows(before, (link.orig, &link.div), &settings.plan) {
                let mut longer = path.clone();
                longer.push(i);
                open.push(longer);
            }
        }
    }
    found
}

/// Writes what the chain says into the verdict on the PASSporT signed first and on the links.
///
/// A chain only ever helps: what passes by itself needs none, and is failed by none. Who means ill would leave the `div` out, and behind a
/// cut one may stand unseen.
fn apply(
    out: &mut CallVerdict,
    path: &[&Member<'_>],
    complete: bool,
    window: Duration,
) -> ChainState {
    let (Some(first), Some(last)) = (path.first(), path.last()) else {
        return ChainState::Absent;
    };
    let cut = out.truncated;
    let state_of = |m: &&Member<'_>| out.headers.get(m.index).map(HeaderVerdict::states);
    let needed =
        state_of(first).is_some_and(|s| s.failed.contains(Rule::D1) || s.failed.contains(Rule::F1));
    let known = path
        .iter()
        .skip(1)
        .filter_map(state_of)
        .all(|s| s.undetermined.is_empty());
    let fresh = state_of(last).is_some_and(|s| !s.failed.contains(Rule::F1));
    let in_order = path
        .array_windows()
        .all(|[a, b]| freshness::in_order(a.iat, b.iat, window));
    let timely = fresh && in_order;
    let Some(header) = out.headers.get_mut(first.index) else {
        return ChainState::Absent;
    };
    if !complete {
        if needed {
            change(header, |states| {
                if cut {
                    states.cannot_tell(Rule::V3);
                } else {
                    states.judge(Rule::V3, false);
                }
            });
        }
        return if cut {
            ChainState::Undetermined
        } else {
            ChainState::Broken(u8::try_from(path.len()).unwrap_or(u8::MAX))
        };
    }
    if known && header.dest_match != Some(DestMatch::To) {
        header.dest_match = Some(DestMatch::Chain);
    }
    if known || needed {
        change(header, |states| {
            if known {
                states.judge(Rule::V3, true);
            } else {
                states.cannot_tell(Rule::V3);
            }
            if needed || timely {
                states.judge(Rule::F4, timely);
            }
            // Explained, or to be explained once the links are known.
            for rule in [Rule::D1, Rule::D2, Rule::V4] {
                states.withdraw(rule);
            }
            if known {
                states.judge(Rule::D1, true);
                states.judge(Rule::D2, true);
            }
        });
    }
    // The last one's age was judged in F4, and the others may have rung for a while.
    let relaxed = path.iter().rev().skip(1);
    for member in relaxed.filter(|_| timely) {
        if let Some(header) = out.headers.get_mut(member.index) {
            change(header, |states| {
                if states.failed.contains(Rule::F1) {
                    states.withdraw(Rule::F1);
                }
            });
        }
    }
    if known {
        ChainState::Unbroken
    } else {
        ChainState::Undetermined
    }
}

/// Whether a number sends the call on twice.
fn is_looped(path: &[&Member<'_>], settings: &VerifySettings) -> bool {
    let mut rest = path.iter().skip(1);
    while let Some(link) = rest.next() {
        if rest
            .clone()
            .any(|l| same_party(&l.div, &link.div, &settings.plan))
        {
            return true;
        }
    }
    false
}

/// Changes a verdict and draws its conclusion anew.
fn change(header: &mut HeaderVerdict, by: impl FnOnce(&mut RuleStates)) {
    // Set aside or cut: nothing of it is judged.
    if header.validation == Validation::None {
        return;
    }
    let mut states = header.states();
    by(&mut states);
    *header = conclude(std::mem::take(header), states);
}
