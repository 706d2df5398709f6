//! The server's configuration, read from variables and checked before anything starts.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use mcp_core::Secret;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use mcp_sandbox::{Folders, LaunchPolicy};
use rmcp::model::RequestStateCodec;

use crate::access::settings::AccessConfig;
use crate::calls::Timeouts;
use crate::idempotency::IdempotencyConfig;
use crate::tls::Tls;

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
    /// `MCP_LAUNCH_POLICY` or `MCP_ALLOWED_COMMANDS` (deny all).
    pub policy: LaunchPolicy,
    /// `REDIS_URL`: where replicas find each other's streams, questions, tasks and idempotency keys; without it each is
    /// alone.
    pub redis_url: Option<Secret>,
    /// `MCP_STATE_KEY` or `MCP_STATE_KEY_FILE`: signs what clients carry from one request of a call to the next, so all
    /// replicas need the same. Without it they share one through Redis, and a replica that is alone makes its own.
    pub state_key: Option<Secret>,
    /// `MCP_DRAIN_MS` (25000): on SIGTERM, calls under way may finish for so long.
    pub drain: Duration,
    /// `MCP_MAX_BODY_BYTES` (4 MiB): the largest body of a request.
    pub body_max: usize,
    /// `MCP_MAX_CONNECTIONS` (16384): open connections, streams among them.
    pub connections_max: usize,
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

const KNOWN: &[&str] = &[
    "MCP_ALLOWED_COMMANDS",
    "MCP_ALLOWED_HOSTS",
    "MCP_ALLOWED_ORIGINS",
    "MCP_API_KEYS_FILE",
    "MCP_AUDIT_LOG",
    "MCP_AUTH",
    "MCP_DRAIN_MS",
    "MCP_ENV_DIR",
    "MCP_IDEMPOTENCY_LEASE_MS",
    "MCP_IDEMPOTENCY_MAX_BYTES",
    "MCP_IDEMPOTENCY_MAX_ENTRIES",
    "MCP_IDEMPOTENCY_TTL_MS",
    "MCP_KEY_BURST",
    "MCP_KEY_CONCURRENCY",
    "MCP_KEY_RATE",
    "MCP_KEY_STREAMS",
    "MCP_LAUNCH_POLICY",
    "MCP_MAX_BODY_BYTES",
    "MCP_MAX_BODY_BYTES_IN_FLIGHT",
    "MCP_MAX_CONNECTIONS",
    "MCP_MAX_IN_FLIGHT",
    "MCP_MAX_STREAMS",
    "MCP_STATE_KEY",
    "MCP_STATE_KEY_FILE",
    "MCP_TLS_CERT_FILE",
    "MCP_TLS_CLIENT_CA_FILE",
    "MCP_TLS_KEY_FILE",
    "MCP_TOOL_TIMEOUT_MS",
    "MCP_WORK_DIR",
    // The worker's, which may run in the same environment.
    "MCP_API_KEY",
    "MCP_API_KEY_FILE",
    "MCP_CONSUMER_GROUP",
    "MCP_SERVER_URL",
];

impl ServerConfig {
    /// Reads and checks the variables. Files and commands that a launch policy names are looked up here.
    ///
    /// # Errors
    /// The first variable that does not fit.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        vars.refuse_misspelt("MCP_", KNOWN)?;
        let bind = vars.parse("BIND", IpAddr::V4(Ipv4Addr::LOCALHOST), "an IP address")?;
        authentication(vars, bind)?;
        let allowed_hosts = or_loopback(
            vars.list("MCP_ALLOWED_HOSTS")?,
            &["localhost", "127.0.0.1", "[::1]"],
        );
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
        let allowed_origins = or_loopback(
            vars.list("MCP_ALLOWED_ORIGINS")?,
            &[
                "http://localhost:*",
                "http://127.0.0.1:*",
                "http://[::1]:*",
                "https://localhost:*",
                "https://127.0.0.1:*",
                "https://[::1]:*",
            ],
        );
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
            policy: policy(vars)?,
            redis_url: redis_url(vars)?,
            state_key: state_key(vars)?,
            drain: vars.millis("MCP_DRAIN_MS", 25_000, 0, 3_600_000)?,
            body_max,
            connections_max: vars.number("MCP_MAX_CONNECTIONS", 16_384, 1, 1_000_000)?,
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

fn state_key(vars: &Vars) -> Result<Option<Secret>, ConfigError> {
    let key = vars.secret("MCP_STATE_KEY")?;
    let min = RequestStateCodec::MIN_KEY_LENGTH;
    if key.as_ref().is_some_and(|key| key.expose().len() < min) {
        let allowed = format!("{min} random characters or more");
        return Err(invalid("MCP_STATE_KEY", "(not shown)", allowed));
    }
    Ok(key)
}

fn or_loopback(list: Vec<String>, loopback: &[&str]) -> Vec<String> {
    if list.is_empty() {
        return loopback.iter().map(|&entry| entry.to_owned()).collect();
    }
    list
}

fn policy(vars: &Vars) -> Result<LaunchPolicy, ConfigError> {
    let lookup = |name: &str| vars.get(name).map(str::to_owned);
    let commands = vars.list("MCP_ALLOWED_COMMANDS")?;
    match vars.get("MCP_LAUNCH_POLICY") {
        Some(file) if !commands.is_empty() => Err(invalid(
            "MCP_LAUNCH_POLICY",
            file,
            "the only one: MCP_ALLOWED_COMMANDS is set too; give one of them",
        )),
        Some(file) => LaunchPolicy::from_file(Path::new(file), &lookup)
            .map_err(|error| invalid("MCP_LAUNCH_POLICY", file, format!("a policy file: {error}"))),
        None if commands.is_empty() => Ok(LaunchPolicy::deny_all()),
        None => {
            let folders = Folders {
                env_dir: vars.path("MCP_ENV_DIR"),
                work_dir: vars.path("MCP_WORK_DIR"),
            };
            LaunchPolicy::allow_commands(&commands, folders, &lookup).map_err(|error| {
                invalid(
                    "MCP_ALLOWED_COMMANDS",
                    &commands.join(","),
                    format!("programs that exist: {error}"),
                )
            })
        }
    }
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
        assert_eq!(config.policy.command_names().count(), 0);
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
            ("MCP_DRAIN_MS", "soon"),
            ("MCP_MAX_STREAMS", "0"),
            ("MCP_STATE_KEY", "short"),
            ("REDIS_URL", "http://h"),
        ] {
            let error = refusal(&[(name, value)]);
            assert!(
                error.starts_with(name) && error.contains("allowed is"),
                "{error}"
            );
        }
    }
}
