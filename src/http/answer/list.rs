//! Answers that are JSON arrays: a short one is sent whole, a long one is streamed.

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::domain::Position;

/// A list that is written piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// Appends the next elements, each with a comma behind it. A list that appends nothing is at its end.
    fn next_piece(&mut self, out: &mut Vec<u8>);
}

/// Appends an element, with a comma behind it.
pub(crate) fn push(out: &mut Vec<u8>, element: &impl Serialize) {
    serde_json::to_writer(&mut *out, element).expect("answers hold nothing that JSON cannot");
    out.push(b',');
}

/// Answers with all that the list holds, as an array. A long one is written as fast as its client reads it. The
/// answer says that the list shows everything up to this position.
pub(crate) fn respond(position: Position, mut list: impl Pieces) -> Response {
    /// Maximum bytes of an answer that is sent whole, with its length.
    const WHOLE_BYTES_MAX: usize = 64 * 1024;
    /// Initial capacity. Most pages fit in it, so that they are not moved as they grow.
    const BEGUN_BYTES: usize = 16 * 1024;
    let mut begun = Vec::with_capacity(BEGUN_BYTES);
    begun.push(b'[');
    let body = loop {
        let before = begun.len();
        list.next_piece(&mut begun);
        if begun.len() == before {
            close(&mut begun);
            break Body::from(begun);
        }
        if begun.len() > WHOLE_BYTES_MAX {
            break streamed(begun, list);
        }
    };
    super::at(position, super::of_json(body))
}

/// Replaces the last comma by the bracket that ends the array.
pub(super) fn close(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

/// Returns the pieces as a stream. The last byte of each is held back: it is a comma, and at the end of the
/// list it becomes the bracket.
fn streamed(mut begun: Vec<u8>, mut list: impl Pieces) -> Body {
    begun.pop();
    let mut ended = false;
    let rest = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut piece = vec![b','];
        list.next_piece(&mut piece);
        ended = piece.len() == 1;
        if ended {
            piece = vec![b']'];
        } else {
            piece.pop();
        }
        Some(piece)
    });
    let pieces = stream::iter(std::iter::once(begun).chain(rest)).then(|piece| async {
        // Without a yield, a client that reads fast keeps others waiting until its buffers are full.
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(Bytes::from(piece))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// The numbers 1 to `last`, a certain number of them in each piece.
    struct Numbers {
        next: u32,
        last: u32,
        each: u32,
    }

    impl Pieces for Numbers {
        fn next_piece(&mut self, out: &mut Vec<u8>) {
            let end = (self.next + self.each).min(self.last + 1);
            (self.next..end).for_each(|number| push(out, &number));
            self.next = end;
        }
    }

    #[tokio::test]
    async fn arrays_short_and_long_are_whole() {
        for last in [0, 1, 2, 3, 100, 50_000] {
            for each in [1, 7, 100_000] {
                let response = respond(Position(1), Numbers { next: 1, last, each });
                let body = response.into_body().collect().await.expect("infallible").to_bytes();
                let numbers: Vec<u32> = serde_json::from_slice(&body).expect("an array");
                assert!(numbers.into_iter().eq(1..=last), "{last} by {each}");
            }
        }
    }
}
