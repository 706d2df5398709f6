//! API keys: what their file says, and finding the one that a caller sent.
//!
//! The file holds no key, only SHA-256 of each. A key is 256 random bits, so nothing slower is needed: there is nothing
//! to guess. Looking one up by its hash tells an attacker nothing by the time it takes, and the hashes are compared in
//! constant time all the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use chrono::{DateTime, Utc};
use mcp_core::Clock;
use mcp_core::text::bounded;

use super::limits::{Limits, Used};
use super::scope::{Scope, Scopes};

/// Most keys in a file.
const KEYS_MAX: usize = 10_000;
/// Longest name of a key, in bytes.
const NAME_MAX: usize = 64;
/// Longest key that is looked at, in bytes.
const KEY_MAX: usize = 512;
/// The name of who calls where no key is asked for; no key can have it.
const ANONYMOUS: &str = "-";

/// SHA-256 of a key.
pub(crate) type Digest = [u8; 32];

/// One key, without the key itself.
#[derive(Debug)]
pub struct ApiKey {
    name: Box<str>,
    /// The first eight digits of the hash: tells apart keys of one name.
    id: Box<str>,
    digest: Digest,
    scopes: Scopes,
    expires: Option<DateTime<Utc>>,
    limits: Limits,
    used: Arc<Used>,
}

impl ApiKey {
    pub(super) fn anonymous(limits: Limits) -> Self {
        Self {
            name: ANONYMOUS.into(),
            id: ANONYMOUS.into(),
            digest: Digest::default(),
            scopes: Scopes::ALL,
            expires: None,
            limits,
            used: Arc::default(),
        }
    }

    /// Whose key it is. Keys that follow each other in a rotation share it, and with it the results stored for them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the keys of that name it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it may call that tool.
    ///
    /// # Errors
    /// The scope that it lacks.
    pub fn may_call(&self, tool: &str) -> Result<(), Scope> {
        let scope = Scope::of_tool(tool);
        if self.scopes.contain(scope) {
            Ok(())
        } else {
            Err(scope)
        }
    }

    /// Whether there is a scope that it lacks.
    pub(crate) fn is_limited(&self) -> bool {
        self.scopes != Scopes::ALL
    }

    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|at| at <= Clock::System.now())
    }

    pub(super) fn limits(&self) -> (&Limits, &Used) {
        (&self.limits, &self.used)
    }

    pub(super) fn arriving(&self) -> &AtomicUsize {
        &self.used.arriving
    }
}

/// SHA-256 of `key`.
pub(crate) fn digest(key: &[u8]) -> Digest {
    // The one-shot function of OpenSSL 3 looks the algorithm up each time, which takes longer than the hash.
    let mut hash = openssl::sha::Sha256::new();
    hash.update(key);
    hash.finish()
}

/// The keys of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyring(HashMap<Digest, Arc<ApiKey>>);

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    Unknown,
    Expired,
}

impl Keyring {
    /// Reads the file's text. `defaults` are the limits of a key that names none.
    ///
    /// # Errors
    /// The first line that does not fit, by its number; never what stands in its second field, which could be a key.
    pub(crate) fn parse(text: &str, defaults: Limits) -> Result<Self, BadLine> {
        let mut keys = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |what: String| BadLine {
                line: index + 1,
                what,
            };
            let key = parse_line(line, defaults).map_err(bad)?;
            if keys.len() == KEYS_MAX {
                return Err(bad(format!("more than {KEYS_MAX} keys")));
            }
            if keys.insert(key.digest, Arc::new(key)).is_some() {
                return Err(bad("the same hash stands in an earlier line".into()));
            }
        }
        Ok(Self(keys))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key that a caller sent.
    pub(crate) fn find(&self, key: &[u8]) -> Result<&Arc<ApiKey>, NoKey> {
        if key.len() > KEY_MAX {
            return Err(NoKey::Unknown);
        }
        let digest = digest(key);
        let found = self.0.get(&digest).ok_or(NoKey::Unknown)?;
        if !openssl::memcmp::eq(&found.digest, &digest) {
            return Err(NoKey::Unknown);
        }
        if found.has_expired() {
            return Err(NoKey::Expired);
        }
        Ok(found)
    }

    /// Whether that key, which was in force once, still is.
    pub(super) fn holds(&self, key: &ApiKey) -> bool {
        self.0.contains_key(&key.digest) && !key.has_expired()
    }

    /// The key of that name and id, wherever a caller has sent it.
    pub(super) fn named(&self, name: &str, id: &str) -> Option<&Arc<ApiKey>> {
        let mut keys = self.0.values();
        keys.find(|key| key.name() == name && key.id() == id)
    }

    /// The same keys; those that `old` has too go on with what they have used.
    pub(super) fn inheriting(mut self, old: &Self) -> Self {
        for (digest, key) in &mut self.0 {
            if let (Some(key), Some(old)) = (Arc::get_mut(key), old.0.get(digest)) {
                key.used = old.used.clone();
            }
        }
        self
    }
}

/// A line of the file that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct BadLine {
    line: usize,
    what: String,
}

/// `NAME sha256:HEX SCOPE[,SCOPE…] [rate=N] [burst=N] [concurrency=N] [streams=N] [expires=TIME]`
fn parse_line(line: &str, defaults: Limits) -> Result<ApiKey, String> {
    let mut fields = line.split_whitespace();
    let (Some(name), Some(hash), Some(scopes)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err("a line is NAME sha256:HASH SCOPES; mcp-server keys new makes one".into());
    };
    let digest = hash.strip_prefix("sha256:").and_then(from_hex);
    let digest = digest.ok_or("the second field must be sha256: and 64 hexadecimal digits")?;
    let mut key = ApiKey {
        name: check_name(name)?.into(),
        id: hex(&digest)[..8].into(),
        digest,
        scopes: Scopes::default(),
        expires: None,
        limits: defaults,
        used: Arc::default(),
    };
    for scope in scopes.split(',') {
        let scope: Scope = scope
            .parse()
            .map_err(|what| format!("scope {:?}: {what}", bounded(scope, NAME_MAX)))?;
        key.scopes = key.scopes.with(scope);
    }
    for option in fields {
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        let number = || {
            let allowed = || format!("{option} must be a whole number; 0 is no limit");
            value.parse::<u32>().map_err(|_| allowed())
        };
        match option {
            "rate" => key.limits.rate = number()?,
            "burst" => key.limits.burst = number()?,
            "concurrency" => key.limits.concurrency = number()?,
            "streams" => key.limits.streams = number()?,
            "expires" => key.expires = Some(parse_time(value)?),
            _ => {
                let option = bounded(option, NAME_MAX);
                return Err(format!(
                    "no such option {option:?}; there are rate, burst, concurrency, streams, expires"
                ));
            }
        }
    }
    Ok(key)
}

/// A time as RFC 3339 has it.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| "expires must be a time as in 2027-01-31T00:00:00Z".into())
}

/// A name as it may stand in the file.
pub(super) fn check_name(name: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '/');
    let fits = name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain);
    fits.then_some(name).ok_or_else(|| {
        format!("the name must be 1 to {NAME_MAX} letters, digits and . _ - @ /, and begin with one of the first two")
    })
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn from_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != digest.len() * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests;
