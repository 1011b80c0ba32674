//! The kinds of PASSporT, by their `ppt` (IANA "Personal Assertion Token Extensions").

/// What a PASSporT is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The calling number, by its provider (RFC 8588).
    Shaken,
    /// A call that was sent on to another number (RFC 8946).
    Div,
    /// The same, with the original PASSporT inside (RFC 8946 §5).
    DivO,
    /// Priority of resources, emergency calls and calls back (RFC 8443, RFC 9027).
    Rph,
    /// Name and picture of the caller (RFC 9795).
    Rcd,
    /// No extension: calling and called number alone (RFC 8225).
    Base,
    /// Any other, or not to be told.
    #[default]
    Unknown,
}

impl Kind {
    /// By the JOSE member, which is compared octet by octet.
    pub fn of_member(ppt: &str) -> Self {
        match ppt {
            "shaken" => Self::Shaken,
            "div" => Self::Div,
            "div-o" => Self::DivO,
            "rph" => Self::Rph,
            "rcd" => Self::Rcd,
            _ => Self::Unknown,
        }
    }

    /// By the header's parameter: SIP tokens are equal in any case (RFC 3261 §7.3.1).
    pub fn of_parameter(ppt: &[u8]) -> Self {
        /// Longer than any that is known.
        const LONGEST: usize = 8;
        let mut lower = [0; LONGEST];
        let Some(text) = lower.get_mut(..ppt.len()) else {
            return Self::Unknown;
        };
        text.copy_from_slice(ppt);
        text.make_ascii_lowercase();
        str::from_utf8(text).map_or(Self::Unknown, Self::of_member)
    }

    /// The `ppt`; empty for a base PASSporT and for those that we don't know.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Shaken => "shaken",
            Self::Div => "div",
            Self::DivO => "div-o",
            Self::Rph => "rph",
            Self::Rcd => "rcd",
            Self::Base | Self::Unknown => "",
        }
    }

    /// Whether it tells of a diversion.
    pub const fn is_div(self) -> bool {
        matches!(self, Self::Div | Self::DivO)
    }

    /// Whether it says something beside the calling number, so that it vouches for no call by itself.
    pub const fn is_beside(self) -> bool {
        matches!(self, Self::Div | Self::Rph | Self::Rcd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_members_are_exact_and_parameters_are_not() {
        for kind in [Kind::Shaken, Kind::Div, Kind::DivO, Kind::Rph, Kind::Rcd] {
            let upper = kind.label().to_uppercase();
            assert_eq!(Kind::of_member(kind.label()), kind);
            assert_eq!(Kind::of_parameter(upper.as_bytes()), kind);
            assert_eq!(Kind::of_member(&upper), Kind::Unknown);
        }
        for other in ["", "msg", "vesper", "shakenshaken", "div-"] {
            assert_eq!(Kind::of_member(other), Kind::Unknown);
            assert_eq!(Kind::of_parameter(other.as_bytes()), Kind::Unknown);
        }
    }
}
