//! rmcp's side of a conversation. rmcp starts a task and a loop for each; here only long subscriptions have one. All other
//! requests share one that is closed: their handlers speak through [`Caller`](crate::caller::Caller).

use std::convert::Infallible;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::handler::server::ServerHandler;
use rmcp::service::{Peer, RxJsonRpcMessage, TxJsonRpcMessage, serve_directly};
use rmcp::transport::Transport;

use crate::caller::outbox::{Outbox, event};

/// Serves nothing: the loop is only for what is sent.
struct Silent;

impl ServerHandler for Silent {}

/// Nobody is there.
struct Nowhere;

impl Transport<RoleServer> for Nowhere {
    type Error = Infallible;

    fn send(
        &mut self,
        _message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        None
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Whoever reads the outbox.
struct Reader(Arc<Outbox>);

impl Transport<RoleServer> for Reader {
    type Error = Infallible;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let outbox = Arc::clone(&self.0);
        async move {
            // A reader that is gone ends the request by itself.
            let _ = outbox.send(event(&message)).await;
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.0.closed().await;
        None
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A peer that takes messages and sends them nowhere.
pub(super) fn nobody() -> Peer<RoleServer> {
    serve_directly(Silent, Nowhere, None).peer().clone()
}

/// A peer whose messages go into `outbox`, until that is closed.
pub(super) fn of(outbox: Arc<Outbox>) -> Peer<RoleServer> {
    let running = serve_directly(Silent, Reader(outbox), None);
    let peer = running.peer().clone();
    tokio::spawn(running.waiting());
    peer
}
