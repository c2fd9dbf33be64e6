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

/// The format of the messages that this release writes, and the latest that it knows. The stream's metadata names the
/// format that all servers must know.
pub(super) const FORMAT: u64 = 1;

const FORMAT_NAME: &str = "chinwag.format";

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
    });
    set_format(&mut config);
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
    let wanted = wanted(stream);
    let bad = wanted.iter().filter(|(property, wanted)| !wanted.fits(&config[property]));
    let fault = |(property, wanted): &(&str, Wanted)| {
        format!("its {property} is {}, and must be {}", config[property], wanted.words())
    };
    bad.map(fault).collect()
}

/// Returns the format that the metadata of a stream's configuration names, if this release does not know it.
pub(super) fn later_format(config: &Value) -> Option<String> {
    let format = format(config)?;
    let is_known = format.parse().is_ok_and(|format: u64| format <= FORMAT);
    (!is_known).then(|| format.to_owned())
}

/// Returns the format that the metadata of a stream's configuration names.
pub(super) fn format(config: &Value) -> Option<&str> {
    config["metadata"][FORMAT_NAME].as_str()
}

/// Names this release's format in the metadata of a stream's configuration.
pub(super) fn set_format(config: &mut Value) {
    config["metadata"][FORMAT_NAME] = json!(FORMAT.to_string());
}

/// Returns the length to which a stream may grow, in bytes, or `None` if nothing limits it.
fn bytes_max(config: &Value) -> Option<i64> {
    config["max_bytes"].as_i64().filter(|bytes| *bytes > 0)
}

/// Returns the length to which a stream may grow, as text.
pub(super) fn bytes_max_text(config: &Value) -> String {
    bytes_max(config).map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} at most"))
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
    if bytes_max(config).is_none() {
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
    fn a_later_format_is_not_known() {
        let mut config = found();
        assert_eq!((format(&config), later_format(&config)), (Some("1"), None));
        for (named, later) in [("0", None), ("2", Some("2")), ("10", Some("10")), ("new", Some("new"))] {
            config["metadata"]["chinwag.format"] = json!(named);
            assert_eq!(later_format(&config).as_deref(), later);
        }
        // A stream without metadata is of the first format. Its other metadata stays when it is upgraded.
        for metadata in [json!(null), json!({ "owner": "ann" })] {
            config["metadata"] = metadata.clone();
            assert_eq!((format(&config), later_format(&config)), (None, None));
            set_format(&mut config);
            assert_eq!(format(&config), Some("1"));
            assert_eq!(config["metadata"]["owner"], metadata["owner"]);
        }
    }

    #[test]
    fn a_stream_without_a_limit_is_unlimited() {
        for (found, shown) in
            [(json!(-1), "unlimited"), (json!(0), "unlimited"), (json!(1 << 30), "1073741824 at most")]
        {
            assert_eq!(bytes_max_text(&json!({ "max_bytes": found })), shown);
        }
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
