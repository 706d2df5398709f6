//! `publish_server`: check a `server.json` and keep it, for good.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::rfc3339;
use mcp_core::tool::{PUBLISH_SERVER, PublishStatus};
use mcp_core::{ErrorCode, Failure, PublishServerArgs, PublishServerResult};
use mcp_registry::{Issues, Publication, Validator};
use mcp_store::{Published, ServerStore};
use metrics::counter;
use rmcp::model::ToolAnnotations;
use serde_json::{Value, json};

use super::{Tool, ToolContext};
use crate::metric_definitions as metric;

/// When to try again while the database is away.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// The tool over a store.
#[derive(Clone)]
pub struct PublishServer {
    store: Arc<dyn ServerStore>,
    validator: Validator,
}

impl PublishServer {
    /// The tool over that store.
    pub fn new(store: Arc<dyn ServerStore>) -> Self {
        Self {
            store,
            validator: Validator::default(),
        }
    }

    async fn publish(&self, publication: &Publication) -> Result<Published, Failure> {
        let published = self.store.publish(publication).await;
        let outcome = match &published {
            Ok(Published::New(_)) => "published",
            Ok(Published::Unchanged(_)) => "unchanged",
            Err(error) => error.as_str(),
        };
        counter!(metric::PUBLICATIONS, "outcome" => outcome).increment(1);
        published.map_err(|error| {
            let failure = Failure::from(error);
            let hint = failure.code.is_retryable().then_some(TRY_AGAIN);
            failure.with_retry_after(hint)
        })
    }
}

impl Tool for PublishServer {
    type Arguments = PublishServerArgs;
    type Output = PublishServerResult;

    fn name(&self) -> &'static str {
        PUBLISH_SERVER
    }

    fn description(&self) -> &'static str {
        "Publishes a version of an MCP server to the registry: its server.json and, if given, its tools. All that is wrong \
         with them is told at once, each with a JSON Pointer. A version never changes: the same content again is success, \
         another content for a published version is an error, so publish it under a new version."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::with_title("Publish an MCP server")
            .read_only(false)
            .destructive(false)
            .idempotent(true)
            .open_world(false)
    }

    async fn call(
        &self,
        arguments: PublishServerArgs,
        _context: ToolContext,
    ) -> Result<PublishServerResult, Failure> {
        let PublishServerArgs { server, tools } = arguments;
        let tools: Vec<_> = tools.into_iter().map(Value::Object).collect();
        let kept = tools.len();
        let publication = self.validator.check(server, tools).map_err(|issues| {
            counter!(metric::PUBLICATIONS, "outcome" => "invalid").increment(1);
            invalid(&issues)
        })?;
        let published = self.publish(&publication).await?;
        let status = match &published {
            Published::New(_) => PublishStatus::Published,
            Published::Unchanged(_) => PublishStatus::Unchanged,
        };
        let version = published.version();
        if status == PublishStatus::Published {
            tracing::info!(
                server = version.name,
                version = version.version,
                "published"
            );
        }
        Ok(PublishServerResult {
            name: version.name.clone(),
            version: version.version.clone(),
            status,
            is_latest: version.is_latest,
            published_at: rfc3339(version.published_at),
            sha256: version.sha256.clone(),
            tools: kept,
        })
    }
}

/// All that is wrong: as many of it as fit in the sentence, and all that is kept for programs.
fn invalid(issues: &Issues) -> Failure {
    let message = format!("the server can't be published: {issues}");
    let detail = json!({"issues": issues.kept(), "more": issues.more()});
    Failure::new(ErrorCode::InvalidArguments, message).with_detail(detail)
}
