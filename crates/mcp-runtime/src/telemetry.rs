//! Logs, traces and the metrics recorder: the only process-wide state there is.

mod exporter;
pub(crate) mod sampler;

use std::time::Duration;

use anyhow::Context as _;
use axum::http::Uri;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::time::MissedTickBehavior;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{self, JsonFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::log_fields::Fielded;
use crate::trace_context;
use crate::variables::{Documentation, Variable, document};
use crate::vars::{ConfigError, Vars, invalid};
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

/// How often what histograms have gathered goes into their buckets. Each value waits for that in memory, and whoever does it is
/// busy for as long as there are many: so soon, and not on a thread that serves.
const UPKEEP: Duration = Duration::from_millis(250);

const VARIABLES: &[Variable] = &[
    Variable::new("RUST_LOG", "what is logged")
        .allowed("a level, or a list of `target=level`, such as `info,kafka_worker=debug`"),
    Variable::new("LOG_FORMAT", "how lines of the log are written"),
    Variable::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "the collector: switches traces on, by OTLP over HTTP. Without it trace context is still passed on",
    )
    .allowed("an http or https URL; spans go to its `/v1/traces`"),
    Variable::new(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "the same, for traces alone, and as it stands",
    )
    .allowed("an http or https URL"),
    Variable::new("OTEL_SERVICE_NAME", "the service's name in traces")
        .default("the program's name")
        .allowed("a name"),
    Variable::new("OTEL_SDK_DISABLED", "`true` exports nothing, whatever else is set"),
    Variable::new(
        "OTEL_RESOURCE_ATTRIBUTES",
        "more about the process, in each of its spans",
    )
    .allowed("`name=value`, comma-separated")
    .read_elsewhere(),
    Variable::new(
        "OTEL_TRACES_SAMPLER",
        "which traces are exported; `…_ARG` with a ratio, from 0 to 1",
    )
    .default("parentbased_always_on")
    .allowed("`always_on`, `always_off`, `traceidratio`, each also with `parentbased_` before it"),
    Variable::new("OTEL_TRACES_SAMPLER_ARG", "the ratio of such a sampler")
        .default("1")
        .allowed("a number from 0 to 1"),
    Variable::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "headers for the collector, such as its key",
    )
    .allowed("`name=value`, comma-separated")
    .read_elsewhere(),
    Variable::new("OTEL_BSP_*", "how spans gather before they are sent")
        .default("OpenTelemetry's")
        .allowed("see OpenTelemetry's specification"),
];

/// All that is known of the variables of logs and traces, which every program has.
pub fn variables() -> Documentation {
    document(VARIABLES, &[], |vars| {
        // What is read counts, not what comes of it.
        let _ = Settings::from_vars("", vars);
    })
}

/// What the variables say.
struct Settings {
    format: LogFormat,
    filter: EnvFilter,
    exported: Option<Exported>,
}

/// What is exported.
struct Exported {
    service: String,
    sampler: Sampler,
}

impl Settings {
    fn from_vars(service: &str, vars: &Vars) -> Result<Self, ConfigError> {
        let format = vars.choice(
            "LOG_FORMAT",
            LogFormat::Text,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )?;
        let directives = vars.text("RUST_LOG", "info");
        let filter = EnvFilter::try_new(directives).map_err(|error| {
            let allowed = format!("a list of level or target=level ({error})");
            invalid("RUST_LOG", directives, allowed)
        })?;
        let name = vars.get("OTEL_SERVICE_NAME").unwrap_or(service).to_owned();
        let sampler = sampler::from_vars(vars)?;
        let mut is_exported = false;
        for variable in [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ] {
            let Some(endpoint) = vars.get(variable) else {
                continue;
            };
            let scheme = endpoint.parse::<Uri>().ok();
            let scheme = scheme.as_ref().and_then(Uri::scheme_str);
            if !matches!(scheme, Some("http" | "https")) {
                return Err(invalid(variable, endpoint, "an http or https URL"));
            }
            is_exported = true;
        }
        is_exported &= !vars.parse("OTEL_SDK_DISABLED", false, "true or false")?;
        Ok(Self {
            format,
            filter,
            exported: is_exported.then_some(Exported {
                service: name,
                sampler,
            }),
        })
    }
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
        let settings = Settings::from_vars(service, vars)?;
        let filter = settings.filter;
        let traces = settings.exported.map(tracer_provider);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let lines = match settings.format {
            LogFormat::Text => lines
                .with_ansi(is_terminal)
                .event_format(Fielded {
                    format: format::format().with_ansi(is_terminal),
                    is_json: false,
                })
                .boxed(),
            LogFormat::Json => lines
                .fmt_fields(JsonFields::new())
                .event_format(Fielded {
                    format: format::format()
                        .json()
                        .flatten_event(true)
                        .with_span_list(false),
                    is_json: true,
                })
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
            let mut tick = tokio::time::interval(UPKEEP);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let upkeep = upkeep.clone();
                // Fails only where it panics, and the panic hook has said so.
                let _ = tokio::task::spawn_blocking(move || upkeep.run_upkeep()).await;
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
/// secrets, and the beginning and end of its services, which are none of ours; and spans that are only for traces.
fn is_hidden(event: &tracing::Metadata<'_>) -> bool {
    let is_request = event.target().starts_with("rmcp") && *event.level() >= tracing::Level::INFO;
    is_request || event.target() == trace_context::TARGET
}

/// Exports the spans of that service.
fn tracer_provider(exported: Exported) -> SdkTracerProvider {
    trace_context::sample_by(exported.sampler.clone());
    SdkTracerProvider::builder()
        .with_resource(
            Resource::builder()
                .with_service_name(exported.service)
                .build(),
        )
        .with_sampler(Chosen(exported.sampler))
        .with_batch_exporter(LazyExporter::default())
        .build()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_names_what_the_settings_read() {
        assert_eq!(super::variables().faults, [""; 0]);
    }
}
