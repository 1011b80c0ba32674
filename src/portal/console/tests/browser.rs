//! A browser without windows: cookies, forms with their token, redirects by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;

use crate::base::Timestamp;
use crate::portal::docket::{Docket, User, sample};
use crate::portal::password::Secret;
use crate::portal::word::Role;
use crate::proof::Who;
use crate::web::listen::Guest;

/// The time of all tests.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_711_461);
/// Everybody's password.
pub(crate) const PASSWORD: &str = "a few words in a row";
/// Where the console believes to be.
pub(crate) const HOST: &str = "console.example.net";

/// A console and its docket.
pub(crate) struct Site {
    pub docket: Arc<Docket>,
    pub router: Router,
    _folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}

impl Page {
    /// A header as text.
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Where one is sent.
    pub fn to(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header(header::LOCATION)
    }
}

/// Somebody with a browser.
pub(crate) struct Browser {
    router: Router,
    pub cookies: HashMap<String, String>,
    pub csrf: String,
    pub from: &'static str,
}

static HASHED: Mutex<Option<Secret>> = Mutex::new(None);

/// The hash of [`PASSWORD`], made once.
pub(crate) fn secret() -> Secret {
    let mut kept = HASHED.lock().unwrap();
    kept.get_or_insert_with(|| Secret::of(PASSWORD, &[]).unwrap())
        .clone()
}

impl Site {
    pub fn new() -> Self {
        let (docket, folder) = sample::empty();
        Self::of(docket, folder)
    }

    pub fn of(docket: Docket, folder: tempfile::TempDir) -> Self {
        let docket = Arc::new(docket);
        let router = crate::portal::console::router(docket.clone(), || NOW);
        Self {
            docket,
            router,
            _folder: folder,
        }
    }

    /// A user `name` of this role; staff are of the provider `of`.
    pub fn user(&self, name: &str, role: Role, of: Option<&str>) {
        let user = User {
            name: name.into(),
            full_name: format!("{name} <script>alert(1)</script>").into(),
            role,
            organisation: "Example Bureau <b>&".into(),
            provider: of.map(Into::into),
            disabled: false,
        };
        let by = Who::Terminal("root".into());
        self.docket.add_user(&by, &user, &secret(), NOW).unwrap();
    }

    pub fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookies: HashMap::new(),
            csrf: String::new(),
            from: "192.0.2.1",
        }
    }

    /// A browser whose user has logged in (without the page: hashing takes its time).
    pub fn logged_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let cookie = self.docket.begin_session(name, "192.0.2.1", NOW).unwrap();
        let session = self.docket.session(cookie.text(), true, NOW).unwrap();
        browser.csrf = session.unwrap().csrf.into();
        browser
            .cookies
            .insert("session".into(), cookie.text().into());
        browser
    }
}

impl Browser {
    /// Asks for something whose end is not waited for.
    pub async fn open(&self, path: &str) -> Response<Body> {
        let all: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let request = Request::get(path)
            .header(header::HOST, HOST)
            .header(header::COOKIE, all.join("; "));
        call(&self.router, request.body(Body::empty()).unwrap()).await
    }

    pub async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Page {
        let mut request = request.header(header::HOST, HOST);
        if !self.cookies.is_empty() {
            let all: Vec<String> = self
                .cookies
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            request = request.header(header::COOKIE, all.join("; "));
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Guest {
            certificate: None,
            address: Some(self.from.parse().unwrap()),
        });
        let response = call(&self.router, request).await;
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        // What never ends is a failure, not a test that hangs.
        let whole = tokio::time::timeout(std::time::Duration::from_secs(20), body.collect());
        let octets = whole.await.expect("an end").unwrap().to_bytes();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&octets).into_owned(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), Body::empty()).await
    }

    /// Posts a form with the session's token from a page of ours.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf.clone();
        let mut all = vec![("csrf", &*csrf)];
        all.extend_from_slice(fields);
        let origin = format!("http://{HOST}");
        self.post_as(path, &all, Some(&origin)).await
    }

    /// Posts just these fields.
    pub async fn post_as(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        origin: Option<&str>,
    ) -> Page {
        use crate::web::client::escaped;
        let pairs: Vec<String> = fields
            .iter()
            .map(|(n, v)| format!("{}={}", escaped(n), escaped(v)))
            .collect();
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.send(request, Body::from(pairs.join("&"))).await
    }

    pub async fn log_in(&mut self, name: &str, password: &str) -> Page {
        self.post("/login", &[("name", name), ("password", password)])
            .await
    }
}

/// One request straight into the router.
async fn call(router: &Router, request: Request<Body>) -> Response<Body> {
    use hyper::service::Service as _;
    let service = hyper_util::service::TowerToHyperService::new(router.clone());
    service.call(request).await.unwrap()
}
