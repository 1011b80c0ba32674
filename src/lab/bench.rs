//! Plain captures for measurements: one INVITE a call, all different.

use super::call::dialog::{Leg, Loss, Tape};
use super::kind::Kind;
use super::network::Neighbour;
use super::passport::{self, Claims};
use super::pcap::file::{Resolution, render};
use super::pki::{self, Pki};
use super::random::Random;
use super::{DEFAULT_BASE, LabError};
use crate::base::Timestamp;
use crate::stir::verify::Attestation;

/// A capture of `calls` INVITEs from one neighbour, of about 1.8 KB when they are `signed` (and so in two fragments each), with
/// distinct numbers and tokens of few providers. All lie within fifty seconds, so none is stale; the certificates are those of
/// [`super::write_credentials`] for the same seed.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made.
pub fn bench_capture(calls: usize, signed: bool, seed: u64) -> Result<Vec<u8>, LabError> {
    capture(&Plan::of(calls, signed, false), seed)
}

/// The same, signed, with all that follows an INVITE: 100, 180, 200, ACK, and after some seconds BYE and 200.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made.
pub fn bench_dialogs(calls: usize, seed: u64) -> Result<Vec<u8>, LabError> {
    capture(&Plan::of(calls, true, true), seed)
}

/// The same at a rate of its own from `base` on, for replay on a live interface while the tokens are fresh; the certificates are those of
/// [`super::write_credentials_at`] for the same seed and time.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made.
pub fn bench_load(
    calls: usize,
    calls_per_second: u32,
    base: Timestamp,
    seed: u64,
) -> Result<Vec<u8>, LabError> {
    let plan = Plan {
        calls,
        signed: true,
        dialogs: true,
        base,
        step: 1_000_000_000 / i64::from(calls_per_second.max(1)),
    };
    capture(&plan, seed)
}

/// Signed INVITEs, and where their certificates are.
pub struct SignedInvites {
    /// Every one with a token of its own, seen at [`DEFAULT_BASE`].
    pub invites: Vec<Vec<u8>>,
    /// URL and PEM of every signer.
    pub certificates: Vec<(String, Vec<u8>)>,
    /// PEM of the authorities.
    pub anchors: Vec<u8>,
}

/// `count` INVITEs, signed by `signers` providers in turn, each sent on `diversions` times under a `div`.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made.
pub fn bench_invites(
    count: usize,
    signers: usize,
    diversions: usize,
    seed: u64,
) -> Result<SignedInvites, LabError> {
    let pki = Pki::new(seed, DEFAULT_BASE)?;
    let crowd = pki::crowd(seed, DEFAULT_BASE, signers.max(1))?;
    let mut rng = Random::new(seed, "invites");
    let invites = (0..count)
        .map(|i| {
            let calling = format!("121255501{:02}", i % 100);
            let called = format!("130355501{:02}", i / 100 % 100);
            let claims = Claims {
                attest: Attestation::A,
                orig: calling.clone(),
                dest: called.clone(),
                iat: DEFAULT_BASE.secs(),
                origid: rng.uuid(),
            };
            let (signer, _) = &crowd[i % crowd.len()];
            let stops: Vec<String> = (0..diversions)
                .map(|n| format!("140455501{n:02}"))
                .collect();
            let identity: String = passport::diverted(&claims, &stops, signer)
                .iter()
                .map(|value| format!("Identity: {value}\r\n"))
                .collect();
            let target = stops.last().unwrap_or(&called);
            format!(
                "INVITE sip:+{target}@192.0.2.1;user=phone SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK{}\r\n\
                 From: <sip:+{calling}@example.net;user=phone>;tag={}\r\n\
                 To: <sip:+{called}@example.com;user=phone>\r\n\
                 Call-ID: {}@198.51.100.1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 69\r\n\
                 P-Asserted-Identity: <sip:+{calling}@example.net;user=phone>\r\n\
                 {identity}Content-Length: 0\r\n\r\n",
                rng.hex(14),
                rng.hex(10),
                rng.uuid()
            )
            .into_bytes()
        })
        .collect();
    Ok(SignedInvites {
        invites,
        certificates: crowd.into_iter().map(|(s, pem)| (s.url, pem)).collect(),
        anchors: pki.files.get("anchors.pem").cloned().unwrap_or_default(),
    })
}

/// What a capture is to hold.
struct Plan {
    calls: usize,
    signed: bool,
    dialogs: bool,
    /// When it begins, and `iat` of every token.
    base: Timestamp,
    /// Nanoseconds from one call to the next.
    step: i64,
}

impl Plan {
    /// In fifty seconds at most, so that none is stale.
    fn of(calls: usize, signed: bool, dialogs: bool) -> Self {
        let step = 50_000_000_000 / i64::try_from(calls.max(1)).unwrap_or(i64::MAX);
        Self {
            calls,
            signed,
            dialogs,
            base: DEFAULT_BASE,
            step: step.clamp(1_000, 100_000),
        }
    }
}

fn capture(plan: &Plan, seed: u64) -> Result<Vec<u8>, LabError> {
    let pki = Pki::new(seed, plan.base)?;
    let mut rng = Random::new(seed, "bench");
    let mut tape = Tape::default();
    let Some(northstar) = Neighbour::named("northstar") else {
        return Ok(render(&[], Resolution::Nanoseconds));
    };
    for i in 0..plan.calls {
        let at = plan.base.nanos() + i as i64 * plan.step;
        // Ten thousand pairs of numbers; Call-ID, origid and iat make every token another one.
        let calling = format!("121255501{:02}", i % 100);
        let called = format!("130355501{:02}", i / 100 % 100);
        let identity = if plan.signed {
            let claims = Claims {
                attest: Attestation::A,
                orig: calling.clone(),
                dest: called.clone(),
                iat: plan.base.secs(),
                origid: rng.uuid(),
            };
            let signer = &pki.signers[1 + i % 4];
            passport::identity(Kind::Valid(Attestation::A), &claims, "", signer, &pki)
        } else {
            Vec::new()
        };
        let path = northstar.path(i, 0, 5060, true);
        let leg = Leg {
            path,
            they_call: true,
            uri: format!("sip:+{called}@{}", path.ours),
            from: format!("<sip:+{calling}@sip.northstar.example;user=phone>"),
            to: format!("<sip:+{called}@sbc.example-voice.example;user=phone>"),
            call_id: format!("{}@{}", rng.uuid(), path.theirs.ip()),
            from_tag: rng.hex(10),
            to_tag: if plan.dialogs {
                rng.hex(10)
            } else {
                String::new()
            },
            branch: format!("z9hG4bK{}", rng.hex(14)),
            lower_vias: vec![format!(
                "SIP/2.0/UDP 198.51.100.207:5060;branch=z9hG4bK{}",
                rng.hex(12)
            )],
            contact: "gw".to_owned(),
            cseq: 1,
            extra: super::call::writing::bench_headers(&calling, &rng.uuid(), &rng.hex(12)),
            identity: identity.into_iter().map(|f| (f.name, f.value)).collect(),
            offer: super::call::writing::sdp(&mut rng, northstar),
            answer: if plan.dialogs {
                super::call::writing::sdp(&mut rng, northstar)
            } else {
                String::new()
            },
            style: Default::default(),
            one_way: false,
            reason: false,
        };
        leg.send_invite(&mut tape, at, None, Loss::None);
        if plan.dialogs {
            let rest = [
                (2, false, leg.answer(100)),
                (900, false, leg.answer(180)),
                (4_000, false, leg.answer(200)),
                (4_002, true, leg.ack(200)),
                (20_000, true, leg.bye(true)),
                (20_002, false, leg.bye_ok(true)),
            ];
            for (millis, by_caller, draft) in rest {
                leg.send(&mut tape, at + millis * 1_000_000, by_caller, &draft);
            }
        }
    }
    let laid = super::pcap::lay(tape.sent, seed, 1, i64::MAX);
    Ok(render(&laid.frames, Resolution::Nanoseconds))
}
