//! Does `chinwag import` handle arbitrary lines, of an exported history or of events by name? Accepted lines
//! are exported and imported again, with the same result.
#![no_main]

use std::path::Path;

use chinwag::domain::Position;
use chinwag::log::SEGMENT_BYTES_MIN;
use chinwag::tools::{Import, Lenience, dump, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().unwrap();
    // Whatever is left out or split: what remains is a history, or is refused.
    drop(import(&into(&dir.path().join("lenient")), &LENIENT, bytes, std::io::sink()));
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    if !is_accepted(&first, bytes) {
        assert!(!first.exists(), "a refused import leaves nothing behind");
        return;
    }
    let exported = export(&first);
    assert!(is_accepted(&second, &exported));
    assert_eq!(export(&second), exported);
});

const LENIENT: Lenience = Lenience { allow_future: true, skip_bad: true, split_long: true };

fn into(dir: &Path) -> Import {
    Import { data: dir.to_owned(), segment_bytes: SEGMENT_BYTES_MIN }
}

fn is_accepted(dir: &Path, lines: &[u8]) -> bool {
    let lenience = Lenience { allow_future: true, ..Lenience::default() };
    import(&into(dir), &lenience, lines, std::io::sink()).is_ok()
}

fn export(dir: &Path) -> Vec<u8> {
    let mut lines = Vec::new();
    dump(dir, Position(1), &mut lines).unwrap();
    lines
}
