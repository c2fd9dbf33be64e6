//! Settings of the scrubs, by which what was deleted leaves the disk.

use std::time::Duration;

use clap::Args;

use super::values::number;

/// Time for which deleted data is kept, of `serve` and of `log scrub`.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeepDeleted {
    /// Time for which deleted messages, and what edits have replaced, stay on the disk, in days. Erased data leaves it with
    /// the next scrub
    #[arg(long, env = "CHINWAG_KEEP_DELETED_DAYS", value_name = "DAYS", default_value_t = 30,
        value_parser = number(0..=36_500, 30))]
    pub keep_deleted_days: u32,
}

impl KeepDeleted {
    /// Returns the time.
    #[must_use]
    pub fn time(self) -> Duration {
        Duration::from_secs(u64::from(self.keep_deleted_days) * 24 * 60 * 60)
    }
}

/// Settings of a server's scrubs.
#[derive(Debug, Clone, Copy, Args)]
pub struct ScrubConfig {
    /// Time for which deleted data is kept
    #[command(flatten)]
    pub keep: KeepDeleted,
    /// Time between two looks for what is due to leave the disk, in seconds; what is erased is looked for every 10 s
    #[arg(long, env = "CHINWAG_SCRUB_EVERY_S", value_name = "SECONDS", default_value_t = 3_600,
        value_parser = number(1..=86_400, 3_600))]
    pub scrub_every_s: u32,
    /// Maximum MiB that a scrub reads or writes in a second
    #[arg(long, env = "CHINWAG_SCRUB_MIB_PER_S", value_name = "MIB", default_value_t = 32,
        value_parser = number(1..=100_000, 32))]
    pub scrub_mib_per_s: u32,
}
