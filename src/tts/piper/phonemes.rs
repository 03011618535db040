//! Words to phonemes, by `espeak-ng --ipa`: the program that Piper's voices were trained with.
//!
//! One short process per clause (25 to 40 ms on a busy machine), killed when nobody waits for it. It prints no marks, so the
//! mark of each clause is put back behind its phonemes, as Piper does.

use std::{process::Stdio, time::Duration};

use futures_util::{FutureExt as _, future};
use icu_normalizer::DecomposingNormalizerBorrowed;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    sync::Semaphore,
    time::timeout,
};

use super::clauses::Clause;
use crate::{
    engine::{Error, ErrorKind},
    tts::espeak,
};

/// Most that one clause's phonemes may take, in bytes: some ten times what the longest text has.
const IPA_BYTES_MAX: u64 = 64 << 10;

/// The program and how many of it may run.
pub(super) struct Phonemizer {
    espeak: espeak::Config,
    /// A permit per process; waiting for one counts towards the clause's time.
    processes: Semaphore,
}

impl Phonemizer {
    /// Runs the program of the `espeak` engine's settings, with its limits.
    pub(super) fn new(espeak: espeak::Config) -> Self {
        let processes = Semaphore::new(espeak.max_processes.clamp(1, Semaphore::MAX_PERMITS));
        Self { espeak, processes }
    }

    /// The phonemes of a group of clauses spoken by espeak-ng's `voice`, marks included.
    pub(super) async fn phonemes(&self, voice: &str, group: &[Clause]) -> Result<Vec<String>, Error> {
        let all = future::try_join_all(group.iter().map(|clause| self.ipa(voice, &clause.text))).await?;
        Ok(all.iter().zip(group).flat_map(|(ipa, clause)| phonemes(ipa, clause.mark)).collect())
    }

    async fn ipa(&self, voice: &str, text: &str) -> Result<String, Error> {
        let wait = Duration::from_millis(self.espeak.timeout_ms);
        timeout(wait, self.ask(voice, text)).await.unwrap_or_else(|_| {
            let message = format!("no phonemes from espeak-ng within {} ms", self.espeak.timeout_ms);
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    async fn ask(&self, voice: &str, text: &str) -> Result<String, Error> {
        let broken = |what: &dyn std::fmt::Display| Error::new(ErrorKind::Broken, what);
        let _permit = self.processes.acquire().await.map_err(|_| Error::new(ErrorKind::Cancelled, "closed"))?;
        let mut child = Command::new(&self.espeak.program)
            .args(["-q", "--ipa", "--stdin", "-b", "1", "-v", voice])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| espeak::not_started(&self.espeak, &error))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(broken(&"a pipe of espeak-ng is missing"));
        };
        let tell = async move {
            // A program that ends early closes the pipe; its exit status says why.
            let _ = stdin.write_all(text.as_bytes()).await;
            drop(stdin);
            Ok(())
        };
        let mut said = String::new();
        let mut stdout = stdout.take(IPA_BYTES_MAX + 1);
        let hear = stdout.read_to_string(&mut said).map(|read| match read {
            Ok(length) if length as u64 > IPA_BYTES_MAX => Err(broken(&"espeak-ng does not stop printing phonemes")),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(&error)),
        });
        let ((), (), complaint) = future::try_join3(tell, hear, espeak::complaint(stderr).map(Ok)).await?;
        let status = child.wait().await.map_err(|error| broken(&error))?;
        if complaint.contains("voice does not exist") || complaint.contains("Unknown phoneme table") {
            let message = format!(
                "espeak-ng has no voice {voice:?}, which the Piper voice's json asks for; install a newer espeak-ng"
            );
            return Err(Error::new(ErrorKind::Rejected, message));
        }
        if !status.success() {
            return Err(broken(&format_args!("espeak-ng --ipa: {status}: {complaint}")));
        }
        Ok(said)
    }
}

/// What espeak-ng printed for one clause, and the clause's mark, as Piper's phonemes: one per code point, decomposed (`ç` is
/// `c` and a cedilla), without the flags that name another language: `(en)`.
fn phonemes(ipa: &str, mark: Option<char>) -> Vec<String> {
    let lines: Vec<&str> = ipa.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let mut plain = without_flags(&lines.join(" "));
    plain.extend(mark);
    if matches!(mark, Some(',' | ';' | ':')) {
        plain.push(' ');
    }
    decomposed(&plain)
}

/// Code points in Unicode's decomposed form.
pub(super) fn decomposed(text: &str) -> Vec<String> {
    DecomposingNormalizerBorrowed::new_nfd().normalize_iter(text.chars()).map(String::from).collect()
}

fn without_flags(ipa: &str) -> String {
    let mut out = String::with_capacity(ipa.len());
    let mut rest = ipa;
    while let Some((before, after)) = rest.split_once('(') {
        out.push_str(before);
        match after.split_once(')') {
            Some((flag, after)) if !flag.is_empty() => rest = after,
            _ => {
                out.push('(');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_espeak_prints_becomes_pipers_phonemes() {
        let said = |ipa: &str, mark| phonemes(ipa, mark).concat();
        assert_eq!(said(" həlˈoʊ\n", Some(',')), "həlˈoʊ, ");
        assert_eq!(said("ɐ\nbˈiː\n", Some('?')), "ɐ bˈiː?", "what espeak-ng cut is joined");
        assert_eq!(said("mˈeːtɪŋ ɪn (en)njˈuː(de) jˈɔɾk", None), "mˈeːtɪŋ ɪn njˈuː jˈɔɾk");
        assert_eq!(said("(a", Some('.')), "(a.");
        assert_eq!(said("\n \n", Some('.')), "", "no words, no mark");
        assert_eq!(phonemes("lˈɪçt", Some('!')), ["l", "ˈ", "ɪ", "c", "\u{327}", "t", "!"]);
    }
}
