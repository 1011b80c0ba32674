//! The audit log, for who may read all of it.

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use minijinja::context;
use serde::Deserialize;

use super::sheet::file;
use super::{Answer, Console, Trouble, Visitor};
use crate::portal::docket::read::audit::AuditFilter;
use crate::portal::word::Role;
use crate::proof::audit::hex;

/// Who reads the log.
const ROLES: &[Role] = &[Role::Analyst, Role::Auditor];
/// Lines of a page.
const LINES: usize = 100;
/// Longest text that is looked for.
const MOST_TEXT: usize = 256;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/audit", get(page))
        .route("/audit/head.json", get(head))
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    case: Option<String>,
    who: Option<String>,
    act: Option<String>,
    before: Option<u64>,
}

async fn page(
    State(console): State<Console>,
    visitor: Visitor,
    Query(choice): Query<Choice>,
) -> Answer {
    visitor.is(ROLES)?;
    let some = |text: Option<String>| {
        let text = text.map(|t| t.trim().chars().take(MOST_TEXT).collect::<String>());
        text.filter(|t| !t.is_empty())
    };
    let filter = AuditFilter {
        case: some(choice.case),
        who: some(choice.who),
        act: some(choice.act),
        before: choice.before,
    };
    let chosen = filter.clone();
    let (page, head) = console
        .look(move |docket, now| {
            let page = docket.audit_page(&filter, LINES)?;
            Ok((page, docket.audit_head(now)?))
        })
        .await?;
    let lines: Vec<_> = page
        .lines
        .iter()
        .map(|l| {
            let detail = Some(&l.detail).filter(|d| *d != "{}");
            let (index, request) = (l.index, l.request.as_ref());
            context! { index, at => &l.at, who => &l.who, act => &l.act, case_id => &l.case_id, request, detail }
        })
        .collect();
    let data = context! {
        lines,
        next => page.next,
        case => chosen.case.unwrap_or_default(),
        who => chosen.who.unwrap_or_default(),
        act => chosen.act.unwrap_or_default(),
        first => choice.before.is_none(),
        size => head.now.size,
        root => hex(&head.now.root),
        signed => head.signed,
        problems => context! {},
    };
    console.page(&visitor, "audit.html", data)
}

/// The last head that was signed, to be kept elsewhere.
async fn head(State(console): State<Console>, visitor: Visitor) -> Answer {
    visitor.is(ROLES)?;
    let head = console.look(|docket, now| docket.audit_head(now)).await?;
    let octets = head.octets.ok_or_else(|| Trouble::absent("signed head"))?;
    Ok(file(
        "audit-head.json",
        "application/json",
        octets.into_bytes(),
    ))
}
