//! Measures a small commit on the disk alone: one write and one `fdatasync`, repeated, on a file
//! of zeros, in the directory where the log would be.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;

#[derive(Args)]
pub(crate) struct ProbeArgs {
    /// Directory on the disk to measure
    dir: PathBuf,
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    #[arg(long)]
    seconds: f64,
}

pub(crate) fn run(args: &ProbeArgs) {
    const FILE_BYTES: usize = 64 << 20;
    let path = args.dir.join("probe");
    let file = File::create(&path).expect("a file");
    file.write_all_at(&vec![0; FILE_BYTES], 0).expect("written");
    file.sync_all().expect("synced");

    let record = vec![b'x'; args.bytes];
    let mut latency_ns = Histogram::<u64>::new(3).expect("three digits are possible");
    let ends = Instant::now() + Duration::from_secs_f64(args.seconds);
    let mut offset = 0;
    while Instant::now() < ends {
        let started = Instant::now();
        file.write_all_at(&record, offset as u64).expect("written");
        file.sync_data().expect("synced");
        let nanos = u64::try_from(started.elapsed().as_nanos()).expect("not a hundred years");
        latency_ns.record(nanos).expect("it grows as needed");
        offset = (offset + args.bytes) % (FILE_BYTES - args.bytes);
    }
    std::fs::remove_file(&path).expect("removed");
    println!("{}", json!({ "p50_ns": latency_ns.value_at_quantile(0.5), "syncs": latency_ns.len() }));
}
