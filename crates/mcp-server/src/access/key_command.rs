//! `mcp-server keys new`: a key for a caller, and the line about it for the file of keys.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::keys::{check_name, digest, hex, parse_time};
use super::scope::Scope;

/// What every key begins with, so that scanners for leaked secrets know one.
const PREFIX: &str = "mcpk_";
/// Random bytes of a key.
const KEY_BYTES: usize = 32;

/// The flags of `keys new`.
#[derive(Debug, clap::Args)]
pub struct NewKey {
    /// What the key may do, comma-separated or repeated: tools:call, servers:launch, svg:generate, servers:publish
    #[arg(long = "scope", required = true, value_delimiter = ',', value_parser = parse_scope)]
    scopes: Vec<Scope>,
    /// Whose key it is: stands in the audit log
    #[arg(long, default_value = "caller", value_parser = parse_name)]
    name: String,
    /// Calls a second, instead of MCP_KEY_RATE
    #[arg(long)]
    rate: Option<u32>,
    /// Calls at once after a pause, instead of MCP_KEY_BURST
    #[arg(long)]
    burst: Option<u32>,
    /// Calls under way, instead of MCP_KEY_CONCURRENCY
    #[arg(long)]
    concurrency: Option<u32>,
    /// Event streams open, instead of MCP_KEY_STREAMS
    #[arg(long)]
    streams: Option<u32>,
    /// When it ends, such as 2027-01-31T00:00:00Z
    #[arg(long, value_parser = parse_expiry)]
    expires: Option<String>,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    text.parse()
}

fn parse_name(text: &str) -> Result<String, String> {
    check_name(text).map(str::to_owned)
}

fn parse_expiry(text: &str) -> Result<String, String> {
    parse_time(text).map(|_| text.to_owned())
}

impl NewKey {
    /// The key, and the line for the file.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn make(&self) -> anyhow::Result<(String, String)> {
        let mut bytes = [0; KEY_BYTES];
        openssl::rand::rand_priv_bytes(&mut bytes)?;
        let key = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let line = self.line(&key);
        Ok((key, line))
    }

    fn line(&self, key: &str) -> String {
        let mut scopes = Vec::new();
        for scope in &self.scopes {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope.as_str());
            }
        }
        let hash = hex(&digest(key.as_bytes()));
        let mut line = format!("{} sha256:{hash} {}", self.name, scopes.join(","));
        let numbers = [
            ("rate", self.rate),
            ("burst", self.burst),
            ("concurrency", self.concurrency),
            ("streams", self.streams),
        ];
        for (option, value) in numbers {
            if let Some(value) = value {
                line.push_str(&format!(" {option}={value}"));
            }
        }
        if let Some(at) = &self.expires {
            line.push_str(&format!(" expires={at}"));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::keys::Keyring;
    use crate::access::limits::Limits;

    #[test]
    fn the_line_that_is_printed_lets_the_key_in_that_is_printed() {
        let flags = NewKey {
            scopes: vec![Scope::ToolsCall, Scope::ServersLaunch, Scope::ToolsCall],
            name: "worker".into(),
            rate: Some(100),
            burst: None,
            concurrency: Some(64),
            streams: Some(8),
            expires: Some("2999-01-01T00:00:00Z".into()),
        };
        let (key, line) = flags.make().unwrap();
        assert!(!line.contains(&key));
        assert!(
            line.contains(" tools:call,servers:launch rate=100 concurrency=64 streams=8 expires=")
        );
        let keys = Keyring::parse(&line, Limits::default()).unwrap();
        let found = keys.find(key.as_bytes()).unwrap();
        assert_eq!(found.name(), "worker");
        assert!(found.may_call("server_initialize").is_ok());
        assert_ne!(flags.make().unwrap().0, key);
    }
}
