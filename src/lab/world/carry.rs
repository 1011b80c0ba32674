//! How a call finds its way: hop by hop, over routes that fail, through switches that change it.
//!
//! In comes a [`Call`]; out come its legs. A hop that fails hands the call back, and the hop before tries its next route, so that one transit may
//! get the same call first from one upstream, in vain, and then from another.

use super::chance;
use super::leg::{End, Head, Leg, Step};
use super::network::{Network, SECOND, Writing};
use super::profile::Figures;
use crate::lab::passport::{Claims, Token};
use crate::lab::pki::Signer;
use crate::lab::random::Random;
use crate::stir::verify::Attestation;

/// Routes that a switch tries before it gives up.
const ROUTES: usize = 3;

/// What happens at a provider on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The number is that of a service and becomes another.
    Translate(u64),
    /// A subscriber sends the call on, by the provider's switch.
    Divert(u64),
    /// The same by the subscriber's own exchange: the call goes out to it and comes back as a new one.
    DivertByExchange(u64),
    /// The called party is here.
    End,
}

/// A provider that the call must come to.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Which.
    pub at: usize,
    /// What happens there.
    pub then: Then,
    /// In how many hops from the stop before, where that can be done.
    pub hops: u8,
}

/// A call before it is carried.
#[derive(Clone, Debug)]
pub struct Call {
    /// When the caller's INVITE is sent, nanoseconds since 1970.
    pub at: i64,
    /// Who makes it: a customer, or a provider abroad.
    pub origin: End,
    /// The first provider.
    pub first: usize,
    /// What the caller says.
    pub head: Head,
    /// Where it goes.
    pub stops: Vec<Stop>,
    /// When the caller gives up if nobody answers.
    pub patience: i64,
    /// Chance of an answer.
    pub answered: f64,
    /// Mean length in seconds.
    pub length: f64,
}

/// Everything that was carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// Legs, in no order of time.
    pub legs: Vec<Leg>,
    /// Identity header values.
    pub identities: Vec<String>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it rang.
    ringing: Option<(i64, u16)>,
    /// When that was known here.
    at: i64,
    /// What it was.
    pub end: Fate,
    /// Legs from the first to the last that the call went over in the end; last first while it is being put together.
    pub chain: Vec<usize>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered, until then; whether the caller hung up.
    Answered(i64, bool),
    /// Refused, failed, busy.
    Code(u16),
    /// The caller gave up.
    Cancelled,
}

impl Outcome {
    /// Whether the called side noticed the call.
    pub fn reached(&self) -> bool {
        self.ringing.is_some() && !matches!(self.end, Fate::Code(500..600))
    }

    /// When the caller knew.
    pub fn known_at(&self) -> i64 {
        match self.end {
            Fate::Answered(until, _) => until,
            _ => self.at,
        }
    }
}

/// Carries calls over a network.
pub struct Carrier<'a> {
    net: &'a Network,
    f: &'a Figures,
    signers: &'a [Signer],
    /// The traffic's start and length, for shares of its time.
    span: (i64, i64),
    seed: u64,
    /// What came of it.
    pub carried: Carried,
}

/// Where a call is.
struct Here<'c> {
    call: &'c Call,
    /// The next stop.
    stop: usize,
    /// Hops that are left to it.
    left: u8,
    /// Providers since the last stop.
    been: Vec<usize>,
    /// When the other side gives up.
    patience: i64,
    /// The second of two that were sent at once: nobody answers it.
    second: bool,
}

impl<'a> Carrier<'a> {
    /// For calls between two points in time.
    pub fn new(
        net: &'a Network,
        f: &'a Figures,
        signers: &'a [Signer],
        span: (i64, i64),
        seed: u64,
    ) -> Self {
        Self {
            net,
            f,
            signers,
            span,
            seed,
            carried: Carried::default(),
        }
    }

    /// Carries one call.
    pub fn carry(&mut self, rng: &mut Random, call: &Call) -> Outcome {
        let here = Here {
            call,
            stop: 0,
            left: call.stops.first().map_or(1, |s| s.hops),
            been: vec![call.first],
            patience: call.patience,
            second: false,
        };
        let mut outcome = self.send(
            rng,
            call.origin,
            End::Provider(call.first),
            call.at,
            call.head.clone(),
            here,
        );
        outcome.chain.reverse();
        outcome
    }

    /// Sends an INVITE over one leg, and writes down what was answered.
    fn send(
        &mut self,
        rng: &mut Random,
        from: End,
        to: End,
        at: i64,
        head: Head,
        here: Here<'_>,
    ) -> Outcome {
        let way = (chance::log_normal(rng, 0.012, 0.6) * SECOND as f64) as i64;
        let patience = here.patience;
        let place = self.leg(rng, from, to, at, way, head);
        // A receiver that does not answer: now and then the INVITE never gets there.
        if matches!(from, End::Provider(_)) && rng.chance(self.f.silent) {
            let until = (at + rng.between(2, 5) * SECOND).min(patience);
            let leg = &mut self.carried.legs[place];
            leg.lost_on_the_way = true;
            for again in [SECOND / 2, 3 * SECOND / 2, 7 * SECOND / 2] {
                if at + again < until {
                    leg.steps.push((at + again, Step::Invite));
                }
            }
            leg.steps.push((until, Step::Cancel));
            return Outcome {
                ringing: None,
                at: until,
                end: if until == patience {
                    Fate::Cancelled
                } else {
                    Fate::Code(504)
                },
                chain: vec![place],
            };
        }
        let mut outcome = match to {
            End::Provider(v) => self.at_provider(rng, v, place, at + way, here),
            End::Customer(of, _) => self.at_exchange(rng, of, to, at + way, place, here),
        };
        let back = |t: i64| t + way;
        let leg = &mut self.carried.legs[place];
        if let Some((ring, code)) = outcome.ringing {
            leg.steps.push((ring, Step::Ringing(code)));
            outcome.ringing = Some((back(ring), code));
        }
        match outcome.end {
            Fate::Answered(until, by_caller) => {
                leg.steps.push((outcome.at, Step::Final(200)));
                leg.steps.push((back(outcome.at) + 2_000_000, Step::Ack));
                leg.steps.push((
                    until.max(back(outcome.at) + 9_000_000),
                    Step::Bye(by_caller),
                ));
            }
            Fate::Code(code) => leg.steps.push((outcome.at, Step::Final(code))),
            Fate::Cancelled => {
                leg.steps.push((patience.max(at + 1_000_000), Step::Cancel));
                leg.steps
                    .push((outcome.at.max(patience + way), Step::Final(487)));
            }
        }
        outcome.at = back(outcome.at);
        outcome.chain.push(place);
        outcome
    }

    /// A new leg with its INVITE.
    fn leg(
        &mut self,
        rng: &mut Random,
        from: End,
        to: End,
        at: i64,
        way: i64,
        head: Head,
    ) -> usize {
        let share = (at - self.span.0) as f64 / (self.span.1 - self.span.0).max(1) as f64;
        let plain = (Writing::Plus, Writing::Plus);
        let (source, destination, writing, group) = match (from, to) {
            (End::Provider(a), End::Provider(b)) => {
                let trunk = rng.below(self.net.trunks(a, b));
                let (source, destination) = self.net.sockets(a, b, trunk, share);
                // Some messages say nothing of their trunk group.
                let group = self.net.group(a, b).filter(|_| !rng.chance(0.02));
                (source, destination, self.net.writing(a, b, trunk), group)
            }
            (End::Customer(_, c), End::Provider(p)) => {
                let theirs = super::network::socket(self.net.customer(p, c));
                (
                    theirs,
                    super::network::socket(self.net.own(p, 0)),
                    plain,
                    None,
                )
            }
            (End::Provider(p) | End::Customer(p, _), End::Customer(_, c)) => {
                let theirs = super::network::socket(self.net.customer(p, c));
                (
                    super::network::socket(self.net.own(p, 0)),
                    theirs,
                    plain,
                    None,
                )
            }
        };
        self.carried.legs.push(Leg {
            from,
            to,
            source,
            destination,
            writing,
            group: group.map(Into::into),
            head,
            steps: vec![(at, Step::Invite)],
            way,
            lost_on_the_way: false,
        });
        self.carried.legs.len() - 1
    }

    /// A provider has got the call over the leg `place`.
    fn at_provider(
        &mut self,
        rng: &mut Random,
        v: usize,
        place: usize,
        at: i64,
        mut here: Here<'_>,
    ) -> Outcome {
        let mut head = self.carried.legs[place].head.clone();
        let fail = |rng: &mut Random, code| Outcome {
            ringing: None,
            at: at + rng.between(20, 300) * SECOND / 1000,
            end: Fate::Code(code),
            chain: Vec::new(),
        };
        if matches!(self.carried.legs[place].from, End::Provider(_)) && rng.chance(self.f.congested)
        {
            let code = if rng.chance(0.8) { 503 } else { 500 };
            return fail(rng, code);
        }
        let mut proceed = at + (chance::log_normal(rng, 0.02, 0.8) * SECOND as f64) as i64;
        let from = self.carried.legs[place].from;
        self.rewrite(rng, v, from, at, &mut head);
        while let Some(stop) = here
            .call
            .stops
            .get(here.stop)
            .copied()
            .filter(|s| s.at == v)
        {
            here.stop += 1;
            here.been = vec![v];
            here.left = here.call.stops.get(here.stop).map_or(1, |s| s.hops);
            match stop.then {
                Then::End => return self.at_called(rng, at, proceed, &here),
                Then::Translate(to) => {
                    if rng.chance(0.4) {
                        head.to = to;
                    }
                    head.called = to;
                }
                Then::Divert(to) => {
                    head.diverted = Some(head.called);
                    if rng.chance(0.5) {
                        head.to = to;
                    }
                    head.called = to;
                    proceed += rng.between(0, 15_000) * SECOND / 1000;
                }
                Then::DivertByExchange(_) => {
                    here.stop -= 1;
                    let out = End::Customer(v, 0);
                    return self.send(rng, End::Provider(v), out, proceed, head, here);
                }
            }
            // What rings there is the second number.
            if proceed >= here.patience {
                return cancelled(here.patience);
            }
        }
        self.route(rng, v, proceed, head, here)
    }

    /// A subscriber's own exchange sends the call on as one of its own.
    fn at_exchange(
        &mut self,
        rng: &mut Random,
        of: usize,
        exchange: End,
        at: i64,
        place: usize,
        mut here: Here<'_>,
    ) -> Outcome {
        let Some(Stop {
            then: Then::DivertByExchange(to),
            ..
        }) = here.call.stops.get(here.stop).copied()
        else {
            return cancelled(here.patience);
        };
        here.stop += 1;
        here.left = here.call.stops.get(here.stop).map_or(1, |s| s.hops);
        let mut head = self.carried.legs[place].head.clone();
        head.diverted = Some(head.called);
        (head.called, head.to) = (to, to);
        head.call_id = rng.bits();
        head.sdp = rng.bits();
        (head.session, head.icid, head.identity) = (None, None, None);
        let at = at + rng.between(50, 12_000) * SECOND / 1000;
        if at >= here.patience {
            return cancelled(here.patience);
        }
        self.send(rng, exchange, End::Provider(of), at, head, here)
    }

    /// What a switch changes of the call before it goes on.
    fn rewrite(&mut self, rng: &mut Random, v: usize, from: End, at: i64, head: &mut Head) {
        let p = &self.net.providers[v];
        let own = matches!(from, End::Customer(..));
        if !p.proxy {
            head.call_id = rng.bits();
        }
        if !p.keeps_sdp {
            head.sdp = rng.bits();
        }
        if !p.keeps_session {
            head.session = None;
        }
        if !p.charging_vector {
            head.icid = None;
        } else if head.icid.is_none() {
            head.icid = Some(rng.bits());
        }
        if !p.passes_identity {
            head.identity = None;
        }
        if p.asserts_in_from && head.asserted.is_some() {
            head.from = head.asserted;
        }
        if p.drops_asserted {
            head.asserted = None;
        }
        if own && p.signs {
            let attest = match rng.below(10) {
                0..6 => Attestation::A,
                6..8 => Attestation::B,
                _ => Attestation::C,
            };
            self.sign(v, at, attest, head);
        } else if !own && p.signs_transit && head.identity.is_none() {
            self.sign(v, at, Attestation::C, head);
        }
    }

    fn sign(&mut self, v: usize, at: i64, attest: Attestation, head: &mut Head) {
        let (Some(orig), false) = (head.from.or(head.asserted), self.signers.is_empty()) else {
            return;
        };
        let signer = &self.signers[v % self.signers.len()];
        let clock = self.net.providers[v].cdr_clock_s.clamp(-20.0, 20.0);
        let claims = Claims {
            attest,
            orig: orig.to_string(),
            dest: head.called.to_string(),
            iat: at / SECOND + clock as i64,
            // One id for all of a provider's customers, or one for each: the signer's choice (ATIS-1000088).
            origid: format!(
                "00000000-0000-4000-8000-{:012x}",
                v * 16 + orig as usize % 3
            ),
        };
        let value = Token::shaken(&claims, &signer.url).sign(&signer.key);
        self.carried.identities.push(value);
        head.identity = Some(self.carried.identities.len() - 1);
    }

    /// The called party's provider.
    fn at_called(&mut self, rng: &mut Random, at: i64, proceed: i64, here: &Here<'_>) -> Outcome {
        let code = |at: i64, code: u16, ringing| Outcome {
            ringing,
            at,
            end: Fate::Code(code),
            chain: Vec::new(),
        };
        if rng.chance(self.f.refused_at_end) {
            let codes = [503, 503, 500, 404, 504];
            return code(proceed, *rng.pick(&codes), None);
        }
        let ring = proceed + (chance::log_normal(rng, 0.6, 0.7) * SECOND as f64) as i64;
        if ring >= here.patience {
            return cancelled(here.patience.max(at));
        }
        let ringing = Some((ring, if rng.chance(0.25) { 183 } else { 180 }));
        if rng.chance(self.f.failed_after_ringing) {
            return code(ring + rng.between(200, 4_000) * SECOND / 1000, 503, ringing);
        }
        if here.second {
            // The line is taken by the first, or rings along with it.
            return match rng.chance(0.6) {
                true => code(proceed, 486, None),
                false => Outcome {
                    ringing,
                    ..cancelled(here.patience)
                },
            };
        }
        let answer = ring + (chance::log_normal(rng, 6.0, 0.7) * SECOND as f64) as i64;
        if rng.chance(here.call.answered) && answer < here.patience {
            let long = chance::exponential(rng, here.call.length).clamp(0.5, 3_000.0);
            return Outcome {
                ringing,
                at: answer,
                end: Fate::Answered(answer + (long * SECOND as f64) as i64, rng.chance(0.5)),
                chain: Vec::new(),
            };
        }
        match rng.below(10) {
            0 => code(proceed, 486, None),
            1 => code((ring + 2 * SECOND).min(here.patience), 603, ringing),
            2 if ring + 30 * SECOND < here.patience => code(ring + 30 * SECOND, 480, ringing),
            _ => Outcome {
                ringing,
                ..cancelled(here.patience)
            },
        }
    }

    /// Tries routes until one takes the call.
    fn route(
        &mut self,
        rng: &mut Random,
        v: usize,
        at: i64,
        head: Head,
        here: Here<'_>,
    ) -> Outcome {
        let Some(stop) = here.call.stops.get(here.stop).copied() else {
            return cancelled(here.patience);
        };
        let routes = self.routes(rng, v, stop.at, &here);
        let mut at = at;
        let mut last = Outcome {
            ringing: None,
            at,
            end: Fate::Code(503),
            chain: Vec::new(),
        };
        let fork = routes.len() > 1 && !here.second && rng.chance(self.f.forked);
        for (i, to) in routes.iter().copied().enumerate() {
            if at >= here.patience {
                return cancelled(here.patience);
            }
            last = self.hop(rng, v, to, at, &head, &here, here.patience, here.second);
            if i == 0 && fork {
                // The other route rings until the first is answered, fails or is given up.
                let until = last.at;
                let (second, then) = (routes[1], at + rng.between(1, 40) * 1_000_000);
                self.hop(rng, v, second, then, &head, &here, until, true);
                return last;
            }
            let again = matches!(last.end, Fate::Code(404 | 408 | 500..600)) && rng.chance(0.92);
            if !again {
                return last;
            }
            at = last.at + rng.between(2, 60) * SECOND / 1000;
        }
        last
    }

    #[allow(clippy::too_many_arguments)] // one hop is all of this
    fn hop(
        &mut self,
        rng: &mut Random,
        v: usize,
        to: usize,
        at: i64,
        head: &Head,
        here: &Here<'_>,
        patience: i64,
        second: bool,
    ) -> Outcome {
        let mut been = here.been.clone();
        been.push(to);
        let next = Here {
            call: here.call,
            stop: here.stop,
            left: here.left.saturating_sub(1),
            been,
            patience,
            second,
        };
        let mut head = head.clone();
        // Each branch has a Call-ID of its own where the switch makes them.
        if !self.net.providers[v].proxy {
            head.call_id = rng.bits();
        }
        self.send(rng, End::Provider(v), End::Provider(to), at, head, next)
    }

    /// Next hops in the order in which they are tried. A switch has its list by destination, and shares part of the calls out by percentage.
    fn routes(&self, rng: &mut Random, v: usize, to: usize, here: &Here<'_>) -> Vec<usize> {
        let net = self.net;
        let fits = |n: usize, most: u8, straight: bool| {
            let d = net.distance(n, to);
            let open = !here.been.contains(&n) && (n == to || !net.providers[n].foreign);
            open && d <= most && (straight || n != to)
        };
        let most = here.left.saturating_sub(1);
        let all = &net.providers[v].neighbours;
        let pick = |most: u8, straight: bool| -> Vec<usize> {
            let fit = all.iter().copied().filter(|n| fits(*n, most, straight));
            fit.collect()
        };
        let mut routes = pick(most, most == 0);
        if routes.is_empty() {
            routes = pick(most.max(net.distance(v, to).saturating_sub(1)), true);
        }
        if routes.is_empty() {
            routes = pick(253, true);
        }
        // An exponential race: the better connected come first more often, and always the same for one destination.
        let rank = |n: &usize| {
            let u = chance::fixed_unit(&[self.seed, v as u64, *n as u64, to as u64]);
            -(1.0 - u).ln() / net.providers[*n].neighbours.len() as f64
        };
        routes.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        routes.truncate(ROUTES + 1);
        if routes.len() > 1 && rng.chance(0.3) {
            let other = rng.index(routes.len());
            routes.swap(0, other);
        }
        routes.truncate(ROUTES);
        routes
    }
}

fn cancelled(at: i64) -> Outcome {
    Outcome {
        ringing: None,
        at,
        end: Fate::Cancelled,
        chain: Vec::new(),
    }
}
