//! Logging in, forms, headers.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use super::browser::{HOST, NOW, PASSWORD, Site};
use crate::portal::word::Role;

#[tokio::test]
async fn one_logs_in_and_comes_to_where_one_wanted() {
    let site = Site::new();
    site.user("ann", Role::Auditor, None);
    let mut ann = site.browser();
    assert_eq!(
        ann.get("/account?x=1").await.to(),
        "/login?next=%2Faccount%3Fx%3D1"
    );
    let page = ann.get("/login?next=%2Faccount%3Fx%3D1").await;
    assert!(
        page.text
            .contains(r#"name="next" value="&#x2f;account?x=1""#),
        "{}",
        page.text
    );
    let fields = [
        ("name", "ann"),
        ("password", PASSWORD),
        ("next", "/account?x=1"),
    ];
    let page = ann.post("/login", &fields).await;
    assert_eq!(page.to(), "/account?x=1");
    let cookie = page.header(header::SET_COOKIE);
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let page = ann.get("/account").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("ann &lt;script&gt;"), "{}", page.text);
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert_eq!(ann.get("/").await.to(), "/cases");
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_after_logging_in() {
    let site = Site::new();
    site.user("ann", Role::Auditor, None);
    for next in ["//example.org/", "https://example.org/", "/\\example.org"] {
        let fields = [("name", "ann"), ("password", PASSWORD), ("next", next)];
        assert_eq!(
            site.browser().post("/login", &fields).await.to(),
            "/",
            "{next}"
        );
    }
}

#[tokio::test]
async fn a_wrong_name_a_wrong_password_and_a_locked_door_look_the_same() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    let mut somebody = site.browser();
    let mut wrong = Vec::new();
    for (name, password) in [
        ("ann", "wrong"),
        ("bob", "wrong"),
        ("", "wrong"),
        ("bob", &"x".repeat(300)),
    ] {
        let begun = Instant::now();
        let page = somebody.log_in(name, password).await;
        assert!(
            begun.elapsed() >= super::super::login::WRONG_TAKES,
            "{name}"
        );
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        wrong.push(
            page.text
                .replace(&format!("value=\"{name}\""), "value=\"\"")
                .replace(" autofocus", ""),
        );
    }
    for _ in 0..4 {
        somebody.log_in("ann", "wrong").await;
    }
    let page = somebody.log_in("ann", PASSWORD).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "the door is locked");
    wrong.push(
        page.text
            .replace("value=\"ann\"", "value=\"\"")
            .replace(" autofocus", ""),
    );
    wrong.dedup();
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
}

#[tokio::test]
async fn an_address_that_tries_many_names_has_to_wait() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    let mut somebody = site.browser();
    for n in 0..20 {
        somebody.log_in(&format!("x{n}"), "").await;
    }
    assert_eq!(
        somebody.log_in("ann", PASSWORD).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn forms_without_token_or_from_elsewhere_do_nothing() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    site.user("bob", Role::Analyst, None);
    let mut ann = site.logged_in("ann");
    let bob = site.logged_in("bob");
    let (token, here) = (ann.csrf.clone(), format!("http://{HOST}"));
    for (fields, origin) in [
        (vec![], Some(&*here)),
        (vec![("csrf", "")], Some(&*here)),
        (vec![("csrf", "wrong")], Some(&*here)),
        (vec![("csrf", &*bob.csrf)], Some(&*here)),
        (vec![("csrf", &*token)], None),
        (vec![("csrf", &*token)], Some("null")),
        (vec![("csrf", &*token)], Some("https://example.org")),
        (
            vec![("csrf", &*token)],
            Some("http://console.example.net.example.org"),
        ),
    ] {
        let page = ann.post_as("/logout", &fields, origin).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{fields:?} {origin:?}");
    }
    assert_eq!(ann.get("/account").await.status, StatusCode::OK);
    let page = ann
        .post_as("/login", &[("name", "ann")], Some("https://example.org"))
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(ann.post("/logout", &[]).await.to(), "/login");
    assert!(ann.cookies.is_empty());
    assert_eq!(ann.get("/account").await.to(), "/login?next=%2Faccount");
    let page = ann.post("/logout", &[]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "the session has ended");
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one_and_ends_other_sessions() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    let (mut ann, mut elsewhere) = (site.logged_in("ann"), site.logged_in("ann"));
    let new = "quite another few words";
    for (old, new, again, wants) in [
        ("wrong", new, new, "p-old"),
        (PASSWORD, "short", "short", "p-new"),
        (PASSWORD, new, "other", "p-again"),
    ] {
        let fields = [("old", old), ("new", new), ("again", again)];
        let page = ann.post("/account", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            page.text.contains(&format!("id=\"{wants}\"")),
            "{wants}: {}",
            page.text
        );
        assert!(!page.text.contains(new), "no password is ever shown");
    }
    let fields = [("old", PASSWORD), ("new", new), ("again", new)];
    let to = ann.post("/account", &fields).await.to().to_owned();
    assert_eq!(to, "/account?said=password");
    assert!(ann.get(&to).await.text.contains("Your password is changed"));
    assert_eq!(
        elsewhere.get("/account").await.status,
        StatusCode::SEE_OTHER
    );
    let door = site.docket.door("ann", NOW).unwrap().unwrap();
    assert!(door.secret.fits(new));
}

#[tokio::test]
async fn every_answer_forbids_the_browser_what_it_should_not_do() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    let mut ann = site.logged_in("ann");
    for path in ["/login", "/account", "/nowhere", "/", "/static/x"] {
        let page = ann.get(path).await;
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"),
            "{path}"
        );
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(page.header(header::CACHE_CONTROL), "no-store", "{path}");
        assert_eq!(page.header(header::REFERRER_POLICY), "same-origin");
    }
    assert_eq!(ann.get("/nowhere").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn style_and_script_are_kept_for_good() {
    let site = Site::new();
    let mut nobody = site.browser();
    let page = nobody.get("/login").await;
    let at = page.text.split("href=\"").nth(1).unwrap();
    let path = at.split('"').next().unwrap().replace("&#x2f;", "/");
    let style = nobody.get(&path).await;
    assert_eq!(style.status, StatusCode::OK, "{path}");
    assert!(style.header(header::CACHE_CONTROL).contains("immutable"));
    assert!(style.text.len() < 40_000, "{}", style.text.len());
    let tag = style.header(header::ETAG).to_owned();
    let request = Request::get(&path).header(header::IF_NONE_MATCH, tag);
    let again = nobody.send(request, Body::empty()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.text.is_empty());
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let site = Site::new();
    site.user("ann", Role::Analyst, None);
    let mut ann = site.logged_in("ann");
    let page = ann.post("/account", &[("old", &"x".repeat(300_000))]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let many = vec![("a", "b"); 1001];
    assert_eq!(
        ann.post("/account", &many).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}
