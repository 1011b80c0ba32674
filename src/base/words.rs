//! Closed sets of words: an enum whose every value has one stable name, in databases, APIs, pages and metrics alike.

/// Makes an enum with `ALL`, `label`, `from_label`, `Display` and `Serialize`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $(#[$what:meta])* $id:ident $label:literal; )* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[$what])* $id, )* }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// Stable name: in the database, the API and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$id => $label),* }
            }

            /// By its name.
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|x| x.label() == label)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.label())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.label())
            }
        }
    };
}

pub(crate) use words;
