//! Users' tokens are minted here by `chinwag token`, to try a server with. An application's server mints its own.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::jwk::{Jwk, Material, Operation, parse_set};
use super::{BadFile, IgnoredKey};
use crate::domain::Timestamp;

/// A key of a JWK Set that signs tokens: a secret, or a private key of P-256 or Ed25519.
pub struct SigningKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// The claims of a token to mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The claim `sub`.
    pub sub: &'a str,
    /// The claim `aud`.
    pub audience: &'a str,
    /// The claim `scope`, if it is there.
    pub scope: Option<&'a str>,
    /// Seconds from `iat` to `exp`.
    pub ttl_s: u32,
}

/// The set has no key that can sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSigningKey {
    /// The set has none at all.
    #[error(
        "it has no key that can sign: one of type oct, or one of type EC or OKP with its private part `d` (private \
         keys of type RSA are not supported)"
    )]
    InSet,
    /// The key of this `kid` is missing, or cannot sign.
    #[error("it has no key with this kid that can sign")]
    OfKid,
    /// The private part of the key is not that of its public part.
    #[error("the private part `d` of the key is not that of its public part")]
    Mismatched,
}

impl SigningKey {
    /// Parses a JWK Set, and returns its first key that can sign, or the one of this `kid`. Also returns the keys that
    /// are not used.
    ///
    /// # Errors
    ///
    /// The file is not a good JWK Set. The inner error says that there is no such key.
    pub fn parse(
        json: &[u8],
        kid: Option<&str>,
    ) -> Result<(Result<Self, NoSigningKey>, Vec<IgnoredKey>), BadFile> {
        let (keys, ignored) = parse_set(json, Operation::Sign)?;
        // A token without `kid` is good only where there is one key.
        let is_alone = keys.len() == 1;
        let is_wanted = |key: &Jwk| match kid {
            Some(_) => key.kid.as_deref() == kid,
            None => key.kid.is_some() || is_alone,
        };
        let wanted = keys.into_iter().filter(is_wanted);
        let none = if kid.is_some() { NoSigningKey::OfKid } else { NoSigningKey::InSet };
        let first = wanted.into_iter().find_map(Self::new);
        Ok((first.unwrap_or(Err(none)), ignored))
    }

    /// Returns `None` if the key only verifies.
    fn new(Jwk { kid, material, .. }: Jwk) -> Option<Result<Self, NoSigningKey>> {
        let key = match &material {
            Material::Secret(secret) => Some(EncodingKey::from_secret(secret)),
            Material::P256 { private: Some(private), point } => {
                EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    private,
                    point,
                )
                .ok()
                .and_then(|pair| Some(EncodingKey::from_ec_der(pair.to_pkcs8v1().ok()?.as_ref())))
            }
            Material::Ed25519 { private: Some(private), public } => {
                Ed25519KeyPair::from_seed_and_public_key(private, public)
                    .ok()
                    .and_then(|pair| Some(EncodingKey::from_ed_der(pair.to_pkcs8().ok()?.as_ref())))
            }
            Material::P256 { private: None, .. }
            | Material::Ed25519 { private: None, .. }
            | Material::Rsa { .. } => {
                return None;
            }
        };
        let key = key.ok_or(NoSigningKey::Mismatched);
        Some(key.map(|key| Self { kid, algorithm: material.algorithm(), key }))
    }

    /// Returns a token that is issued at this time, whose fraction of a second is left out.
    #[must_use]
    pub fn mint(&self, grant: &Grant<'_>, now: Timestamp) -> String {
        let mut header = json!({ "alg": format!("{:?}", self.algorithm), "typ": "JWT" });
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        let issued_at_s = now.as_micros() / 1_000_000;
        let mut claims = json!({
            "sub": grant.sub,
            "aud": grant.audience,
            "iat": issued_at_s,
            "exp": issued_at_s + u64::from(grant.ttl_s),
        });
        if let Some(scope) = grant.scope {
            claims["scope"] = json!(scope);
        }
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = self.sign(&message);
        format!("{message}.{signature}")
    }

    /// Returns the signature of a message, in base64url.
    pub(super) fn sign(&self, message: &str) -> String {
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm);
        signature.expect("the key is of its algorithm")
    }
}

/// Shows nothing of the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}
