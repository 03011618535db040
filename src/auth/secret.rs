//! What this installation knows and nobody else: makes digests of keys and cookies, and seals what has to be read again.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::Error;

/// The server's secret.
pub struct ServerSecret {
    digests: hmac::Key,
    seal: LessSafeKey,
}

/// Neither of the keys.
impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret")
    }
}

/// Its file in `store.dir`, where the configuration has none.
pub const FILE: &str = "auth.secret";

/// Characters that it has at least.
const CHARS_MIN: usize = 32;

impl ServerSecret {
    /// The configured one; if there is none, that of the file in `dir`, which is made if it is not there. Blocks.
    pub fn load(configured: &SecretString, dir: &Path) -> Result<Self, Error> {
        let configured = configured.expose_secret();
        if !configured.is_empty() {
            return Self::of(configured.as_bytes());
        }
        let path = dir.join(FILE);
        let in_file = |source| Error::File { path: path.clone(), source };
        match fs::read(&path) {
            Ok(secret) => return Self::of(secret.trim_ascii()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(in_file(error)),
        }
        // Under another name first: whoever else looks at this moment finds all of it or nothing.
        let fresh = dir.join(format!(".{FILE}.{}", token("", 8)));
        let written = fs::create_dir_all(dir).and_then(|()| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(token("", DIGITS).as_bytes())?;
            file.sync_all()?;
            match fs::hard_link(&fresh, &path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        });
        let _it_may_not_be_there = fs::remove_file(&fresh);
        written.map_err(in_file)?;
        Self::of(fs::read(&path).map_err(in_file)?.trim_ascii())
    }

    fn of(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < CHARS_MIN {
            return Err(Error::ShortSecret);
        }
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        // A key for each use: what one of them says tells nothing about the other.
        let of = |what: &str| hmac::sign(&root, what.as_bytes());
        let seal = UnboundKey::new(&CHACHA20_POLY1305, of("floe seal").as_ref()).map_err(|_| Error::ShortSecret)?;
        Ok(Self {
            digests: hmac::Key::new(hmac::HMAC_SHA256, of("floe digests").as_ref()),
            seal: LessSafeKey::new(seal),
        })
    }

    /// The keyed digest of a text of this kind.
    pub fn digest(&self, kind: &str, text: &str) -> Vec<u8> {
        hmac::sign(&self.digests, format!("{kind}\0{text}").as_bytes()).as_ref().to_vec()
    }

    /// Whether this is the digest of that text. How long that takes says nothing about either.
    pub fn is_digest(&self, kind: &str, text: &str, digest: &[u8]) -> bool {
        hmac::verify(&self.digests, format!("{kind}\0{text}").as_bytes(), digest).is_ok()
    }

    /// Seals a text for `whom`: nobody else's place will do for it.
    pub fn seal(&self, whom: &str, text: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::NoRandomness)?;
        let mut sealed = text.as_bytes().to_vec();
        let sealing = self.seal.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(whom.as_bytes()),
            &mut sealed,
        );
        sealing.map_err(|_| Error::NoRandomness)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for `whom`; `None` if it was not, or with another secret.
    pub fn open(&self, whom: &str, sealed: &[u8]) -> Option<SecretString> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.seal.open_in_place(nonce, Aad::from(whom.as_bytes()), &mut text).ok()?;
        Some(SecretString::from(std::str::from_utf8(opened).ok()?))
    }
}

/// Digits of base 62 that hold 256 bits.
pub const DIGITS: usize = 43;

/// A random word after a prefix, in characters that fit into a header, a subprotocol and an address.
pub fn token(prefix: &str, digits: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (random, mut word) = (SystemRandom::new(), prefix.to_owned());
    let mut noise = [0_u8; 64];
    while word.len() < prefix.len() + digits {
        if random.fill(&mut noise).is_err() {
            // The kernel has no randomness: what was to be a secret must not be guessed.
            continue;
        }
        // Those above the largest multiple of 62 would make the first digits likelier.
        let fair = noise.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        let missing = prefix.len() + digits - word.len();
        word.extend(fair.take(missing));
    }
    word
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let load = || ServerSecret::load(&SecretString::default(), dir.path()).unwrap();
        let secrets: Vec<ServerSecret> = std::thread::scope(|scope| {
            let loading: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            loading.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| secret.is_digest("key", "word", &secrets[0].digest("key", "word"))));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        let short = ServerSecret::load(&SecretString::from("guess me"), dir.path());
        assert!(matches!(short, Err(Error::ShortSecret)));
    }

    #[test]
    fn what_is_sealed_opens_for_whom_it_was_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let secret = ServerSecret::load(&SecretString::default(), dir.path()).unwrap();
        let sealed = secret.seal("login_1", "refresh me").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"refresh"));
        assert_eq!(secret.open("login_1", &sealed).unwrap().expose_secret(), "refresh me");
        assert!(secret.open("login_2", &sealed).is_none());
        assert!(secret.open("login_1", &sealed[..20]).is_none() && secret.open("login_1", b"").is_none());
        let other = ServerSecret::load(&SecretString::from("x".repeat(40)), dir.path()).unwrap();
        assert!(other.open("login_1", &sealed).is_none());
        assert!(!secret.is_digest("login", "word", &secret.digest("key", "word")), "a digest is of one kind");
    }

    #[test]
    fn tokens_are_long_and_plain() {
        let (one, other) = (token("ft_", DIGITS), token("ft_", DIGITS));
        assert_ne!(one, other);
        assert_eq!(one.len(), 3 + DIGITS);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }
}
