//! The OTLP exporter, built when the first spans go out: its HTTP client reads the system's certificates, which takes
//! longer than all the rest of a start.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter to where the `OTEL_EXPORTER_OTLP_*` variables say.
#[derive(Debug, Default)]
pub(super) struct LazyExporter {
    resource: Option<Resource>,
    /// Or why there is none.
    built: OnceLock<Result<OtlpExporter, String>>,
}

impl LazyExporter {
    /// Called on the batch processor's own thread, which may block.
    fn built(&self) -> Result<&OtlpExporter, OTelSdkError> {
        let built = self.built.get_or_init(|| {
            let exporter = OtlpExporter::builder().with_http().build();
            let mut exporter = exporter.map_err(|error| {
                tracing::error!(%error, "no traces: the exporter can't be built, check OTEL_EXPORTER_OTLP_*");
                error.to_string()
            })?;
            if let Some(resource) = &self.resource {
                exporter.set_resource(resource);
            }
            Ok(exporter)
        });
        let failed = |why: &String| OTelSdkError::InternalFailure(why.clone());
        built.as_ref().map_err(failed)
    }
}

impl SpanExporter for LazyExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.built()?.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self.built.get() {
            Some(Ok(exporter)) => exporter.shutdown_with_timeout(timeout),
            // Nothing was ever sent.
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = Some(resource.clone());
    }
}
