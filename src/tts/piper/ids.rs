//! Phonemes to the numbers that a voice was trained with.

use std::collections::{BTreeSet, HashMap};

/// What begins a group, what stands after every phoneme, and what ends it. Every voice has all three.
pub(super) const BEGIN: &str = "^";
pub(super) const PAD: &str = "_";
pub(super) const END: &str = "$";

/// A voice's phonemes, each with its ids.
pub(super) type Map = HashMap<String, Vec<i32>>;

/// The ids of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    /// `^ _ p _ p _ … $`, as Piper makes them. Empty if the voice knows none of the phonemes.
    pub(super) ids: Vec<i32>,
    /// Phonemes that the voice does not know; they are left out.
    pub(super) unknown: usize,
}

/// Joins neighbours that a voice has one id for ("a", "ɪ" → "aɪ"): the longest first, from the left.
pub(super) fn merged(phonemes: Vec<String>, clusters: &BTreeSet<Vec<String>>) -> Vec<String> {
    let longest = clusters.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = Vec::with_capacity(phonemes.len());
    let mut rest = phonemes.as_slice();
    while let [first, after @ ..] = rest {
        let cluster = (2..=longest.min(rest.len())).rev().find(|length| clusters.contains(&rest[..*length]));
        match cluster {
            Some(length) => {
                out.push(rest[..length].concat());
                rest = &rest[length..];
            }
            None => {
                out.push(first.clone());
                rest = after;
            }
        }
    }
    out
}

/// The ids of `phonemes`. `map` has the three signs (a loaded voice is known to).
pub(super) fn ids(phonemes: &[String], map: &Map) -> Ids {
    let known = |phoneme: &str| map.get(phoneme).map_or(&[][..], Vec::as_slice);
    let mut ids = Vec::with_capacity(2 * phonemes.len() + 3);
    ids.extend(known(BEGIN));
    ids.extend(known(PAD));
    let (empty, mut unknown) = (ids.len(), 0);
    for phoneme in phonemes {
        match map.get(phoneme) {
            Some(of) => {
                ids.extend(of);
                ids.extend(known(PAD));
            }
            None => unknown += 1,
        }
    }
    if ids.len() == empty {
        return Ids { ids: Vec::new(), unknown };
    }
    ids.extend(known(END));
    Ids { ids, unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phonemes(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    fn map() -> Map {
        let pairs = [("_", vec![0]), ("^", vec![1]), ("$", vec![2]), ("a", vec![14]), ("b", vec![15, 16])];
        pairs.into_iter().map(|(phoneme, ids)| (phoneme.to_owned(), ids)).collect()
    }

    #[test]
    fn pads_stand_after_every_phoneme() {
        let Ids { ids, unknown } = ids(&phonemes("abxa"), &map());
        assert_eq!((ids, unknown), (vec![1, 0, 14, 0, 15, 16, 0, 14, 0, 2], 1));
    }

    #[test]
    fn nothing_known_is_nothing_to_say() {
        assert_eq!(ids(&phonemes("xyz"), &map()), Ids { ids: vec![], unknown: 3 });
        assert_eq!(ids(&[], &map()), Ids { ids: vec![], unknown: 0 });
    }

    #[test]
    fn clusters_are_joined_longest_first() {
        let clusters = BTreeSet::from([phonemes("ab"), phonemes("abc")]);
        assert_eq!(merged(phonemes("xababcab"), &clusters), ["x", "ab", "abc", "ab"]);
        assert_eq!(merged(phonemes("ba"), &clusters), ["b", "a"]);
        assert_eq!(merged(phonemes("ab"), &BTreeSet::new()), ["a", "b"]);
    }
}
