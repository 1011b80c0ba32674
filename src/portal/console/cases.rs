//! The list of cases.

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minijinja::context;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};

use super::{Answer, Console, Visitor};
use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::portal::docket::read::cases::{After, Order, StateCount, Wanted};
use crate::portal::word::{CaseState, Outcome, Role};
use crate::web::client::escaped;

/// Who sees cases.
pub(super) const ROLES: &[Role] = &[Role::Requester, Role::Analyst, Role::Auditor];

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/cases", get(list))
}

/// What somebody filters by, as it stands in the address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wish {
    state: String,
    outcome: String,
    priority: String,
    campaign: String,
    provider: String,
    number: String,
    text: String,
    from: String,
    to: String,
    order: String,
    after: String,
}

impl Wish {
    /// As the docket takes it, and what of it could not be understood.
    fn wanted(&self) -> (Wanted, Vec<&'static str>) {
        let mut strange = Vec::new();
        let some = |t: &str| Some(t.trim().to_owned()).filter(|t| !t.is_empty() && t.len() <= 200);
        let mut day = |field, text: &str| {
            let text = some(text)?;
            let at = day(&text);
            if at.is_none() {
                strange.push(field);
            }
            at
        };
        let from = day("first day", &self.from);
        let to = day("last day", &self.to).map(|t| t.plus(std::time::Duration::from_secs(86_400)));
        let number = some(&self.number).map(|n| {
            let tn = NumberPlan::default().canonical(n.as_bytes()).tn();
            tn.map_or(n, |tn| tn.to_string())
        });
        let campaign = some(&self.campaign).and_then(|c| c.parse().ok());
        let wanted = Wanted {
            state: CaseState::from_label(&self.state),
            outcome: Outcome::from_label(&self.outcome),
            priority: self.priority.parse().ok(),
            campaign,
            provider: some(&self.provider),
            number,
            text: some(&self.text),
            from,
            to,
            order: match &*self.order {
                "changed" => Order::Changed,
                "urgent" => Order::Urgent,
                _ => Order::Newest,
            },
        };
        (wanted, strange)
    }

    /// The address of the same list with another state, from another place on.
    fn link(&self, state: &str, after: &str) -> String {
        let pairs = [
            ("state", state),
            ("outcome", &self.outcome),
            ("priority", &self.priority),
            ("campaign", &self.campaign),
            ("provider", &self.provider),
            ("number", &self.number),
            ("text", &self.text),
            ("from", &self.from),
            ("to", &self.to),
            ("order", &self.order),
            ("after", after),
        ];
        let said = pairs.iter().filter(|(_, v)| !v.trim().is_empty());
        let said: Vec<String> = said
            .map(|(n, v)| format!("{n}={}", escaped(v.trim())))
            .collect();
        format!("/cases?{}", said.join("&"))
    }

    /// How many filters beside the state are set.
    fn set(&self) -> usize {
        let all = [
            &self.outcome,
            &self.priority,
            &self.campaign,
            &self.provider,
            &self.number,
            &self.text,
            &self.from,
            &self.to,
        ];
        all.iter().filter(|t| !t.trim().is_empty()).count()
    }
}

/// The beginning of a day in UTC.
fn day(text: &str) -> Option<Timestamp> {
    let date: Date = text.parse().ok()?;
    let at = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    let at = at.as_nanosecond();
    i64::try_from(at).ok().map(Timestamp::from_nanos)
}

#[derive(Debug, Serialize)]
struct Tab {
    state: &'static str,
    count: u64,
    to: String,
    here: bool,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(wish): Query<Wish>,
) -> Answer {
    visitor.is(ROLES)?;
    let actor = visitor.actor();
    let (mut wanted, strange) = wish.wanted();
    let after = After::parse(&wish.after);
    let (page, counts, names) = console
        .look(move |docket, _| {
            if let Some(provider) = &wanted.provider {
                // What names nobody finds nothing.
                wanted.provider = docket.meant(provider)?.or(wanted.provider);
            }
            let page = docket.cases(&actor, &wanted, after.as_ref())?;
            let names = (docket.offered()?, docket.campaign_names()?);
            Ok((page, docket.case_counts(&actor)?, names))
        })
        .await?;
    let total = counts.iter().map(|c| c.count).sum();
    let tab = |c: &StateCount| Tab {
        state: c.state.label(),
        count: c.count,
        to: wish.link(c.state.label(), ""),
        here: wish.state == c.state.label(),
    };
    let all = Tab {
        state: "all",
        count: total,
        to: wish.link("", ""),
        here: CaseState::from_label(&wish.state).is_none(),
    };
    let tabs: Vec<Tab> = std::iter::once(all).chain(counts.iter().map(tab)).collect();
    let outcomes: Vec<&str> = Outcome::ALL.iter().map(|o| o.label()).collect();
    let next = page.next.map(|after| wish.link(&wish.state, &after.text()));
    let first = (!wish.after.is_empty()).then(|| wish.link(&wish.state, ""));
    console.page(
        &visitor,
        "cases.html",
        context! {
            lines => Serde(&page.lines),
            tabs => Serde(tabs),
            set => wish.set(),
            wish => Serde(&wish),
            strange,
            outcomes,
            providers => Serde(names.0),
            campaigns => Serde(names.1),
            next,
            first,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_every_filter() {
        let wish = Wish {
            text: "tax & refund".into(),
            number: "+12025550101".into(),
            after: "1.0.x".into(),
            ..Wish::default()
        };
        assert_eq!(
            wish.link("open", ""),
            "/cases?state=open&number=%2B12025550101&text=tax%20%26%20refund"
        );
        assert_eq!(wish.set(), 2);
    }

    #[test]
    fn days_are_whole_days_in_utc_and_nonsense_is_said() {
        let wish = Wish {
            from: "2026-11-26".into(),
            to: "yesterday".into(),
            ..Wish::default()
        };
        let (wanted, strange) = wish.wanted();
        assert_eq!(
            wanted.from,
            Timestamp::parse_rfc3339("2026-11-26T00:00:00Z")
        );
        assert_eq!((wanted.to, &strange[..]), (None, &["last day"][..]));
    }
}
