//! The words that the rooms of the portal share. Each has one stable name: in the database, the API, pages, exports and metrics.

use crate::base::words::words;
pub use crate::traceback::walk::{Branch, FindingKind, HintPolicy, HopState, Outcome};

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
