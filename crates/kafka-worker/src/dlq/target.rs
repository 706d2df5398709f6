//! Which Kafka and which topics: the worker's variables, and flags that win over them.

use clap::Args;
use mcp_runtime::Vars;
use mcp_runtime::vars::ConfigError;

use crate::config::WorkerConfig;
use crate::kafka::Connection;

/// Flags that name brokers and topics. Without them the worker's variables do.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TargetOptions {
    /// Brokers, host:port, comma-separated [env: KAFKA_BROKERS]. KAFKA_PROPERTY_* apply (TLS, SASL).
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// Topics of the jobs, comma-separated [env: KAFKA_TOPIC] [default: mcp-jobs].
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// The dead-letter topic [env: KAFKA_DLQ_TOPIC] [default: {topic}-dlq].
    #[arg(long, value_name = "TOPIC")]
    pub(crate) dlq_topic: Option<String>,
}

/// Where the letters are, and where they may go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Without properties that only a member of a group may have.
    pub(crate) connection: Connection,
    /// The workers' group: reading needs a permission on some group, and never joins it.
    pub(crate) group: String,
    /// Topics of jobs.
    pub(crate) topics: Vec<String>,
    /// Topics of dead letters, each once.
    pub(crate) dead: Vec<String>,
}

impl TargetOptions {
    /// # Errors
    /// A flag or a variable that does not fit, by the name that the person wrote.
    pub(crate) fn resolve(&self, vars: &Vars) -> Result<Target, ConfigError> {
        let flags = [
            ("KAFKA_BROKERS", "--brokers", &self.brokers),
            ("KAFKA_TOPIC", "--topic", &self.topic),
            ("KAFKA_DLQ_TOPIC", "--dlq-topic", &self.dlq_topic),
        ];
        // What the worker calls, and how, is of no interest here, even if it is wrong.
        let mut kafka: Vars = vars
            .with_prefix("KAFKA_")
            .map(|(rest, value)| (format!("KAFKA_{rest}"), value.to_owned()))
            .filter(|(name, _)| name != "KAFKA_RESULT_TOPIC")
            .collect();
        if let Some(group) = vars.get("MCP_CONSUMER_GROUP") {
            kafka = kafka.with("MCP_CONSUMER_GROUP", group);
        }
        for (variable, _, value) in flags {
            if let Some(value) = value {
                kafka = kafka.with(variable, value);
            }
        }
        let config = WorkerConfig::from_vars(&kafka).map_err(|error| match error {
            ConfigError::Missing { name, allowed } if name == "KAFKA_BROKERS" => {
                ConfigError::Missing {
                    name: "--brokers (or KAFKA_BROKERS)".into(),
                    allowed,
                }
            }
            ConfigError::Invalid {
                name,
                value,
                allowed,
            } => {
                let flag = flags.iter().find(|(variable, _, given)| {
                    *variable == name && given.as_ref() == Some(&value)
                });
                let name = flag.map_or(name, |(_, flag, _)| (*flag).to_owned());
                ConfigError::Invalid {
                    name,
                    value,
                    allowed,
                }
            }
            other => other,
        })?;
        let mut dead: Vec<String> = config.dead_letter_topics.into_values().collect();
        dead.sort();
        dead.dedup();
        let mut connection = config.connection;
        connection
            .properties
            .retain(|name, _| !name.starts_with("group."));
        Ok(Target {
            connection,
            group: config.group,
            topics: config.topics,
            dead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: &TargetOptions, vars: &[(&str, &str)]) -> Result<Target, String> {
        flags
            .resolve(&vars.iter().copied().collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_variables_and_each_topic_has_its_dead_letters() {
        let flags = TargetOptions {
            topic: Some("b,a".into()),
            ..TargetOptions::default()
        };
        let vars = [
            ("KAFKA_BROKERS", "h:1"),
            ("KAFKA_TOPIC", "other"),
            ("MCP_CONSUMER_GROUP", "g"),
            ("KAFKA_PROPERTY_GROUP_PROTOCOL", "consumer"),
            ("KAFKA_PROPERTY_SASL_USERNAME", "u"),
            ("MCP_SERVER_URL", "of no interest"),
        ];
        let target = resolve(&flags, &vars).unwrap();
        assert_eq!(target.dead, ["a-dlq", "b-dlq"]);
        assert_eq!((&*target.group, target.topics.len()), ("g", 2));
        let properties: Vec<_> = target.connection.properties.keys().collect();
        assert_eq!(properties, ["sasl.username"]);
        let one = [("KAFKA_BROKERS", "h:1"), ("KAFKA_DLQ_TOPIC", "d")];
        assert_eq!(resolve(&flags, &one).unwrap().dead, ["d"]);
    }

    #[test]
    fn an_error_names_what_the_person_wrote() {
        let none = TargetOptions::default();
        assert_eq!(
            resolve(&none, &[]).unwrap_err(),
            "--brokers (or KAFKA_BROKERS) is not set: a comma-separated list of host:port"
        );
        let flags = TargetOptions {
            brokers: Some("h".into()),
            ..none.clone()
        };
        let error = resolve(&flags, &[("KAFKA_BROKERS", "h:1")]).unwrap_err();
        assert!(error.starts_with("--brokers=\"h\""), "{error}");
        let error = resolve(&none, &[("KAFKA_BROKERS", "h")]).unwrap_err();
        assert!(error.starts_with("KAFKA_BROKERS=\"h\""), "{error}");
    }
}
