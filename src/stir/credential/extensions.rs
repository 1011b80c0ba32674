//! The extensions of a certificate that we process (RFC 5280 §4.2, RFC 8226, RFC 9118), and whether there are critical ones that we don't.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    AccessDescription, DistributionPointName, GeneralName, ParsedExtension,
};

use super::certificate::CertificateFault;
use super::constraints::{self, ClaimConstraints};
use super::name::CanonicalName;
use super::tnauthlist::TnAuthList;

/// What the extensions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// basicConstraints: whether it is a certification authority.
    pub is_ca: bool,
    /// basicConstraints: how many intermediates may follow.
    pub path_len: Option<u32>,
    /// keyUsage; `None` where the extension is absent, which restricts nothing (RFC 5280 §4.2.1.3).
    pub usage: Option<Usage>,
    /// extendedKeyUsage is there. It is never asked for (rule X8).
    pub extended_usage: bool,
    /// certificatePolicies, dotted.
    pub policies: Vec<String>,
    /// TNAuthList.
    pub tn_auth_list: TnAuthListState,
    /// The TNAuthList is marked critical.
    pub tn_auth_list_critical: bool,
    /// Where a TNAuthList is published that is not in the certificate (rule X11).
    pub tn_auth_list_url: Option<Box<str>>,
    /// JWTClaimConstraints, EnhancedJWTClaimConstraints.
    pub constraints: ConstraintState,
    /// subjectKeyIdentifier.
    pub subject_key_id: Option<Box<[u8]>>,
    /// authorityKeyIdentifier; empty where it names the issuer's key in another way.
    pub authority_key_id: Option<Box<[u8]>>,
    /// cRLDistributionPoints: where its revocation would be published.
    pub revocation_points: Vec<RevocationPoint>,
    /// A critical extension that we don't know, dotted.
    pub unknown_critical: Option<String>,
}

/// keyUsage, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// digitalSignature
    pub digital_signature: bool,
    /// keyCertSign
    pub key_cert_sign: bool,
    /// cRLSign
    pub crl_sign: bool,
    /// Any of the other six.
    pub other: bool,
    /// Whether the extension is marked critical.
    pub critical: bool,
}

/// What there is of a TNAuthList.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TnAuthListState {
    /// Nothing.
    #[default]
    Absent,
    /// Something that can't be read.
    Malformed,
    /// A list.
    Read(TnAuthList),
}

impl TnAuthListState {
    /// The list.
    pub fn list(&self) -> Option<&TnAuthList> {
        match self {
            Self::Read(list) => Some(list),
            Self::Absent | Self::Malformed => None,
        }
    }
}

/// What there is of claim constraints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConstraintState {
    /// None.
    #[default]
    Absent,
    /// Something that binds and can't be read, and why.
    Malformed(&'static str),
    /// Constraints.
    Read(ClaimConstraints),
}

/// One distribution point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationPoint {
    /// Its URLs.
    pub urls: Vec<Box<str>>,
    /// Who signs the list, where that is not the issuer.
    pub issuers: Vec<CanonicalName>,
}

/// TNAuthList (RFC 8226 §9).
const TN_AUTH_LIST: &str = "1.3.6.1.5.5.7.1.26";
/// JWTClaimConstraints (RFC 8226 §8).
const CLAIM_CONSTRAINTS: &str = "1.3.6.1.5.5.7.1.27";
/// EnhancedJWTClaimConstraints (RFC 9118).
const ENHANCED_CLAIM_CONSTRAINTS: &str = "1.3.6.1.5.5.7.1.33";
/// Access method of a TNAuthList by reference (RFC 8226 §10).
const STIR_TN_LIST: &str = "1.3.6.1.5.5.7.48.14";

/// Most distribution points, and URLs of one, that are kept. Real certificates have one.
const MAX_POINTS: usize = 8;

impl Extensions {
    pub(super) fn read(cert: &X509Certificate<'_>) -> Result<Self, CertificateFault> {
        let mut out = Self::default();
        if cert.extensions_map().is_err() {
            return Err(CertificateFault("an extension stands twice"));
        }
        let unreadable = || CertificateFault("an extension that can't be read");
        for ext in cert.extensions() {
            let oid = ext.oid.to_id_string();
            match oid.as_str() {
                "2.5.29.19" => {
                    let ParsedExtension::BasicConstraints(b) = ext.parsed_extension() else {
                        return Err(unreadable());
                    };
                    out.is_ca = b.ca;
                    out.path_len = b.path_len_constraint;
                }
                "2.5.29.15" => {
                    let ParsedExtension::KeyUsage(u) = ext.parsed_extension() else {
                        return Err(unreadable());
                    };
                    /// digitalSignature, keyCertSign and cRLSign as x509-parser numbers the bits.
                    const KNOWN: u16 = 1 | 1 << 5 | 1 << 6;
                    out.usage = Some(Usage {
                        digital_signature: u.digital_signature(),
                        key_cert_sign: u.key_cert_sign(),
                        crl_sign: u.crl_sign(),
                        other: u.flags & !KNOWN != 0,
                        critical: ext.critical,
                    });
                }
                "2.5.29.32" => {
                    let ParsedExtension::CertificatePolicies(p) = ext.parsed_extension() else {
                        return Err(unreadable());
                    };
                    out.policies = p.iter().map(|p| p.policy_id.to_id_string()).collect();
                }
                TN_AUTH_LIST => {
                    out.tn_auth_list_critical = ext.critical;
                    out.tn_auth_list = TnAuthList::parse(ext.value)
                        .map_or(TnAuthListState::Malformed, TnAuthListState::Read);
                }
                CLAIM_CONSTRAINTS => out.constrain(ClaimConstraints::parse(ext.value)),
                ENHANCED_CLAIM_CONSTRAINTS => {
                    out.constrain(ClaimConstraints::parse_enhanced(ext.value));
                }
                other => {
                    if ext.critical {
                        out.unknown_critical.get_or_insert(other.to_owned());
                    }
                    out.read_details(ext.parsed_extension());
                }
            }
        }
        Ok(out)
    }

    /// Both kinds in one certificate contradict each other as to what is left open (RFC 9118 wants one of them).
    fn constrain(&mut self, read: Result<ClaimConstraints, &'static str>) {
        self.constraints = match (&self.constraints, read) {
            (ConstraintState::Absent, Ok(read)) => ConstraintState::Read(read),
            (ConstraintState::Absent, Err(why)) => ConstraintState::Malformed(why),
            _ => ConstraintState::Malformed(constraints::BOTH),
        };
    }

    /// What is never critical and fails no certificate, however it is written.
    fn read_details(&mut self, ext: &ParsedExtension<'_>) {
        match ext {
            ParsedExtension::ExtendedKeyUsage(_) => self.extended_usage = true,
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0.into()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = Some(
                    id.key_identifier
                        .as_ref()
                        .map_or_else(Box::default, |k| k.0.into()),
                );
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                self.revocation_points = points.iter().take(MAX_POINTS).map(point).collect();
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                self.tn_auth_list_url = access.accessdescs.iter().find_map(tn_auth_list_url);
            }
            _ => {}
        }
    }
}

fn point(point: &x509_parser::extensions::CRLDistributionPoint<'_>) -> RevocationPoint {
    let mut out = RevocationPoint::default();
    if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
        let urls = names.iter().filter_map(|name| match name {
            GeneralName::URI(url) => Some((*url).into()),
            _ => None,
        });
        out.urls.extend(urls.take(MAX_POINTS));
    }
    let issuers = point
        .crl_issuer
        .iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DirectoryName(name) => CanonicalName::parse(name.as_raw()),
            _ => None,
        });
    out.issuers.extend(issuers.take(MAX_POINTS));
    out
}

fn tn_auth_list_url(access: &AccessDescription<'_>) -> Option<Box<str>> {
    if access.access_method.to_id_string() != STIR_TN_LIST {
        return None;
    }
    match access.access_location {
        GeneralName::URI(url) => Some(url.into()),
        _ => Some(Box::default()),
    }
}
