//! Dependencies point one way: a module names only what its row in one of these tables lists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module, and the modules of the crate that it may name.
const MAY_NAME: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("model", &["domain"]),
    ("log", &["domain", "system_clock", "thread"]),
    ("engine", &["domain", "model", "log", "system_clock", "thread"]),
    ("system_clock", &["domain"]),
    ("thread", &[]),
    ("access", &["domain", "system_clock"]),
    ("config", &["access", "log"]),
    ("http", &["domain", "access", "model", "engine", "config", "system_clock"]),
    ("healthcheck", &[]),
    ("server", &["access", "config", "engine", "http", "log", "system_clock", "thread"]),
    ("tools", &["access", "domain", "model", "log", "system_clock"]),
    ("lib", &[]),
    ("main", &["access", "config", "domain", "engine", "healthcheck", "log", "server", "tools"]),
];

#[test]
fn dependencies_point_one_way() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for file in rust_files(&sources) {
        let module = module_of(&file, &sources);
        let row = MAY_NAME.iter().find(|(name, _)| *name == module);
        let (_, may_name) = row.unwrap_or_else(|| panic!("{} is in no row", file.display()));
        let text = std::fs::read_to_string(&file).expect("readable");
        for named in modules_named(&text) {
            let allowed = named == module || may_name.contains(&named.as_str());
            assert!(allowed, "{} names {named}", file.display());
        }
        seen.insert(module);
    }
    assert_eq!(seen.len(), MAY_NAME.len(), "a row without a module: {seen:?}");
}

/// A part of `http`, and the parts that it may name, all of which stand above it in this table.
const PARTS_MAY_NAME: [(&str, &[&str]); 15] = [
    ("headers", &[]),
    ("limits", &[]),
    ("cursor", &[]),
    ("body_budget", &[]),
    ("metrics", &[]),
    ("request_id", &["headers", "limits"]),
    ("answer", &["cursor", "headers", "limits", "request_id"]),
    ("admission", &["answer", "headers"]),
    ("app", &["admission", "answer", "body_budget", "limits", "metrics"]),
    ("openapi", &["admission", "answer", "cursor", "headers", "limits"]),
    ("request", &["admission", "answer", "app", "body_budget", "cursor", "headers", "limits", "openapi"]),
    ("calls", &["admission", "answer", "app", "cursor", "headers", "limits", "openapi", "request"]),
    ("web", &["app", "headers"]),
    ("router", &["admission", "answer", "app", "calls", "metrics", "openapi", "request", "web"]),
    ("connection", &["admission", "answer", "app", "headers", "limits", "request", "request_id", "router"]),
];

/// A part names another part by `crate::http::PART`.
#[test]
fn parts_of_http_point_one_way() {
    for (index, (part, may_name)) in PARTS_MAY_NAME.iter().enumerate() {
        let above: Vec<_> = PARTS_MAY_NAME[..index].iter().map(|(above, _)| above).collect();
        assert!(may_name.iter().all(|named| above.contains(&named)), "{part} may name a part below it");
    }
    let http = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut seen = BTreeSet::new();
    for file in rust_files(&http).into_iter().filter(|file| *file != http.join("mod.rs")) {
        let part = module_of(&file, &http);
        let row = PARTS_MAY_NAME.iter().find(|(name, _)| *name == part);
        let (_, may_name) = row.unwrap_or_else(|| panic!("{} is in no row", file.display()));
        let text = std::fs::read_to_string(&file).expect("readable");
        let hidden = ["crate::http::{", "super::super::"].into_iter().find(|path| text.contains(path));
        assert_eq!(hidden, None, "{} hides which part it names", file.display());
        for named in names_after("crate::http::", &text) {
            let allowed = named == part || may_name.contains(&named.as_str());
            assert!(allowed, "{} names {named}", file.display());
        }
        seen.insert(part);
    }
    assert_eq!(seen.len(), PARTS_MAY_NAME.len(), "a row without a part: {seen:?}");
}

#[test]
fn the_domain_is_pure() {
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

/// Returns the name of the module directly below `root` that the file belongs to.
fn module_of(file: &Path, root: &Path) -> String {
    let inside = file.strip_prefix(root).expect("below the root");
    let module = inside.components().next().expect("a name").as_os_str().to_str().expect("ASCII");
    module.trim_end_matches(".rs").to_owned()
}

/// Returns the modules of this crate that a file names by `crate::…` or, in the binary, by `chinwag::…`.
fn modules_named(text: &str) -> BTreeSet<String> {
    assert!(!text.contains("crate::{"), "one module per line, so that each is found here");
    ["crate::", "chinwag::"].into_iter().flat_map(|root| names_after(root, text)).collect()
}

/// Returns the names of modules that follow this path: names in lower case.
fn names_after(path: &str, text: &str) -> BTreeSet<String> {
    let name =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().map(str::to_owned);
    text.split(path).skip(1).filter_map(name).filter(|name| !name.is_empty()).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.chain(dirs.iter().flat_map(|dir| rust_files(dir))).collect()
}
