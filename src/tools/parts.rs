//! Parts of a text that is too long for one message.

/// Cuts a text into parts of at most `bytes_max` bytes. Put together, the parts are the text.
pub(super) fn parts(text: &str, bytes_max: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, after) = rest.split_at(part_bytes(rest, bytes_max));
        rest = after;
        Some(part)
    })
}

/// Returns the length of the first part. It ends after a line end, or otherwise after white space, if one
/// of them is in the last eighth of what fits; otherwise it ends after the last character that fits.
fn part_bytes(text: &str, bytes_max: usize) -> usize {
    if text.len() <= bytes_max {
        return text.len();
    }
    let end = text.floor_char_boundary(bytes_max);
    let near = text.floor_char_boundary(bytes_max - bytes_max / 8);
    let end_of_last = |is_wanted: fn(char) -> bool| {
        let (at, last) = text[near..end].char_indices().rfind(|&(_, c)| is_wanted(c))?;
        Some(near + at + last.len_utf8())
    };
    end_of_last(|c| c == '\n').or_else(|| end_of_last(char::is_whitespace)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let cut: Vec<_> = parts(text, 16).collect();
        assert_eq!(cut.concat(), text, "nothing is lost");
        assert!(cut.iter().all(|part| (1..=16).contains(&part.len())), "{cut:?}");
        cut
    }

    #[test]
    fn a_text_that_fits_is_one_part() {
        assert_eq!(cut("sixteen letters."), ["sixteen letters."]);
        assert_eq!(cut(""), [""; 0]);
    }

    #[test]
    fn a_part_ends_at_a_character() {
        assert_eq!(cut("0123456789abcdefg"), ["0123456789abcdef", "g"]);
        assert_eq!(cut("0123456789abcdéfg"), ["0123456789abcdé", "fg"]);
        assert_eq!(cut("0123456789abcd🦀"), ["0123456789abcd", "🦀"]);
    }

    #[test]
    fn a_near_line_end_or_white_space_is_better() {
        assert_eq!(cut("0123456789abcd ef"), ["0123456789abcd ", "ef"]);
        assert_eq!(cut("0123456789abcd\n fg"), ["0123456789abcd\n", " fg"]);
        assert_eq!(cut("0123456789abcde\u{a0}fg"), ["0123456789abcde", "\u{a0}fg"]);
        assert_eq!(cut("01234567 9abcdefg"), ["01234567 9abcdef", "g"], "too far away");
    }

    #[test]
    fn white_space_alone_is_cut_as_well() {
        assert_eq!(cut(&" ".repeat(40)).len(), 3);
        assert_eq!(cut(&"\u{3000}".repeat(20)).len(), 4);
    }
}
