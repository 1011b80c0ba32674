//! `[[responder.portal]]`: one portal, what may happen without a person, and the way there.

use std::sync::Arc;

use super::super::adapter;
use super::super::client;
use super::super::reader::Section;
use super::{named, secret_file, token_file};
use crate::call::classify::Flag;
use crate::responder::adapter::{AdapterSettings, ReferenceSettings, Verified};
use crate::responder::case::{Drafts, Mode};
use crate::responder::settings::PortalSettings;
use crate::traceback::answer::Resolution;
use crate::traceback::deadline::DeadlineRule;

/// Resolutions that a machine may be trusted with, where the operator says so. The others are questions, which go back by themselves, or judgements: what a
/// customer is, what the law forbids, what a hole in our records means.
const MAY_BE_AUTOMATIC: [Resolution; 7] = [
    Resolution::UpstreamDomestic,
    Resolution::UpstreamForeign,
    Resolution::OriginEndCustomer,
    Resolution::DivertedByOurSubscriber,
    Resolution::NotFound,
    Resolution::OutOfRetention,
    Resolution::NotOurCustomerOfDownstream,
];

/// Requests of one issuer in a minute: the whole country asks 48 a day (traceback.md §1.5).
const PER_MINUTE: u64 = 60;

/// Reports of campaigns in a day.
const REPORTS: u64 = 20;

pub(super) fn read(s: Section<'_, '_>, us: Option<&Arc<str>>) -> Option<PortalSettings> {
    let name = s.required("name", "\"portal\"").filter(|at| named(&s, at));
    let mode = s.choice(
        "mode",
        &[
            ("shadow", Mode::Shadow),
            ("assisted", Mode::Assisted),
            ("automatic", Mode::Automatic),
        ],
    );
    let mode = mode.unwrap_or(Mode::Shadow);
    let automatic = automatic(&s);
    let rule = s.choice(
        "deadline",
        &[
            ("us-64.1200n", DeadlineRule::Us),
            ("ca-crtc", DeadlineRule::Canada),
            ("plain-24h", DeadlineRule::Plain),
        ],
    );
    let deadline = rule.unwrap_or_default();
    let drafts = s.choice(
        "drafts",
        &[
            ("off", Drafts::Off),
            ("show", Drafts::Show),
            ("approve", Drafts::Approve),
        ],
    );
    let drafts = drafts.unwrap_or(Drafts::Off);
    let time_zone = time_zone(&s, deadline);
    let per_minute = s.integer("requests_per_minute", PER_MINUTE, 1..60_001);
    let webhook_secrets = s.text("webhook_secrets").map(|at| secret_file(&s, at));
    let token = s.text("token_file").map(|at| token_file(&s, at));
    let client_certificate = s.text("client_certificate").map(|(t, _)| t.into());
    let mut reports = Vec::new();
    for (text, span) in s.texts("reports") {
        match Flag::from_label(text) {
            Some(flag) => reports.push(flag.label().into()),
            None => s.problem_at(
                &span,
                format!("{text:?} is no flag"),
                "docs/FLAGS.md has them all",
            ),
        }
    }
    let reports_per_day = s.integer("reports_per_day", REPORTS, 1..10_001);
    let adapter = adapter_of(&s, us, name.as_ref().map_or("portal", |(n, _)| *n));
    if let (Mode::Automatic, Some(words)) =
        (mode, adapter.as_ref().and_then(AdapterSettings::words))
    {
        for resolution in automatic.iter().filter(|r| words.of(**r).is_none()) {
            let label = resolution.label();
            s.problem_at(
                &s.span(),
                format!("{label} may leave by itself, and resolutions has no word for it"),
                format!("write {label} = \"…\" into resolutions, or take it out of automatic"),
            );
        }
    }
    let speechless =
        matches!(adapter, Some(AdapterSettings::PushOnly)) && webhook_secrets.is_none();
    if let (Some((name, span)), true) = (&name, speechless) {
        s.problem_at(
            span,
            format!("portal {name:?} has no way to ask: it neither pushes nor is asked"),
            "write webhook_secrets = \"portal.secrets\", or another adapter than \"push\"",
        );
    }
    if drafts != Drafts::Off && !matches!(adapter, Some(AdapterSettings::Reference(_)) | None) {
        s.problem_at(
            &s.span(),
            "drafts are shown by the adapter \"reference\" alone".to_owned(),
            "write adapter = \"reference\", or drafts = \"off\"",
        );
    }
    s.finish();
    let mut portal = PortalSettings {
        name: name?.0.into(),
        mode,
        automatic,
        drafts,
        deadline,
        time_zone,
        requests_per_minute: u32::try_from(per_minute).unwrap_or(u32::MAX),
        webhook_secrets,
        token_file: token,
        client_certificate,
        adapter: adapter?,
        reports,
        reports_per_day: u32::try_from(reports_per_day).unwrap_or(u32::MAX),
    };
    // `ResponderSettings::notes` says why, at the start, at a reload and in `tracehop check`.
    if portal.mode == Mode::Automatic && Verified::of(&portal).why_not().is_some() {
        portal.mode = Mode::Assisted;
    }
    Some(portal)
}

fn automatic(s: &Section<'_, '_>) -> Vec<Resolution> {
    if !s.has("automatic") {
        return vec![Resolution::UpstreamDomestic];
    }
    let mut all = Vec::new();
    for (text, span) in s.texts("automatic") {
        let found = Resolution::ALL.into_iter().find(|r| r.label() == text);
        let allowed = || {
            MAY_BE_AUTOMATIC
                .map(|r| format!("{:?}", r.label()))
                .join(", ")
        };
        match found {
            None => s.problem_at(
                &span,
                format!("{text:?} is no resolution"),
                format!("write of {} those that are wanted", allowed()),
            ),
            Some(r) if !MAY_BE_AUTOMATIC.contains(&r) => s.problem_at(
                &span,
                format!("{text} is for a person to say, never automatic"),
                format!("write of {} those that are wanted", allowed()),
            ),
            Some(r) if !all.contains(&r) => all.push(r),
            Some(_) => {}
        }
    }
    all
}

fn time_zone(s: &Section<'_, '_>, rule: DeadlineRule) -> Box<str> {
    // 24 h by the wall need no zone.
    let at = match rule {
        DeadlineRule::Plain => s.text("time_zone"),
        _ => s.required("time_zone", "\"America/New_York\""),
    };
    let Some((text, span)) = at else {
        return "UTC".into();
    };
    if jiff::tz::TimeZone::get(text).is_err() {
        s.problem_at(
            &span,
            format!("{text:?} is no time zone"),
            "write its name in the IANA database, such as \"America/New_York\"",
        );
    }
    text.into()
}

/// How requests are got and answers delivered: `adapter`, with a table of its own by the same name.
fn adapter_of(s: &Section<'_, '_>, us: Option<&Arc<str>>, name: &str) -> Option<AdapterSettings> {
    match s.text("adapter") {
        None | Some(("push", _)) => Some(AdapterSettings::PushOnly),
        Some(("reference", _)) => reference(s.section("reference"), us),
        Some((kind @ "http-json", _)) => adapter::read(kind, s.section("http_json"), name),
        Some((kind @ "file-drop", _)) => adapter::read(kind, s.section("file_drop"), name),
        Some((kind @ "mailbox", _)) => adapter::read(kind, s.section("mailbox"), name),
        Some((other, span)) => {
            s.problem_at(
                &span,
                format!("responder.portal.adapter has no choice {other:?}"),
                "write one of \"push\", \"reference\", \"http-json\", \"file-drop\", \"mailbox\"",
            );
            None
        }
    }
}

fn reference(s: Section<'_, '_>, us: Option<&Arc<str>>) -> Option<AdapterSettings> {
    let client = client::read(&s);
    let provider = s.text("provider_id").map(|(t, _)| Arc::from(t));
    let provider = provider.or_else(|| us.cloned());
    let wait = s.integer("wait_seconds", 30, 1..121);
    s.finish();
    Some(AdapterSettings::Reference(Box::new(ReferenceSettings {
        client: client?,
        // Without one the whole section is refused already.
        provider: provider.unwrap_or_default(),
        wait: std::time::Duration::from_secs(wait),
    })))
}
