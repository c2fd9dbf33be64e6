//! The filter of log messages: a level, or also one for each part.

use tracing_subscriber::EnvFilter;

/// The modules that log, below the crate's own name. A filter may name each of them, and the modules that
/// they are in.
const MODULES_THAT_LOG: [&str; 27] = [
    "access::token",
    "engine::clock",
    "engine::forwarding",
    "engine::scrubber",
    "engine::writer",
    "http::connection",
    "http::connection::observe",
    "http::connection::panics",
    "log::disk",
    "log::file_log",
    "log::scrub",
    "log::staged",
    "log::stream::clocks",
    "log::stream::copier",
    "log::stream::nats",
    "log::stream::nats::connect",
    "log::stream::nats::listen",
    "log::stream::nats::peers",
    "log::stream::status",
    "log::stream::stream_log",
    "log::stream::stream_log::joining",
    "server",
    "server::key_files",
    "server::listen",
    "server::notify",
    "server::reload",
    "server::tls",
];

/// Returns whether something that the crate logs has this target.
fn is_target(name: &str) -> bool {
    let logs = |module: &str| {
        let mut rests = MODULES_THAT_LOG.iter().filter_map(|logs| logs.strip_prefix(module));
        rests.any(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    match name.strip_prefix("chinwag") {
        Some("") => true,
        Some(module) => module.strip_prefix("::").is_some_and(|module| !module.is_empty() && logs(module)),
        None => false,
    }
}

/// Returns the filter in lower case. Refuses what [`EnvFilter`] accepts, and what would log nothing: a level
/// or a part that does not exist.
pub(super) fn log_filter(filter: &str) -> Result<String, String> {
    let is_level = |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level);
    let filter = filter.to_ascii_lowercase();
    let directives: Vec<_> = filter.split(',').map(str::trim).collect();
    for directive in &directives {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, *directive),
        };
        if let Some(unknown) = target.filter(|target| !is_target(target)) {
            let mut parts: Vec<_> =
                MODULES_THAT_LOG.iter().filter_map(|module| module.split("::").next()).collect();
            parts.dedup();
            let parts: Vec<_> = parts.into_iter().map(|part| format!("chinwag::{part}")).collect();
            return Err(format!(
                "{unknown:?} is not a part that logs; the parts are {}, and chinwag for all of them, as in \
                 info,chinwag::log=debug",
                parts.join(", ")
            ));
        }
        if !is_level(level) {
            return Err(format!(
                "{level:?} is not a level; the levels are off, error, warn, info, debug and trace, as in info or \
                 info,chinwag::log=debug"
            ));
        }
    }
    let filter = directives.join(",");
    EnvFilter::try_new(&filter).map_err(|error| error.to_string())?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mistyped_level_or_part_is_refused() {
        for good in ["info", "OFF", "warn,chinwag::log=debug", "chinwag=trace", "Info, CHINWAG::Log=Debug"] {
            assert_eq!(log_filter(good), Ok(good.to_lowercase().replace(' ', "")));
        }
        for (bad, named) in [
            ("", ""),
            ("inof", "inof"),
            ("warning", "warning"),
            ("loud", "loud"),
            ("chinwag::log", "chinwag::log"),
            ("info,", ""),
            ("chinwag::log=loud", "loud"),
            ("info,debgu", "debgu"),
            ("hyper=debug", "hyper"),
            ("chinwag::log::nothing=debug", "chinwag::log::nothing"),
            ("CHINWAG::LO=debug", "CHINWAG::LO"),
            ("CHINWAG::=debug", "CHINWAG::"),
            ("=debug", ""),
        ] {
            let refused = log_filter(bad).expect_err(bad);
            assert!(refused.contains(&format!("{:?} is not a ", named.to_lowercase())), "{refused}");
            assert!(refused.contains("as in info"), "{refused}");
        }
    }

    /// Adds the modules below this directory whose code logs. `module` is the directory's own.
    fn add_modules_that_log(dir: &Path, module: &str, found: &mut BTreeSet<String>) {
        let logs = |code: &str| {
            let mut levels = ["trace", "debug", "info", "warn", "error"].into_iter();
            levels.any(|level| code.contains(&format!("tracing::{level}!")))
        };
        for path in std::fs::read_dir(dir).expect("sources").map(|entry| entry.expect("an entry").path()) {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("ASCII");
            let name = if ["main", "mod"].contains(&name) { "" } else { name };
            let within = [module, name].join("::");
            let within = within.trim_matches(':');
            if path.is_dir() {
                add_modules_that_log(&path, within, found);
            } else if std::fs::read_to_string(&path).is_ok_and(|code| logs(&code)) {
                found.insert(within.to_owned());
            }
        }
    }

    #[test]
    fn every_module_that_logs_is_a_target() {
        let mut found = BTreeSet::new();
        add_modules_that_log(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
        // That of `main.rs`.
        assert!(found.remove(""));
        assert_eq!(found, MODULES_THAT_LOG.map(str::to_owned).into());
        for module in ["", "::http", "::http::connection", "::log::disk"] {
            assert!(is_target(&format!("chinwag{module}")), "{module}");
        }
    }
}
