//! The middle stage: one message and the credentials at hand give facts and a verdict. Stateless, so any judge may take any
//! message; the memo of signatures only saves time.
//!
//! A judge that is told to ([`Judge::asking`]) also says which certificates would decide a call that it could not, and gives the
//! message back for [`super::park`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::Timestamp;
use crate::call::attempt::Facts;
use crate::call::record::evidence::{Evidence, EvidenceKept, Judgement, StoredChain};
use crate::stir::credential::Credentials;
use crate::stir::verify::{
    CallVerdict, SignatureMemo, Validation, VerifySettings, Want, verify_call_with_memo_at,
    wanted_certificates,
};
use crate::wire::sip::HeaderName;
use crate::wire::{self, Flow, sip};

/// Signatures in a judge's memo, 0.7 MB. The second leg of a call follows within a tenth of a second, in which 10,000 calls/s bring a
/// thousand signatures.
const MEMO: usize = 4_096;

/// A message as collect takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Place in the capture.
    pub seq: u64,
    /// Capture time.
    pub at: Timestamp,
    /// Between whom.
    pub flow: Flow,
    /// Which sensor saw it, by index.
    pub sensor: u16,
    /// What it says, or why nothing can be said.
    pub facts: Result<Facts, Unjudged>,
    /// What it takes to judge it again, where that is kept.
    pub evidence: Option<Box<Evidence>>,
    /// What would say more.
    pub wanting: Option<Box<Wanting>>,
}

/// A message whose verdict lacks nothing but certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// Which; at least one.
    pub wants: SmallVec<[Want; 1]>,
    /// The message, to be judged again.
    pub message: wire::Message,
}

/// Why a message gave no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unjudged {
    /// It has no SIP start line after all.
    NotSip,
    /// Judging it panicked: a defect of ours, which costs this one message.
    Panicked,
}

/// One judge.
#[derive(Debug)]
pub struct Judge {
    credentials: Arc<Credentials>,
    settings: Arc<VerifySettings>,
    memo: SignatureMemo,
    evidence: EvidenceKept,
    asking: bool,
}

impl Judge {
    /// A judge with the given trust and settings.
    pub fn new(credentials: Arc<Credentials>, settings: Arc<VerifySettings>) -> Self {
        Self {
            credentials,
            settings,
            memo: SignatureMemo::new(MEMO),
            evidence: EvidenceKept::None,
            asking: false,
        }
    }

    /// The same judge, which hands on evidence of such calls.
    pub fn with_evidence(self, evidence: EvidenceKept) -> Self {
        Self { evidence, ..self }
    }

    /// Says what certificates are wanting, too.
    pub fn asking(self) -> Self {
        Self {
            asking: true,
            ..self
        }
    }

    /// Whether a certificate that was wanting is there now.
    pub fn is_met(&self, want: &Want) -> bool {
        want.is_met(&self.credentials)
    }

    /// Judges by other credentials from now on.
    pub fn handle_credentials(&mut self, credentials: Arc<Credentials>) {
        self.credentials = credentials;
    }

    /// Judges by other settings from now on.
    pub fn handle_settings(&mut self, settings: Arc<VerifySettings>) {
        self.settings = settings;
    }

    /// Reads one message without checking any signature, under overload: a call with an Identity header is undetermined, by no rule.
    pub fn pass(&mut self, message: wire::Message) -> Judged {
        let facts = catch_unwind(AssertUnwindSafe(|| self.unchecked(&message)));
        Judged {
            seq: message.seq,
            at: message.at,
            flow: message.flow,
            sensor: message.sensor,
            facts: facts.unwrap_or(Err(Unjudged::Panicked)),
            evidence: None,
            wanting: None,
        }
    }

    fn unchecked(&self, message: &wire::Message) -> Result<Facts, Unjudged> {
        let sip = sip::Message::scan(&message.bytes).map_err(|_| Unjudged::NotSip)?;
        if !sip.start.is_method("INVITE") {
            return Ok(Facts::of_other(&sip));
        }
        let identities = sip.headers.all(HeaderName::Identity).count();
        let mut facts = self.facts_of(&sip, CallVerdict::default());
        if let Facts::Invite(invite) = &mut facts
            && (identities > 0 || message.cut.is_some())
        {
            invite.verdict.validation = Validation::Undetermined;
            invite.verdict.identities = u8::try_from(identities).unwrap_or(u8::MAX);
        }
        Ok(facts)
    }

    /// Judges one message.
    pub fn judge(&mut self, message: wire::Message) -> Judged {
        let mut evidence = None;
        let judged = AssertUnwindSafe(|| self.facts(&message, &mut evidence));
        let facts = match catch_unwind(judged) {
            Ok(facts) => facts,
            Err(_) => {
                // What the panic may have left half done goes with the memo.
                self.memo = SignatureMemo::new(MEMO);
                Err(Unjudged::Panicked)
            }
        };
        let (facts, wants) = match facts {
            Ok((facts, wants)) => (Ok(facts), wants),
            Err(why) => (Err(why), SmallVec::new()),
        };
        let (seq, at, sensor) = (message.seq, message.at, message.sensor);
        let (flow, wanting) = if wants.is_empty() {
            (message.flow, None)
        } else {
            let flow = message.flow.clone();
            (flow, Some(Box::new(Wanting { wants, message })))
        };
        Judged {
            seq,
            at,
            flow,
            sensor,
            facts,
            evidence,
            wanting,
        }
    }

    fn facts(
        &mut self,
        message: &wire::Message,
        evidence: &mut Option<Box<Evidence>>,
    ) -> Result<(Facts, SmallVec<[Want; 1]>), Unjudged> {
        let sip = sip::Message::scan(&message.bytes).map_err(|_| Unjudged::NotSip)?;
        if !sip.start.is_method("INVITE") {
            return Ok((Facts::of_other(&sip), SmallVec::new()));
        }
        // Identity inside a dialog is not judged (rule H1).
        // Whether the message is cut shows in its octets: a cut behind the blank line hides no header.
        let verdict = if sip.is_initial_invite() {
            verify_call_with_memo_at(
                &sip,
                message.at,
                &self.credentials,
                &self.settings,
                &mut self.memo,
            )
        } else {
            CallVerdict::default()
        };
        if self.evidence.wants(&verdict) {
            *evidence = Some(Box::new(self.evidence_of(&message.bytes, &sip, &verdict)));
        }
        let wants = if self.asking {
            wanted_certificates(&verdict, &self.credentials)
        } else {
            SmallVec::new()
        };
        Ok((self.facts_of(&sip, verdict), wants))
    }

    fn facts_of(&self, sip: &sip::Message<'_>, verdict: CallVerdict) -> Facts {
        Facts::of_invite(
            sip,
            verdict,
            &self.settings.plan,
            &self.settings.kept_headers,
        )
    }

    fn evidence_of(&self, bytes: &[u8], sip: &sip::Message<'_>, verdict: &CallVerdict) -> Evidence {
        let head = bytes.len().saturating_sub(sip.body.len());
        let mut chains = SmallVec::<[StoredChain; 1]>::new();
        for url in verdict.headers.iter().filter_map(|h| h.x5u.as_deref()) {
            let known = chains.iter().any(|c| *c.url == *url);
            if let (false, Some(credential)) = (known, self.credentials.get(url)) {
                chains.push(StoredChain {
                    url: url.into(),
                    digest: credential.digest(),
                    octets: credential.source().clone(),
                });
            }
        }
        Evidence {
            head: bytes.get(..head).unwrap_or(bytes).into(),
            chains,
            judgement: Judgement::of(verdict),
        }
    }
}
