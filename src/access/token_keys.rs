//! The keys that verify users' tokens.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey};

use super::jwk::{Jwk, Material, Operation, parse_set};
use super::{BadFile, IgnoredKey, SourceId};

/// The keys of a JWK Set that verify users' tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TokenKeys(Vec<TokenKey>);

/// A key that verifies tokens of one algorithm.
pub(super) struct TokenKey {
    kid: Option<String>,
    /// **Invariant:** the algorithm is the key's. A token does not choose it, and the key is of no other family.
    algorithm: Algorithm,
    key: DecodingKey,
    pub(super) source: SourceId,
}

impl TokenKeys {
    /// Parses a JWK Set. Also returns the keys that are not used.
    ///
    /// # Errors
    ///
    /// The file is not a JWK Set, a key for tokens is malformed or too weak, two have the same `kid`, there are more
    /// than 16, or the file has no byte: such a file is being written.
    pub fn parse(json: &[u8]) -> Result<(Self, Vec<IgnoredKey>), BadFile> {
        let (keys, ignored) = parse_set(json, Operation::Verify)?;
        Ok((Self(keys.into_iter().map(TokenKey::new).collect()), ignored))
    }

    /// Returns the key of this `kid`. A token without `kid` may be of the only key.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&TokenKey> {
        match (kid, &self.0[..]) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Returns whether this key is still in the set.
    #[must_use]
    pub fn contains(&self, source: SourceId) -> bool {
        self.0.iter().any(|key| key.source == source)
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TokenKey {
    fn new(Jwk { kid, material, .. }: Jwk) -> Self {
        let algorithm = material.algorithm();
        let id = |parts: [&[u8]; 2]| {
            let (has_kid, kid) = kid.as_ref().map_or((0, ""), |kid| (1, kid));
            let algorithm = format!("{algorithm:?}");
            SourceId::of(&[
                b"token key",
                algorithm.as_bytes(),
                &[has_kid],
                kid.as_bytes(),
                parts[0],
                parts[1],
            ])
        };
        let (key, source) = match &material {
            Material::Secret(secret) => (DecodingKey::from_secret(secret), id([secret, &[]])),
            Material::P256 { point, .. } => (DecodingKey::from_ec_der(point), id([point, &[]])),
            Material::Ed25519 { public, .. } => (DecodingKey::from_ed_der(public), id([public, &[]])),
            Material::Rsa { modulus, exponent } => {
                (DecodingKey::from_rsa_raw_components(modulus, exponent), id([modulus, exponent]))
            }
        };
        Self { kid, algorithm, key, source }
    }

    /// Returns whether the signature, in base64url, is this key's of the message, by the algorithm that the token's
    /// header names.
    ///
    /// A holder of an ES256 token can compute a second valid signature, so a token's text does not identify it.
    pub(super) fn verifies(&self, alg: &str, message: &str, signature: &str) -> bool {
        alg.parse() == Ok(self.algorithm)
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm)
                .is_ok_and(|is_verified| is_verified)
    }
}

/// The source stands for everything else.
impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for TokenKey {}

/// Shows nothing of the key but its name and its algorithm.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kid, algorithm, .. } = self;
        f.debug_struct("TokenKey").field("kid", kid).field("algorithm", algorithm).finish_non_exhaustive()
    }
}
