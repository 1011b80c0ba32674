//! The operator's lists: which blocks of numbers are assigned, which numbers nobody calls from, which are protected.
//!
//! Traffic calls from and to their entries on purpose ([`super::call::marked`]); what is true of a number is asked here, not of the engine.

/// Numbering data: area code, exchange, thousands block, status.
pub const NUMBERING: &str = "\
npa,nxx,x,status,company
202,555,,assigned,Example Voice
406,555,,unassigned,
307,555,,assigned,Northstar Voice LLC
307,555,0,reserved,
505,*,,unassigned,
505,555,0,assigned,Keystone Networks
504,555,,premium,Example Chat Lines
";

/// Area codes that [`NUMBERING`] says something else of than that somebody has them, and their look-alike.
pub const LISTED_AREAS: [&str; 5] = ["406", "307", "505", "504", "900"];

/// Numbers that nobody calls from.
pub const DO_NOT_ORIGINATE: &str = "\
# Numbers that only take calls
+18005550150, a bank
+1888555017*, a ministry
";

/// Numbers whose being flooded does the most harm.
pub const PROTECTED: &str = "\
+17035550190, an answering point
+17035550191, a hospital
";

/// The answering point in [`PROTECTED`].
pub const ANSWERING_POINT: &str = "17035550190";

/// Whether nobody calls from a number.
pub fn is_do_not_originate(number: &str) -> bool {
    number == "18005550150" || number.starts_with("1888555017")
}

/// Whether nobody has the number.
pub fn is_unallocated(number: &str) -> bool {
    number.starts_with("1406555") || number.starts_with("13075550")
}

/// Whether it takes calls at a charge.
pub fn is_premium(number: &str) -> bool {
    number.starts_with("1504555") || number.starts_with("1900")
}
