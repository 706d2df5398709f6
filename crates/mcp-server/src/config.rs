//! The server's configuration, read from variables and checked before anything starts.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use mcp_core::Secret;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use mcp_store::{ArtifactLimits, Place, SqlStore, place};
use rmcp::model::RequestStateCodec;
use url::Url;

use crate::access::settings::AccessConfig;
use crate::calls::Timeouts;
use crate::gemini::settings::GeminiSettings;
use crate::idempotency::IdempotencyConfig;
use crate::launching::LaunchConfig;
use crate::tls::Tls;
use crate::variables;

/// Everything the server can be told.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `BIND` (`127.0.0.1`).
    pub bind: IpAddr,
    /// `PORT` (8080); 0 is any free one.
    pub port: u16,
    /// `MCP_ALLOWED_HOSTS` (loopback): what the `Host` header may name, with or without a port; `*` is any.
    pub allowed_hosts: Vec<String>,
    /// `MCP_ALLOWED_ORIGINS` (loopback): what a browser's `Origin` header may name.
    pub allowed_origins: Vec<String>,
    /// What may be started, and how it is boxed in.
    pub launching: LaunchConfig,
    /// `REDIS_URL`: where replicas find each other's streams, questions, tasks and idempotency keys; without it each is
    /// alone.
    pub redis_url: Option<Secret>,
    /// `DATABASE_URL` (a file of this user): where published servers are, and artifacts. Opened when it is first used.
    pub store: SqlStore,
    /// `MCP_STATE_KEY` or `MCP_STATE_KEY_FILE`: signs what clients carry from one request of a call to the next, so all
    /// replicas need the same. Without it they share one through Redis, and a replica that is alone makes its own.
    pub state_key: Option<Secret>,
    /// `MCP_DRAIN_MS` (25000): on SIGTERM, calls under way may finish for so long.
    pub drain: Duration,
    /// `MCP_MAX_BODY_BYTES` (4 MiB): the largest body of a request.
    pub body_max: usize,
    /// `MCP_MAX_CONNECTIONS` (16384): open connections, streams among them.
    pub connections_max: usize,
    /// `MCP_CONNECTION_MAX_AGE_MS` (300000): an answer on an older connection closes it.
    pub connection_age: Duration,
    /// `MCP_PUBLIC_URL`: where callers reach this server, if that is not the `Host` that they name: links in results begin so.
    pub public_url: Option<Url>,
    /// `GEMINI_API_KEY` and its like.
    pub(crate) gemini: GeminiSettings,
    /// Keys, limits and the audit log.
    pub(crate) access: AccessConfig,
    /// `MCP_TOOL_TIMEOUT_MS` (300000).
    pub(crate) timeouts: Timeouts,
    /// How long results are kept for repeated calls, and how many.
    pub(crate) idempotency: IdempotencyConfig,
    /// `MCP_TLS_CERT_FILE` and its like.
    pub(crate) tls: Option<Tls>,
}

/// Smallest and largest that `MCP_MAX_BODY_BYTES` can be, and what it is by default.
const BODY_BOUNDS: (usize, usize, usize) = (1_024, 1 << 30, 4 * 1024 * 1024);
/// A day, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1_000;

impl ServerConfig {
    /// Reads and checks the variables. Files and commands that a launch policy names are looked up here.
    ///
    /// # Errors
    /// The first variable that does not fit.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        vars.refuse_misspelt("MCP_", &variables::known())?;
        let bind = vars.parse("BIND", IpAddr::V4(Ipv4Addr::LOCALHOST), "an IP address")?;
        authentication(vars, bind)?;
        let loopback = ["localhost", "127.0.0.1", "[::1]"];
        let allowed_hosts = vars.list_or("MCP_ALLOWED_HOSTS", &loopback)?;
        for host in &allowed_hosts {
            let plain = !host.contains('/') && !host.contains(char::is_whitespace);
            if !plain {
                return Err(invalid(
                    "MCP_ALLOWED_HOSTS",
                    host,
                    "host or host:port, comma-separated, or *",
                ));
            }
        }
        let loopback = [
            "http://localhost:*",
            "http://127.0.0.1:*",
            "http://[::1]:*",
            "https://localhost:*",
            "https://127.0.0.1:*",
            "https://[::1]:*",
        ];
        let allowed_origins = vars.list_or("MCP_ALLOWED_ORIGINS", &loopback)?;
        for origin in &allowed_origins {
            if !origin.contains("://") && origin != "*" && origin != "null" {
                return Err(invalid(
                    "MCP_ALLOWED_ORIGINS",
                    origin,
                    "scheme://host:port, comma-separated, or *",
                ));
            }
        }
        let (least, most, usual) = BODY_BOUNDS;
        let body_max = vars.number("MCP_MAX_BODY_BYTES", usual, least, most)?;
        Ok(Self {
            bind,
            port: vars.number("PORT", 8080, 0, u16::MAX)?,
            allowed_hosts,
            allowed_origins,
            launching: LaunchConfig::from_vars(vars)?,
            redis_url: redis_url(vars)?,
            store: store(vars)?,
            state_key: state_key(vars)?,
            drain: vars.millis("MCP_DRAIN_MS", 25_000, 0, 3_600_000)?,
            body_max,
            connections_max: vars.number("MCP_MAX_CONNECTIONS", 16_384, 1, 1_000_000)?,
            connection_age: vars.millis("MCP_CONNECTION_MAX_AGE_MS", 300_000, 1, 30 * DAY)?,
            public_url: public_url(vars)?,
            gemini: GeminiSettings::from_vars(vars)?,
            access: AccessConfig::from_vars(vars, body_max)?,
            timeouts: Timeouts::from_vars(vars)?,
            idempotency: IdempotencyConfig {
                ttl: vars.millis("MCP_IDEMPOTENCY_TTL_MS", DAY, 1_000, 30 * DAY)?,
                lease: vars.millis("MCP_IDEMPOTENCY_LEASE_MS", 30_000, 1_000, 3_600_000)?,
                entries_max: vars.number("MCP_IDEMPOTENCY_MAX_ENTRIES", 100_000, 1, 10_000_000)?,
                bytes_max: vars.number(
                    "MCP_IDEMPOTENCY_MAX_BYTES",
                    16 * 1024 * 1024,
                    1_024,
                    1 << 40,
                )?,
            },
            tls: Tls::from_vars(vars)?,
        })
    }
}

impl ServerConfig {
    /// The model that draws, or that there is none, for the log.
    pub fn model(&self) -> &str {
        self.gemini.model()
    }

    /// Who is let in, in a few words for the log.
    pub fn callers(&self) -> String {
        match &self.access.keys {
            Some(file) => format!("those with one of {} keys", file.keys.len()),
            None => "everyone".into(),
        }
    }
}

/// Beyond loopback, callers must be known, or the operator must have said that they need not be.
fn authentication(vars: &Vars, bind: IpAddr) -> Result<(), ConfigError> {
    let open = vars.choice("MCP_AUTH", false, &[("none", true)])?;
    let has_keys = vars.get("MCP_API_KEYS_FILE").is_some();
    if open && has_keys {
        return Err(invalid(
            "MCP_AUTH",
            "none",
            "nothing beside MCP_API_KEYS_FILE: the one lets every caller in, the other only those with a key",
        ));
    }
    if !bind.is_loopback() && !open && !has_keys {
        return Err(invalid(
            "BIND",
            &bind.to_string(),
            "a loopback address; any with MCP_API_KEYS_FILE (mcp-server keys new makes a key); or any with MCP_AUTH=none, which lets every caller in: put an authenticating proxy or a network policy before it",
        ));
    }
    Ok(())
}

fn redis_url(vars: &Vars) -> Result<Option<Secret>, ConfigError> {
    let url = vars.secret("REDIS_URL")?;
    if let Some(url) = &url
        && redis::Client::open(url.expose()).is_err()
    {
        // The value may hold a password.
        let allowed = "redis://[user:password@]host:port/[database], or rediss:// for TLS";
        return Err(invalid("REDIS_URL", "(not shown)", allowed));
    }
    Ok(url)
}

fn store(vars: &Vars) -> Result<SqlStore, ConfigError> {
    let place = match vars.secret("DATABASE_URL")? {
        // The value may hold a password.
        Some(url) => Place::parse(&url)
            .ok_or_else(|| invalid("DATABASE_URL", "(not shown)", place::ALLOWED))?,
        None => Place::implied(|name| vars.get(name).map(str::to_owned)),
    };
    Ok(SqlStore::new(place, ArtifactLimits::default()))
}

fn state_key(vars: &Vars) -> Result<Option<Secret>, ConfigError> {
    let key = vars.secret("MCP_STATE_KEY")?;
    let min = RequestStateCodec::MIN_KEY_LENGTH;
    if key.as_ref().is_some_and(|key| key.expose().len() < min) {
        let allowed = format!("{min} random characters or more");
        return Err(invalid("MCP_STATE_KEY", "(not shown)", allowed));
    }
    Ok(key)
}

fn public_url(vars: &Vars) -> Result<Option<Url>, ConfigError> {
    let Some(text) = vars.get("MCP_PUBLIC_URL") else {
        return Ok(None);
    };
    let url = Url::parse(text.trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let allowed = "an http or https URL without user, query and fragment";
    url.map(Some)
        .ok_or_else(|| invalid("MCP_PUBLIC_URL", text, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> String {
        ServerConfig::from_vars(&pairs.iter().copied().collect())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = ServerConfig::from_vars(&Vars::default()).unwrap();
        assert_eq!(
            (config.bind.to_string(), config.port),
            ("127.0.0.1".into(), 8080)
        );
        assert_eq!(config.allowed_hosts, ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(config.launching.policy.command_names().count(), 0);
    }

    #[test]
    fn beyond_loopback_it_must_be_said_that_anyone_may_call() {
        assert!(refusal(&[("BIND", "0.0.0.0")]).contains("MCP_AUTH=none"));
        let open = [("BIND", "0.0.0.0"), ("MCP_AUTH", "none")];
        ServerConfig::from_vars(&open.into_iter().collect()).unwrap();
    }

    #[test]
    fn every_bad_value_is_refused_with_name_and_what_is_allowed() {
        for (name, value) in [
            ("PORT", "http"),
            ("PORT", "70000"),
            ("BIND", "here"),
            ("MCP_AUTH", "off"),
            ("MCP_API_KEYS_FILE", "/no/such/file"),
            ("MCP_API_KEYS_FILE", "/dev/null"),
            ("MCP_AUDIT_LOG", "syslog"),
            ("MCP_AUDIT_LOG", "/no/such/folder/audit.log"),
            ("MCP_KEY_RATE", "-1"),
            ("MCP_KEY_BURST", "x"),
            ("MCP_KEY_CONCURRENCY", "x"),
            ("MCP_KEY_STREAMS", "x"),
            ("MCP_MAX_IN_FLIGHT", "0"),
            ("MCP_MAX_CONNECTIONS", "0"),
            ("MCP_CONNECTION_MAX_AGE_MS", "0"),
            ("MCP_MAX_BODY_BYTES", "4 MiB"),
            ("MCP_MAX_BODY_BYTES_IN_FLIGHT", "1000"),
            ("MCP_TOOL_TIMEOUT_MS", "0"),
            ("MCP_TOOL_TIMEOUT_MS", "1000,x=y"),
            ("MCP_IDEMPOTENCY_TTL_MS", "0"),
            ("MCP_IDEMPOTENCY_LEASE_MS", "10"),
            ("MCP_IDEMPOTENCY_MAX_ENTRIES", "0"),
            ("MCP_IDEMPOTENCY_MAX_BYTES", "0"),
            ("MCP_TLS_CERT_FILE", "/c"),
            ("MCP_TLS_KEY_FILE", "/k"),
            ("MCP_TLS_CLIENT_CA_FILE", "/ca"),
            ("MCP_ALLOWED_HOSTS", "http://h/"),
            ("MCP_ALLOWED_ORIGINS", "localhost"),
            ("MCP_ALLOWED_COMMANDS", "no-such-command-anywhere"),
            ("MCP_LAUNCH_POLICY", "/no/such/file"),
            ("MCP_SANDBOX", "off"),
            ("MCP_DRAIN_MS", "soon"),
            ("MCP_MAX_STREAMS", "0"),
            ("MCP_STATE_KEY", "short"),
            ("MCP_PUBLIC_URL", "mcp.example.com"),
            ("MCP_PUBLIC_URL", "https://u:p@h"),
            ("GEMINI_MODEL", "../x"),
            ("REDIS_URL", "http://h"),
            ("DATABASE_URL", "mysql://user:password@h/d"),
        ] {
            let error = refusal(&[(name, value)]);
            assert!(
                error.starts_with(name) && error.contains("allowed is"),
                "{error}"
            );
        }
    }
}
