//! Does `chinwag import` handle arbitrary lines, of an exported history or of events by name? Accepted lines
//! are exported and imported again, with the same result.
#![no_main]

use std::path::Path;

use chinwag::domain::Position;
use chinwag::log::SEGMENT_BYTES_MIN;
use chinwag::tools::{Import, dump, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    if !is_accepted(&first, bytes) {
        assert!(!first.exists(), "a refused import leaves nothing behind");
        return;
    }
    let exported = export(&first);
    assert!(is_accepted(&second, &exported));
    assert_eq!(export(&second), exported);
});

fn is_accepted(dir: &Path, lines: &[u8]) -> bool {
    let into = Import { data: dir.to_owned(), segment_bytes: SEGMENT_BYTES_MIN, allow_future: true };
    import(&into, lines, std::io::sink()).is_ok()
}

fn export(dir: &Path) -> Vec<u8> {
    let mut lines = Vec::new();
    dump(dir, Position(1), &mut lines).unwrap();
    lines
}
