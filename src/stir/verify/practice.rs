//! Rules of the matrix that are no state of a single Identity header: how each is kept, and by whom, or why it is not applied.
//!
//! Together with [`Rule::ALL`](super::Rule::ALL) this is the whole matrix; `tracehop rules` prints both, and `docs/RULES.md` is what it prints.

/// A rule that is kept by the way things are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Practice {
    /// Stable ID.
    pub id: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// Where it comes from: the document, or `ours` with the reason.
    pub source: &'static str,
    /// What we do, or why not.
    pub how: How,
}

/// Whether a [`Practice`] is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Kept, in this way.
    Kept(&'static str),
    /// Not applied, for this reason.
    NotApplied(&'static str),
}

macro_rules! practices {
    ($( $id:ident $how:ident $what:literal $source:literal $text:literal; )*) => {
        /// All of them, in the order of the matrix.
        pub const PRACTICES: &[Practice] = &[$(
            Practice { id: stringify!($id), what: $what, source: $source, how: How::$how($text) },
        )*];
    };
}

practices! {
    H1 Kept "only an initial INVITE is judged, and a retransmission is no second one" "RFC 8224 §6.2"
        "Identity inside a dialog is recorded, not judged; retransmissions fold into their call attempt";
    H2 Kept "header name Identity in any case, or its compact name y" "RFC 8224, IANA"
        "the SIP scanner maps both names";
    H6 Kept "no Identity header: unsigned, and only on a message that was seen whole" "RFC 8224 §6.2"
        "flag unsigned; no validation; 428 is policy and never sent by a passive probe";
    G9 Kept "a value without any semicolon harms nothing" "ours: a neighbour's defect (GHSA-mrq5-74j5-f5cr)"
        "fails G3";
    P8 Kept "unknown claims are ignored, and covered by the signature" "RFC 7519 §4"
        "read past, within bounds of depth and size";
    D3 Kept "any element of dest may match" "RFC 8225 §5.2.1"
        "D1 and D2 look at all of tn and uri";
    D4 Kept "an emergency call is not called spoofed for its destination" "RFC 9027"
        "D1 never fails towards urn:service:sos, 911 or 112";
    D5 Kept "dest.uri against To and Request-URI" "RFC 8224 §8.5"
        "part of D1 and D2";
    R1 Kept "the national list is indirect: one for all authorities" "ATIS-1000080"
        "a list that is not indirect, a delta or of partial scope is refused";
    R2 Kept "a revocation list needs a signer with a path to the STI-PA root, and speaks for the certificates that name it" "ATIS-1000080, RFC 5280 §6.3"
        "signer checked when a list is loaded, and the last good one stays; URL, alias or signer's name compared for each certificate, else finding R5";
    R6 Kept "issuers are looked up on the revocation list as well" "RFC 5280 §6.3"
        "R3 is judged over the whole path";
    R7 Kept "another country's revocation list speaks for those that name it; where no list applies, revocation is unknown" "ours: each country has its own"
        "configured with its own root; finding R5, and undetermined only where crl = \"require\"";
    L1 Kept "the CA list as the STI-PA serves it, as a file (the bare JWS or the answer around it), or a PEM bundle of anchors" "ATIS-1000084"
        "log-in, token and list by [fetch.sti_pa], its secret in a file of its owner; all are verified alike; a bundle is trusted as it is, and only under a key of its own";
    L2 Kept "the CA list's signer has a path to the pinned STI-PA root; ES256 alone" "ATIS-1000084"
        "checked when a list is loaded; the last good one stays";
    L3 Kept "a CA list that has ended is not taken, one that ends while it is held stays with an alarm, and an older one is never taken back" "ours: sequence is zero in the wild"
        "end and digests of lists accepted are kept in a file; with ca_list_expired = \"refuse\" calls after the end are undetermined (X4)";
    L4 Kept "each entry of the CA list stands for itself; roots and intermediates are anchors" "ATIS-1000080"
        "an entry that can't be used is named and skipped";
    V2 Kept "a certificate of a div is good for the number that sent the call on" "RFC 8946"
        "X10 is judged for div instead of orig";
    V5 Kept "the number signed first in To and the last one in the Request-URI is a call sent on in order" "RFC 8946"
        "D1 and D2 pass where the chain is unbroken (V3)";
    L5 Kept "an authority that is removed carries no new call; calls judged before keep their verdict" "ours: neighbours' defects"
        "a reload judges every certificate again and swaps all at once, or keeps what there was and says why";
    V7 Kept "up to eight div headers" "ours: real chains have five"
        "sixteen Identity headers in all (H7); eight links, eight levels of div-o, twenty-four signature checks";
    J7 Kept "a compact token is rebuilt from its message" "RFC 8225 §7"
        "base PASSporTs in the generic profile; without a Date that can be read F1 fails, a withheld number leaves O3 open";
    E4 NotApplied "out-of-band PASSporTs" "RFC 8816, ATIS-1000096"
        "asking a call placement service would be an active query for each call; a passive probe makes none";
    E3 Kept "a delegate certificate is good for its numbers, and those for its issuer's" "RFC 9060"
        "X10 and X13";
    E5 Kept "kinds that are not verified are set aside and counted by name" "IANA"
        "G7";
    S3 Kept "cheap rules first, one signature check a header" "ours: denial of service"
        "a token that can't be read gets no signature check; a certificate is asked for only where nothing else is wrong";
    N1 Kept "certificates over https alone, port absent, 443 or 8443" "ATIS-1000074"
        "what fails X1 is never asked for; there is no setting that allows http";
    N2 Kept "no user, query, fragment or parameters; a host; at most 2,048 characters of ASCII" "ATIS-1000074"
        "part of X1; a host of at most 253 characters";
    N3 Kept "no name from a call leads to an inside address" "RFC 6890; ours: whoever calls chooses the URL"
        "every address is looked at after it was resolved, and the connection goes to one of those; one inside address refuses the name";
    N4 Kept "no redirects" "ATIS-1000074"
        "outcome redirect";
    N5 Kept "TLS with the web's roots, apart from the authorities of SHAKEN" "ours: two worlds of trust"
        "Mozilla's roots; an extra file of roots is for laboratories";
    N6 Kept "caps while reading: 64 KB body, 8 KB headers, no encoding, 2 s to connect, 5 s in all" "ours: bounds"
        "each has its own outcome";
    N7 Kept "status 200 alone, and read before it is kept" "RFC 9110; ours: garbage is not kept"
        "a body without a certificate that can be read fails X3 of the calls that name it, is asked for again after ten minutes, and never replaces a good one";
    N8 Kept "fresh for as long as its server says, a day at least, never past its end; the key is the exact URL" "RFC 9111, ATIS-1000074"
        "a week at most; no-store is used for the calls in hand and never written; content is kept by SHA-256 over restarts";
    N9 Kept "what failed is not asked again at once" "ours: no hammering"
        "trouble on the way waits a minute, doubling to half an hour; a server's own no waits ten minutes; up to a fifth longer by URL";
    N10 Kept "one request a URL, 32 under way, 2 to a host, a bounded queue, 30 s of waiting" "ours: bounds"
        "calls wait beside the others; beyond the bounds they are undetermined, counted by reason";
    N11 Kept "made-up URLs make no scanner of us" "ours: denial of service"
        "only a header in which nothing else is wrong asks; new hosts come at a rate and get few requests before their first certificate; a list of hosts can be set";
    N12 Kept "other content at the same URL is found" "ours: certificates are renewed in place"
        "a signature or a time that disagrees with a fetched certificate older than a minute asks once more, then decides";
    N13 Kept "refreshed early, and used on when that fails" "RFC 5861"
        "at eight tenths of its time if used within the hour; on failure until its end";
    N14 Kept "capture hosts without internet" "ours"
        "CONNECT over an HTTP proxy, which then resolves names; offline: the directory and the disk cache";
    N15 Kept "the STI-PA's lists through the same guarded client" "ours: bounds"
        "4 MB and 2 MB; only hosts of the operator's own URLs; a list replaces the one at hand only if it verifies and is not older";
    M1 Kept "a verdict for each header, then the call's: the best counts" "RFC 8224 §6.2"
        "passed before undetermined before failed; the strongest attestation of those that passed; div, rph and rcd speak for no call";
    F5 Kept "skew of iat against capture, kept for each signing certificate" "ours: a constant offset is a signer's clock, scatter is delay or replay"
        "a bounded table of histograms in the replay's summary and JSON, and classes by neighbour in the metrics; fails nothing";
    M2 Kept "a Reason value for each header that fails, by ppi among several; those of others are read, and their verstat" "RFC 9410, 3GPP TS 24.229"
        "tracehop verify shows ours, and a passive probe sends none; the record keeps verstat and stir_cause of others, flag disagrees and counters by neighbour where they say the opposite; neither is ever trusted";
    Y1 Kept "a PASSporT is known by the SHA-256 of its signing input, for two freshness windows" "RFC 8224 §12.1, RFC 8225 §10.1"
        "the signature is no part of the key, for s can be turned into n − s; copies with a wrong signature don't count";
    Y2 Kept "seeing a PASSporT again is normal within a call and its routes, and a replay beyond" "ours: retries, forks and alternative routes carry the same one"
        "flag replayed for another destination or after the window, replay-suspect from five Call-IDs in one direction; the other leg at our edge never counts";
    Y3 Kept "origid names a customer or a gateway, never a call" "RFC 8588 §5"
        "no part of the key; kept in the record";
    M3 Kept "SIP codes by class" "RFC 8224 §6.2.2"
        "each rule has its code in the table above";
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    /// How many rules each family of the matrix has.
    const MATRIX: [(&str, usize); 16] = [
        ("H", 7),
        ("G", 9),
        ("J", 7),
        ("P", 9),
        ("F", 5),
        ("O", 3),
        ("D", 5),
        ("X", 15),
        ("R", 7),
        ("L", 5),
        ("V", 7),
        ("E", 5),
        ("S", 3),
        ("M", 3),
        ("Y", 3),
        ("N", 15),
    ];

    #[test]
    fn every_rule_of_the_matrix_stands_in_exactly_one_of_the_two_tables() {
        for (family, count) in MATRIX {
            for n in 1..=count {
                let id = format!("{family}{n}");
                let judged = Rule::ALL.iter().filter(|r| r.id() == id).count();
                let kept = PRACTICES.iter().filter(|p| p.id == id).count();
                assert_eq!(judged + kept, 1, "{id}");
            }
        }
    }

    #[test]
    fn every_id_is_of_the_matrix_or_a_part_of_one_that_is() {
        let ids = Rule::ALL.iter().map(|r| r.id());
        for id in ids.chain(PRACTICES.iter().map(|p| p.id)) {
            let (family, number) = id.split_at(1);
            let digits = number.trim_end_matches(|c: char| c.is_ascii_uppercase());
            let count = MATRIX.iter().find(|(f, _)| *f == family).map(|(_, n)| *n);
            let within = digits
                .parse::<usize>()
                .is_ok_and(|n| Some(n) <= count && n > 0);
            assert!(within, "{id}");
        }
    }
}
