//! The directory: who may be asked, how they are reached, how they answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Deserialize;

use super::page::problems;
use super::posted::Fields;
use super::sheet::{Sheet, file};
use super::{Answer, Console, Posted, Trouble, Visitor, done};
use crate::portal::docket::directory::{Card, Contact};
use crate::portal::docket::read::Span;
use crate::portal::word::Role;
use crate::traceback::deadline::DeadlineRule;

/// Who sees the directory; analysts change it.
const ROLES: &[Role] = &[Role::Analyst, Role::Auditor];
/// Lines of a page.
const LINES: usize = 100;
/// Longest text that is looked for.
const MOST_TEXT: usize = 256;
/// How far back a provider's own page counts how it answers: a year.
const BACK: Duration = Duration::from_secs(365 * 86_400);

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/providers", get(list).post(add))
        .route("/providers/export.json", get(as_json))
        .route("/providers/export.csv", get(as_csv))
        .route("/providers/{id}", get(page).post(change))
        .route("/providers/{id}/suspended", post(suspend))
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    text: Option<String>,
    after: Option<String>,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(choice): Query<Choice>,
) -> Answer {
    visitor.is(ROLES)?;
    listed(&console, &visitor, choice, context! {}, context! {}).await
}

async fn listed(
    console: &Console,
    visitor: &Visitor,
    choice: Choice,
    typed: Value,
    problems: Value,
) -> Answer {
    let text = choice.text.unwrap_or_default();
    let text: String = text.trim().chars().take(MOST_TEXT).collect();
    let (wanted, first) = (text.clone(), choice.after.is_none());
    let lines = console
        .look(move |docket, _| {
            let wanted = Some(&*wanted).filter(|w| !w.is_empty());
            docket.provider_lines(wanted, choice.after.as_deref(), LINES)
        })
        .await?;
    let next = lines.last().filter(|_| lines.len() == LINES);
    let data = context! {
        lines => Serde(&lines),
        next => next.map(|l| l.id.clone()),
        text,
        first,
        typed,
        problems,
        rules => rules(),
        may_edit => visitor.user().role == Role::Analyst,
    };
    console.page(visitor, "providers.html", data)
}

fn rules() -> Vec<(String, String)> {
    DeadlineRule::ALL
        .iter()
        .map(|rule| (rule.label().to_owned(), rule.label().to_owned()))
        .collect()
}

fn card(id: &str, fields: &Fields) -> Card {
    let some = |name| fields.some(name).map(Arc::from);
    let ocns = fields.text("ocns");
    let ocns = ocns.split([',', ' ', ';']).filter(|o| !o.is_empty());
    let base = Card::new(id, fields.text("name"));
    Card {
        country: fields.text("country").to_ascii_uppercase().into(),
        rmd: some("rmd"),
        frn: some("frn"),
        ocns: ocns.map(Arc::from).collect(),
        contact: Contact {
            name: some("contact_name"),
            mail: some("mail"),
            phone: some("phone"),
            url: some("url"),
        },
        push_url: some("push_url"),
        deadline: DeadlineRule::from_label(fields.text("deadline")).unwrap_or_default(),
        time_zone: some("time_zone").unwrap_or_else(|| base.time_zone.clone()),
        certificate: some("certificate"),
        ..base
    }
}

/// A card as its form has it.
fn as_typed(card: &Card) -> Value {
    let some = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let ocns: Vec<&str> = card.ocns.iter().map(|o| &**o).collect();
    context! {
        id => &*card.id,
        name => &*card.name,
        country => &*card.country,
        rmd => some(&card.rmd),
        frn => some(&card.frn),
        ocns => ocns.join(" "),
        contact_name => some(&card.contact.name),
        mail => some(&card.contact.mail),
        phone => some(&card.contact.phone),
        url => some(&card.contact.url),
        push_url => some(&card.push_url),
        deadline => card.deadline.label(),
        time_zone => &*card.time_zone,
        certificate => some(&card.certificate),
    }
}

async fn add(State(console): State<Console>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let card = card(fields.text("id"), &fields);
    let (who, wanted) = (visitor.user().who(), card.clone());
    let added = console
        .look(move |docket, now| docket.add_provider(&who, &wanted, now))
        .await;
    match added {
        Ok(()) => Ok(done(&to(&card.id), "provider-added")),
        Err(trouble) => {
            let wrong = problems(&trouble.problems()?);
            let page = listed(
                &console,
                &visitor,
                Choice::default(),
                as_typed(&card),
                wrong,
            )
            .await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

fn to(id: &str) -> String {
    format!("/providers/{}", crate::web::client::escaped(id))
}

async fn page(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>) -> Answer {
    visitor.is(ROLES)?;
    shown(&console, &visitor, id, None, context! {}).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    id: String,
    typed: Option<Value>,
    problems: Value,
) -> Answer {
    let (page, provider, figures) = console
        .look(move |docket, now| {
            let page = docket.provider_page(&id)?;
            let span = Span {
                from: now.minus(BACK),
                to: now.plus(Duration::from_secs(1)),
            };
            let figures = docket.responsiveness(&id, span)?;
            Ok((page, docket.provider(&id)?, figures))
        })
        .await?;
    let data = context! {
        page => Serde(&page),
        figures => Serde(&figures),
        typed => typed.unwrap_or_else(|| as_typed(&provider.card)),
        contact => Serde(&provider.card.contact),
        problems,
        rules => rules(),
        may_edit => visitor.user().role == Role::Analyst,
    };
    console.page(visitor, "provider.html", data)
}

async fn change(State(console): State<Console>, Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let card = card(&id, &fields);
    let (who, wanted) = (visitor.user().who(), card.clone());
    let changed = console
        .look(move |docket, now| docket.change_provider(&who, &wanted, now))
        .await;
    match changed {
        Ok(()) => Ok(done(&to(&id), "provider-changed")),
        Err(trouble) => {
            let wrong = problems(&trouble.problems()?);
            let page = shown(&console, &visitor, id, Some(as_typed(&card)), wrong).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn suspend(State(console): State<Console>, Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let suspended = match fields.text("suspended") {
        "yes" => true,
        "no" => false,
        _ => return Err(Trouble::absent("choice")),
    };
    let (who, path) = (visitor.user().who(), to(&id));
    console
        .look(move |docket, now| docket.suspend_provider(&who, &id, suspended, now))
        .await?;
    Ok(done(
        &path,
        if suspended {
            "provider-suspended"
        } else {
            "provider-back"
        },
    ))
}

async fn as_json(State(console): State<Console>, visitor: Visitor) -> Answer {
    visitor.is(ROLES)?;
    let all = console.look(|docket, _| docket.export_directory()).await?;
    let octets = serde_json::to_vec_pretty(&all).map_err(|e| Trouble::home(&e))?;
    Ok(file("directory.json", "application/json", octets))
}

async fn as_csv(State(console): State<Console>, visitor: Visitor) -> Answer {
    visitor.is(ROLES)?;
    let all = console.look(|docket, _| docket.providers()).await?;
    let columns = [
        "id",
        "name",
        "country",
        "listed",
        "active",
        "rmd",
        "frn",
        "ocns",
        "contact",
        "mail",
        "phone",
        "deadline",
        "time_zone",
        "changed",
    ];
    let mut sheet = Sheet::new("directory", &columns)?;
    let some = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    for p in all {
        let card = p.card;
        let ocns: Vec<&str> = card.ocns.iter().map(|o| &**o).collect();
        sheet.line([
            card.id.to_string(),
            card.name.to_string(),
            card.country.to_string(),
            p.listed.to_string(),
            p.active.to_string(),
            some(&card.rmd),
            some(&card.frn),
            ocns.join(" "),
            some(&card.contact.name),
            some(&card.contact.mail),
            some(&card.contact.phone),
            card.deadline.label().to_owned(),
            card.time_zone.to_string(),
            p.changed.to_string(),
        ])?;
    }
    sheet.answer()
}
