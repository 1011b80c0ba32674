//! The tree over the audit log: RFC 9162 §2.1 (RFC 6962 before it), SHA-256. Pure: octets of lines come in, hashes and proofs go out.
//!
//! What was once in a tree whose head somebody keeps elsewhere can't be changed or taken out without its being found: an inclusion proof
//! shows that a line is in it, a consistency proof that a later tree only goes on.
//!
//! Where the hashes of perfect subtrees are kept ([`Nodes`]), root and proofs cost a logarithm of look-ups.

use ring::digest::{Context, SHA256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Longest proof: a tree of 2^64 lines is 64 high, and a consistency proof has one hash more.
pub const MAX_PROOF: usize = 65;

/// Hash of a line (RFC 9162 §2.1.1): a leaf begins with 0, an inner node with 1, so that neither passes for the other.
pub fn leaf(line: &[u8]) -> Hash {
    hash(&[&[0], line])
}

/// Hash over two subtrees.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// Root of the tree without lines.
pub fn empty() -> Hash {
    hash(&[])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|p| context.update(p));
    let mut out = [0; 32];
    for (o, b) in out.iter_mut().zip(context.finish().as_ref()) {
        *o = *b;
    }
    out
}

/// Where the hashes of perfect subtrees are: those over 2^level lines that begin at a multiple of 2^level.
pub trait Nodes {
    /// What may go wrong.
    type Error;

    /// The hash over the lines from `index << level` on. Level 0 are the leaves.
    ///
    /// # Errors
    ///
    /// It can't be read, or isn't there.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The perfect subtrees that end with the newest line, the widest first: all that it takes to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The subtree of level `i` stands at `i`, where the size has that bit.
    levels: Vec<Option<Hash>>,
}

impl Frontier {
    /// How many lines there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes a line's hash in. `made` is told each inner node that is now perfect: level, index, hash.
    pub fn push(&mut self, leaf: Hash, mut made: impl FnMut(u32, u64, Hash)) {
        let mut now = leaf;
        let mut level = 0u32;
        for slot in &mut self.levels {
            let Some(left) = slot.take() else {
                *slot = Some(now);
                self.size += 1;
                return;
            };
            now = parent(&left, &now);
            level += 1;
            made(level, self.size.checked_shr(level).unwrap_or(0), now);
        }
        self.levels.push(Some(now));
        self.size += 1;
    }

    /// The root over all lines so far.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.levels.iter().flatten();
        let Some(first) = subtrees.next() else {
            return empty();
        };
        subtrees.fold(*first, |right, left| parent(left, &right))
    }
}

/// The root over the first `size` lines.
///
/// # Errors
///
/// What the nodes say.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 {
        return Ok(empty());
    }
    subtree(nodes, 0, size)
}

/// Proof that line `index` is in the tree of `size` lines (RFC 9162 §2.1.3.1). `None` when it can't be.
///
/// # Errors
///
/// What the nodes say.
pub fn inclusion<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut size) = (0, size);
    let mut proof = Vec::new();
    while size > 1 {
        let k = split(size);
        if index - start < k {
            proof.push(subtree(nodes, start + k, size - k)?);
            size = k;
        } else {
            proof.push(subtree(nodes, start, k)?);
            (start, size) = (start + k, size - k);
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Proof that the tree of `new` lines goes on from that of `old` lines (RFC 9162 §2.1.4.1). `None` when it can't.
///
/// # Errors
///
/// What the nodes say.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(Some(proof));
    }
    // `whole`: the subtree that is left is the old tree itself, which who verifies has already.
    let (mut start, mut size, mut left, mut whole) = (0, new, old, true);
    while left < size {
        let k = split(size);
        if left <= k {
            proof.push(subtree(nodes, start + k, size - k)?);
            size = k;
        } else {
            proof.push(subtree(nodes, start, k)?);
            (start, size, left) = (start + k, size - k, left - k);
            whole = false;
        }
    }
    if !whole {
        proof.push(subtree(nodes, start, size)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether `proof` shows that `leaf` is line `index` of the tree of `size` lines with that root (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size || proof.len() > MAX_PROOF {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut now = leaf;
    for other in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            now = parent(other, &now);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            now = parent(&now, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && now == *root
}

/// Whether `proof` shows that the tree of `new` lines goes on from that of `old` lines (RFC 9162 §2.1.4.2).
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old > new || proof.len() > MAX_PROOF {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty() && (new > 0 || old_root == new_root);
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    // A tree that is perfect is its own first hash, which the proof leaves out.
    let mut hashes = proof.iter();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        hashes.next()
    };
    let Some(first) = first else {
        return false;
    };
    let (mut from, mut to) = (*first, *first);
    for other in hashes {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            from = parent(other, &from);
            to = parent(other, &to);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            to = parent(&to, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && from == *old_root && to == *new_root
}

/// The hash over `size` lines from `start` on. `start` is a multiple of the largest power of two up to `size`.
fn subtree<N: Nodes>(nodes: &N, start: u64, size: u64) -> Result<Hash, N::Error> {
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let k = split(size);
    let left = subtree(nodes, start, k)?;
    Ok(parent(&left, &subtree(nodes, start + k, size - k)?))
}

/// The largest power of two below `n`, which is more than 1.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// RFC 9162 §2.1.1, word for word.
    fn naive(lines: &[Hash]) -> Hash {
        match lines {
            [] => empty(),
            [one] => *one,
            _ => {
                let k = lines.len().next_power_of_two() / 2;
                parent(&naive(&lines[..k]), &naive(&lines[k..]))
            }
        }
    }

    fn naive_path(m: usize, lines: &[Hash]) -> Vec<Hash> {
        if lines.len() <= 1 {
            return Vec::new();
        }
        let k = lines.len().next_power_of_two() / 2;
        let (mut path, other) = if m < k {
            (naive_path(m, &lines[..k]), naive(&lines[k..]))
        } else {
            (naive_path(m - k, &lines[k..]), naive(&lines[..k]))
        };
        path.push(other);
        path
    }

    fn naive_subproof(m: usize, lines: &[Hash], whole: bool) -> Vec<Hash> {
        if m == lines.len() {
            return if whole {
                Vec::new()
            } else {
                vec![naive(lines)]
            };
        }
        let k = lines.len().next_power_of_two() / 2;
        let (mut path, other) = if m <= k {
            (naive_subproof(m, &lines[..k], whole), naive(&lines[k..]))
        } else {
            (
                naive_subproof(m - k, &lines[k..], false),
                naive(&lines[..k]),
            )
        };
        path.push(other);
        path
    }

    struct Kept(HashMap<(u32, u64), Hash>, Cell<usize>);

    impl Nodes for Kept {
        type Error = Infallible;
        fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
            self.1.set(self.1.get() + 1);
            Ok(self.0[&(level, index)])
        }
    }

    fn tree(size: usize) -> (Vec<Hash>, Kept, Frontier) {
        let lines: Vec<Hash> = (0..size).map(|i| leaf(&i.to_be_bytes())).collect();
        let (mut kept, mut frontier) = (HashMap::new(), Frontier::default());
        for (i, l) in (0u64..).zip(&lines) {
            kept.insert((0, i), *l);
            frontier.push(*l, |level, index, hash| {
                assert!(kept.insert((level, index), hash).is_none());
            });
        }
        (lines, Kept(kept, Cell::new(0)), frontier)
    }

    #[test]
    fn the_vectors_of_certificate_transparency() {
        // The eight inputs and their roots that implementations of RFC 6962 share.
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let octets = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                .collect()
        };
        let mut frontier = Frontier::default();
        assert_eq!(
            frontier.root().to_vec(),
            octets("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        let mut roots = Vec::new();
        for input in inputs {
            frontier.push(leaf(&octets(input)), |_, _, _| {});
            roots.push(frontier.root().to_vec());
        }
        assert_eq!(
            roots[0],
            octets("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
        );
        assert_eq!(
            roots[1],
            octets("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")
        );
        assert_eq!(
            roots[7],
            octets("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
        );
    }

    #[test]
    fn every_small_tree_is_as_the_naive_recursion_has_it() {
        for n in 0..34usize {
            let (lines, kept, frontier) = tree(n);
            let size = n as u64;
            let root_n = naive(&lines);
            assert_eq!(root(&kept, size).unwrap(), root_n);
            assert_eq!(frontier.root(), root_n);
            for m in 0..n {
                let proof = inclusion(&kept, m as u64, size).unwrap().unwrap();
                assert_eq!(proof, naive_path(m, &lines), "{m} in {n}");
                assert!(verify_inclusion(lines[m], m as u64, size, &root_n, &proof));
            }
            assert_eq!(inclusion(&kept, size, size).unwrap(), None);
            for m in 0..=n {
                let proof = consistency(&kept, m as u64, size).unwrap().unwrap();
                if m > 0 {
                    assert_eq!(proof, naive_subproof(m, &lines, true), "{m} to {n}");
                }
                let old = naive(&lines[..m]);
                assert!(
                    verify_consistency((m as u64, &old), (size, &root_n), &proof),
                    "{m} to {n}"
                );
            }
            assert_eq!(consistency(&kept, size + 1, size).unwrap(), None);
        }
    }

    #[test]
    fn root_and_proofs_cost_a_logarithm() {
        let (_, kept, _) = tree(1_000);
        root(&kept, 999).unwrap();
        assert!(kept.1.take() <= 10);
        inclusion(&kept, 511, 999).unwrap();
        assert!(kept.1.take() <= 60);
    }

    proptest! {
        #[test]
        fn a_proof_holds_for_nothing_else(n in 1usize..200, m in 0usize..200, old in 1usize..200, flip in 0usize..256, at in 0usize..70) {
            let (lines, kept, _) = tree(n);
            let (m, old, size) = (m % n, 1 + old % n, n as u64);
            let root_n = naive(&lines);
            let proof = inclusion(&kept, m as u64, size).unwrap().unwrap();
            let bad = |hash: &Hash| {
                let mut h = *hash;
                h[flip / 8] ^= 1 << (flip % 8);
                h
            };
            prop_assert!(!verify_inclusion(bad(&lines[m]), m as u64, size, &root_n, &proof));
            prop_assert!(!verify_inclusion(lines[m], m as u64, size, &bad(&root_n), &proof));
            prop_assert!(n == 1 || !verify_inclusion(lines[m], (m as u64 + 1) % size, size, &root_n, &proof));
            let mut longer = proof.clone();
            longer.push(root_n);
            prop_assert!(!verify_inclusion(lines[m], m as u64, size, &root_n, &longer));
            if !proof.is_empty() {
                let mut other = proof.clone();
                let at = at % other.len();
                other[at] = bad(&other[at]);
                prop_assert!(!verify_inclusion(lines[m], m as u64, size, &root_n, &other));
                prop_assert!(!verify_inclusion(lines[m], m as u64, size, &root_n, &proof[1..]));
            }
            let first = naive(&lines[..old]);
            let proof = consistency(&kept, old as u64, size).unwrap().unwrap();
            prop_assert!(!verify_consistency((old as u64, &bad(&first)), (size, &root_n), &proof));
            prop_assert!(!verify_consistency((old as u64, &first), (size, &bad(&root_n)), &proof));
            if !proof.is_empty() {
                let mut other = proof.clone();
                let at = at % other.len();
                other[at] = bad(&other[at]);
                prop_assert!(!verify_consistency((old as u64, &first), (size, &root_n), &other));
                prop_assert!(!verify_consistency((old as u64, &first), (size, &root_n), &proof[1..]));
            }
        }

        #[test]
        fn verifying_takes_anything(index: u64, size: u64, hashes in proptest::collection::vec(any::<Hash>(), 0..80)) {
            verify_inclusion(empty(), index, size, &empty(), &hashes);
            verify_consistency((index, &empty()), (size, &empty()), &hashes);
        }
    }
}
