//! The configuration that a stream must have, in the words of JetStream. A stream that forgets is none for a log.

use serde_json::{Value, json};

/// How a property must be.
enum Wanted {
    Is(Value),
    /// Absent, or what the nodes take for that.
    Off,
    /// A limit that does not limit.
    Unlimited,
}

use Wanted::{Is, Off, Unlimited};

impl Wanted {
    fn fits(&self, found: &Value) -> bool {
        match self {
            Is(value) => found == value,
            Off => {
                let empty = [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})];
                empty.contains(found) || *found == json!("default")
            }
            Unlimited => found.is_null() || found.as_i64().is_some_and(|limit| limit <= 0),
        }
    }

    fn words(&self) -> String {
        match self {
            Is(value) => value.to_string(),
            Off => "off".to_owned(),
            Unlimited => "unlimited".to_owned(),
        }
    }
}

/// Returns the subject of a stream's messages.
pub(super) fn subject(stream: &str) -> String {
    format!("{stream}.log")
}

/// Returns the subject under which the nodes say that a message is stored.
pub(super) fn stored_subject(stream: &str) -> String {
    format!("{stream}.stored")
}

/// The version of the messages, in the stream's metadata.
const FORMAT: &str = "1";

fn wanted(stream: &str) -> [(&'static str, Wanted); 23] {
    [
        ("subjects", Is(json!([subject(stream)]))),
        ("retention", Is(json!("limits"))),
        ("storage", Is(json!("file"))),
        ("discard", Is(json!("new"))),
        ("deny_delete", Is(json!(true))),
        ("deny_purge", Is(json!(true))),
        ("allow_direct", Is(json!(true))),
        ("allow_rollup_hdrs", Off),
        ("no_ack", Off),
        ("sealed", Off),
        ("max_age", Unlimited),
        ("max_msgs", Unlimited),
        ("max_msgs_per_subject", Unlimited),
        ("max_msg_size", Unlimited),
        ("first_seq", Off),
        ("mirror", Off),
        ("sources", Off),
        ("subject_transform", Off),
        // The other mode answers before a message is on a disk.
        ("persist_mode", Off),
        ("allow_msg_ttl", Off),
        ("allow_msg_counter", Off),
        ("allow_msg_schedules", Off),
        ("mirror_direct", Off),
    ]
}

/// Returns the configuration of a new stream.
pub(super) fn config(stream: &str, replicas: u32, bytes_max: Option<u64>) -> Value {
    let mut config = json!({
        "name": stream,
        "num_replicas": replicas,
        "max_bytes": bytes_max.map_or(json!(-1), |bytes| json!(bytes)),
        // No message has an id. 0 would mean two minutes.
        "duplicate_window": 100_000_000,
        "republish": { "src": subject(stream), "dest": stored_subject(stream), "headers_only": true },
        "metadata": { "chinwag.format": FORMAT },
    });
    for (property, wanted) in wanted(stream) {
        match wanted {
            Is(value) => config[property] = value,
            Unlimited if property != "max_age" => config[property] = json!(-1),
            Unlimited | Off => {}
        }
    }
    config
}

/// Returns what is wrong with a stream's configuration, and how it must be.
pub(super) fn faults(stream: &str, config: &Value) -> Vec<String> {
    let mut faults: Vec<_> = wanted(stream)
        .iter()
        .filter(|(property, wanted)| !wanted.fits(&config[property]))
        .map(|(property, wanted)| {
            format!("its {property} is {}, and must be {}", config[property], wanted.words())
        })
        .collect();
    let format = &config["metadata"]["chinwag.format"];
    if !format.is_null() && *format != json!(FORMAT) {
        faults.push(format!("its messages are of format {format}, and this release knows {FORMAT}"));
    }
    faults
}

/// Returns what is allowed, and that an operator should know of.
pub(super) fn warnings(stream: &str, config: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let replicas = config["num_replicas"].as_u64().unwrap_or(0);
    if replicas < 3 {
        warnings.push(format!(
            "num_replicas is {replicas}: with fewer than 3, writes stop with the first node that fails"
        ));
    }
    if config["max_bytes"].as_i64().is_none_or(|bytes| bytes <= 0) {
        warnings.push(
            "max_bytes is unlimited: a node whose disk is full stores nothing more until it is restarted"
                .to_owned(),
        );
    }
    if config["republish"]["dest"] != json!(stored_subject(stream)) {
        warnings.push(format!(
            "it is not republished to {}: this server sees what others write up to a second later",
            stored_subject(stream)
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a node of release 2.15 tells it.
    fn found() -> Value {
        let mut config = config("tea", 3, Some(1 << 30));
        config["max_age"] = json!(0);
        config["max_consumers"] = json!(-1);
        config["consumer_limits"] = json!({});
        config["allow_rollup_hdrs"] = json!(false);
        config
    }

    #[test]
    fn a_stream_that_may_forget_is_refused() {
        assert_eq!(faults("tea", &found()), Vec::<String>::new());
        for (property, value, must) in [
            ("subjects", json!(["tea.>"]), "[\"tea.log\"]"),
            ("retention", json!("workqueue"), "\"limits\""),
            ("storage", json!("memory"), "\"file\""),
            ("discard", json!("old"), "\"new\""),
            ("deny_delete", json!(false), "true"),
            ("deny_purge", json!(null), "true"),
            ("allow_direct", json!(null), "true"),
            ("allow_rollup_hdrs", json!(true), "off"),
            ("no_ack", json!(true), "off"),
            ("sealed", json!(true), "off"),
            ("max_age", json!(1), "unlimited"),
            ("max_msgs", json!(9), "unlimited"),
            ("max_msgs_per_subject", json!(1), "unlimited"),
            ("max_msg_size", json!(1000), "unlimited"),
            ("first_seq", json!(5), "off"),
            ("mirror", json!({ "name": "other" }), "off"),
            ("sources", json!([{ "name": "other" }]), "off"),
            ("subject_transform", json!({ "src": "a", "dest": "b" }), "off"),
            ("persist_mode", json!("async"), "off"),
            ("allow_msg_ttl", json!(true), "off"),
            ("allow_msg_counter", json!(true), "off"),
            ("allow_msg_schedules", json!(true), "off"),
            ("mirror_direct", json!(true), "off"),
        ] {
            let mut config = found();
            config[property] = value.clone();
            assert_eq!(
                faults("tea", &config),
                [format!("its {property} is {value}, and must be {must}")],
                "{property}"
            );
        }
    }

    #[test]
    fn messages_of_a_later_format_are_refused() {
        let mut config = found();
        config["metadata"]["chinwag.format"] = json!("2");
        assert_eq!(faults("tea", &config), ["its messages are of format \"2\", and this release knows 1"]);
    }

    #[test]
    fn a_stream_that_stops_easily_is_warned_of() {
        assert_eq!(warnings("tea", &found()), Vec::<String>::new());
        for (property, value) in
            [("num_replicas", json!(1)), ("max_bytes", json!(-1)), ("republish", json!(null))]
        {
            let mut config = found();
            config[property] = value;
            assert_eq!(faults("tea", &config), Vec::<String>::new());
            assert_eq!(warnings("tea", &config).len(), 1, "{property}");
        }
    }
}
