//! The worker's process: parse, telemetry, configuration, build, run, drain by a deadline.

use kafka_worker::{Worker, WorkerConfig};
use mcp_runtime::{Conditions, Telemetry, Vars, admin, signals};

mod cli;

/// A job makes and frees some dozens of small pieces, many of them on another thread than they came from.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let cli: cli::Cli = mcp_runtime::flags::parse();
    let outcome = match cli.command {
        Some(cli::Command::Dlq(command)) => {
            return kafka_worker::dlq::run("kafka-worker", *command, Vars::from_env()).await;
        }
        Some(cli::Command::Health(probe)) => cli::health(probe, &Vars::from_env()).await,
        Some(cli::Command::Pages(pages)) => pages.run::<cli::Cli>().map_err(anyhow::Error::from),
        None => run().await,
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}

async fn run() -> anyhow::Result<()> {
    let vars = Vars::from_env();
    let config = WorkerConfig::from_vars(&vars)?;
    let telemetry = Telemetry::init("kafka-worker", &vars)?;
    let stop = signals::stop_token()?;
    let (live, ready) = (Conditions::default(), Conditions::default());
    let listener = cli::bind(config.admin_bind, config.admin_port).await?;
    let worker = Worker::new(config.clone(), &live, &ready, stop, None)?;
    tracing::info!(
        brokers = config.connection.brokers, topics = ?config.topics, group = config.group, server = %config.server_url,
        concurrency = config.concurrency, ordering = ?config.ordering, admin = %listener.local_addr()?, client_id = config.client_id,
        "kafka-worker {}", env!("CARGO_PKG_VERSION")
    );
    let routes = admin::router(live, ready, telemetry.metrics());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let result = worker.run().await;
    telemetry.shutdown();
    result
}
