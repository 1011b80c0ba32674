//! The call path as a picture: where each hop stands on the sheet, and what is written on it. The template only draws.
//!
//! The called party is at one end; each step leads to whoever handed the call over, until the caller, the way in from abroad or whoever has not answered. Across
//! the sheet for screens, down it for phones and paper.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::base::Timestamp;
use crate::portal::docket::read::case::{CaseView, HopView};
use crate::portal::word::{AnswerWay, Branch, HopState};
use crate::traceback::answer::Resolution;
use crate::traceback::answer::resolution::FourWay;

/// Letters of a name on one line: what fits a box at the widest letters of usual names.
const LETTERS: usize = 18;
/// Height of a box.
const TALL: i64 = 84;
/// Height of what stands at an end.
const END_TALL: i64 = 40;
/// Width of a box.
const WIDE: i64 = 160;
/// Room at the edge of the sheet: shadows, outlines of what has the focus.
const EDGE: i64 = 8;

/// Which way the path goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// From left to right.
    Across,
    /// From the top down.
    Down,
}

/// The picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picture {
    turn: Turn,
    width: i64,
    height: i64,
    nodes: Vec<Node>,
    ends: Vec<End>,
    edges: Vec<Edge>,
}

/// A hop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    x: i64,
    y: i64,
    hop: String,
    name: Vec<String>,
    /// `good`, `warn`, `bad`, `asked`, `quiet`.
    tone: &'static str,
    /// The shape beside the word.
    mark: &'static str,
    word: String,
    detail: String,
    /// `verified`, `console`, `flawed`, or empty.
    seal: &'static str,
    dim: bool,
    branch: Branch,
    /// All of it, for those who hear it.
    says: String,
}

/// What stands at an end: called party, caller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct End {
    x: i64,
    y: i64,
    title: &'static str,
    text: String,
    tone: &'static str,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    path: String,
    branch: Branch,
    dim: bool,
    key: String,
}

/// A place on the sheet: how far along the path, in which lane beside it.
type Place = (i64, i64);

impl Picture {
    /// Draws a case.
    pub fn of(case: &CaseView, turn: Turn, now: Timestamp) -> Self {
        let places = places(&case.hops);
        let sheet = Sheet(turn);
        let mut picture = Self {
            turn,
            width: 0,
            height: 0,
            nodes: Vec::new(),
            ends: vec![sheet.end((0, 0), "Called", &case.called, "quiet")],
            edges: Vec::new(),
        };
        let of = |id: &str| places.get(id).copied();
        for hop in &case.hops {
            let Some(at) = of(&hop.id) else { continue };
            picture.nodes.push(sheet.node(hop, at, now));
            let from = match (&hop.parent, hop.branch) {
                (Some(parent), _) => of(parent),
                (None, Branch::Hint) => None,
                (None, _) => Some((0, 0)),
            };
            if let Some(from) = from {
                picture.edges.push(Edge {
                    path: sheet.edge(from, at),
                    branch: hop.branch,
                    dim: is_dim(hop),
                    key: hop.id.clone(),
                });
            }
            if let Some((title, text, tone)) = beyond(case, hop) {
                let end = (at.0 + 1, at.1);
                picture.ends.push(sheet.end(end, title, &text, tone));
                picture.edges.push(Edge {
                    path: sheet.edge(at, end),
                    branch: Branch::Main,
                    dim: is_dim(hop),
                    key: format!("{}-end", hop.id),
                });
            }
        }
        let ends = picture.ends.iter().map(|e| (e.x + WIDE, e.y + END_TALL));
        let nodes = picture.nodes.iter().map(|n| (n.x + WIDE, n.y + TALL));
        for (x, y) in ends.chain(nodes) {
            picture.width = picture.width.max(x + EDGE);
            picture.height = picture.height.max(y + EDGE);
        }
        picture
    }
}

/// Each hop's place. What counts comes first, so that it has the straight lane; what was taken back makes room.
fn places(hops: &[HopView]) -> HashMap<&str, Place> {
    let mut places: HashMap<&str, Place> = HashMap::new();
    let mut taken: HashSet<Place> = HashSet::new();
    let mut order: Vec<&HopView> = hops.iter().collect();
    order.sort_by_key(|h| (is_dim(h), h.branch == Branch::Hint, h.n));
    for hop in order {
        let parent = hop.parent.as_deref().and_then(|p| places.get(p));
        let mut lane = parent.map_or(i64::from(hop.branch == Branch::Hint), |p| p.1);
        let along = hop.depth.clamp(1, 64);
        while !taken.insert((along, lane)) {
            lane += 1;
        }
        places.insert(&hop.id, (along, lane));
    }
    places
}

fn is_dim(hop: &HopView) -> bool {
    hop.state == HopState::Withdrawn
}

/// What lies beyond a hop that is the last of its path.
fn beyond(case: &CaseView, hop: &HopView) -> Option<(&'static str, String, &'static str)> {
    let answer = hop
        .answer
        .as_ref()
        .filter(|_| hop.state == HopState::Answered)?;
    let said = answer.said.as_ref();
    let name = |p: &crate::traceback::answer::Party| match p.country.is_empty() {
        true => p.name.to_string(),
        false => format!("{} ({})", p.name, p.country),
    };
    match answer.resolution {
        Resolution::OriginEndCustomer | Resolution::OriginNonVspPlatform => {
            let party = said.and_then(|s| s.originator.as_ref()).map(name);
            Some((
                "Caller",
                party.unwrap_or_else(|| "known there".to_owned()),
                "good",
            ))
        }
        Resolution::UpstreamForeign => {
            let party = said.and_then(|s| s.upstream.as_ref()).map(name);
            Some((
                "From abroad",
                party.unwrap_or_else(|| "known there".to_owned()),
                "good",
            ))
        }
        Resolution::UpstreamDomestic | Resolution::DivertedByOurSubscriber => {
            let asked = case
                .hops
                .iter()
                .any(|h| h.parent.as_deref() == Some(&*hop.id));
            let party = said.and_then(|s| s.upstream.as_ref()).map(name);
            (!asked && hop.named.is_none()).then(|| {
                (
                    "Not in the directory",
                    party.unwrap_or_else(|| "?".to_owned()),
                    "warn",
                )
            })
        }
        _ => None,
    }
}

/// Where things come on a sheet.
#[derive(Clone, Copy)]
struct Sheet(Turn);

impl Sheet {
    /// Left upper corner of a box at a place. The first place holds the called party, which is as wide and less tall.
    fn corner(self, (along, lane): Place, tall: i64) -> (i64, i64) {
        let shift = (TALL - tall) / 2;
        match self.0 {
            Turn::Across => (
                EDGE + along * (WIDE + 34),
                EDGE + lane * (TALL + 22) + shift,
            ),
            Turn::Down => {
                // The called party needs no room of a whole box.
                let y = match along {
                    0 => 0,
                    n => END_TALL + 26 + (n - 1) * (TALL + 26),
                };
                (EDGE + lane * (WIDE + 18), EDGE + y)
            }
        }
    }

    fn end(self, at: Place, title: &'static str, text: &str, tone: &'static str) -> End {
        let (x, y) = self.corner(at, END_TALL);
        End {
            x,
            y,
            title,
            text: short(&super::super::page::tel(text), LETTERS),
            tone,
        }
    }

    /// A line from the box that was asked first to the one that it led to. It is drawn the way the call went: from there to here.
    fn edge(self, from: Place, to: Place) -> String {
        let ((fx, fy), (tx, ty)) = (self.corner(from, TALL), self.corner(to, TALL));
        match self.0 {
            Turn::Across => {
                let (x1, y1) = (tx, ty + TALL / 2);
                let (x2, y2) = (fx + WIDE + 3, fy + TALL / 2);
                if y1 == y2 {
                    return format!("M{x1} {y1}H{x2}");
                }
                let mid = i64::midpoint(x1, x2);
                format!("M{x1} {y1}C{mid} {y1} {mid} {y2} {x2} {y2}")
            }
            Turn::Down => {
                let tall = if from.0 == 0 { END_TALL } else { TALL };
                let (x1, y1) = (tx + WIDE / 2, ty);
                let (x2, y2) = (fx + WIDE / 2, fy + tall + 3);
                if x1 == x2 {
                    return format!("M{x1} {y1}V{y2}");
                }
                let mid = i64::midpoint(y1, y2);
                format!("M{x1} {y1}C{x1} {mid} {x2} {mid} {x2} {y2}")
            }
        }
    }

    fn node(self, hop: &HopView, at: Place, now: Timestamp) -> Node {
        let (x, y) = self.corner(at, TALL);
        let (tone, mark, word) = state(hop);
        let detail = detail(hop, now);
        let seal = match &hop.answer {
            Some(a) if a.checked && !a.flaws.is_empty() => "flawed",
            Some(a) if a.checked && a.way == AnswerWay::Console => "console",
            Some(a) if a.checked => "verified",
            _ => "",
        };
        let sealed = match seal {
            "verified" => "; signature and chain hold",
            "console" => "; given in the console, the portal's key vouches",
            "flawed" => "; signature or chain does not hold",
            _ => "",
        };
        let branch = match hop.branch {
            Branch::Main => "",
            Branch::Diversion => ", before a forwarding",
            Branch::Again => ", asked again",
            Branch::Hint => ", asked because it signed the call",
        };
        Node {
            x,
            y,
            hop: hop.id.clone(),
            name: lines(&hop.provider.name),
            says: format!(
                "Hop {}: {}{branch}: {word}, {detail}{sealed}",
                hop.depth, hop.provider.name
            ),
            tone,
            mark,
            word,
            detail,
            seal,
            dim: is_dim(hop),
            branch: hop.branch,
        }
    }
}

/// Tone, shape and word of a hop's state.
fn state(hop: &HopView) -> (&'static str, &'static str, String) {
    let (tone, mark, word) = match hop.state {
        HopState::Asked => ("asked", "○", "asked"),
        HopState::Acknowledged => ("asked", "◐", "working on it"),
        HopState::NeedsInfo => ("warn", "▲", "asks back"),
        HopState::Disputed => ("bad", "✕", "disputed"),
        HopState::NonResponsive => ("bad", "✕", "no answer"),
        HopState::Withdrawn => ("quiet", "–", "taken back"),
        HopState::Answered => match hop.resolution {
            Some(Resolution::UpstreamForeign) => ("good", "✓", "point of entry"),
            Some(Resolution::BlockedHere) => ("warn", "▲", "blocked here"),
            Some(Resolution::TestOrInternal) => ("warn", "▲", "test or internal"),
            Some(Resolution::CaptureGap) => ("warn", "▲", "gap in its records"),
            Some(Resolution::OutOfRetention) => ("warn", "▲", "records gone"),
            Some(Resolution::NotOurCustomerOfDownstream) => ("warn", "▲", "not its customer"),
            resolution => match resolution.and_then(Resolution::four_way) {
                Some(FourWay::Provider) => ("good", "✓", "answered"),
                Some(FourWay::Origin) => ("good", "✓", "originator"),
                Some(FourWay::NotFound) => ("warn", "▲", "not found"),
                Some(FourWay::Question) => ("warn", "▲", "undecided"),
                None => ("bad", "✕", "refuses"),
            },
        },
    };
    (tone, mark, word.to_owned())
}

/// How long it took, or may take.
fn detail(hop: &HopView, now: Timestamp) -> String {
    use super::super::page::span;
    let open = matches!(
        hop.state,
        HopState::Asked | HopState::Acknowledged | HopState::NeedsInfo
    );
    if let Some(answered) = hop.answered.filter(|_| !open) {
        let late = if hop.in_time == Some(false) {
            ", late"
        } else {
            ""
        };
        return format!("in {}{late}", span(answered.secs_since(hop.issued)));
    }
    match (hop.state, hop.due.secs_since(now)) {
        (HopState::Withdrawn, _) => String::new(),
        (_, left) if left >= 0.0 => format!("due in {}", span(left)),
        (_, left) => format!("overdue by {}", span(-left)),
    }
}

/// A name on two lines at most.
fn lines(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for word in name.split_whitespace() {
        let fits = all
            .last()
            .is_some_and(|l| l.is_empty() || l.chars().count() + word.chars().count() < LETTERS);
        if !fits {
            all.push(String::new());
        }
        if let Some(line) = all.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if all.len() > 2 {
        all.truncate(2);
        if let Some(last) = all.last_mut() {
            last.push('…');
        }
    }
    all.iter().map(|l| short(l, LETTERS)).collect()
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_two_lines_and_no_more() {
        assert_eq!(lines("Example Carrier"), ["Example Carrier"]);
        assert_eq!(
            lines("Carrier A of Example Country"),
            ["Carrier A of", "Example Country"]
        );
        assert_eq!(
            lines("One Two Three Four Five Six Seven Eight Nine").len(),
            2
        );
        assert_eq!(lines(&"x".repeat(100)), [format!("{}…", "x".repeat(17))]);
        assert_eq!(lines(""), [""]);
    }
}
