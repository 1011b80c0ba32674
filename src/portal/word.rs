//! The words that the rooms of the portal share. Each has one stable name: in the database, the API, pages, exports and metrics.

use crate::base::words::words;

words! {
    /// What somebody may do in the console.
    Role {
        /// Hands in requests and sees what became of them: an agency, a provider's fraud desk.
        Requester "requester";
        /// Works on every case, and keeps directory and campaigns.
        Analyst "analyst";
        /// Staff of a provider: its own hops, and nothing else.
        Provider "provider";
        /// Reads everything, the audit log too, and changes nothing.
        Auditor "auditor";
    }
}

words! {
    /// Where a case stands.
    CaseState {
        /// Handed in; an analyst decides whether it is opened.
        Submitted "submitted";
        /// Being walked.
        Open "open";
        /// The walk can't go on by itself: an analyst decides. The findings say why.
        Stuck "stuck";
        /// Over; the outcome says how.
        Closed "closed";
        /// Not opened, or taken back by who handed it in.
        Declined "declined";
    }
}

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
    /// How an answer came.
    AnswerWay {
        /// The provider's machine sent it, signed with its own key.
        Machine "machine";
        /// Its staff wrote it in the console; the portal's key vouches for that.
        Console "console";
    }
}

words! {
    /// Where an answer stands.
    AnswerState {
        /// It counts.
        Current "current";
        /// A later revision counts.
        Replaced "replaced";
        /// Somebody says that it is wrong: it does not count until its provider stands by it or replaces it.
        Disputed "disputed";
        /// It was kept and never counted: signature, chain or content are wrong.
        Rejected "rejected";
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
        /// An originating provider or caller that other cases of ours ended at as well.
        Repeat "repeat";
    }
}

words! {
    /// What a provider is told.
    EventKind {
        /// A question.
        Created "hop_request.created";
        /// A deadline comes near.
        Reminder "hop_request.reminder";
        /// The question, with more in it.
        Clarified "hop_request.clarified";
        /// The question is taken back.
        Withdrawn "hop_request.withdrawn";
        /// The answer counts.
        Accepted "answer.accepted";
        /// The answer is disputed.
        Disputed "answer.disputed";
        /// Staff approved a draft in the console.
        DraftApproved "draft.approved";
        /// Staff rejected it.
        DraftRejected "draft.rejected";
        /// The case is over.
        CaseClosed "case.closed";
    }
}

words! {
    /// How an event is on its way to a provider that is pushed to. Every one is there for pull as well.
    PushState {
        /// The provider is not pushed to.
        None "none";
        /// To be tried.
        Due "due";
        /// It was taken.
        Done "done";
        /// It was refused, or nobody answered for too long: the provider still finds it by pull.
        GivenUp "given-up";
    }
}

words! {
    /// What a campaign is about.
    Category {
        /// Pretends to be a public authority.
        Government "government-impersonation";
        /// Pretends to be a bank, a shop, a utility.
        Business "business-impersonation";
        /// Loans, debts, medical cover and the like.
        Finance "finance";
        /// Telemarketing without consent.
        Telemarketing "telemarketing";
        /// Calls that keep an emergency line busy.
        DenialOfService "denial-of-service";
        /// Swatting, threats.
        Threat "threat";
        /// Any other.
        Other "other";
    }
}
