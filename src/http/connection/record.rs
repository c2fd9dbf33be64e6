//! The ends of TLS records in the bytes of a client: a header of five bytes, of which the last two are the length
//! of what follows (RFC 8446, 5.1).

const HEADER_BYTES: usize = 5;

/// The place in its record at which the bytes so far end.
#[derive(Default)]
pub(super) struct Records {
    /// Bytes of the current record's header that have passed.
    header_bytes: usize,
    /// Length of the current record, as far as it has passed.
    length: usize,
    /// Bytes of it that have not passed.
    missing_bytes: usize,
}

impl Records {
    /// Follows these bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.header_bytes < HEADER_BYTES {
                self.header_bytes += 1;
                // The last two bytes remain.
                self.length = (self.length << 8 | usize::from(first)) & 0xffff;
                self.missing_bytes = self.length;
                bytes = rest;
            } else {
                let passed = bytes.len().min(self.missing_bytes);
                self.missing_bytes -= passed;
                bytes = &bytes[passed..];
            }
            if self.header_bytes == HEADER_BYTES && self.missing_bytes == 0 {
                *self = Self::default();
            }
        }
    }

    /// Returns whether a record has arrived in part.
    pub(super) fn is_within_one(&self) -> bool {
        self.header_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_where_its_header_says() {
        let record = |length: u8| [vec![23, 3, 3, 1, length], vec![23; 256 + usize::from(length)]].concat();
        // An empty record, and two others.
        let bytes = [vec![22, 3, 1, 0, 0], record(2), record(0)].concat();
        let ends = [5, 5 + 263, 5 + 263 + 261];
        for pieces_bytes in [1, 2, 3, 7, 100, bytes.len()] {
            let (mut records, mut passed) = (Records::default(), 0);
            assert!(!records.is_within_one());
            for piece in bytes.chunks(pieces_bytes) {
                records.pass(piece);
                passed += piece.len();
                assert_eq!(records.is_within_one(), !ends.contains(&passed), "{passed} by {pieces_bytes}");
            }
        }
    }
}
