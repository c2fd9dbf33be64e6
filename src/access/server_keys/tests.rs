//! Files of server keys, and the keys that they let in.

use super::*;

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn parse(text: &str) -> Result<ServerKeys, String> {
    ServerKeys::parse(text.as_bytes()).map_err(|error| error.to_string())
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros).expect("in range")
}

#[test]
fn a_key_is_found_by_its_text() {
    let (old, new, other) = (NewKey::random(), NewKey::random(), NewKey::random());
    let name: KeyName = "backend".parse().expect("a name");
    let file = [old.line(&name, KeyScope::All, None), new.line(&name, KeyScope::Read, None)].join("\n");
    let keys = parse(&file).expect("a file");
    for (key, scope) in [(&old, KeyScope::All), (&new, KeyScope::Read)] {
        let found = keys.find(key.secret()).expect("found");
        assert_eq!((&found.name, found.scope, found.expires), (&name, scope, None));
        assert!(keys.contains(found.source));
    }
    let secret = old.secret();
    let upper = secret.to_uppercase();
    for unknown in
        ["", "cw_", other.secret(), &secret[..45], &secret[3..], &upper, &format!("{secret} "), HASH]
    {
        assert_eq!(keys.find(unknown), None, "{unknown}");
    }
    assert_eq!(ServerKeys::default().find(secret), None);
}

/// A hash in the file that is of something else than a key lets nobody in.
#[test]
fn a_password_is_not_a_key() {
    let keys = parse(&format!("a all {}", KeyHash::of("password"))).expect("a file");
    assert_eq!(keys.find("password"), None);
}

#[test]
fn a_new_key_is_cw_and_43_characters() {
    let key = NewKey::random();
    assert!(has_form_of_key(key.secret()) && key.secret().len() == 46, "{}", key.secret());
    assert_ne!(key.secret(), NewKey::random().secret());
}

#[test]
fn a_file_has_lines_comments_and_empty_lines() {
    let upper = HASH.to_uppercase().replace('0', "1");
    let text = format!(
        "\u{feff}# keys\r\n\r\n  backend\tall  {HASH}  # since March\r\n\n#x\nb.-_9 metrics {upper} 2027-01-31"
    );
    let keys = parse(&text).expect("a file");
    assert_eq!(keys.len(), 2);
    let metrics = keys.by_hash.values().find(|key| key.scope == KeyScope::Metrics).expect("it");
    assert_eq!((metrics.name.as_str(), metrics.expires), ("b.-_9", Some(at(1_801_353_600_000_000))));
}

#[test]
fn a_file_without_a_byte_is_being_written() {
    assert!(parse("").expect_err("empty").contains("empty"));
    for none in ["\n", "# nothing yet", " ", "\u{feff}"] {
        assert!(parse(none).expect(none).is_empty(), "{none:?}");
    }
}

#[test]
fn a_bad_line_is_named_with_its_rule() {
    let hash = HASH;
    for (line, words) in [
        ("backend", &["NAME SCOPE SHA256HEX"][..]),
        ("backend all", &["NAME SCOPE SHA256HEX"]),
        (&format!("a all {hash} 2027-01-01 x"), &["NAME SCOPE SHA256HEX"]),
        (&format!("A all {hash}"), &["NAME", "1 to 32"]),
        (&format!("a/b all {hash}"), &["NAME"]),
        (&format!("{} all {hash}", "a".repeat(33)), &["NAME"]),
        (&format!("a ALL {hash}"), &["SCOPE", "all, read or metrics"]),
        (&format!("a write {hash}"), &["SCOPE"]),
        (&format!("a all {}", &hash[1..]), &["SHA256HEX", "64"]),
        (&format!("a all {hash}0"), &["SHA256HEX", "64"]),
        (&format!("a all {}", hash.replace('a', "g")), &["SHA256HEX", "64"]),
        (&format!("a all +{}", &hash[1..]), &["SHA256HEX", "64"]),
        (&format!("a all {}", NewKey::random().secret()), &["SHA256HEX", "not be in this file"]),
        (&format!("a all {hash} never"), &["EXPIRES", "2027-01-31"]),
        (&format!("a all {hash} 2027-02-30"), &["EXPIRES"]),
        (&format!("a all {hash} 2027-01-31T12:00:00"), &["EXPIRES"]),
        (&format!("a all {hash} 1969-12-31"), &["EXPIRES"]),
    ] {
        let refused = parse(&format!("# first\n\n{line}\n")).expect_err(line);
        for word in ["line 3: "].iter().chain(words) {
            assert!(refused.contains(word), "no {word:?} in: {refused}");
        }
    }
    let not_utf8 = ServerKeys::parse(b"# caf\xE9").expect_err("not UTF-8").to_string();
    assert_eq!(not_utf8, "line 1: not UTF-8");
}

#[test]
fn a_hash_occurs_once_and_a_name_more_often() {
    let other = HASH.replace('0', "1");
    assert!(parse(&format!("a all {HASH}\na read {other}")).is_ok());
    let refused = parse(&format!("a all {HASH}\nb read {}", HASH.to_uppercase())).expect_err("twice");
    assert!(refused.starts_with("line 2: the same SHA256HEX"), "{refused}");
}

#[test]
fn a_file_has_at_most_64_keys() {
    let line = |number: usize| format!("a all {number:064x}\n");
    let full: String = (0..64).map(line).collect();
    assert_eq!(parse(&full).expect("64 keys").len(), 64);
    let refused = parse(&(full + &line(64))).expect_err("65 keys");
    assert_eq!(refused, "line 65: more than 64 keys");
}

#[test]
fn a_key_is_good_until_it_expires() {
    for (text, micros) in [
        ("2027-01-31", 1_801_353_600_000_000),
        ("2027-01-31T00:00:00Z", 1_801_353_600_000_000),
        ("2027-01-31T01:00:00+01:00", 1_801_353_600_000_000),
        ("2027-01-31T00:00:00.000001Z", 1_801_353_600_000_001),
    ] {
        let keys = parse(&format!("a all {HASH} {text}")).expect(text);
        let key = keys.by_hash.values().next().expect("a key");
        assert!(!key.is_expired(at(micros - 1)) && key.is_expired(at(micros)), "{text}");
        assert!(key.is_expired(at(micros + 1)) && key.is_expired(Timestamp::CLOCK_MAX), "{text}");
    }
    let keys = parse(&format!("a all {HASH}")).expect("a file");
    assert!(!keys.by_hash.values().next().expect("a key").is_expired(Timestamp::CLOCK_MAX));
}

/// A key that can do less is another key, so its streams end. Its name and its comment do not matter.
#[test]
fn a_line_of_other_rights_is_another_source() {
    let source = |line: &str| parse(line).expect(line).by_hash.into_values().next().expect("a key").source;
    let same = source(&format!("a all {HASH}"));
    assert_eq!(same, source(&format!("# moved\nb all {} # renamed", HASH.to_uppercase())));
    let other = HASH.replace('0', "1");
    for changed in [format!("a read {HASH}"), format!("a all {HASH} 2027-01-31"), format!("a all {other}")] {
        assert_ne!(same, source(&changed), "{changed}");
    }
}
