//! The words of a walk. Each has one stable name: in the portal's database, its API, pages and metrics.

use crate::base::words::words;

words! {
    /// How a case ended.
    Outcome {
        /// The provider that originated the call is known, with the caller as far as it named him.
        Originator "originator";
        /// The call came from abroad: the provider that took it in is known.
        PointOfEntry "point-of-entry";
        /// A provider did not answer in time.
        NonResponsive "non-responsive";
        /// A provider has proof that it had no such call, and nobody says that it had.
        NotFound "not-found";
        /// A provider says that it handed on what the one that it names has no record of, and both stand by it.
        Contradiction "contradiction";
        /// The path goes in a circle.
        Loop "loop";
        /// A provider's records do not show the call: a gap, or out of retention.
        NoRecord "no-record";
        /// A provider may not answer, or does not want to.
        Refused "refused";
        /// The path leads to a provider that is not in the directory.
        Unlisted "unlisted";
        /// A test call, or one inside one network.
        Test "test";
        /// Closed by a person for a reason of its own.
        Abandoned "abandoned";
    }
}

words! {
    /// Where a hop question stands.
    HopState {
        /// Asked; the provider has not acknowledged it.
        Asked "asked";
        /// The provider has it.
        Acknowledged "acknowledged";
        /// The provider asked back: somebody must say more.
        NeedsInfo "needs-info";
        /// Answered, and verified.
        Answered "answered";
        /// Answered, and somebody says that it is wrong.
        Disputed "disputed";
        /// The deadline passed without an answer. A late one is still taken.
        NonResponsive "non-responsive";
        /// Taken back: an answer further down was replaced, or the case is over.
        Withdrawn "withdrawn";
    }
}

words! {
    /// Why a hop question was asked.
    Branch {
        /// The answer before names this provider, or it is the first.
        Main "main";
        /// The leg before a subscriber's forwarding.
        Diversion "diversion";
        /// A contradiction: asked again, with what tells the call from others.
        Again "again";
        /// The signer of the call's PASSporT, asked directly. Marked: no path leads there.
        Hint "hint";
    }
}

words! {
    /// What the walk came upon, beside answers.
    FindingKind {
        /// Hop says B, B has no record.
        Contradiction "contradiction";
        /// The same question came up twice on one path.
        Loop "loop";
        /// An answer names a provider that is not in the directory.
        Unlisted "unlisted";
        /// An answer does not link to the one before, or its signature does not hold.
        Unverified "unverified";
        /// No answer in time.
        NonResponsive "non-responsive";
        /// An answer came after its deadline.
        Late "late";
        /// A verified signer, asked or worth asking.
        Hint "hint";
        /// Somebody disputes an answer.
        Dispute "dispute";
        /// The path is longer than any that is known.
        TooLong "too-long";
        /// A forwarded call, where the leg before the forwarding is not known.
        Diversion "diversion";
        /// An originating provider or caller that other cases of ours ended at as well.
        Repeat "repeat";
    }
}

words! {
    /// When the signer of a verified PASSporT is asked directly.
    HintPolicy {
        /// Never.
        Never "never";
        /// When the path does not go on.
        WhenStuck "when-stuck";
        /// As soon as it is known, beside the path.
        AtOnce "at-once";
    }
}

impl Default for HintPolicy {
    /// A path is the better witness: a hint is asked for where it ends early.
    fn default() -> Self {
        Self::WhenStuck
    }
}
