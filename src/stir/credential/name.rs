//! Distinguished names in a form that can be compared octet by octet: RFC 5280 §7.1.
//!
//! The string types of one attribute may differ between a certificate and the list that revokes it (PrintableString against
//! UTF8String), and so may case and inner blanks. [`CanonicalName`] folds all three away; two names are the same if their
//! canonical forms are equal. Equal DER gives equal forms.

use super::der;
use crate::base::digest::Digest128;

/// A name, canonical.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalName(Box<[u8]>);

impl CanonicalName {
    /// From the DER of a `Name`. `None` where it is not one.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut rdns = der::whole(der, der::SEQUENCE)?;
        let mut out = Vec::with_capacity(der.len());
        while !rdns.is_empty() {
            let mut set = der::expect(&mut rdns, der::SET)?;
            let mut attributes = Vec::new();
            while !set.is_empty() {
                attributes.push(attribute(der::expect(&mut set, der::SEQUENCE)?)?);
            }
            // DER orders a set by its octets as written; after folding the order may be another.
            attributes.sort_unstable();
            put(&mut out, &attributes.concat());
        }
        Some(Self(out.into()))
    }

    /// Names the name, where it is kept in a file.
    pub fn digest(&self) -> Digest128 {
        Digest128::of(&self.0)
    }
}

/// Type and folded value of one attribute, each with its length in front so that no two pairs run together.
fn attribute(mut text: &[u8]) -> Option<Vec<u8>> {
    let oid = der::expect(&mut text, der::OID)?;
    let (tag, value) = der::take(&mut text)?;
    let mut out = Vec::new();
    put(&mut out, oid);
    match string(tag, value) {
        Some(s) => put(&mut out, fold(&s).as_bytes()),
        // No text: compared as it is, with its tag, under a mark that no folded text has.
        None => {
            out.push(0xff);
            out.push(tag);
            put(&mut out, value);
        }
    }
    text.is_empty().then_some(out)
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u64).to_be_bytes());
    out.extend(part);
}

/// The characters of a string type, whichever it is.
pub(super) fn string(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(value.to_vec()).ok(),
        // TeletexString: Latin-1, as everybody reads it.
        0x14 => Some(value.iter().map(|b| char::from(*b)).collect()),
        // BMPString
        0x1e => {
            let (pairs, []) = value.as_chunks::<2>() else {
                return None;
            };
            let units: Vec<u16> = pairs.iter().map(|p| u16::from_be_bytes(*p)).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// Lower case, blanks at the ends dropped, runs of inner blanks made one.
fn fold(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{name, name_with};

    #[test]
    fn string_type_case_and_blanks_fold_away() {
        let printable = name(&[("C", "US"), ("O", "STI-PA"), ("CN", "STI-PA CRL")]);
        let utf8 = name_with(
            0x0c,
            &[("C", "us"), ("O", "sti-pa"), ("CN", " STI-PA   CRL ")],
        );
        assert_ne!(printable, utf8);
        assert_eq!(
            CanonicalName::parse(&printable),
            CanonicalName::parse(&utf8)
        );
    }

    #[test]
    fn order_of_rdns_values_and_types_count() {
        let a = CanonicalName::parse(&name(&[("C", "US"), ("O", "X")])).unwrap();
        assert_ne!(
            a,
            CanonicalName::parse(&name(&[("O", "X"), ("C", "US")])).unwrap()
        );
        assert_ne!(
            a,
            CanonicalName::parse(&name(&[("C", "US"), ("CN", "X")])).unwrap()
        );
        assert_ne!(
            a,
            CanonicalName::parse(&name(&[("C", "US"), ("O", "Y")])).unwrap()
        );
    }

    #[test]
    fn what_is_no_name_is_none() {
        for bad in [
            &[][..],
            &[0x30, 1],
            &[0x31, 0],
            &[0x30, 2, 0x30, 0],
            &[0x30, 4, 0x31, 2, 0x30, 0],
        ] {
            assert_eq!(CanonicalName::parse(bad), None, "{bad:x?}");
        }
    }
}
