//! Evidence: the heads of INVITEs as received, the certificates they were judged with and the state of every rule, so that a call can
//! be judged again months later.
//!
//! ```text
//! file     evidence/<day of capture>/<seq, ten digits>-<first uid, twenty digits>.ev: frames, one after the other
//! frame    length u32, unpacked length u32, crc32c of the payload u32, kind u8, key 16 octets, crc32c of all that u32,
//!          payload: `length` octets of zstd                                   (little endian)
//! kind 0   names: rule IDs (count varint, strings), the first frame of every file            key: zero
//! kind 1   chain: the octets found at a certificate's URL                                    key: digest of these octets
//! kind 2   calls: one after the other, as below                                              key: lowest uid u64, highest uid u64
//! call     uid u64, at i64 (ns since 1970), chains (count varint; URL string, digest 16 octets), validation u8,
//!          deciding rule u8 (its place in the names plus one, or 0), attestation u8 (plus one, or 0),
//!          headers (count varint; passed, failed, undetermined, findings: u128 rule sets), head (length varint, octets)
//! ```
//!
//! In an encrypted store a file begins with the header that `blocks` describes, and payloads are sealed: a nonce of 12 octets, the octets of zstd, a tag of 16
//! octets; `length` counts all of it. What is authenticated with them: where in the file the frame begins u64, unpacked length, kind, key.
//! The frames' headers stay as they are: there is no number in them.
//!
//! A file holds every chain that its calls name, ahead of them, so that each day stands for itself and is deleted as a folder. The index of a file is
//! the row of its frames' headers: a look-up goes along them without reading what lies between, at most some thousand steps.
//!
//! A process writes files of its own and never goes on with another's, so a tail that a crash tore needs no mending: reading ends
//! there. Uids that were given anew after a crash are those of the younger file, told by `seq`. Calls wait in memory until 256 KiB are together or
//! [`EvidenceWriter::commit`] comes.
//!
//! - `write`: files, one a day · `frame`: frames and their headers · `call`: one call as octets · `find`: looking up by uid · `examine`: whether a file is what was written

mod call;
mod examine;
mod find;
mod frame;
mod write;

pub(super) use examine::{examine, salvage};
pub(super) use find::{files, find};
pub(super) use write::EvidenceWriter;

/// Calls are packed when so much of them is together: some 170 heads, enough that zstd finds what repeats.
const BATCH: usize = 256 << 10;
/// The longest head that is kept: the longest SIP message that reassembly gives out.
const MAX_HEAD: usize = 64 << 10;
