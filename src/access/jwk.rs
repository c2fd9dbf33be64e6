//! JWK Sets (RFC 7517), and of each key what signs or verifies.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::error::Category;

use super::BadFile;
use super::json::{Members, object};

/// A key of a set that tokens can be signed with.
pub(super) struct Jwk {
    /// The key's place in the set, from 1 on.
    number: usize,
    pub(super) kid: Option<String>,
    pub(super) material: Material,
}

/// The material of a key. `private` is there if the set gives it.
pub(super) enum Material {
    /// A secret that signs and verifies, for HS256.
    Secret(Vec<u8>),
    /// A point of the curve P-256, uncompressed, for ES256.
    P256 { point: [u8; 65], private: Option<[u8; 32]> },
    /// A key of Ed25519, for `EdDSA`.
    Ed25519 { public: [u8; 32], private: Option<[u8; 32]> },
    /// A modulus without leading zeros, and an exponent, for RS256.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

/// A key of a set that is not used. It displays as the reason, for a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey(String);

impl fmt::Display for IgnoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Maximum keys of a set that can be used.
const KEYS_MAX: usize = 16;
/// Minimum bytes of a secret for HS256 (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Members>,
}

/// The operation that a key is wanted for.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    Verify,
    Sign,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Sign => "sign",
        }
    }
}

/// Parses a JWK Set.
pub(super) fn parse_set(json: &[u8], operation: Operation) -> Result<(Vec<Jwk>, Vec<IgnoredKey>), BadFile> {
    if json.is_empty() {
        return Err(BadFile::whole("the file is empty; a set without keys is {\"keys\":[]}"));
    }
    let set: Set = object(json).map_err(|error| not_a_set(&error))?;
    let (mut keys, mut ignored) = (Vec::<Jwk>::new(), Vec::new());
    for (index, members) in set.keys.iter().enumerate() {
        let place = place(index, members);
        match parse_key(index + 1, members, operation).map_err(|what| BadFile::at(&place, what))? {
            Ok(key) if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) => {
                return Err(BadFile::at(place, "the same `kid` as an earlier key"));
            }
            Ok(key) => keys.push(key),
            Err(Unsupported(why)) => ignored.push(IgnoredKey(format!("{place} is ignored: {why}"))),
        }
    }
    if keys.len() > KEYS_MAX {
        return Err(BadFile::whole(&format!("more than {KEYS_MAX} keys")));
    }
    if keys.len() > 1 {
        let nameless = keys.iter().filter(|key| key.kid.is_none());
        ignored.extend(nameless.map(|key| {
            IgnoredKey(format!("key {} is ignored: it has no `kid`, and there are other keys", key.number))
        }));
    }
    Ok((keys, ignored))
}

/// Only the place of an error is shown. Its text may quote the file.
fn not_a_set(error: &serde_json::Error) -> BadFile {
    let what = match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => "not JSON",
        Category::Data => {
            "not a JWK Set: an object whose `keys` is a list of objects, in which no name occurs twice"
        }
    };
    match error.line() {
        0 => BadFile::whole(what),
        line => BadFile::at(format_args!("line {line}, column {}", error.column()), what),
    }
}

/// Names a key by its number, and by its `kid` if it has one.
fn place(index: usize, members: &Members) -> String {
    const KID_CHARS_MAX: usize = 64;
    let number = index + 1;
    match members.text("kid") {
        Ok(Some(kid)) => match kid.char_indices().nth(KID_CHARS_MAX) {
            Some((cut, _)) => format!("key {number} (kid {:?}…)", &kid[..cut]),
            None => format!("key {number} (kid {kid:?})"),
        },
        Ok(None) | Err(_) => format!("key {number}"),
    }
}

/// The reason why a key is for something else.
struct Unsupported(&'static str);

/// Parses a key. A malformed one is an error; one of another type or for another use is not.
fn parse_key(
    number: usize,
    members: &Members,
    operation: Operation,
) -> Result<Result<Jwk, Unsupported>, String> {
    let kty = members.text("kty")?.ok_or("`kty` is missing")?;
    let kid = members.text("kid")?.map(str::to_owned);
    let crv = members.text("crv")?;
    if members.text("use")?.is_some_and(|usage| usage != "sig") {
        return Ok(Err(Unsupported("its `use` is not sig")));
    }
    if members.texts("key_ops")?.is_some_and(|operations| !operations.contains(&operation.name())) {
        return Ok(Err(Unsupported(match operation {
            Operation::Verify => "its `key_ops` do not hold verify",
            Operation::Sign => "its `key_ops` do not hold sign",
        })));
    }
    let algorithm = match (kty, crv) {
        ("oct", _) => Algorithm::HS256,
        ("EC", Some("P-256")) => Algorithm::ES256,
        ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
        ("RSA", _) => Algorithm::RS256,
        ("EC" | "OKP", None) => return Err("`crv` is missing".to_owned()),
        ("EC" | "OKP", Some(_)) => return Ok(Err(Unsupported("its `crv` is neither P-256 nor Ed25519"))),
        _ => return Ok(Err(Unsupported("its `kty` is none of oct, EC, OKP and RSA"))),
    };
    if members.text("alg")?.is_some_and(|alg| alg.parse() != Ok(algorithm)) {
        return Ok(Err(Unsupported("its `alg` is not the one that its type has here")));
    }
    let material = match kty {
        "oct" => secret(members),
        "EC" => p256(members),
        "OKP" => ed25519(members),
        _ => rsa(members),
    }?;
    Ok(Ok(Jwk { number, kid, material }))
}

fn secret(members: &Members) -> Result<Material, String> {
    let secret = members.bytes("k")?;
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("`k` must have at least {SECRET_BYTES_MIN} bytes"));
    }
    Ok(Material::Secret(secret))
}

fn p256(members: &Members) -> Result<Material, String> {
    const UNCOMPRESSED: u8 = 4;
    let (x, y) = (members.array::<32>("x")?, members.array::<32>("y")?);
    let mut point = [UNCOMPRESSED; 65];
    point[1..33].copy_from_slice(&x);
    point[33..].copy_from_slice(&y);
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .map_err(|_| "`x` and `y` are not a point of P-256")?;
    Ok(Material::P256 { point, private: private(members)? })
}

fn ed25519(members: &Members) -> Result<Material, String> {
    let public = members.array("x")?;
    ParsedPublicKey::new(&ED25519, public).map_err(|_| "`x` is not a key of Ed25519")?;
    Ok(Material::Ed25519 { public, private: private(members)? })
}

fn private(members: &Members) -> Result<Option<[u8; 32]>, String> {
    members.has("d").then(|| members.array("d")).transpose()
}

fn rsa(members: &Members) -> Result<Material, String> {
    const EXPONENT_BYTES_MAX: usize = 4;
    const BITS: std::ops::RangeInclusive<u32> = 2_048..=8_192;
    let without_zeros = |mut bytes: Vec<u8>| {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        bytes.drain(..zeros);
        bytes
    };
    let (modulus, exponent) = (without_zeros(members.bytes("n")?), without_zeros(members.bytes("e")?));
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !u32::try_from(bits).is_ok_and(|bits| BITS.contains(&bits)) {
        return Err(format!("`n` must have {} to {} bits", BITS.start(), BITS.end()));
    }
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || exponent == [1] || exponent.len() > EXPONENT_BYTES_MAX {
        return Err(format!("`e` must be an odd number from 3 on, of at most {EXPONENT_BYTES_MAX} bytes"));
    }
    RsaPublicKeyComponents { n: &modulus, e: &exponent }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| "`n` and `e` are not a key of RSA")?;
    Ok(Material::Rsa { modulus, exponent })
}

impl Material {
    /// Returns the algorithm of the key's tokens, the only one.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::P256 { .. } => Algorithm::ES256,
            Self::Ed25519 { .. } => Algorithm::EdDSA,
            Self::Rsa { .. } => Algorithm::RS256,
        }
    }
}
