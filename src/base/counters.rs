//! Counters with a name and a help each, written once: metrics and docs/METRICS.md are made from them.

/// Makes a struct of counters, which only rise, and gauges.
macro_rules! counters {
    ($(#[$outer:meta])* pub struct $name:ident {
        counters: { $( $counter:ident $counts:literal; )* }
        gauges: { $( $gauge:ident $shows:literal; )* }
    }) => {
        $(#[$outer])*
        pub struct $name {
            $( #[doc = $counts] pub $counter: u64, )*
            $( #[doc = $shows] pub $gauge: u64, )*
        }

        impl $name {
            /// Every counter by its stable name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($counter), self.$counter) ),*].into_iter()
            }

            /// Every gauge by its stable name: these may fall.
            pub fn gauges(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($gauge), self.$gauge) ),*].into_iter()
            }

            /// What each counter and gauge counts, in one line.
            pub const HELP: &'static [(&'static str, &'static str)] =
                &[$( (stringify!($counter), $counts), )* $( (stringify!($gauge), $shows) ),*];

            /// Adds another one's.
            pub fn add(&mut self, other: &Self) {
                $( self.$counter = self.$counter.saturating_add(other.$counter); )*
                $( self.$gauge = self.$gauge.saturating_add(other.$gauge); )*
            }
        }
    };
}

pub(crate) use counters;
