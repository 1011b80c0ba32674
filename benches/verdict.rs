//! What a verdict costs beside the bare signature check that it can't do without, in one run, CPU time of one thread.
//!
//! `cargo bench --bench verdict`
//!
//! A verdict is everything between the scanned message and the verdict of its call, with the certificate at hand. The bound is ring's P-256
//! check of the very same signing inputs, signatures and keys. The ratio is taken within a round, to the mean of the bound before and after.

use std::hint::black_box;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cpu_time::ThreadTime;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use tracehop::lab::{self, DEFAULT_BASE, SignedInvites};
use tracehop::stir::credential::{Credential, Credentials, TrustStore, anchors_of_pem};
use tracehop::stir::verify::{SignatureMemo, Validation, VerifySettings, verify_call_with_memo_at};
use tracehop::wire::sip::{HeaderName, Message};

const ROUNDS: usize = 9;
const CALLS: usize = 10_000;

fn main() {
    println!(
        "{CALLS} INVITEs, all different, {ROUNDS} rounds; CPU time of one thread, median (lowest to highest)"
    );
    let few = Bench::new(&lab::bench_invites(CALLS, 7, 0, 1).unwrap());
    few.show("verdict, 7 certificates at hand");
    few.show_again("the very same Identity again");
    let many = Bench::new(&lab::bench_invites(CALLS, 10_000, 0, 1).unwrap());
    many.show("verdict, 10,000 certificates at hand");
    let diverted = Bench::new(&lab::bench_invites(CALLS / 5, 7, 4, 1).unwrap());
    diverted.show("chain of SHAKEN and four div, a call");
}

struct Bench {
    invites: Vec<Vec<u8>>,
    credentials: Credentials,
    settings: VerifySettings,
    /// Signing input, signature and key of each of their headers.
    bare: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
}

impl Bench {
    fn new(made: &SignedInvites) -> Self {
        let (anchors, _) = anchors_of_pem(&made.anchors);
        let trust = TrustStore::new(anchors, None);
        let mut credentials = Credentials::default();
        for (url, pem) in &made.certificates {
            credentials.insert(url, Arc::new(Credential::prepare(pem, &trust)));
        }
        let bare = made
            .invites
            .iter()
            .flat_map(|i| bare(i, &credentials))
            .collect();
        Self {
            invites: made.invites.clone(),
            credentials,
            settings: VerifySettings::default(),
            bare,
        }
    }

    fn show(&self, what: &str) {
        self.compare(what, || {
            self.verdicts(&self.scanned(), &mut SignatureMemo::none())
        });
    }

    /// A thousand others come between the first leg of a call and the second, as at 10,000 calls/s in a tenth of a second.
    fn show_again(&self, what: &str) {
        self.compare(what, || {
            let mut memo = SignatureMemo::new(4_096);
            let scanned = self.scanned();
            let chunks = scanned.chunks(1_000);
            let count = chunks.len() as f64;
            let again = chunks.map(|chunk| {
                self.verdicts(chunk, &mut memo);
                self.verdicts(chunk, &mut memo)
            });
            again.sum::<f64>() / count
        });
    }

    fn scanned(&self) -> Vec<Message<'_>> {
        self.invites
            .iter()
            .map(|i| Message::scan(i).unwrap())
            .collect()
    }

    fn compare(&self, what: &str, work: impl Fn() -> f64) {
        let (mut times, mut bounds, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..=ROUNDS {
            let before = self.bound();
            let time = work();
            let bound = before.midpoint(self.bound());
            // The first round warms up.
            if round > 0 {
                times.push(time / 1e3);
                bounds.push(bound / 1e3);
                ratios.push(bound / time);
            }
        }
        let line = |values: Vec<f64>| {
            let (low, mid, high) = spread(values);
            format!("{mid:.2} ({low:.2} to {high:.2})")
        };
        println!(
            "{what:<40} {} µs, bare check {} µs, ratio {}",
            line(times),
            line(bounds),
            line(ratios)
        );
    }

    /// Nanoseconds of the bare checks of a call.
    fn bound(&self) -> f64 {
        let start = ThreadTime::now();
        for (input, signature, key) in &self.bare {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                .verify(black_box(input), black_box(signature))
                .unwrap();
        }
        start.elapsed().as_nanos() as f64 / self.invites.len() as f64
    }

    /// Nanoseconds of a verdict. Scanning is measured by the bench `scan`.
    fn verdicts(&self, messages: &[Message<'_>], memo: &mut SignatureMemo) -> f64 {
        let mut passed = 0;
        let start = ThreadTime::now();
        for message in messages {
            let verdict = verify_call_with_memo_at(
                black_box(message),
                DEFAULT_BASE,
                &self.credentials,
                &self.settings,
                memo,
            );
            passed += usize::from(verdict.validation() == Validation::Passed);
        }
        let spent = start.elapsed().as_nanos() as f64 / messages.len() as f64;
        assert_eq!(passed, messages.len(), "the work was done");
        spent
    }
}

fn bare(invite: &[u8], credentials: &Credentials) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let message = Message::scan(invite).unwrap();
    let one = |value: &[u8]| {
        let text = std::str::from_utf8(value).unwrap();
        let url = text.split(['<', '>']).nth(1).unwrap();
        let (input, signature) = text.split(';').next().unwrap().rsplit_once('.').unwrap();
        let leaf = credentials.get(url).unwrap().leaf().unwrap();
        (
            input.as_bytes().to_vec(),
            URL_SAFE_NO_PAD.decode(signature).unwrap(),
            leaf.key.p256().unwrap().to_vec(),
        )
    };
    message.headers.all(HeaderName::Identity).map(one).collect()
}

/// Lowest, median, highest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    (
        at(0),
        at(values.len() / 2),
        at(values.len().wrapping_sub(1)),
    )
}
