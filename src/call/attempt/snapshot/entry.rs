//! One attempt in a snapshot: key, then state. What may be missing has an octet in front that says so.

use std::net::IpAddr;

use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::attempt::family::Saved;
use crate::call::attempt::family::{Attempt, Branch, Ends, Final};
use crate::call::attempt::{Key, Lane, Leg};
use crate::call::peer::{Remote, Side};
use crate::call::record::Direction;
use crate::number::Tn;
use crate::stir::verify::Validation;

/// Octets that are still to be read.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub fn time(&mut self) -> Option<Timestamp> {
        self.take()
            .map(|b| Timestamp::from_nanos(i64::from_le_bytes(b)))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.flag()? {
            true => read(self).map(Some),
            false => Some(None),
        }
    }

    fn number(&mut self) -> Option<Tn> {
        let len = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Tn::from_canonical(text)
    }

    fn answer(&mut self) -> Option<Final> {
        Some(Final {
            at: self.time()?,
            code: self.u16()?,
            cause: self.option(Self::u8)?,
        })
    }
}

fn option<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

fn time(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&at.nanos().to_le_bytes());
}

fn number(out: &mut Vec<u8>, number: Tn) {
    let text = number.as_bytes();
    // 23 at most.
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text);
}

fn answer(out: &mut Vec<u8>, last: Final) {
    time(out, last.at);
    out.extend_from_slice(&last.code.to_le_bytes());
    option(out, last.cause, |out, c| out.push(c));
}

pub(super) fn write(out: &mut Vec<u8>, key: &Key, attempt: &Attempt) {
    out.extend_from_slice(&key.leg.call_id.0.to_le_bytes());
    out.extend_from_slice(&key.leg.tag.to_le_bytes());
    write_side(out, key.lane.side);
    out.extend_from_slice(&key.lane.network.to_le_bytes());
    out.extend_from_slice(&key.split.to_le_bytes());
    let s = attempt.save();
    out.extend_from_slice(&s.uid.to_le_bytes());
    time(out, s.begun_at);
    option(out, s.ends.called, number);
    out.extend_from_slice(&s.ends.called_text.to_le_bytes());
    option(out, s.ends.from, number);
    out.push(match s.ours.0 {
        Validation::None => 0,
        Validation::Passed => 1,
        Validation::Failed => 2,
        Validation::Undetermined => 3,
    });
    out.push(s.ours.1);
    out.extend_from_slice(&s.cseq.to_le_bytes());
    // 16 at most.
    out.push(u8::try_from(s.branches.len()).unwrap_or(0));
    for branch in &s.branches {
        out.extend_from_slice(&branch.id.to_le_bytes());
        out.push(u8::from(branch.failed) | u8::from(branch.cancelled) << 1);
    }
    option(out, s.ringing_at, time);
    option(out, s.last, answer);
    option(out, s.challenged, answer);
    option(out, s.acknowledged, time);
    option(out, s.dialog, |out, d| {
        out.extend_from_slice(&d.to_le_bytes())
    });
    option(out, s.cancel_cause, |out, c| out.push(c));
    option(out, s.theirs, |out, (cause, refused)| {
        out.extend_from_slice(&cause.to_le_bytes());
        out.push(u8::from(refused));
    });
    out.extend_from_slice(&s.counts);
    out.extend([s.heard, s.told].map(u8::from));
}

pub(super) fn read(r: &mut Reader<'_>) -> Option<(Key, Attempt)> {
    let leg = Leg {
        call_id: IdDigest(r.u64()?),
        tag: r.u64()?,
    };
    let lane = Lane {
        side: read_side(r)?,
        network: r.u64()?,
    };
    let split = r.u64()?;
    let key = Key { leg, lane, split };
    let saved = Saved {
        uid: r.u64()?,
        begun_at: r.time()?,
        ends: Ends {
            called: r.option(Reader::number)?,
            called_text: r.u64()?,
            from: r.option(Reader::number)?,
        },
        ours: (
            match r.u8()? {
                0 => Validation::None,
                1 => Validation::Passed,
                2 => Validation::Failed,
                3 => Validation::Undetermined,
                _ => return None,
            },
            r.u8()?,
        ),
        cseq: r.u32()?,
        branches: (0..r.u8()?)
            .map(|_| read_branch(r))
            .collect::<Option<_>>()?,
        ringing_at: r.option(Reader::time)?,
        last: r.option(Reader::answer)?,
        challenged: r.option(Reader::answer)?,
        acknowledged: r.option(Reader::time)?,
        dialog: r.option(Reader::u64)?,
        cancel_cause: r.option(Reader::u8)?,
        theirs: r.option(|r| Some((r.u16()?, r.flag()?)))?,
        counts: r.take()?,
        heard: r.flag()?,
        told: r.flag()?,
    };
    Some((key, Attempt::restore(saved)?))
}

fn read_branch(r: &mut Reader<'_>) -> Option<Branch> {
    let id = r.u64()?;
    let bits = r.u8().filter(|b| *b < 4)?;
    Some(Branch {
        id,
        failed: bits & 1 != 0,
        cancelled: bits & 2 != 0,
    })
}

fn write_side(out: &mut Vec<u8>, side: Side) {
    out.push(match side.direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
        Direction::Unknown => 2,
    });
    match side.remote {
        Remote::Rule(rule) => {
            out.push(0);
            out.extend_from_slice(&rule.to_le_bytes());
        }
        Remote::Address(IpAddr::V4(a)) => {
            out.push(4);
            out.extend_from_slice(&a.octets());
        }
        Remote::Address(IpAddr::V6(a)) => {
            out.push(6);
            out.extend_from_slice(&a.octets());
        }
    }
}

fn read_side(r: &mut Reader<'_>) -> Option<Side> {
    let direction = match r.u8()? {
        0 => Direction::Ingress,
        1 => Direction::Egress,
        2 => Direction::Unknown,
        _ => return None,
    };
    let remote = match r.u8()? {
        0 => Remote::Rule(r.u64()?),
        4 => Remote::Address(IpAddr::from(r.take::<4>()?)),
        6 => Remote::Address(IpAddr::from(r.take::<16>()?)),
        _ => return None,
    };
    Some(Side { direction, remote })
}
