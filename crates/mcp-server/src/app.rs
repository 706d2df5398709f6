//! The server, wired; serving and draining.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use mcp_runtime::{Conditions, admin, trace_context};
use mcp_store::SqlStore;
use metrics::{gauge, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use rmcp::ServerHandler;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::access::Access;
use crate::access::settings::AccessConfig;
use crate::artifacts::Artifacts;
use crate::calls::Calls;
use crate::config::ServerConfig;
use crate::connections;
use crate::database;
use crate::handler::Handler;
use crate::idempotency::Idempotency;
use crate::metric_definitions as metric;
use crate::redis_link::RedisLink;
use crate::replica::Replica;
use crate::tls::Tls;
use crate::tools::Tools;
use crate::tools::generate_svg::GenerateSvg;
use crate::tools::publish_server::PublishServer;
use crate::tools::refine_svg::RefineSvg;
use crate::tools::server_initialize::ServerInitialize;
use crate::tools::svg::Artist;
use crate::transport;

/// What closing may take on top of the drain.
const CLOSE: Duration = Duration::from_secs(2);

/// A server that is ready to be run.
pub struct App {
    routes: Router,
    tools: Tools,
    ready: Conditions,
    replica: Arc<Replica>,
    drain: Duration,
    calls: Arc<Calls>,
    tls: Option<Tls>,
    access: AccessConfig,
    connections_max: usize,
    store: SqlStore,
    /// Whether there is a link to Redis, where one was asked for.
    linked: redis::RedisResult<()>,
}

impl App {
    /// The product: every tool that it has.
    pub fn new(config: &ServerConfig, metrics: PrometheusHandle) -> Self {
        Self::with_tools(config, tools(config), metrics)
    }

    /// A server of those tools: the product's ([`tools`]), others, or both.
    pub fn with_tools(config: &ServerConfig, tools: Tools, metrics: PrometheusHandle) -> Self {
        Self::with_handler(config, tools, |handler| handler, metrics)
    }

    /// A server of those tools whose handler is wrapped in another one, which has more methods of MCP: resources,
    /// prompts. To be called within a tokio runtime.
    pub fn with_handler<H: ServerHandler>(
        config: &ServerConfig,
        tools: Tools,
        wrap: impl FnOnce(Handler) -> H,
        metrics: PrometheusHandle,
    ) -> Self {
        metric::describe();
        mcp_store::metric_definitions::describe();
        let (live, ready) = (Conditions::default(), Conditions::default());
        let access = Access::new(&config.access);
        let redis = config.redis_url.as_ref().map(RedisLink::new).transpose();
        let (redis, linked) = match redis {
            Ok(redis) => (redis, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let replica = Replica::new(config, redis.as_ref());
        let calls = Arc::new(Calls {
            access: access.clone(),
            idempotency: Idempotency::new(config.idempotency, redis),
            timeouts: config.timeouts.clone(),
        });
        let handler = wrap(Handler::new(tools.clone(), calls.clone()));
        let artifacts = Arc::new(Artifacts::of(config));
        let routes = transport::router(handler, config, access, Arc::clone(&replica), artifacts)
            .layer(middleware::from_fn(observe))
            .merge(admin::router(live, ready.clone(), metrics));
        Self {
            routes,
            tools,
            ready,
            replica,
            drain: config.drain,
            calls,
            tls: config.tls.clone(),
            access: config.access.clone(),
            connections_max: config.connections_max,
            store: config.store.clone(),
            linked,
        }
    }
}

/// The tools of the product. A tool is added here, in one line.
pub fn tools(config: &ServerConfig) -> Tools {
    let artist = Artist::of(config);
    Tools::default()
        .with(ServerInitialize::new(config.launching.clone()))
        .with(GenerateSvg::new(Arc::clone(&artist)))
        .with(RefineSvg::new(artist))
        .with(PublishServer::new(Arc::new(config.store.clone())))
}

/// Serves until told to stop; then takes no new connections, lets calls under way finish for the drain time, and cancels
/// those that have not.
///
/// # Errors
/// When the configuration does not fit the tools, or the listener fails.
pub async fn run(listener: TcpListener, app: App, stop: CancellationToken) -> anyhow::Result<()> {
    app.calls.timeouts.check(&app.tools)?;
    app.linked.context("REDIS_URL")?;
    database::open(&app.store).await?;
    let access = app.calls.access.clone();
    let ended = stop.child_token();
    let _followers = ended.clone().drop_guard();
    let follower = access.clone();
    let config = app.access;
    let until = ended.clone();
    tokio::spawn(async move { follower.follow(config, until).await });
    let notice = app.ready.notice("database");
    tokio::spawn(database::follow(app.store.clone(), notice, ended.clone()));
    if let Some(tls) = app.tls.clone() {
        tokio::spawn(tls.follow(ended.clone()));
    }
    let (tools, ready) = (app.tools.clone(), app.ready.clone());
    tokio::spawn(async move { tools.follow(&ready, ended).await });
    let stopping = app.ready.register("stopping", "");
    stopping.holds();
    let connections =
        connections::accept(listener, app.routes, app.tls, app.connections_max, stop).await?;
    stopping.fails("the server is stopping");
    app.replica.drain();
    let mut finished = std::pin::pin!(connections.shutdown());
    if tokio::time::timeout(app.drain, &mut finished)
        .await
        .is_err()
    {
        tracing::warn!("calls are still under way after the drain time: cancelling them");
        app.replica.ended.cancel();
        let _ = tokio::time::timeout(CLOSE, finished).await;
    }
    app.replica.ended.cancel();
    if tokio::time::timeout(CLOSE, app.tools.close())
        .await
        .is_err()
    {
        tracing::warn!("tools have not come to their end");
    }
    if tokio::time::timeout(CLOSE, app.store.close())
        .await
        .is_err()
    {
        tracing::warn!("connections to the database are still in use");
    }
    if tokio::time::timeout(CLOSE, access.audit().flush())
        .await
        .is_err()
    {
        tracing::warn!("the last audit lines are not written");
    }
    Ok(())
}

/// A span, the duration and the number under way of each request.
async fn observe(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let span = tracing::info_span!(
        target: trace_context::TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    trace_context::set_parent(&span, |name| request.headers().get(name)?.to_str().ok());
    let began = Instant::now();
    let active = Active::enter();
    let response = next.run(request).instrument(span.clone()).await;
    drop(active);
    let status = response.status().as_u16();
    span.record("http.response.status_code", i64::from(status));
    histogram!(
        metric::HTTP_DURATION,
        "http_route" => route, "http_request_method" => method, "http_response_status_code" => status.to_string()
    )
    .record(began.elapsed());
    response
}

/// Counts a request under way, also one whose caller goes away.
struct Active;

impl Active {
    fn enter() -> Self {
        gauge!(metric::HTTP_ACTIVE).increment(1.0);
        Self
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        gauge!(metric::HTTP_ACTIVE).decrement(1.0);
    }
}
