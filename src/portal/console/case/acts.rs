//! What people do to a case: each a form that comes here, one act of the docket, and the page anew.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};

use super::ROLES;
use crate::base::Timestamp;
use crate::portal::console::posted::{Fields, foreign, from_here, same};
use crate::portal::console::{Answer, Console, Posted, Trouble, Visitor, done};
use crate::portal::docket::{
    Actor, Clarification, Closing, Docket, DocketError, MAX_ATTACHMENT, Problem, Result,
};
use crate::portal::word::{Outcome, Role};

/// Octets of an upload: the file, and what the form is around it.
pub(in crate::portal::console) const MOST_UPLOAD: usize = MAX_ATTACHMENT + 64 * 1024;

/// `POST /cases/{case}/{act}`.
pub(super) async fn on_case(
    State(console): State<Console>,
    Path((case, act)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(ROLES)?;
    let (actor, path) = (visitor.actor(), format!("/cases/{case}"));
    // Whoever may not see the case learns nothing from trying to change it.
    let said = console
        .look(move |docket, now| {
            docket.case_seen(&actor, &case)?;
            case_act(docket, &actor, &case, &act, &fields, now)
        })
        .await?;
    Ok(done(&path, said))
}

fn case_act(
    docket: &Docket,
    actor: &Actor,
    case: &str,
    act: &str,
    fields: &Fields,
    now: Timestamp,
) -> Result<&'static str> {
    let why = fields.text("why");
    match act {
        "open" => docket.open_case(actor, case, now).map(|()| "case-opened"),
        "decline" => docket
            .decline(actor, case, why, now)
            .map(|()| "case-declined"),
        "withdraw" => docket
            .withdraw_case(actor, case, why, now)
            .map(|()| "case-withdrawn"),
        "reopen" => docket
            .reopen(actor, case, why, now)
            .map(|()| "case-reopened"),
        "note" => docket
            .add_note(actor, case, fields.text("text"), now)
            .map(|()| "note-added"),
        "close" => {
            let Some(outcome) = Outcome::from_label(fields.text("outcome")) else {
                return Err(wrong("outcome", "one of the list"));
            };
            let closing = Closing {
                outcome,
                ended_at: fields.some("ended_at").map(str::to_owned),
                summary: fields.text("summary").to_owned(),
            };
            docket
                .close_case(actor, case, &closing, now)
                .map(|()| "case-closed")
        }
        "campaign" => {
            let campaign = match fields.some("campaign") {
                None => None,
                Some(n) => Some(
                    n.parse()
                        .map_err(|_| wrong("campaign", "one of the list"))?,
                ),
            };
            docket
                .set_campaign(actor, case, campaign, now)
                .map(|()| "case-campaign")
        }
        _ => Err(DocketError::Absent("page")),
    }
}

fn wrong(field: &'static str, wanted: &str) -> DocketError {
    DocketError::Wrong(vec![Problem {
        field,
        wanted: wanted.to_owned(),
    }])
}

/// `POST /cases/{case}/hops/{hop}/{act}`.
pub(super) async fn on_hop(
    State(console): State<Console>,
    Path((case, hop, act)): Path<(String, String, String)>,
    posted: Posted,
) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let actor = visitor.actor();
    let (of_case, of_hop, typed) = (case.clone(), hop.clone(), fields.clone());
    let done_so = console
        .look(move |docket, now| {
            if !of_hop.starts_with(&format!("{of_case}-")) {
                return Err(DocketError::Absent("question"));
            }
            hop_act(docket, &actor, &of_hop, &act, &fields, now)
        })
        .await;
    match done_so {
        Ok(said) => Ok(done(&format!("/cases/{case}/hops/{hop}"), said)),
        Err(trouble) => {
            let problems = trouble.problems()?;
            let page = super::hop_page(&console, &visitor, &case, &hop, &problems).await?;
            let typed: std::collections::BTreeMap<&str, &str> = typed.all().collect();
            let typed = Value::from(Serde(typed));
            let page = merge_maps([context! { typed }, page]);
            let page = console.page(&visitor, "case_hop.html", page)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

fn hop_act(
    docket: &Docket,
    actor: &Actor,
    hop: &str,
    act: &str,
    fields: &Fields,
    now: Timestamp,
) -> Result<&'static str> {
    let why = fields.text("why");
    match act {
        "again" => docket
            .ask_again(actor, hop, fields.text("remark"), now)
            .map(|_| "asked-again"),
        "dispute" => docket.dispute(actor, hop, why, now).map(|()| "disputed"),
        "stand-by" => docket.stand_by(actor, hop, why, now).map(|()| "stands-by"),
        "clarify" => {
            let text = |name| fields.text(name).to_owned();
            let number = |name: &'static str| match fields.some(name) {
                None => Ok(None),
                Some(n) => n
                    .parse()
                    .map(Some)
                    .map_err(|_| wrong(name, "a number of seconds")),
            };
            let more = Clarification {
                called: text("called"),
                calling: text("calling"),
                time: text("time"),
                tz: text("tz"),
                precision_s: number("precision_s")?,
                answered: match fields.text("answered") {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                },
                duration_s: number("duration_s")?,
                sip_call_id: text("sip_call_id"),
                session_id: text("session_id"),
                origid: text("origid"),
                identity: text("identity"),
                remark: text("remark"),
            };
            docket.clarify(actor, hop, &more, now).map(|()| "clarified")
        }
        _ => Err(DocketError::Absent("page")),
    }
}

/// `POST /cases/{case}/files`: a form with a file in it. Its token comes before the file, so that nobody else's file is read.
pub(super) fn upload() -> MethodRouter<Console> {
    post(take).layer(DefaultBodyLimit::max(MOST_UPLOAD))
}

/// A form that ends too early, or is larger than it may be.
fn broken(e: &MultipartError) -> Trouble {
    match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let says = format!("A file has {MAX_ATTACHMENT} octets at most.");
            Trouble::said(StatusCode::PAYLOAD_TOO_LARGE, says)
        }
        status => Trouble::said(status, "This form can't be read."),
    }
}

async fn take(
    State(console): State<Console>,
    Path(case): Path<String>,
    request: Request,
) -> std::result::Result<Response, Response> {
    let (visitor, name, octets) = file_of(&console, request, ROLES).await?;
    let (actor, path) = (visitor.actor(), format!("/cases/{case}"));
    let added = console
        .look(move |docket, now| {
            docket.case_seen(&actor, &case)?;
            docket.attach(&actor, &case, None, &name, &octets, now)
        })
        .await;
    added.map_err(IntoResponse::into_response)?;
    Ok(done(&path, "file-added"))
}

/// Who sent a form with a file, the file's name, and its octets; or what he is told.
pub(in crate::portal::console) async fn file_of(
    console: &Console,
    request: Request,
    roles: &[Role],
) -> std::result::Result<(Visitor, String, Bytes), Response> {
    if !from_here(request.headers(), console) {
        return Err(foreign().into_response());
    }
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, console).await?;
    let request = Request::from_parts(parts, body);
    match read_file(console, &visitor, request, roles).await {
        Ok((name, octets)) => Ok((visitor, name, octets)),
        Err(trouble) => Err(trouble.into_response()),
    }
}

async fn read_file(
    console: &Console,
    visitor: &Visitor,
    request: Request,
    roles: &[Role],
) -> std::result::Result<(String, Bytes), Trouble> {
    visitor.is(roles)?;
    let Ok(_turn) = console.uploads().acquire().await else {
        return Err(Trouble::absent("page"));
    };
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|e| Trouble::said(e.status(), "This form can't be read."))?;
    let mut file = None;
    let mut ours = false;
    // Token and file; a form of ours has no more.
    for _ in 0..2 {
        let Some(field) = form.next_field().await.map_err(|e| broken(&e))? else {
            break;
        };
        match field.name() {
            Some("csrf") => {
                let token = field.text().await.map_err(|e| broken(&e))?;
                ours = same(&token, &visitor.session.csrf);
            }
            Some("file") if ours => {
                let name = field.file_name().unwrap_or_default().to_owned();
                file = Some((name, field.bytes().await.map_err(|e| broken(&e))?));
            }
            _ => break,
        }
    }
    if !ours {
        return Err(foreign());
    }
    let Some((name, octets)) = file.filter(|(name, octets)| !name.is_empty() && !octets.is_empty())
    else {
        return Err(Trouble::said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "No file was chosen, or it is empty.",
        ));
    };
    Ok((name, octets))
}
