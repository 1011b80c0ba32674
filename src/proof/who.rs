//! Who did something: in the audit log and in answers.

use std::fmt;
use std::sync::Arc;

/// Who did something: in the audit log and in answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// tracehop itself.
    Automatic,
    /// A portal, by its name in the configuration.
    Portal(Arc<str>),
    /// An operator, by the name of his token.
    Operator(Arc<str>),
    /// Somebody at this host's terminal, by his login name.
    Terminal(Box<str>),
    /// Somebody in the portal's console, by his user name.
    User(Box<str>),
    /// A provider's machine at the portal, by the provider's id.
    Provider(Box<str>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("tracehop"),
            Self::Portal(name) => write!(f, "portal:{name}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Terminal(name) => write!(f, "terminal:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Provider(id) => write!(f, "provider:{id}"),
        }
    }
}
