//! Dependencies point one way. What is not in a row of this table may not be named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module, and the modules of the crate that it may name.
const MAY_NAME: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("model", &["domain"]),
    ("log", &["domain", "thread"]),
    ("engine", &["domain", "model", "log", "thread"]),
    ("thread", &[]),
    ("config", &["log"]),
    ("http", &["domain", "model", "engine", "config"]),
    ("healthcheck", &[]),
    ("server", &["config", "engine", "http", "log"]),
    ("tools", &["domain", "model", "log"]),
    ("lib", &[]),
    ("main", &["config", "domain", "healthcheck", "log", "server", "tools"]),
];

#[test]
fn dependencies_point_one_way() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for file in rust_files(&sources) {
        let inside = file.strip_prefix(&sources).expect("below src");
        let module = inside.components().next().expect("a name").as_os_str().to_str().expect("ASCII");
        let module = module.trim_end_matches(".rs");
        let row = MAY_NAME.iter().find(|(name, _)| *name == module);
        let (_, may_name) = row.unwrap_or_else(|| panic!("{} is in no row", file.display()));
        let text = std::fs::read_to_string(&file).expect("readable");
        for named in modules_named(&text) {
            let allowed = named == module || may_name.contains(&named.as_str());
            assert!(allowed, "{} names {named}", file.display());
        }
        seen.insert(module.to_owned());
    }
    assert_eq!(seen.len(), MAY_NAME.len(), "a row without a module: {seen:?}");
}

#[test]
fn the_domain_names_no_shell() {
    let forbidden =
        ["tokio", "axum", "hyper", "parking_lot", "std::fs", "std::net", "std::sync", "std::thread"];
    let forbidden = forbidden.into_iter().chain(["SystemTime", "Instant::", "now_v7", "new_v4"]);
    let domain = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    for word in forbidden {
        for file in rust_files(&domain) {
            let text = std::fs::read_to_string(&file).expect("readable");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.into_iter().any(|line| line.contains(word)), "{} names {word}", file.display());
        }
    }
}

/// The crate's own modules that a file names by `crate::…` or, in the binary, by `chinwag::…`.
fn modules_named(text: &str) -> BTreeSet<String> {
    assert!(!text.contains("crate::{"), "a module a line, so that it is seen here");
    let name =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().map(str::to_owned);
    let named =
        ["crate::", "chinwag::"].into_iter().flat_map(|root| text.split(root).skip(1)).filter_map(name);
    named.filter(|name| !name.is_empty()).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.chain(dirs.iter().flat_map(|dir| rust_files(dir))).collect()
}
