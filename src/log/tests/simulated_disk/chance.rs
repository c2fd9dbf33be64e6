//! The simulated disk's choices: from a seed, or every combination of them in turn.

/// Makes choices; the same seed gives the same choices.
pub(crate) struct Chance(Source);

enum Source {
    /// The state of a `SplitMix64`.
    Seed(u64),
    /// The choices made, each with its bound, and the number of them that this run has asked for.
    Every { digits: Vec<(usize, usize)>, asked: usize },
}

impl Default for Chance {
    fn default() -> Self {
        Self::from_seed(0)
    }
}

impl Chance {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// Starts with the first combination of choices; [`advance`](Self::advance) goes on to the next.
    pub(crate) fn every() -> Self {
        Self(Source::Every { digits: Vec::new(), asked: 0 })
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a choice among nothing");
        match &mut self.0 {
            Source::Seed(_) if bound == 1 => 0,
            Source::Seed(state) => {
                let scaled = u128::from(split_mix(state)) * bound as u128;
                usize::try_from(scaled >> 64).expect("below bound")
            }
            Source::Every { digits, asked } => {
                if *asked == digits.len() {
                    digits.push((0, bound));
                }
                let (digit, same_bound) = digits[*asked];
                assert_eq!(bound, same_bound, "a repeated run asks the same");
                *asked += 1;
                digit
            }
        }
    }

    pub(crate) fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// Advances to the next combination. Returns `false` after the last.
    pub(crate) fn advance(&mut self) -> bool {
        let Source::Every { digits, asked } = &mut self.0 else { return false };
        digits.truncate(*asked);
        *asked = 0;
        while let Some((digit, bound)) = digits.pop() {
            if digit + 1 < bound {
                digits.push((digit + 1, bound));
                return true;
            }
        }
        false
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
