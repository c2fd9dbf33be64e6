//! The dashboard for Grafana shows every metric of a server, and only those. The alerts ask for no other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{CertificateFiles, TestServer, problem};

const DASHBOARD: &str = include_str!("../../examples/grafana.json");

/// Returns all panels, without the rows that group them.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter(|panel| panel["type"] != "row").cloned().collect()
}

/// Returns the expressions that a panel queries.
fn expressions(panel: &Value) -> impl Iterator<Item = &str> {
    let targets = panel["targets"].as_array().expect("targets").iter();
    targets.map(|target| target["expr"].as_str().expect("an expression"))
}

/// The metrics that an expression names, without what the series of a histogram have behind its name.
fn metrics_named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let names = words.filter(|word| word.starts_with("chinwag_") || word.starts_with("process_"));
    names
        .map(|name| {
            ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
        })
        .collect()
}

/// The families of metrics that the server shows once it has done and refused something.
async fn families_shown(server: TestServer) -> BTreeSet<String> {
    server.add_user("ann").await;
    problem(&server.post("/users/add", &json!({ "username": "ann" })).await, 409, "username_taken");
    let metrics = server.get("/metrics").await.text;
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    types.map(str::to_owned).collect()
}

/// The families of metrics that only a server on a stream shows.
fn families_of_streams() -> BTreeSet<String> {
    let source = include_str!("../../src/engine/metrics.rs");
    let names: BTreeSet<_> =
        source.split('"').filter(|word| word.starts_with("chinwag_stream_")).map(str::to_owned).collect();
    assert!(names.len() >= 8, "{names:?}");
    names
}

#[tokio::test]
async fn the_dashboard_shows_exactly_the_existing_metrics() {
    let mut shown = families_shown(TestServer::start()).await;
    shown.append(&mut families_of_streams());
    let panels = panels();
    let asked: BTreeSet<_> = panels.iter().flat_map(expressions).flat_map(metrics_named).collect();
    for name in &asked {
        assert!(shown.contains(*name), "a panel asks for {name}; there are {shown:?}");
    }
    for name in shown.iter().filter(|name| name.starts_with("chinwag_")) {
        assert!(asked.contains(name.as_str()), "no panel shows {name}");
    }
}

#[tokio::test]
async fn the_alerts_ask_for_existing_metrics() {
    let files = CertificateFiles::new();
    // Every server has the others.
    let mut shown = families_shown(files.server(&[])).await;
    shown.append(&mut families_of_streams());
    shown.insert("chinwag_keys_stale".to_owned());
    let rules = include_str!("../../examples/alerts.yaml").lines();
    let expressions: Vec<_> = rules.filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 8, "{expressions:?}");
    for name in expressions.into_iter().flat_map(metrics_named) {
        assert!(shown.contains(name), "an alert asks for {name}; there are {shown:?}");
    }
}

#[test]
fn every_panel_has_a_query_unit_and_description() {
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title");
        for expression in expressions(&panel) {
            assert!(!metrics_named(expression).is_empty(), "{title}: {expression}");
            assert!(
                expression.contains("{instance=~\"$instance\""),
                "{title}, of whichever server: {expression}"
            );
        }
        let description = panel["description"].as_str().expect("a description");
        assert!(description.ends_with('.') && !description.contains('\n'), "{title}: {description}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
}
