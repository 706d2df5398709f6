//! What tools have made and keep for a while: results refer to it, and whoever has a key fetches it with GET.

pub(crate) mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::SecondsFormat;
use mcp_core::{ArtifactRef, Failure};
use mcp_store::{Artifact, ArtifactId, ArtifactStore, StoreError, Stored};
use metrics::counter;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::ServerConfig;
use crate::metric_definitions as metric;
use crate::tools::ToolContext;

/// The only kind there is.
pub(crate) const SVG: &str = "image/svg+xml";
/// Where they are served.
pub(crate) const PATH: &str = "/artifacts/";
/// How often the room of expired ones is given back.
const SWEEP: Duration = Duration::from_secs(600);

/// The store, and where its content can be fetched.
pub(crate) struct Artifacts {
    store: Arc<dyn ArtifactStore>,
    /// `MCP_PUBLIC_URL`.
    public_url: Option<Url>,
    /// The scheme of this server's own connections.
    scheme: &'static str,
    /// Nothing was put: then there may be no database, and none is made.
    is_unused: AtomicBool,
}

impl Artifacts {
    /// Those of that configuration.
    pub(crate) fn of(config: &ServerConfig) -> Self {
        Self {
            store: Arc::new(config.store.clone()),
            public_url: config.public_url.clone(),
            scheme: match config.tls {
                Some(_) => "https",
                None => "http",
            },
            is_unused: AtomicBool::new(true),
        }
    }

    /// Keeps an SVG, and says where.
    ///
    /// # Errors
    /// Those of the store: then the result would have nothing to refer to, and is none.
    pub(crate) async fn keep_svg(
        &self,
        svg: &str,
        context: &ToolContext,
    ) -> Result<ArtifactRef, Failure> {
        let stored = self.put_svg(svg).await?;
        let size = svg.len() as u64;
        counter!(metric::ARTIFACT_BYTES).increment(size);
        let sha256 = digits(&stored.id).to_owned();
        Ok(ArtifactRef {
            uri: self.uri(&format!("{PATH}{sha256}.svg"), context.host.as_deref()),
            sha256,
            size,
            mime_type: SVG.into(),
            expires_at: stored.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        })
    }

    /// Whether an SVG of `size` bytes could be kept now.
    pub(crate) async fn has_room(&self, size: usize) -> Result<(), StoreError> {
        self.store.has_room(size).await
    }

    /// Keeps an SVG that nobody is told of yet.
    pub(crate) async fn put_svg(&self, svg: &str) -> Result<Stored, StoreError> {
        let stored = self.store.put(Artifact {
            media_type: SVG.into(),
            bytes: svg.as_bytes().to_vec(),
        });
        let stored = stored.await?;
        self.is_unused.store(false, Ordering::Relaxed);
        Ok(stored)
    }

    /// The SVG of that hash.
    async fn svg(&self, id: &ArtifactId) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.store.get(id).await?;
        Ok(found
            .filter(|artifact| artifact.media_type == SVG)
            .map(|artifact| artifact.bytes))
    }

    /// Behind the public URL, else where the caller has found this server.
    fn uri(&self, path: &str, host: Option<&str>) -> String {
        match (&self.public_url, host) {
            (Some(url), _) => format!("{}{path}", url.as_str().trim_end_matches('/')),
            (None, Some(host)) => format!("{}://{host}{path}", self.scheme),
            (None, None) => path.to_owned(),
        }
    }

    /// Gives back the room of expired ones, until `stop`. Where nothing is put, `put` elsewhere or later does it.
    pub(crate) async fn sweep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = stop.cancelled() => return,
            }
            if self.is_unused.load(Ordering::Relaxed) {
                continue;
            }
            match self.store.expire().await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "artifacts have expired"),
                Err(error) => tracing::warn!("expired artifacts can't be removed: {error}"),
            }
        }
    }
}

/// The hash without its algorithm.
fn digits(id: &ArtifactId) -> &str {
    let name = id.as_str();
    name.split_once(':').map_or(name, |(_, digits)| digits)
}
