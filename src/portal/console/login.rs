//! Logging in and out, and another password.
//!
//! A wrong name, a wrong password and a locked door get the same words after the same time: nobody learns which names there are.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use tokio::time::{Instant, sleep_until};

use super::posted::Unknown;
use super::{Answer, Console, Posted, Trouble, Visitor, done, page, visitor};
use crate::portal::docket::session::LIFE;
use crate::portal::docket::{Cookie, Problem};
use crate::portal::password::{self, Secret};

/// A wrong password is answered so long after it came, or later: neither a name that nobody has nor the disk shows in it.
pub(super) const WRONG_TAKES: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(1)
};
/// Longest name that is looked up.
const MOST_NAME: usize = 64;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/", get(home))
        .route("/login", get(form).post(enter))
        .route("/logout", post(leave))
        .route("/account", get(account).post(change))
}

async fn home(visitor: Visitor) -> Redirect {
    Redirect::to(page::home(visitor.user().role))
}

#[derive(Debug, serde::Deserialize)]
struct Wish {
    next: Option<String>,
}

async fn form(State(console): State<Console>, Query(wish): Query<Wish>) -> Answer {
    let next = wish.next.unwrap_or_default();
    Ok(Html(login(&console, visitor::next(&next), "", false)?).into_response())
}

fn login(console: &Console, next: &str, name: &str, wrong: bool) -> Result<String, Trouble> {
    let portal = console.docket().settings().name.to_string();
    page::render("login.html", context! { portal, next, name, wrong })
        .map_err(|e| Trouble::home(&format_args!("{e:#}")))
}

/// From where somebody comes.
struct From(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(visitor::address(parts)))
    }
}

async fn enter(
    State(console): State<Console>,
    From(address): From,
    Unknown(fields): Unknown,
) -> Answer {
    let begun = Instant::now();
    let next = visitor::next(fields.text("next")).to_owned();
    let name: String = fields.text("name").to_owned();
    let entered = enter_as(&console, address, &name, fields.raw("password").to_owned()).await?;
    if let Some(cookie) = entered {
        let mut response = Redirect::to(&next).into_response();
        put_cookie(
            &console,
            &mut response,
            &format!("{}; Max-Age={}", cookie.text(), LIFE.as_secs()),
        )?;
        return Ok(response);
    }
    sleep_until(begun + WRONG_TAKES).await;
    let name: String = name.chars().take(MOST_NAME).collect();
    let text = login(&console, &next, &name, true)?;
    Ok((StatusCode::FORBIDDEN, Html(text)).into_response())
}

/// Tries name and password.
async fn enter_as(
    console: &Console,
    address: Option<IpAddr>,
    name: &str,
    password: String,
) -> Result<Option<Cookie>, Trouble> {
    if name.is_empty() || name.len() > MOST_NAME || password.len() > password::MOST {
        return Ok(None);
    }
    let patient = address.is_none_or(|a| console.0.patience.has(a, console.now()));
    let Ok(_turn) = console.0.hashes.acquire().await else {
        return Ok(None);
    };
    let from = address.map_or_else(|| "-".to_owned(), |a| a.to_string());
    let name = name.to_owned();
    let cookie = console
        .look(move |docket, now| {
            let door = docket.door(&name, now)?;
            let fits = match &door {
                Some(door) => door.secret.fits(&password),
                None => password::fits_nobody(&password),
            };
            // What is tried at a closed door counts neither way.
            let open = patient && door.as_ref().is_some_and(|d| d.open);
            match (open, fits) {
                (true, true) => docket.begin_session(&name, &from, now).map(Some),
                (true, false) => docket.note_wrong_password(&name, &from, now).map(|()| None),
                (false, _) => Ok(None),
            }
        })
        .await?;
    if let (None, Some(address)) = (&cookie, address) {
        console.0.patience.wrong(address, console.now());
    }
    Ok(cookie)
}

async fn leave(State(console): State<Console>, posted: Posted) -> Answer {
    let session = posted.visitor.session;
    console
        .look(move |docket, now| docket.end_session(&session, now))
        .await?;
    let mut response = Redirect::to("/login").into_response();
    put_cookie(&console, &mut response, "; Max-Age=0")?;
    Ok(response)
}

fn put_cookie(console: &Console, response: &mut Response, value: &str) -> Result<(), Trouble> {
    let secure = if console.by_tls() { "; Secure" } else { "" };
    let name = console.cookie_name();
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|e| Trouble::home(&e))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

async fn account(State(console): State<Console>, visitor: Visitor) -> Answer {
    console.page(
        &visitor,
        "account.html",
        context! { problems => page::problems(&[]) },
    )
}

async fn change(State(console): State<Console>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    let (old, new, again) = (
        fields.raw("old").to_owned(),
        fields.raw("new").to_owned(),
        fields.raw("again").to_owned(),
    );
    let Ok(_turn) = console.0.hashes.acquire().await else {
        return Err(Trouble::absent("page"));
    };
    let session = visitor.session.clone();
    let wrong = console
        .look(move |docket, now| {
            let name = &session.user.name;
            let door = docket.door(name, now)?.filter(|d| d.open);
            if !door.is_some_and(|d| d.secret.fits(&old)) {
                docket.note_wrong_password(name, "-", now)?;
                return Ok(Some(("old", "your password as it is now".to_owned())));
            }
            if new != again {
                return Ok(Some(("again", "the same as above".to_owned())));
            }
            let portal = docket.settings().name.clone();
            match Secret::of(&new, &[name, &session.user.full_name, &portal]) {
                Ok(secret) => {
                    let who = session.user.who();
                    docket.set_password(&who, name, &secret, Some(&session.hash), now)?;
                    Ok(None)
                }
                Err(e) => Ok(Some(("new", e.to_string()))),
            }
        })
        .await?;
    match wrong {
        None => Ok(done("/account", "password")),
        Some((field, wanted)) => {
            let problems = page::problems(&[Problem { field, wanted }]);
            let page = console.page(&visitor, "account.html", context! { problems })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
