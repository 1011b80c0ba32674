//! Second halves as octets, and back.

use super::octets::Cut;
use crate::call::record::{Begin, End, ReleasedBy, State};
use crate::store::embedded::names::Named;

/// An [`End`] without what its `Begin` says as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::embedded) struct EndFacts {
    pub uid: u64,
    pub begun_at: i64,
    pub state: State,
    pub code: u16,
    pub cause: Option<u8>,
    pub stir_cause: Option<u16>,
    pub disagrees: bool,
    pub ringing_ms: Option<u32>,
    pub final_ms: Option<u32>,
    pub duration_ms: Option<u32>,
    pub released_by: Option<ReleasedBy>,
    pub retransmissions: u8,
    pub forks: u8,
    pub auth_retries: u8,
    pub one_way: bool,
}

impl EndFacts {
    pub fn of(e: &End) -> Self {
        Self {
            uid: e.uid,
            begun_at: e.begun_at.nanos(),
            state: e.state,
            code: e.code,
            cause: e.cause,
            stir_cause: e.stir_cause,
            disagrees: e.disagrees,
            ringing_ms: e.ringing_ms,
            final_ms: e.final_ms,
            duration_ms: e.duration_ms,
            released_by: e.released_by,
            retransmissions: e.retransmissions,
            forks: e.forks,
            auth_retries: e.auth_retries,
            one_way: e.one_way,
        }
    }

    /// The second half of `begin`.
    pub fn to_end(self, begin: &Begin) -> End {
        End {
            uid: self.uid,
            begun_at: begin.at,
            called: begin.numbers.called,
            state: self.state,
            code: self.code,
            cause: self.cause,
            stir_cause: self.stir_cause,
            disagrees: self.disagrees,
            ringing_ms: self.ringing_ms,
            final_ms: self.final_ms,
            duration_ms: self.duration_ms,
            released_by: self.released_by,
            retransmissions: self.retransmissions,
            forks: self.forks,
            auth_retries: self.auth_retries,
            one_way: self.one_way,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let present = u8::from(self.cause.is_some())
            | u8::from(self.ringing_ms.is_some()) << 1
            | u8::from(self.final_ms.is_some()) << 2
            | u8::from(self.duration_ms.is_some()) << 3
            | u8::from(self.released_by.is_some()) << 4
            | u8::from(self.stir_cause.is_some()) << 5
            | u8::from(self.disagrees) << 6
            | u8::from(self.one_way) << 7;
        out.extend_from_slice(&self.uid.to_le_bytes());
        out.extend_from_slice(&self.begun_at.to_le_bytes());
        out.extend_from_slice(&[present, self.state.code()]);
        out.extend_from_slice(&self.code.to_le_bytes());
        out.extend_from_slice(&[self.retransmissions, self.forks, self.auth_retries]);
        out.extend(self.cause);
        for ms in [self.ringing_ms, self.final_ms, self.duration_ms]
            .into_iter()
            .flatten()
        {
            out.extend_from_slice(&ms.to_le_bytes());
        }
        out.extend(self.released_by.map(ReleasedBy::code));
        if let Some(cause) = self.stir_cause {
            out.extend_from_slice(&cause.to_le_bytes());
        }
    }

    /// Reads the octets of [`EndFacts::encode`], by this version or an earlier one.
    pub fn decode(bytes: &[u8], version: u8) -> Option<Self> {
        let mut cut = Cut(bytes);
        let (uid, begun_at) = (cut.u64()?, cut.i64()?);
        let present = cut.u8()?;
        if version < 2 && present >> 7 != 0 {
            return None;
        }
        let has = |i: u32| present & (1 << i) != 0;
        let state = State::from_code(cut.u8()?)?;
        let code = cut.u16()?;
        let (retransmissions, forks, auth_retries) = (cut.u8()?, cut.u8()?, cut.u8()?);
        let end = Self {
            uid,
            begun_at,
            state,
            code,
            cause: cut.opt(has(0), Cut::u8)?,
            ringing_ms: cut.opt(has(1), Cut::u32)?,
            final_ms: cut.opt(has(2), Cut::u32)?,
            duration_ms: cut.opt(has(3), Cut::u32)?,
            released_by: match cut.opt(has(4), Cut::u8)? {
                Some(code) => Some(ReleasedBy::from_code(code)?),
                None => None,
            },
            stir_cause: cut.opt(has(5), Cut::u16)?,
            disagrees: has(6),
            one_way: has(7),
            retransmissions,
            forks,
            auth_retries,
        };
        cut.0.is_empty().then_some(end)
    }
}
