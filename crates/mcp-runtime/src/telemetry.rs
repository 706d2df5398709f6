//! Logs, traces and the metrics recorder: the only process-wide state there is.

mod exporter;
pub(crate) mod sampler;

use anyhow::{Context as _, ensure};
use axum::http::Uri;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::trace_context;
use crate::vars::{Vars, invalid};
use exporter::LazyExporter;
use sampler::Chosen;

/// Buckets of every duration histogram, in seconds: from half a millisecond to a minute.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogFormat {
    Text,
    Json,
}

/// What [`Telemetry::init`] started; keep it until the end and call [`Telemetry::shutdown`] then.
pub struct Telemetry {
    metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logging to standard error, tracing and metrics for `service`.
    ///
    /// `RUST_LOG` (default `info`), `LOG_FORMAT` (`text` or `json`), `OTEL_SERVICE_NAME` and the exporter's own
    /// `OTEL_*` names. Spans are exported over OTLP/HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`)
    /// is set; without it trace context is still passed on.
    ///
    /// # Errors
    /// A bad value, or a second call in one process.
    pub fn init(service: &'static str, vars: &Vars) -> anyhow::Result<Self> {
        let format = vars.choice(
            "LOG_FORMAT",
            LogFormat::Text,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )?;
        let directives = vars.get("RUST_LOG").unwrap_or("info");
        let filter = EnvFilter::try_new(directives).map_err(|error| {
            invalid(
                "RUST_LOG",
                directives,
                format!("a list of level or target=level ({error})"),
            )
        })?;
        let traces = tracer_provider(service, vars)?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .boxed(),
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .boxed(),
        };
        // The filter is for the log alone: spans exist whatever is logged, because they are exported.
        let lines = lines.with_filter(filter.and(filter_fn(|event| !is_hidden(event))));
        let registry = tracing_subscriber::registry().with(lines);
        // Not `.with(None)`: beside an absent layer the registry builds the spans that nobody wants.
        let started = match &traces {
            Some(traces) => {
                let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer("mcp-hybrid"));
                registry
                    .with(spans.with_filter(LevelFilter::INFO))
                    .try_init()
            }
            None => registry.try_init(),
        };
        started.context("logging is started once a process")?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
            .install_recorder()?;
        let upkeep = metrics.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
            loop {
                tick.tick().await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self { metrics, traces })
    }

    /// Renders the metrics; for the admin routes.
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }

    /// Sends the spans that are still waiting. Blocks for at most the exporter's timeout.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// What no `RUST_LOG` brings into a log: whole requests, which rmcp logs below `info` with arguments that may hold
/// secrets; and spans that are only for traces.
fn is_hidden(event: &tracing::Metadata<'_>) -> bool {
    let is_request = event.target().starts_with("rmcp") && *event.level() > tracing::Level::INFO;
    is_request || event.target() == trace_context::TARGET
}

/// None where no traces are exported.
fn tracer_provider(
    service: &'static str,
    vars: &Vars,
) -> anyhow::Result<Option<SdkTracerProvider>> {
    let sampler = sampler::from_vars(vars)?;
    let name = vars.get("OTEL_SERVICE_NAME").unwrap_or(service).to_owned();
    let endpoint = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| Some((name, vars.get(name)?)));
    let disabled = vars.parse("OTEL_SDK_DISABLED", false, "true or false")?;
    let Some((variable, endpoint)) = endpoint.filter(|_| !disabled) else {
        return Ok(None);
    };
    let scheme = endpoint.parse::<Uri>().ok();
    let scheme = scheme.as_ref().and_then(Uri::scheme_str);
    ensure!(
        matches!(scheme, Some("http" | "https")),
        invalid(variable, endpoint, "an http:// or https:// URL")
    );
    trace_context::sample_by(sampler.clone());
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(name).build())
        .with_sampler(Chosen(sampler))
        .with_batch_exporter(LazyExporter::default());
    Ok(Some(provider.build()))
}
