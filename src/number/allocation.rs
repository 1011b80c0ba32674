//! Numbering data: which blocks of North American numbers are assigned to somebody.
//!
//! Comes in: CSV, a line for an area code, an exchange or a thousands block. Comes out: a table that says of a number what its block is.
//! What the data does not name is unknown, and nothing is ever said of it: half a file makes fewer findings, not wrong ones.
//!
//! ```text
//! npa,nxx,x,status            further columns (OCN, company) are read over; the header line may be there or not
//! 202,*,,unassigned           the rest of an area code
//! 202,555,,assigned           an exchange (ten thousand numbers); `A` in the third column says the same
//! 202,555,7,reserved          a thousands block
//! ```
//!
//! The narrowest line counts, in whatever order they stand. `reserved` is kept back and so assigned to nobody.

use super::nanp::{self, Parts};
use super::{Fault, Faults, Tn};

/// What numbering data says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Nothing.
    Unknown,
    /// Somebody has it.
    Assigned,
    /// Nobody has it: free, or kept back.
    Unassigned,
    /// Its numbers only take calls, at a charge.
    Premium,
}

impl Allocation {
    const ALL: [Self; 4] = [
        Self::Unknown,
        Self::Assigned,
        Self::Unassigned,
        Self::Premium,
    ];

    fn parse(text: &str) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is("assigned") {
            Some(Self::Assigned)
        } else if is("unassigned") || is("reserved") {
            Some(Self::Unassigned)
        } else if is("premium") {
            Some(Self::Premium)
        } else {
            None
        }
    }
}

/// Area codes and exchanges from 200 to 999, ten blocks of a thousand each.
const BLOCKS: usize = 800 * 800 * 10;

/// Two bits a block: 1.6 MB, whatever the file holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Allocations {
    bits: Box<[u8]>,
    lines: usize,
}

/// What a line names: its first block, and how many.
#[derive(Clone, Copy, Debug)]
struct Row {
    line: usize,
    first: usize,
    count: usize,
    says: Allocation,
}

impl Allocations {
    /// Reads numbering data.
    ///
    /// # Errors
    ///
    /// What is wrong, by line.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut rows = Vec::new();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            let header = rows.is_empty()
                && content
                    .get(..4)
                    .is_some_and(|h| h.eq_ignore_ascii_case("npa,"));
            if content.is_empty() || header {
                continue;
            }
            match row(line, content) {
                Ok(row) => rows.push(row),
                Err(fault) => faults.add(fault),
            }
        }
        // The widest first, so that narrower ones write over them.
        let lines = rows.len();
        rows.sort_by_key(|r| (std::cmp::Reverse(r.count), r.first, r.line));
        for pair in rows.windows(2) {
            if let [a, b] = pair
                && (a.first, a.count) == (b.first, b.count)
                && a.says != b.says
            {
                faults.add(Fault {
                    line: b.line,
                    what: format!("says another thing of the same block than line {}", a.line),
                    remedy: "leave one of the two",
                });
            }
        }
        let mut out = Self {
            bits: vec![0; BLOCKS / 4].into_boxed_slice(),
            lines,
        };
        for row in rows {
            for block in row.first..row.first + row.count {
                out.put(block, row.says);
            }
        }
        faults.or(out)
    }

    /// What is known of the block of a number. [`Allocation::Unknown`] for what is no possible North American number.
    pub fn of(&self, tn: &Tn) -> Allocation {
        let Some(parts) = nanp::parts(tn) else {
            return Allocation::Unknown;
        };
        let thousand = usize::from(parts.line / 1_000);
        first_block(parts).map_or(Allocation::Unknown, |b| self.at(b + thousand))
    }

    /// How many lines it was made of.
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    fn at(&self, block: usize) -> Allocation {
        let octet = self.bits.get(block / 4).copied().unwrap_or(0);
        let code = octet >> (block % 4 * 2) & 3;
        let said = Allocation::ALL.get(usize::from(code));
        said.copied().unwrap_or(Allocation::Unknown)
    }

    fn put(&mut self, block: usize, says: Allocation) {
        if let Some(octet) = self.bits.get_mut(block / 4) {
            let shift = block % 4 * 2;
            *octet = *octet & !(3 << shift) | (says as u8) << shift;
        }
    }
}

impl std::fmt::Debug for Allocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allocations")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

fn first_block(parts: Parts) -> Option<usize> {
    let npa = usize::from(parts.npa).checked_sub(200)?;
    let nxx = usize::from(parts.nxx).checked_sub(200)?;
    (npa < 800 && nxx < 800).then_some((npa * 800 + nxx) * 10)
}

fn row(line: usize, content: &str) -> Result<Row, Fault> {
    let fault = |what: String, remedy| Fault { line, what, remedy };
    let mut columns = content.split(',').map(str::trim);
    let mut next = || columns.next().unwrap_or_default();
    let (npa, nxx, x, status) = (next(), next(), next(), next());
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let n = text.parse::<u16>().ok().filter(|n| digits && *n >= 200);
        n.ok_or_else(|| {
            fault(
                format!("{text:?} is no area code or exchange"),
                "write three digits from 200 to 999; * as exchange is the rest of the area code",
            )
        })
    };
    let says = Allocation::parse(status).ok_or_else(|| {
        fault(
            format!("{status:?} is no status"),
            "write npa,nxx,x,status with one of assigned, unassigned, reserved, premium",
        )
    })?;
    let npa = code(npa)?;
    let (nxx, count) = match nxx {
        "*" => (200, 8_000),
        _ => (code(nxx)?, 10),
    };
    let first = first_block(Parts { npa, nxx, line: 0 });
    let first = first.ok_or_else(|| fault("no such block".to_owned(), "take the line out"))?;
    let (first, count) = match x.as_bytes() {
        [] | [b'A' | b'a'] => (first, count),
        [d @ b'0'..=b'9'] if count == 10 => (first + usize::from(d - b'0'), 1),
        _ => {
            return Err(fault(
                format!("{x:?} is no thousands block"),
                "write a digit; nothing or A for the whole exchange",
            ));
        }
    };
    Ok(Row {
        line,
        first,
        count,
        says,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATA: &str = "NPA,NXX,X,status,OCN,company\n\
        202,555,7,reserved\n\
        202,555,,assigned,123A,\"Example, Inc.\"   # kept for examples\n\
        202,*,,unassigned\n\
        203,200,A,Assigned\r\n\
        202,556,9,premium\n\
        999,999,9,assigned\n";

    fn of(data: &Allocations, number: &str) -> Allocation {
        data.of(&Tn::from_canonical(number.as_bytes()).unwrap())
    }

    #[test]
    fn the_narrowest_line_counts_and_what_is_not_named_is_unknown() {
        use Allocation::*;
        let d = Allocations::parse(DATA).unwrap();
        for (number, want) in [
            ("12025550123", Assigned),
            ("12025557123", Unassigned),
            ("12025560123", Unassigned),
            ("12025569123", Premium),
            ("12032000123", Assigned),
            ("12032010123", Unknown),
            ("12125550123", Unknown),
            ("442079460123", Unknown),
            ("911", Unknown),
            ("12021550123", Unknown),
        ] {
            assert_eq!(of(&d, number), want, "{number}");
        }
        assert_eq!(d.len(), 6);
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "202,555,,assigned\n202,555,,unassigned\n20,555,,assigned\n202,155,,assigned\n\
                    202,555,12,assigned\n202,*,3,assigned\n202,555,,VC\n202\n+02,555,,assigned\n";
        let faults = Allocations::parse(text).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 2]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s)([0-9]{3},[0-9*]{1,3},[0-9A]?,[a-z]{0,10}\n|.{0,40}\n){0,12}") {
            let _ = Allocations::parse(&text);
        }

        #[test]
        fn a_block_holds_what_was_put_and_its_neighbours_nothing(npa in 200..1_000_u16, nxx in 200..1_000_u16, x in 0..10_u16) {
            let d = Allocations::parse(&format!("{npa},{nxx},{x},premium\n")).unwrap();
            let number = format!("1{npa}{nxx}{x}000");
            let block = (usize::from(npa - 200) * 800 + usize::from(nxx - 200)) * 10 + usize::from(x);
            prop_assert_eq!(d.at(block), Allocation::Premium);
            let possible = Tn::from_canonical(number.as_bytes()).is_some_and(|t| nanp::parts(&t).is_some());
            prop_assert_eq!(of(&d, &number) == Allocation::Premium, possible);
            let near = block.saturating_sub(40)..=(block + 40).min(BLOCKS - 1);
            let there: Vec<_> = near.filter(|b| d.at(*b) != Allocation::Unknown).collect();
            prop_assert_eq!(there, vec![block]);
        }
    }
}
