//! What an answer may be, and which choice that is on a form that offers four: a provider, this hop is the origin, call not found, or
//! nothing that could be handed in.

/// What the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// A provider of our country handed it to us.
    UpstreamDomestic,
    /// A provider abroad did: the call entered the country with us.
    UpstreamForeign,
    /// A customer of ours made it.
    OriginEndCustomer,
    /// A customer of ours that is a reseller or a dialling platform, and in no registry of providers.
    OriginNonVspPlatform,
    /// A subscriber of ours forwarded it; the upstream is that of the call before the forwarding.
    DivertedByOurSubscriber,
    /// It came in, was refused here, and never went on.
    BlockedHere,
    /// No such call, and we were looking.
    NotFound,
    /// No such call, but we were not looking all the time.
    CaptureGap,
    /// Records of that day are gone.
    OutOfRetention,
    /// We hand no calls to the downstream that was named.
    NotOurCustomerOfDownstream,
    /// There are candidates and none is certain.
    Ambiguous,
    /// The request can't be worked on.
    InsufficientRequest,
    /// A test call, or one inside our own house.
    TestOrInternal,
    /// The law forbids an answer; a person says so.
    LegalRestriction,
    /// What is asked for is under legal hold; a person says so.
    LegalHold,
    /// We do not answer; a person says so.
    Refused,
    /// Received, and worked on: the receipt.
    Pending,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Self; 17] = [
        Self::UpstreamDomestic,
        Self::UpstreamForeign,
        Self::OriginEndCustomer,
        Self::OriginNonVspPlatform,
        Self::DivertedByOurSubscriber,
        Self::BlockedHere,
        Self::NotFound,
        Self::CaptureGap,
        Self::OutOfRetention,
        Self::NotOurCustomerOfDownstream,
        Self::Ambiguous,
        Self::InsufficientRequest,
        Self::TestOrInternal,
        Self::LegalRestriction,
        Self::LegalHold,
        Self::Refused,
        Self::Pending,
    ];

    /// Name as in the answer.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UpstreamDomestic => "UPSTREAM_DOMESTIC",
            Self::UpstreamForeign => "UPSTREAM_FOREIGN",
            Self::OriginEndCustomer => "ORIGIN_END_CUSTOMER",
            Self::OriginNonVspPlatform => "ORIGIN_NON_VSP_PLATFORM",
            Self::DivertedByOurSubscriber => "DIVERTED_BY_OUR_SUBSCRIBER",
            Self::BlockedHere => "BLOCKED_HERE",
            Self::NotFound => "NOT_FOUND",
            Self::CaptureGap => "CAPTURE_GAP",
            Self::OutOfRetention => "OUT_OF_RETENTION",
            Self::NotOurCustomerOfDownstream => "NOT_OUR_CUSTOMER_OF_DOWNSTREAM",
            Self::Ambiguous => "AMBIGUOUS",
            Self::InsufficientRequest => "INSUFFICIENT_REQUEST",
            Self::TestOrInternal => "TEST_OR_INTERNAL",
            Self::LegalRestriction => "LEGAL_RESTRICTION",
            Self::LegalHold => "LEGAL_HOLD",
            Self::Refused => "REFUSED",
            Self::Pending => "PENDING",
        }
    }

    /// By its name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.label() == label)
    }

    /// The choice on a form that offers four.
    pub const fn four_way(self) -> Option<FourWay> {
        Some(match self {
            Self::UpstreamDomestic | Self::UpstreamForeign | Self::DivertedByOurSubscriber => {
                FourWay::Provider
            }
            Self::OriginEndCustomer
            | Self::OriginNonVspPlatform
            | Self::BlockedHere
            | Self::TestOrInternal => FourWay::Origin,
            Self::NotFound
            | Self::CaptureGap
            | Self::OutOfRetention
            | Self::NotOurCustomerOfDownstream => FourWay::NotFound,
            Self::Ambiguous | Self::InsufficientRequest => FourWay::Question,
            Self::LegalRestriction | Self::LegalHold | Self::Refused | Self::Pending => {
                return None;
            }
        })
    }

    /// What it says in words; nothing where the name of the upstream says all.
    pub const fn comment(self) -> Option<&'static str> {
        Some(match self {
            Self::UpstreamDomestic => return None,
            Self::UpstreamForeign => "The call entered the country with us: gateway.",
            Self::OriginEndCustomer => "The call began with a customer of ours.",
            Self::DivertedByOurSubscriber => {
                "A subscriber of ours had forwarded the call; the trace goes on with the call before the forwarding."
            }
            Self::NotFound => {
                "No such call, although the whole window was seen. Please check number, time and zone."
            }
            Self::CaptureGap => "No such call in what was seen, but the window was not seen whole.",
            Self::OutOfRetention => "Records of that time are no longer kept.",
            Self::NotOurCustomerOfDownstream => "We hand no calls to the provider that was named.",
            Self::Ambiguous => {
                "There are candidates, and none is certain. What would decide it is listed."
            }
            Self::InsufficientRequest => {
                "The request can't be worked on. What is missing is listed."
            }
            Self::OriginNonVspPlatform => "The call began with a platform that we serve.",
            Self::BlockedHere => "The call was refused here and never went on.",
            Self::TestOrInternal => "A test call, or one inside our own network.",
            Self::LegalRestriction => "The law does not allow us to answer.",
            Self::LegalHold => "What is asked for is under legal hold.",
            Self::Refused => "We do not answer this request.",
            Self::Pending => "The request was received and is worked on.",
        })
    }
}

/// The choices of a form with four: the only one that is public has them (traceback.md §1.3, §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FourWay {
    /// The call was received from a provider: of the form's list, or not listed.
    Provider,
    /// This hop is the origin.
    Origin,
    /// Call not found, with an explanation.
    NotFound,
    /// A question back: nothing is handed in.
    Question,
}

/// Whether a resolution names somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It must.
    Always,
    /// It may.
    Perhaps,
    /// It must not.
    Never,
}

impl Resolution {
    /// Whether whom it names made the call, and did not hand it over.
    pub const fn names_originator(self) -> bool {
        matches!(
            self,
            Self::OriginEndCustomer | Self::OriginNonVspPlatform | Self::TestOrInternal
        )
    }

    /// Whether it names somebody.
    pub const fn names(self) -> Names {
        match self {
            Self::UpstreamDomestic
            | Self::UpstreamForeign
            | Self::OriginEndCustomer
            | Self::OriginNonVspPlatform
            | Self::DivertedByOurSubscriber => Names::Always,
            Self::BlockedHere | Self::TestOrInternal => Names::Perhaps,
            Self::NotFound
            | Self::CaptureGap
            | Self::OutOfRetention
            | Self::NotOurCustomerOfDownstream
            | Self::Ambiguous
            | Self::InsufficientRequest
            | Self::LegalRestriction
            | Self::LegalHold
            | Self::Refused
            | Self::Pending => Names::Never,
        }
    }
}
