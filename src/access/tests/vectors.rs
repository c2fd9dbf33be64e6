//! The examples of the RFCs, and tokens of another library.

use super::*;
use crate::access::{Scope, Subject};

fn key(jwk: &str) -> TokenKeys {
    TokenKeys::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes()).expect("a JWK Set").0
}

#[test]
fn the_hs256_example_of_rfc_7515_verifies() {
    // Appendix A.1. It has a line end and spaces in its JSON.
    let keys = key(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                   eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let only = keys.find(None).expect("one key");
    assert!(only.verifies("HS256", message, signature));
    assert!(!only.verifies("HS256", &message.replace("joe", "ann").replacen('e', "f", 1), signature));
}

#[test]
fn the_eddsa_example_of_rfc_8037_verifies() {
    // Appendix A.4, whose payload is no JSON.
    let keys = key(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let only = keys.find(None).expect("one key");
    assert!(only.verifies("EdDSA", message, signature));
    assert!(!only.verifies("EdDSA", &message.replace("RXh", "RXg"), signature));
}

#[test]
fn tokens_of_another_library_are_accepted() {
    for (alg, token) in [
        ("HS256", include_str!("../../../tests/fuzz/seeds/token/hs256")),
        ("ES256", include_str!("../../../tests/fuzz/seeds/token/es256")),
        ("EdDSA", include_str!("../../../tests/fuzz/seeds/token/eddsa")),
        ("RS256", include_str!("../../../tests/fuzz/seeds/token/rs256")),
    ] {
        let token = verify(token).expect(alg);
        assert_eq!(token.subject, Subject::Id(USER.parse().expect("an id")));
        assert_eq!(token.scopes, [Scope::Read, Scope::Events].into_iter().collect());
    }
}
