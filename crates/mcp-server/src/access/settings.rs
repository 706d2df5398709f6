//! The variables of access and limits.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_runtime::vars::{ConfigError, Vars, invalid, read_bounded};

use super::keys::Keyring;
use super::limits::Limits;

/// Who may call, and how much.
#[derive(Clone, Debug)]
pub(crate) struct AccessConfig {
    /// `MCP_API_KEYS_FILE`.
    pub(crate) keys: Option<KeysFile>,
    /// `MCP_KEY_RATE`, `MCP_KEY_BURST`, `MCP_KEY_CONCURRENCY` (none), `MCP_KEY_STREAMS` (half of all, where keys are asked
    /// for): of each key that names no other.
    pub(crate) limits: Limits,
    /// `MCP_MAX_IN_FLIGHT` (1024): requests under way in this process.
    pub(crate) max_in_flight: usize,
    /// `MCP_MAX_BODY_BYTES_IN_FLIGHT` (64 MiB): what they and their answers take.
    pub(crate) max_body_bytes_in_flight: usize,
    /// `MCP_MAX_STREAMS` (16384): event streams open at once.
    pub(crate) max_streams: usize,
    /// `MCP_AUDIT_LOG` (`stderr`).
    pub(crate) audit: AuditTarget,
}

/// A file of keys, and what it held at the start.
#[derive(Clone, Debug)]
pub(crate) struct KeysFile {
    pub(crate) path: PathBuf,
    pub(crate) keys: Keyring,
}

/// Where audit lines go.
#[derive(Clone, Debug, Default)]
pub(crate) enum AuditTarget {
    None,
    #[default]
    Stderr,
    Stdout,
    File(Arc<File>),
}

const MAX_IN_FLIGHT: usize = 1_024;
const MAX_BODY_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
const MAX_STREAMS: usize = 16_384;

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            keys: None,
            limits: Limits::default(),
            max_in_flight: MAX_IN_FLIGHT,
            max_body_bytes_in_flight: MAX_BODY_BYTES_IN_FLIGHT,
            max_streams: MAX_STREAMS,
            audit: AuditTarget::None,
        }
    }
}

impl AccessConfig {
    /// Reads and checks the variables, and the file of keys.
    ///
    /// # Errors
    /// The first variable that does not fit.
    pub(crate) fn from_vars(vars: &Vars, body_max: usize) -> Result<Self, ConfigError> {
        let max_streams = vars.number("MCP_MAX_STREAMS", MAX_STREAMS, 1, 1_000_000)?;
        let of_key = match vars.get("MCP_API_KEYS_FILE") {
            // So that no key alone can take them all.
            Some(_) => u32::try_from(max_streams / 2).unwrap_or(u32::MAX).max(1),
            None => 0,
        };
        let limits = Limits {
            rate: vars.number("MCP_KEY_RATE", 0, 0, 1_000_000)?,
            burst: vars.number("MCP_KEY_BURST", 0, 0, 1_000_000)?,
            concurrency: vars.number("MCP_KEY_CONCURRENCY", 0, 0, 1_000_000)?,
            streams: vars.number("MCP_KEY_STREAMS", of_key, 0, 1_000_000)?,
        };
        let bytes = "MCP_MAX_BODY_BYTES_IN_FLIGHT";
        let default = MAX_BODY_BYTES_IN_FLIGHT.max(body_max);
        Ok(Self {
            keys: keys(vars, limits)?,
            limits,
            max_in_flight: vars.number("MCP_MAX_IN_FLIGHT", MAX_IN_FLIGHT, 1, 1_000_000)?,
            max_body_bytes_in_flight: vars.number(bytes, default, body_max, 1 << 40)?,
            max_streams,
            audit: audit(vars)?,
        })
    }
}

fn keys(vars: &Vars, limits: Limits) -> Result<Option<KeysFile>, ConfigError> {
    const NAME: &str = "MCP_API_KEYS_FILE";
    let Some(path) = vars.get(NAME) else {
        return Ok(None);
    };
    let bad = |what: String| invalid(NAME, path, format!("a file of keys: {what}"));
    let text = read_bounded(Path::new(path)).map_err(|error| bad(error.to_string()))?;
    let keys = Keyring::parse(&text, limits).map_err(|error| bad(error.to_string()))?;
    if keys.len() == 0 {
        return Err(bad(
            "it holds none; mcp-server keys new makes a line for it".into(),
        ));
    }
    let path = path.into();
    Ok(Some(KeysFile { path, keys }))
}

fn audit(vars: &Vars) -> Result<AuditTarget, ConfigError> {
    const NAME: &str = "MCP_AUDIT_LOG";
    match vars.text(NAME, "stderr") {
        "stderr" => Ok(AuditTarget::Stderr),
        "stdout" => Ok(AuditTarget::Stdout),
        "none" => Ok(AuditTarget::None),
        // A word without a slash is more likely a typing error than a file in whatever folder this is.
        path if path.contains('/') => OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map(|file| AuditTarget::File(Arc::new(file)))
            .map_err(|error| invalid(NAME, path, format!("a file that can be written: {error}"))),
        other => Err(invalid(
            NAME,
            other,
            "stderr, stdout, none, or the path of a file, with a / in it",
        )),
    }
}
