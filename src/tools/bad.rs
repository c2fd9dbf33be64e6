//! Bad lines: refused, or collected.

use super::ToolError;

/// Maximum bad lines that are named. The others are counted.
const NAMED_MAX: usize = 100;

/// The bad lines of an input.
pub(super) struct BadLines {
    are_refused: bool,
    /// The number of each line, and what is wrong with it.
    named: Vec<(u64, String)>,
    count: u64,
}

impl BadLines {
    /// The first bad line is an error.
    pub(super) fn refused() -> Self {
        Self { are_refused: true, named: Vec::new(), count: 0 }
    }

    /// Bad lines are collected, and what follows them is read.
    pub(super) fn collected() -> Self {
        Self { are_refused: false, ..Self::refused() }
    }

    /// Adds a bad line.
    ///
    /// # Errors
    ///
    /// Bad lines are refused.
    pub(super) fn add(&mut self, number: u64, what: String) -> Result<(), ToolError> {
        if self.are_refused {
            return Err(ToolError::BadLine { number, what });
        }
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push((number, what));
        }
        Ok(())
    }

    /// Returns the number of bad lines.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns an error that names the first bad line, if there is one.
    pub(super) fn first(&self) -> Option<ToolError> {
        let (number, what) = self.named.iter().min()?;
        Some(ToolError::BadLine { number: *number, what: what.clone() })
    }

    /// Returns a sentence for each bad line, in their order, and one for those that are only counted.
    pub(super) fn into_report(mut self) -> Vec<String> {
        self.named.sort();
        let others = self.count - self.named.len() as u64;
        let named = self.named.into_iter().map(|(number, what)| format!("line {number}: {what}"));
        named.chain((others > 0).then(|| format!("and {others} more bad lines"))).collect()
    }
}
