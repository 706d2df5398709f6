//! Which Kafka a command talks to: the one of the flag, or else of the variable.

use kafka_worker::kafka::Connection;
use mcp_runtime::Vars;
use mcp_runtime::vars::ConfigError;

const VARIABLE: &str = "KAFKA_BROKERS";

/// The connection, where `flag` is what `--brokers` says. An error names what the person wrote.
pub(crate) fn connection(vars: &Vars, flag: Option<&str>) -> Result<Connection, ConfigError> {
    let vars = match flag {
        Some(brokers) => vars.clone().with(VARIABLE, brokers),
        None => vars.clone(),
    };
    Connection::from_vars(&vars).map_err(|error| match error {
        ConfigError::Missing { name, allowed } if name == VARIABLE => ConfigError::Missing {
            name: format!("--brokers (or {VARIABLE})"),
            allowed,
        },
        ConfigError::Invalid {
            name,
            value,
            allowed,
        } if name == VARIABLE && flag.is_some() => ConfigError::Invalid {
            name: "--brokers".into(),
            value,
            allowed,
        },
        other => other,
    })
}
