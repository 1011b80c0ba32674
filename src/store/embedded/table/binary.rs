//! Cells as `RowBinary`, the row format of ClickHouse: little endian, texts behind their length, a leading octet where a value may be absent.
//!
//! The types of the columns there follow from the same list as the Parquet files: see [`sql_type`].

use parquet::data_type::{ByteArray, FixedLenByteArray};

use super::{Meaning, Spec};
use crate::store::embedded::codec::{Cut, put_varint};

/// Columns that may be absent in a file, and are 0 in the engine instead: they are part of a sorting key, which takes no absent value. No
/// number is 0: what begins with a zero is no integer.
const ZERO_FOR_NONE: [&str; 1] = ["called"];

/// A cell there and back.
pub(in crate::store::embedded) trait Binary: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(cut: &mut Cut<'_>) -> Option<Self>;
    /// Whether it is the value that stands for none.
    fn is_zero(&self) -> bool {
        false
    }
}

impl Binary for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(cut: &mut Cut<'_>) -> Option<Self> {
        cut.i64()
    }

    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Binary for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(cut: &mut Cut<'_>) -> Option<Self> {
        match cut.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Binary for ByteArray {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.data().len() as u64);
        out.extend_from_slice(self.data());
    }

    fn take(cut: &mut Cut<'_>) -> Option<Self> {
        let length = usize::try_from(cut.varint()?).ok()?;
        Some(cut.take(length)?.to_vec().into())
    }
}

impl Binary for FixedLenByteArray {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.data());
    }

    fn take(cut: &mut Cut<'_>) -> Option<Self> {
        Some(ByteArray::from(cut.take(16)?.to_vec()).into())
    }
}

fn zero_for_none(spec: &Spec) -> bool {
    ZERO_FOR_NONE.contains(&spec.name)
}

/// Appends a cell; `None` where it must have a value and has none.
pub(in crate::store::embedded) fn put<T: Binary>(
    cell: Option<&T>,
    spec: &Spec,
    out: &mut Vec<u8>,
) -> Option<()> {
    match cell {
        Some(cell) if spec.required || zero_for_none(spec) => cell.put(out),
        Some(cell) => {
            out.push(0);
            cell.put(out);
        }
        None if zero_for_none(spec) => out.extend_from_slice(&[0; 8]),
        None if spec.required => return None,
        None => out.push(1),
    }
    Some(())
}

/// The next cell; `None` where the octets are something else.
pub(in crate::store::embedded) fn take<T: Binary>(
    spec: &Spec,
    cut: &mut Cut<'_>,
) -> Option<Option<T>> {
    if zero_for_none(spec) {
        let cell = T::take(cut)?;
        return Some((!cell.is_zero()).then_some(cell));
    }
    if !spec.required {
        match cut.u8()? {
            0 => {}
            1 => return Some(None),
            _ => return None,
        }
    }
    T::take(cut).map(Some)
}

/// What type a column has in the engine.
pub(in crate::store) fn sql_type(spec: &Spec) -> String {
    let plain = match spec.meaning {
        // Points in time are nanoseconds since 1970: old servers have no finer type than seconds.
        Meaning::Signed | Meaning::Time => "Int64",
        Meaning::Unsigned => "UInt64",
        Meaning::Text => "String",
        Meaning::Flag => "UInt8",
        Meaning::Octets16 | Meaning::Uuid => "FixedString(16)",
    };
    if spec.required || zero_for_none(spec) {
        plain.to_owned()
    } else {
        format!("Nullable({plain})")
    }
}
