//! What a result refers to when it is too large to be sent: bytes under the name of their own hash.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;

/// What stands before the hash in an [`ArtifactId`].
const ALGORITHM: &str = "sha256:";
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// The name of an artifact, made from its content: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactId(String);

impl ArtifactId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{ALGORITHM}{digits}"))
    }

    /// Reads a name that came from outside; nothing for what is none.
    pub fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(ALGORITHM)?;
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == DIGITS && digits.bytes().all(is_digit)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// For example `image/svg+xml`; at most 100 bytes of ASCII are kept.
    pub media_type: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// An artifact that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: ArtifactId,
    /// From then on it may be gone.
    pub expires_at: DateTime<Utc>,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// The largest artifact, in bytes.
    pub each: usize,
    /// All that have not expired, in bytes.
    pub total: u64,
    /// How long one is kept after it was last put.
    pub keep: Duration,
}

impl ArtifactLimits {
    /// Whether one of `size` bytes may be kept beside others that have `others` bytes.
    pub(crate) fn admit(&self, size: usize, others: u64) -> Result<(), StoreError> {
        if size > self.each {
            let max = self.each;
            return Err(StoreError::ArtifactTooLarge { size, max });
        }
        if others.saturating_add(size as u64) > self.total {
            return Err(StoreError::ArtifactsFull { max: self.total });
        }
        Ok(())
    }
}

impl Default for ArtifactLimits {
    /// 4 MiB each, 1 GiB in total, for seven days.
    fn default() -> Self {
        Self {
            each: 4 << 20,
            total: 1 << 30,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Artifacts, the same ones at every replica that shares the database.
///
/// An artifact that was put is there, whole, until it expires: it is never dropped to make room for another one.
pub trait ArtifactStore: Send + Sync {
    /// Keeps an artifact for [`ArtifactLimits::keep`] from now on. When this returns, every replica has it. The same
    /// bytes again are the same artifact, which then expires later; its media type stays that of the first time.
    ///
    /// # Errors
    /// [`StoreError::ArtifactTooLarge`]; [`StoreError::ArtifactsFull`], also when what is full are artifacts of others;
    /// [`StoreError::Away`], after which it may have been kept or not, and can be put again.
    fn put(&self, artifact: Artifact) -> BoxFuture<'_, Result<Stored, StoreError>>;

    /// Whether another artifact of `size` bytes could be put now.
    ///
    /// # Errors
    /// [`StoreError::ArtifactTooLarge`], [`StoreError::ArtifactsFull`], [`StoreError::Away`].
    fn has_room(&self, size: usize) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The artifact of that name; nothing if there never was one, or it has expired.
    ///
    /// # Errors
    /// [`StoreError::Away`]; [`StoreError::Broken`] if the bytes are no longer those of the name.
    fn get<'a>(&'a self, id: &'a ArtifactId)
    -> BoxFuture<'a, Result<Option<Artifact>, StoreError>>;

    /// Gives back the room of artifacts that have expired, a bounded number at a time; says of how many. `put` does
    /// the same before it refuses one for want of room.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    fn expire(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}

#[cfg(test)]
mod tests {
    use super::ArtifactId;

    #[test]
    fn the_name_is_the_hash_and_reads_back() {
        let id = ArtifactId::of(b"abc");
        assert_eq!(
            id.as_str(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(ArtifactId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn nothing_else_is_a_name() {
        let of = |text: &str| ArtifactId::parse(text);
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(digits), None);
        assert_eq!(of(&format!("sha256:{digits}0")), None);
        assert_eq!(of(&format!("sha256:{}", digits.to_uppercase())), None);
        assert_eq!(of(&format!("sha256:{}", digits.replace('a', "/"))), None);
        assert_eq!(of("sha256:"), None);
    }
}
