//! SIP messages as octets. rsip writes them wherever it can say what is wanted; `tel:` Request-URIs, compact names and folded
//! lines are beyond it and written by hand.

use rsip::headers::UntypedHeader;
use rsip::{Header, Method, StatusCode, Uri, Version};

/// A message before it is written down.
#[derive(Clone, Debug)]
pub struct Draft {
    /// First line.
    pub start: Start,
    /// Headers in order, without `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// Body, SDP or nothing.
    pub body: String,
}

/// First line of a message.
#[derive(Clone, Debug)]
pub enum Start {
    /// A request.
    Request {
        /// Its method.
        method: &'static str,
        /// Its Request-URI.
        uri: String,
    },
    /// A response.
    Response {
        /// Its code.
        code: u16,
    },
}

/// How a message is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As usual.
    #[default]
    Plain,
    /// Every name that has a compact form in that form.
    Compact,
    /// The Identity header alone with its compact name.
    CompactIdentity,
    /// The Identity header over several lines.
    FoldedIdentity,
}

impl Draft {
    /// The octets.
    pub fn render(&self, style: Style) -> Vec<u8> {
        let by_rsip = (style == Style::Plain).then(|| self.by_rsip()).flatten();
        by_rsip.unwrap_or_else(|| self.by_hand(style)).into_bytes()
    }

    fn by_rsip(&self) -> Option<String> {
        let mut headers: rsip::Headers = Vec::new().into();
        for (name, value) in &self.headers {
            headers.push(header(name, value));
        }
        headers.push(header("Content-Length", &self.body.len().to_string()));
        let body = self.body.clone().into_bytes();
        Some(match &self.start {
            Start::Request { method, uri } => {
                let parsed = Uri::try_from(uri.as_str())
                    .ok()
                    .filter(|u| u.to_string() == *uri)?;
                let method: Method = method.parse().ok()?;
                rsip::Request {
                    method,
                    uri: parsed,
                    version: Version::V2,
                    headers,
                    body,
                }
                .to_string()
            }
            Start::Response { code } => {
                // Its own names for codes lack the blanks.
                let status_code = StatusCode::Other(*code, reason(*code).to_owned());
                rsip::Response {
                    status_code,
                    version: Version::V2,
                    headers,
                    body,
                }
                .to_string()
            }
        })
    }

    fn by_hand(&self, style: Style) -> String {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { code } => format!("SIP/2.0 {code} {}\r\n", reason(*code)),
        };
        let length = ("Content-Length", self.body.len().to_string());
        for (name, value) in self.headers.iter().chain([&length]) {
            let identity = *name == "Identity";
            let written = match style {
                Style::Compact => compact(name),
                Style::CompactIdentity if identity => "y",
                _ => name,
            };
            let value = match style {
                Style::FoldedIdentity if identity => value.replace(';', "\r\n ;"),
                _ => value.clone(),
            };
            text = text + written + ": " + &value + "\r\n";
        }
        text + "\r\n" + &self.body
    }
}

fn header(name: &'static str, value: &str) -> Header {
    use rsip::headers as h;
    let value = value.to_owned();
    match name {
        "Via" => h::Via::new(value).into(),
        "From" => h::From::new(value).into(),
        "To" => h::To::new(value).into(),
        "Call-ID" => h::CallId::new(value).into(),
        "CSeq" => h::CSeq::new(value).into(),
        "Contact" => h::Contact::new(value).into(),
        "Max-Forwards" => h::MaxForwards::new(value).into(),
        "Record-Route" => h::RecordRoute::new(value).into(),
        "Allow" => h::Allow::new(value).into(),
        "Supported" => h::Supported::new(value).into(),
        "User-Agent" => h::UserAgent::new(value).into(),
        "Server" => h::Server::new(value).into(),
        "Date" => h::Date::new(value).into(),
        "Content-Type" => h::ContentType::new(value).into(),
        "Content-Length" => h::ContentLength::new(value).into(),
        "Proxy-Authenticate" => h::ProxyAuthenticate::new(value).into(),
        "Proxy-Authorization" => h::ProxyAuthorization::new(value).into(),
        _ => Header::Other(name.to_owned(), value),
    }
}

fn compact(name: &'static str) -> &'static str {
    match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        "Content-Length" => "l",
        "Content-Type" => "c",
        "Supported" => "k",
        "Identity" => "y",
        other => other,
    }
}

/// Reason phrase of a status code.
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        302 => "Moved Temporarily",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        480 => "Temporarily Unavailable",
        482 => "Merged Request",
        486 => "Busy Here",
        487 => "Request Terminated",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        603 => "Decline",
        _ => "Unknown",
    }
}

/// A point in time as `Date` has it (RFC 3261 §20.17).
pub fn sip_date(seconds: i64) -> String {
    let t = time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (day, month) = (t.weekday().to_string(), t.month().to_string());
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        day.get(..3).unwrap_or_default(),
        t.day(),
        month.get(..3).unwrap_or_default(),
        t.year(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(uri: &str) -> Draft {
        Draft {
            start: Start::Request {
                method: "INVITE",
                uri: uri.to_owned(),
            },
            headers: vec![
                (
                    "Via",
                    "SIP/2.0/UDP 198.51.100.2:5060;branch=z9hG4bK1".to_owned(),
                ),
                (
                    "From",
                    "<sip:+12125550123@sip.northstar.example>;tag=1".to_owned(),
                ),
                (
                    "Identity",
                    "aaaa.bbbb.cccc;info=<https://cert.example/a.pem>;ppt=shaken".to_owned(),
                ),
            ],
            body: "v=0\r\n".to_owned(),
        }
    }

    #[test]
    fn rsip_writes_what_it_can_and_what_we_write_is_the_same() {
        let plain = draft("sip:+13035550145@192.0.2.1:5060");
        assert_eq!(plain.by_rsip().unwrap(), plain.by_hand(Style::Plain));
        assert!(draft("tel:+13035550145").by_rsip().is_none());
        let text = String::from_utf8(draft("tel:+13035550145").render(Style::Plain)).unwrap();
        assert!(text.starts_with("INVITE tel:+13035550145 SIP/2.0\r\nVia: "));
        assert!(text.ends_with("\r\nContent-Length: 5\r\n\r\nv=0\r\n"));
    }

    #[test]
    fn compact_and_folded() {
        let text =
            |style| String::from_utf8(draft("sip:+13035550145@192.0.2.1").render(style)).unwrap();
        assert!(
            text(Style::Compact).contains("\r\ny: aaaa")
                && text(Style::Compact).contains("\r\nl: 5")
        );
        assert!(
            text(Style::CompactIdentity).contains("\r\ny: aaaa")
                && text(Style::CompactIdentity).contains("\r\nVia: ")
        );
        assert!(text(Style::FoldedIdentity).contains("cccc\r\n ;info=<https"));
    }

    #[test]
    fn dates() {
        assert_eq!(sip_date(1_795_532_400), "Tue, 24 Nov 2026 15:00:00 GMT");
    }
}
