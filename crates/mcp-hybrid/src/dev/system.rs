//! The running parts: broker, server, two workers, a producer.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kafka_worker::embedded::EmbeddedBroker;
use kafka_worker::kafka::Connection;
use kafka_worker::topics::{JobProducer, Position, create_topics};
use kafka_worker::{JobEvent, Worker, WorkerConfig};
use mcp_runtime::{Conditions, Vars};
use mcp_server::{App, ServerConfig};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::{DEMO_COMMAND, DemoJob};
use super::scripted_gemini::ScriptedGemini;
use crate::brokers;
use crate::cli::DevOptions;
use crate::style::{Style, Tone, say};

const PARTITIONS: i32 = 4;
/// How long a real Kafka may take to make the topics.
const BROKER_PATIENCE: Duration = Duration::from_secs(15);
/// How long the workers may take to join their group.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];

/// Names of one run. On the embedded broker they are the defaults; on a real Kafka each run has its own.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) jobs: String,
    pub(super) dead_letters: String,
    pub(super) results: String,
    pub(super) group: String,
}

/// The system, up and running.
pub(super) struct System {
    pub(super) connection: Connection,
    pub(super) names: Names,
    server: SocketAddr,
    producer: JobProducer,
    events: mpsc::Receiver<JobEvent>,
    stop_server: CancellationToken,
    stop_workers: CancellationToken,
    server_task: JoinSet<anyhow::Result<()>>,
    workers: JoinSet<anyhow::Result<()>>,
    /// None where there is a key for the real one.
    gemini: Option<ScriptedGemini>,
    model: String,
    // Last: its clients end first.
    broker: Option<EmbeddedBroker>,
}

impl System {
    pub(super) async fn start(
        options: &DevOptions,
        vars: &Vars,
        metrics: PrometheusHandle,
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let process_vars = vars;
        let (broker, vars, names) = match &options.brokers {
            None => {
                let broker = EmbeddedBroker::start().context("the embedded broker")?;
                let names = Names::new("mcp");
                for topic in [&names.jobs, &names.dead_letters, &names.results] {
                    broker
                        .create_topic(topic, PARTITIONS)
                        .context("the embedded broker")?;
                }
                let mut broker_vars = Vars::default().with("KAFKA_BROKERS", broker.brokers());
                for (property, value) in EmbeddedBroker::PROPERTIES {
                    let name = property.to_uppercase().replace('.', "_");
                    broker_vars = broker_vars.with(&format!("KAFKA_PROPERTY_{name}"), *value);
                }
                (Some(broker), broker_vars, names)
            }
            Some(brokers) => {
                let run = uuid::Uuid::new_v4().simple().to_string();
                let names = Names::new(&format!("mcp-dev-{}", &run[..8]));
                let mut broker_vars = Vars::default().with("KAFKA_BROKERS", brokers);
                for (property, value) in vars.with_prefix("KAFKA_PROPERTY_") {
                    broker_vars = broker_vars.with(&format!("KAFKA_PROPERTY_{property}"), value);
                }
                (None, broker_vars, names)
            }
        };
        let connection = brokers::connection(&vars, options.brokers.as_deref())?;
        if broker.is_none() {
            let topics = [&*names.jobs, &*names.dead_letters, &*names.results];
            let made = create_topics(&connection, &topics, PARTITIONS);
            tokio::time::timeout(BROKER_PATIENCE, made)
                .await
                .unwrap_or_else(|_| {
                    let seconds = BROKER_PATIENCE.as_secs();
                    Err(anyhow::anyhow!("no answer within {seconds} s"))
                })
                .with_context(|| format!("--brokers {}", connection.brokers))?;
        }

        let policy = scratch.join("policy.toml");
        std::fs::write(&policy, policy_file(&std::env::current_exe()?, scratch)?)?;
        let server_vars = Vars::default()
            .with("PORT", options.port.to_string())
            .with("MCP_AUDIT_LOG", "none")
            .with("MCP_LAUNCH_POLICY", policy.to_string_lossy())
            .with("DATABASE_URL", database(scratch));
        let (server_vars, gemini) = with_gemini(server_vars, process_vars).await?;
        let config = ServerConfig::from_vars(&server_vars)?;
        let model = config.model().to_owned();
        let listener = TcpListener::bind((config.bind, config.port))
            .await
            .with_context(|| {
                format!(
                    "--port {}: can't be bound; choose another, or 0 for any free one",
                    config.port
                )
            })?;
        let server = listener.local_addr()?;
        let stop_server = CancellationToken::new();
        let mut server_task = JoinSet::new();
        server_task.spawn(mcp_server::run(
            listener,
            App::new(&config, metrics),
            stop_server.clone(),
        ));

        let (told, events) = mpsc::channel(1_024);
        let stop_workers = CancellationToken::new();
        let mut workers = JoinSet::new();
        let mut joining = Vec::new();
        for name in WORKERS {
            let vars = vars
                .clone()
                .with("KAFKA_PROPERTY_CLIENT_ID", name)
                .with("KAFKA_TOPIC", &names.jobs)
                .with("KAFKA_DLQ_TOPIC", &names.dead_letters)
                .with("KAFKA_RESULT_TOPIC", &names.results)
                .with("MCP_CONSUMER_GROUP", &names.group)
                .with("MCP_SERVER_URL", format!("http://{server}"));
            let config = WorkerConfig::from_vars(&vars)?;
            let (live, ready) = (Conditions::default(), Conditions::default());
            let stop = stop_workers.clone();
            let worker = Worker::new(config, &live, &ready, stop, Some(told.clone()))?;
            workers.spawn(worker.run());
            joining.push(ready);
        }
        joined(&joining).await?;
        Ok(Self {
            producer: JobProducer::new(&connection)?,
            connection,
            names,
            server,
            events,
            stop_server,
            stop_workers,
            server_task,
            workers,
            gemini,
            model,
            broker,
        })
    }

    /// Whether pictures come from a model.
    pub(super) fn has_real_gemini(&self) -> bool {
        self.gemini.is_none()
    }

    /// Says what runs where.
    pub(super) fn introduce(&self, style: Style) {
        let bold = |text: &str| style.paint(Tone::Bold, format!("{text:<10}"));
        let broker = match &self.broker {
            Some(_) => "embedded, for trying out: in memory, 5 MiB a partition",
            None => "Apache Kafka",
        };
        say(format!(
            "{} {} ({broker})",
            bold("broker"),
            self.connection.brokers
        ));
        say(format!(
            "{} http://{}/mcp and /message",
            bold("server"),
            self.server
        ));
        let gemini = match &self.gemini {
            Some(scripted) => format!(
                "{} (scripted: GEMINI_API_KEY is not set, so no model draws here)",
                scripted.url()
            ),
            None => format!("{}, with your GEMINI_API_KEY", self.model),
        };
        say(format!("{} {gemini}", bold("gemini")));
        say(format!(
            "{} {}, group {}",
            bold("workers"),
            WORKERS.join(", "),
            self.names.group
        ));
        let Names {
            jobs,
            dead_letters,
            results,
            ..
        } = &self.names;
        say(format!(
            "{} {jobs} ({PARTITIONS} partitions), {dead_letters}, {results}\n",
            bold("topics")
        ));
    }

    /// What to try while it stays up.
    pub(super) fn invite(&self, style: Style) {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "server_initialize",
            "arguments": {"name": "demo", "command": DEMO_COMMAND, "args": ["demo-server"]},
        }});
        let payload = serde_json::json!({"mcpServers": {"demo": {"command": DEMO_COMMAND, "args": ["demo-server"]}}});
        let exe = std::env::current_exe()
            .map_or_else(|_| "mcp-hybrid".into(), |path| path.display().to_string());
        let (server, brokers) = (self.server, &self.connection.brokers);
        let Names { jobs, results, .. } = &self.names;
        say(style.paint(Tone::Bold, "\nStaying up. Try, in another terminal:"));
        say(format!(
            "\n  # call the tool\n  curl -s http://{server}/message -H 'Content-Type: application/json' -d '{call}'"
        ));
        let draw = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "generate_svg", "arguments": {"prompt": "a lighthouse at night"},
        }});
        say(format!(
            "\n  # draw a picture; the answer has a link to it\n  curl -s http://{server}/message -H 'Content-Type: application/json' -d '{draw}'"
        ));
        say(format!(
            "\n  # list the tools\n  curl -s http://{server}/mcp -H 'Content-Type: application/json' -d '{}'",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
        ));
        say(format!(
            "\n  # health and metrics\n  curl -s http://{server}/ready; curl -s http://{server}/metrics"
        ));
        say(format!(
            "\n  # produce a job and wait for its result\n  {exe} job submit --brokers {brokers} --topic {jobs} --type server-init --payload '{payload}' --wait --result-topic {results}"
        ));
        say("\nCtrl-C ends it.");
    }

    pub(super) async fn produce(&self, job: &DemoJob) -> anyhow::Result<Position> {
        self.producer
            .produce(&self.names.jobs, job.id, job.value.as_bytes())
            .await
    }

    /// The next thing that happens to a job; an error if a part has ended.
    pub(super) async fn next_event(&mut self) -> anyhow::Result<JobEvent> {
        tokio::select! {
            Some(event) = self.events.recv() => Ok(event),
            Some(ended) = self.workers.join_next() => Err(ended_early("a worker", ended)),
            Some(ended) = self.server_task.join_next() => Err(ended_early("the server", ended)),
        }
    }

    /// Stops the workers, which need the server for their drain, then the server.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_workers.cancel();
        while let Some(ended) = self.workers.join_next().await {
            ended?.context("a worker")?;
        }
        self.stop_server.cancel();
        while let Some(ended) = self.server_task.join_next().await {
            ended?.context("the server")?;
        }
        drop(self.producer);
        drop(self.broker);
        Ok(())
    }
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self {
            jobs: format!("{prefix}-jobs"),
            dead_letters: format!("{prefix}-jobs-dlq"),
            results: format!("{prefix}-results"),
            group: format!("{prefix}-workers"),
        }
    }
}

/// Waits until every worker is ready, so that the partitions are shared out before the first job comes.
async fn joined(workers: &[Conditions]) -> anyhow::Result<()> {
    let deadline = Instant::now() + JOIN_PATIENCE;
    loop {
        let failing: Vec<_> = workers.iter().flat_map(Conditions::failing).collect();
        if failing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let (name, reason) = &failing[0];
            anyhow::bail!(
                "the workers are not ready after {} s: {name}: {reason}",
                JOIN_PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn ended_early(
    what: &str,
    ended: Result<anyhow::Result<()>, tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("{what} has ended"),
        Ok(Err(error)) => error.context(format!("{what} has ended")),
        Err(error) => anyhow::Error::from(error).context(format!("{what} has ended")),
    }
}

/// Pictures and published servers, for as long as the demonstration runs.
fn database(scratch: &Path) -> String {
    format!("sqlite:{}", scratch.join("demo.db").display())
}

/// The variables of the real Gemini where there is a key, else those of one that is scripted.
async fn with_gemini(
    mut vars: Vars,
    process: &Vars,
) -> anyhow::Result<(Vars, Option<ScriptedGemini>)> {
    let has_key = ["GEMINI_API_KEY", "GEMINI_API_KEY_FILE"]
        .iter()
        .any(|name| process.get(name).is_some());
    if has_key {
        for (name, value) in process.with_prefix("GEMINI_") {
            vars = vars.with(&format!("GEMINI_{name}"), value);
        }
        return Ok((vars, None));
    }
    let scripted = ScriptedGemini::start().await?;
    let vars = vars
        .with("GEMINI_BASE_URL", scripted.url())
        .with("GEMINI_API_KEY", "none-is-needed");
    Ok((vars, Some(scripted)))
}

/// Only this program as a demonstration server may be started.
fn policy_file(exe: &Path, scratch: &Path) -> anyhow::Result<String> {
    let quoted = |path: &Path| -> anyhow::Result<String> {
        let path = path.to_str().context("a path is not UTF-8")?;
        Ok(serde_json::to_string(path)?)
    };
    let (path, scratch) = (quoted(exe)?, quoted(scratch)?);
    // The demo's server counts its starts in a file there.
    Ok(format!(
        "[[command]]\nname = \"{DEMO_COMMAND}\"\npath = {path}\nargs = [\"demo-server\", \"**\"]\n\
         write = [{scratch}]\n"
    ))
}
