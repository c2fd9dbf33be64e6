//! `chinwag keys new` and `chinwag token`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chinwag::access::{KeyScope, Scope, ServerKeys, Subject, TokenKeys, TokenPolicy, TokenSub};
use chinwag::system_clock;
use tempfile::TempDir;

use super::Said;
use crate::support::{binary, binary_under};

const USER: &str = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

fn said(mut command: std::process::Command) -> Said {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn run(words: &[&str]) -> Said {
    let mut command = binary();
    command.args(words);
    said(command)
}

fn new_key_in(file: &Path, words: &[&str]) -> Said {
    run(&[&["keys", "new"], words, &["--append", file.to_str().unwrap()]].concat())
}

/// Returns the only line of stdout.
#[track_caller]
fn line(said: &Said) -> &str {
    said.stdout.strip_suffix('\n').filter(|line| !line.is_empty() && !line.contains('\n')).expect("one line")
}

fn keys_of(file: &Path) -> ServerKeys {
    ServerKeys::parse(&std::fs::read(file).unwrap()).expect("a file of server keys")
}

#[test]
fn a_new_key_is_on_stdout_and_its_line_on_stderr() {
    let made = run(&["keys", "new", "backend", "--scope", "read", "--expires", "2999-12-31"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let keys = ServerKeys::parse(made.stderr.as_bytes()).expect("a line of a file");
    let key = keys.find(line(&made)).expect("the key of the line");
    assert_eq!((key.name.as_str(), key.scope), ("backend", KeyScope::Read));
    assert_eq!(key.expires.map(|time| time.to_string()).as_deref(), Some("2999-12-31T00:00:00.000000Z"));
    assert!(!made.stderr.contains(line(&made)), "{}", made.stderr);
}

#[test]
fn a_key_is_appended_to_its_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys.txt");
    let first = new_key_in(&file, &["backend"]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // As an editor may leave it.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# ours\r\n{}\n# the end", text.trim_end())).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let second = new_key_in(&file, &["prometheus", "--scope", "metrics"]);
    let keys = keys_of(&file);
    for (made, name) in [(&first, "backend"), (&second, "prometheus")] {
        assert_eq!(keys.find(line(made.done())).expect("found").name.as_str(), name);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# ours\r\nbackend all ") && text.contains("# the end\nprometheus "), "{text}");
    assert!(text.ends_with('\n') && text.lines().count() == 4, "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_that_is_empty_is_begun() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = new_key_in(file.path(), &["backend"]);
    assert!(keys_of(file.path()).find(line(made.done())).is_some());
}

#[test]
fn a_file_of_something_else_or_full_is_exit_2() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys.txt");
    let lines: Vec<_> = (0..64).map(|number| format!("a all {number:064x}")).collect();
    let full = lines.join("\n");
    for (text, words) in
        [("backend all secret\n", "line 1: SHA256HEX"), (&*full, "line 65: more than 64 keys")]
    {
        std::fs::write(&file, text).unwrap();
        let refused = new_key_in(&file, &["backend"]);
        refused.refused(2, &[file.to_str().unwrap(), words]);
        assert_eq!((refused.stdout.as_str(), std::fs::read_to_string(&file).unwrap().as_str()), ("", text));
    }
    new_key_in(&dir.path().join("missing/keys.txt"), &["a"]).refused(2, &["failed to open", "No such file"]);
    new_key_in(dir.path(), &["a"]).refused(2, &["failed to open", "directory"]);
    new_key_in(Path::new("/dev/null"), &["a"]).refused(2, &["/dev/null", "not a regular file"]);
}

#[test]
fn a_line_that_does_not_fit_leaves_the_file_as_it_was() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys.txt");
    let text = format!("#{}\n", " ".repeat(478));
    std::fs::write(&file, &text).unwrap();
    // One block of 512 bytes.
    let mut command = binary_under(&["sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"]);
    command.args(["keys", "new", "backend", "--append"]).arg(&file);
    let failed = said(command);
    failed.refused(1, &["failed to append to", file.to_str().unwrap()]);
    assert_eq!((failed.stdout.as_str(), std::fs::read_to_string(&file).unwrap()), ("", text));
}

/// The second of two looks at the file when the first one is done.
#[test]
fn two_that_append_at_once_do_not_overfill_a_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keys.txt");
    let mut lines: Vec<_> = (0..63).map(|number| format!("a all {number:064x}")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let first = std::fs::File::open(&path).unwrap();
    first.lock().unwrap();
    let mut second = binary();
    second.args(["keys", "new", "backend", "--append"]).arg(&path).stderr(Stdio::piped());
    let mut second = second.spawn().expect("it starts");
    let (pid, deadline) = (second.id().to_string(), Instant::now() + Duration::from_secs(15));
    let is_waiting = |line: &str| line.contains("->") && line.split_whitespace().any(|word| word == pid);
    while !std::fs::read_to_string("/proc/locks").unwrap().lines().any(is_waiting) {
        assert_eq!(second.try_wait().unwrap(), None, "it did not wait");
        assert!(Instant::now() < deadline, "it is not waiting");
        std::thread::sleep(Duration::from_millis(2));
    }
    lines.push(format!("a all {:064x}", 63));
    std::fs::write(&path, lines.join("\n")).unwrap();
    drop(first);
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(2));
    assert_eq!(keys_of(&path).len(), 64);
}

#[test]
fn a_bad_flag_of_a_key_is_exit_2() {
    for (words, said) in [
        (&["Backend"][..], &["'Backend'", "1 to 32 characters"][..]),
        (&["a", "--scope", "write"], &["'write'", "all, read, metrics"]),
        (&["a", "--expires", "soon"], &["'soon'", "2027-01-31"]),
        (&["a", "--expires", "2020-01-01"], &["2020-01-01T00:00:00", "in the past"]),
    ] {
        let refused = run(&[&["keys", "new"], words].concat());
        refused.refused(2, said);
        assert_eq!(refused.stdout, "");
    }
}

/// Writes a set with a key that only encrypts and a secret, and returns it.
fn set_in(dir: &Path) -> String {
    let file = dir.join("set.json");
    let set = r#"{"keys":[
        {"kty":"RSA","use":"enc","kid":"other"},
        {"kty":"oct","kid":"tea","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}
    ]}"#;
    std::fs::write(&file, set).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_minted_token_is_what_the_flags_say() {
    let dir = TempDir::new().unwrap();
    let set = set_in(dir.path());
    let keys = TokenKeys::parse(&std::fs::read(&set).unwrap()).expect("a JWK Set").0;
    let mint = |words: &[&str]| {
        let minted = run(&[&["token", "--token-keys", &set, "--user", USER], words].concat());
        assert_eq!(minted.code, Some(0), "{}", minted.stderr);
        assert!(minted.stderr.contains("key 1 (kid \"other\") is ignored"), "{}", minted.stderr);
        line(&minted).to_owned()
    };
    let policy =
        |audience: &str| TokenPolicy { audience: audience.to_owned(), ttl_max_s: 7200, sub: TokenSub::Id };
    let token = keys.verify(&mint(&[]), &policy("chinwag"), system_clock::now()).expect("good");
    assert_eq!(token.subject, Subject::Id(USER.parse().unwrap()));
    assert_eq!(token.expires_at.saturating_since(token.issued_at).as_secs(), 3_600);
    assert!(
        token.scopes.has(Scope::Read) && token.scopes.has(Scope::Write) && !token.scopes.has(Scope::Chats)
    );
    let words = ["--ttl", "7200", "--scope", "chats events", "--token-audience", "tea", "--kid", "tea"];
    let token = keys.verify(&mint(&words), &policy("tea"), system_clock::now()).expect("good");
    assert_eq!(token.expires_at.saturating_since(token.issued_at).as_secs(), 7_200);
    assert!(
        token.scopes.has(Scope::Chats) && token.scopes.has(Scope::Events) && !token.scopes.has(Scope::Read)
    );
}

#[test]
fn a_token_that_cannot_be_signed_is_exit_2() {
    let dir = TempDir::new().unwrap();
    let set = set_in(dir.path());
    let public = dir.path().join("public.json");
    let public_key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    std::fs::write(&public, format!("{{\"keys\":[{public_key}]}}")).unwrap();
    let (public, missing) = (public.to_str().unwrap(), dir.path().join("missing"));
    let missing = missing.to_str().unwrap();
    let not_a_set = file!();
    for (file, words, said) in [
        (public, &[][..], &[public, "no key that can sign"][..]),
        (&set, &["--kid", "other"], &["no key with this kid"]),
        (&set, &["--scope", "read,write"], &["'read,write'", "moderate"]),
        (&set, &["--ttl", "0"], &["from 1 to 31536000"]),
        (missing, &[], &["failed to read", missing, "No such file"]),
        (not_a_set, &[], &[not_a_set, "line 1, column 1: not JSON"]),
    ] {
        let refused = run(&[&["token", "--token-keys", file, "--user", USER], words].concat());
        refused.refused(2, said);
        assert_eq!(refused.stdout, "");
    }
}
