//! The list of open requests, page by page.

use hyper::Method;
use serde_json::Value;

use crate::responder::adapter::field::Field;
use crate::responder::adapter::mapping::{Mapped, MappingSettings, Pointers, text_of};
use crate::web::client::{Ask, escaped};

/// Items of one page that are looked at.
const ITEMS: usize = 1_000;

/// Longest cursor.
const CURSOR: usize = 2_048;

/// How open requests are listed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ListSettings {
    /// Path and query behind the portal's URL. It is asked with GET.
    pub path: Box<str>,
    /// Pointer to the list; empty: the whole.
    pub items: Box<str>,
    /// Where the fields are in each.
    pub fields: Pointers,
    /// How there is more than a page.
    pub pages: Pages,
    /// Pages of one round at most.
    pub most_pages: usize,
}

/// How there is more than a page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Pages {
    /// There is not.
    One,
    /// The page says where the next begins, and we repeat it.
    Cursor {
        /// Pointer to it.
        pointer: Box<str>,
        /// The parameter that repeats it.
        parameter: Box<str>,
    },
    /// Pages are counted; an empty one is the last.
    Numbered {
        /// The parameter that counts.
        parameter: Box<str>,
        /// The first.
        first: usize,
    },
}

/// An item: a request, or why it is none.
pub type Read = Result<Mapped, (Value, String)>;

impl ListSettings {
    /// What is asked for a page, by its place and what the one before said.
    pub fn ask(&self, page: usize, cursor: Option<&str>) -> Ask {
        let more = match (&self.pages, cursor) {
            (Pages::Cursor { parameter, .. }, Some(cursor)) => Some((parameter, escaped(cursor))),
            (Pages::Numbered { parameter, first }, _) => {
                Some((parameter, first.saturating_add(page).to_string()))
            }
            _ => None,
        };
        let path = match more {
            None => self.path.to_string(),
            Some((name, value)) => {
                let sign = if self.path.contains('?') { '&' } else { '?' };
                format!("{}{sign}{name}={value}", self.path)
            }
        };
        let mut ask = Ask::get(path);
        ask.method = Method::GET;
        ask
    }

    /// Whether there is another page. A cursor that does not move leads nowhere.
    pub fn goes_on(&self, cursor: Option<&str>, before: Option<&str>) -> bool {
        match &self.pages {
            Pages::One => false,
            Pages::Cursor { .. } => cursor.is_some() && cursor != before,
            Pages::Numbered { .. } => true,
        }
    }
}

/// Reads a page: its items, and where the next begins.
///
/// # Errors
///
/// It is no such list.
pub fn read(
    octets: &[u8],
    list: &ListSettings,
    request: &MappingSettings,
) -> Result<(Vec<Read>, Option<String>), String> {
    let whole: Value = serde_json::from_slice(octets).map_err(|e| e.to_string())?;
    let items = whole
        .pointer(&list.items)
        .ok_or_else(|| format!("nothing at {:?}", list.items))?;
    let Value::Array(items) = items else {
        return Err(format!("what is at {:?} is no list", list.items));
    };
    if items.len() > ITEMS {
        return Err(format!(
            "{} items in one page; at most {ITEMS} are read",
            items.len()
        ));
    }
    let one = |item: &Value| {
        let found = list.fields.find(item).and_then(|found| request.map(found));
        found.map_err(|why| (item.clone(), why))
    };
    let cursor = match &list.pages {
        Pages::Cursor { pointer, .. } => match whole.pointer(pointer) {
            None => None,
            Some(value) => text_of(Field::State, value)
                .map_err(|_| format!("what is at {pointer:?} is no text"))?
                .filter(|c| !c.is_empty() && c.len() <= CURSOR),
        },
        _ => None,
    };
    Ok((items.iter().map(one).collect(), cursor))
}
