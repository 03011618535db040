//! LocalAgreement-2: words that two hypotheses in a row agree on are committed and never change. Pure.

/// The words of one utterance so far: committed ones, which only grow, and a tail, which may change with every hypothesis.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    committed: Vec<String>,
    /// Of the committed words, how many belong to windows that are over.
    base: usize,
    /// Words at the start of each hypothesis that were committed before the window began.
    skip: usize,
    /// The last hypothesis for this window, without the skipped words.
    last: Vec<String>,
}

impl Agreement {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new hypothesis for the whole current window. Commits what it shares with the one before, unless it contradicts what
    /// is committed already: then it only changes the tail.
    pub fn hear(&mut self, hypothesis: &str) {
        let words: Vec<String> = hypothesis.split_whitespace().skip(self.skip).map(str::to_owned).collect();
        let own = self.committed.len() - self.base;
        let keeps = words.len() >= own && words.iter().zip(&self.committed[self.base..]).all(|(a, b)| same(a, b));
        if keeps {
            let agreed = words.iter().zip(&self.last).take_while(|(a, b)| same(a, b)).count();
            for at in own..agreed {
                // Whisper closes every hypothesis with a full stop; inside the utterance it would be wrong.
                let word =
                    if at + 1 == words.len() { words[at].trim_end_matches(['.', '?', '!', '…']) } else { &words[at] };
                self.committed.push(word.to_owned());
            }
        }
        self.last = words;
    }

    /// The current window is over: `piece` is what its audio up to the cut says, and hypotheses from now on are about the audio
    /// after the cut. Committed words stay as they are, whatever the piece says; it only adds words after them. If more words
    /// are committed than the piece has, the next window will repeat the surplus, which is then skipped.
    pub fn roll(&mut self, piece: &str) {
        let words: Vec<&str> = piece.split_whitespace().skip(self.skip).collect();
        let own = self.committed.len() - self.base;
        self.skip = if words.is_empty() { 0 } else { own.saturating_sub(words.len()) };
        self.committed.extend(words.into_iter().skip(own).map(str::to_owned));
        self.base = self.committed.len();
        self.last.clear();
    }

    /// The committed words, with single blanks between them. What an earlier call returned is always a prefix of it.
    pub fn stable(&self) -> String {
        self.committed.join(" ")
    }

    /// The words after the committed ones, as the last hypothesis has them.
    pub fn tail(&self) -> String {
        let own = self.committed.len() - self.base;
        self.last.get(own..).unwrap_or_default().join(" ")
    }
}

/// Equal but for case and punctuation: those settle later than the word itself.
fn same(a: &str, b: &str) -> bool {
    fn letters(word: &str) -> impl Iterator<Item = char> + '_ {
        word.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase)
    }
    if letters(a).next().is_none() { a == b } else { letters(a).eq(letters(b)) }
}
