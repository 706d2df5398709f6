//! The server, wired; serving and draining.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use mcp_runtime::metric::Metric;
use mcp_runtime::{Conditions, admin};
use mcp_store::SqlStore;
use metrics_exporter_prometheus::PrometheusHandle;
use rmcp::ServerHandler;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
use crate::site::Site;
use crate::tls::Tls;
use crate::tools::Tools;
use crate::tools::generate_svg::GenerateSvg;
use crate::tools::publish_server::PublishServer;
use crate::tools::refine_svg::RefineSvg;
use crate::tools::server_initialize::ServerInitialize;
use crate::tools::svg::Artist;
use crate::transport::Routes;

/// What closing may take on top of the drain.
const CLOSE: Duration = Duration::from_secs(2);

/// A server that is ready to be run.
pub struct App {
    site: Site,
    tools: Tools,
    ready: Conditions,
    replica: Arc<Replica>,
    drain: Duration,
    calls: Arc<Calls>,
    tls: Option<Tls>,
    access: AccessConfig,
    connections_max: usize,
    connection_age: Duration,
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
        metric::exposed().iter().for_each(Metric::describe);
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
        let routes = Routes::new(handler, config, access, Arc::clone(&replica), artifacts);
        let admin = admin::router(live, ready.clone(), metrics);
        Self {
            site: Site::new(routes, admin),
            tools,
            ready,
            replica,
            drain: config.drain,
            calls,
            tls: config.tls.clone(),
            access: config.access.clone(),
            connections_max: config.connections_max,
            connection_age: config.connection_age,
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

/// Serves until told to stop; then takes no new connections, lets calls and tasks under way finish for the drain time, and
/// cancels those that have not.
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
    let connections = connections::accept(
        listener,
        Arc::new(app.site),
        app.tls,
        app.connections_max,
        app.connection_age,
        stop,
    )
    .await?;
    stopping.fails("the server is stopping");
    app.replica.drain();
    let tasks = app.replica.tasks.ended();
    let mut finished = std::pin::pin!(async { tokio::join!(connections.shutdown(), tasks) });
    if tokio::time::timeout(app.drain, &mut finished)
        .await
        .is_err()
    {
        tracing::warn!("calls are still under way after the drain time: cancelling them");
        app.replica.ended.cancel();
        let closed = async { tokio::join!(app.replica.tasks.give_up(), finished) };
        let _ = tokio::time::timeout(CLOSE, closed).await;
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
