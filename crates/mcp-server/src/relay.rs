//! Messages between replicas, over Redis pub/sub: what arrives at one and belongs to another, whose name is in its id.
//! Each errand is answered with a receipt, so that a client learns whether its message was taken.

mod errand;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::redis_link::{HEARTBEAT, PATIENCE, RedisLink};
use crate::transport::{Service, sse};
pub(crate) use errand::{Errand, Letter, Receipt};

/// How long the other replica may take to say that it has a message.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(5);
/// A replica whose subscription was cut hears nothing until it is back: so often it is tried, at this distance.
const ABSENCE_TRIES: u32 = 4;
const ABSENCE_PAUSE: Duration = Duration::from_millis(250);
/// Before the next try to subscribe.
const RECONNECT_PAUSE: Duration = Duration::from_millis(300);
/// Errands of other replicas under way here.
const ERRANDS_MAX: usize = 256;
/// How long all other replicas may take to answer what all are asked.
const ALL_PATIENCE: Duration = Duration::from_secs(1);
/// Where all replicas listen.
const ALL: &str = "mcp-hybrid:replicas";

/// The way to the other replicas, if there is one.
pub(crate) enum Relay {
    /// This replica is alone, as far as it knows.
    None,
    /// The others are reached through Redis.
    Redis(Box<RedisRelay>),
}

/// The way through Redis.
pub(crate) struct RedisRelay {
    link: RedisLink,
    receipts: Mutex<HashMap<u64, Receipts>>,
    tickets: AtomicU64,
}

/// Where receipts go: who gave each, and the receipt.
type Receipts = mpsc::Sender<(String, Receipt)>;

/// The replica that an id belongs to: what is before its first dot.
pub(crate) fn owner(id: &str) -> Option<&str> {
    id.split_once('.').map(|(owner, _)| owner)
}

fn channel(replica: &str) -> String {
    format!("mcp-hybrid:replica:{replica}")
}

impl Relay {
    /// A way through that Redis.
    pub(crate) fn redis(link: &RedisLink) -> Self {
        Self::Redis(Box::new(RedisRelay {
            link: link.clone(),
            receipts: Mutex::default(),
            tickets: AtomicU64::new(0),
        }))
    }

    /// Brings it to the replica that it belongs to. `from` is this one.
    pub(crate) async fn send(&self, from: &str, errand: Errand) -> Receipt {
        match (self, owner(errand.id()).map(str::to_owned)) {
            (Self::Redis(relay), Some(owner)) => relay.send(from, &owner, errand).await,
            (Self::None, _) | (_, None) => Receipt::Unknown,
        }
    }

    /// Asks all other replicas; `None` when not all have answered. `from` is this one.
    pub(crate) async fn ask_others(
        &self,
        from: &str,
        errand: Errand,
    ) -> Option<Vec<(String, Receipt)>> {
        match self {
            Self::None => Some(Vec::new()),
            Self::Redis(relay) => relay.ask_others(from, errand).await,
        }
    }

    /// Brings it to that replica, whatever its id says.
    pub(crate) async fn send_to(&self, from: &str, to: &str, errand: Errand) -> Receipt {
        match self {
            Self::None => Receipt::Unknown,
            Self::Redis(relay) => relay.send(from, to, errand).await,
        }
    }

    /// Whether that replica still listens; `None` when that can't be found out.
    pub(crate) async fn is_there(&self, replica: &str) -> Option<bool> {
        let Self::Redis(relay) = self else {
            return Some(false);
        };
        let mut command = redis::cmd("PUBSUB");
        command.arg("NUMSUB").arg(channel(replica));
        let ask = async |mut connection| command.query_async(&mut connection).await;
        let counts: (String, u64) = relay.link.exchange(ask).await.ok()?;
        Some(counts.1 > 0)
    }
}

impl RedisRelay {
    async fn send(&self, from: &str, owner: &str, errand: Errand) -> Receipt {
        let mut awaited = self.await_receipts();
        let letter = awaited.letter(from, errand);
        let channel = channel(owner);
        let outcome = match self.publish(&channel, &letter, ABSENCE_TRIES).await {
            Ok(0) => return Receipt::Unknown,
            Ok(_) => timeout(RECEIPT_PATIENCE, awaited.receipts.recv()).await,
            Err(error) => {
                tracing::warn!(%error, "Redis can't be reached: a message for another replica is refused");
                return Receipt::Unreachable;
            }
        };
        match outcome {
            Ok(Some((_, receipt))) => receipt,
            Ok(None) | Err(_) => Receipt::Unreachable,
        }
    }

    async fn ask_others(&self, from: &str, errand: Errand) -> Option<Vec<(String, Receipt)>> {
        let mut awaited = self.await_receipts();
        let letter = awaited.letter(from, errand);
        let listeners = self.publish(ALL, &letter, 1).await.ok()?;
        let mut given = Vec::new();
        let all = async {
            for _ in 0..listeners {
                given.push(awaited.receipts.recv().await?);
            }
            // This one listens, too: without its own receipt it could not have heard the others'.
            given.iter().any(|(by, _)| by == from).then_some(())
        };
        timeout(ALL_PATIENCE, all).await.ok()??;
        given.retain(|(by, _)| by != from);
        Some(given)
    }

    fn await_receipts(&self) -> Awaited<'_> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (give, receipts) = mpsc::channel(ERRANDS_MAX);
        self.receipts().insert(ticket, give);
        Awaited {
            relay: self,
            ticket,
            receipts,
        }
    }

    /// How many listen there.
    async fn publish(&self, to: &str, letter: &Letter, tries: u32) -> redis::RedisResult<u64> {
        let letter = serde_json::to_vec(letter).unwrap_or_default();
        for attempt in 1..=tries {
            let publish =
                async |mut connection: ConnectionManager| connection.publish(to, &letter).await;
            let listeners: u64 = self.link.exchange(publish).await?;
            if listeners > 0 {
                return Ok(listeners);
            }
            if attempt < tries {
                sleep(ABSENCE_PAUSE).await;
            }
        }
        Ok(0)
    }

    fn receipts(&self) -> MutexGuard<'_, HashMap<u64, Receipts>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An errand whose receipts are waited for until this is dropped.
struct Awaited<'a> {
    relay: &'a RedisRelay,
    ticket: u64,
    receipts: mpsc::Receiver<(String, Receipt)>,
}

impl Awaited<'_> {
    fn letter(&self, from: &str, errand: Errand) -> Letter {
        Letter::Errand {
            from: from.to_owned(),
            ticket: self.ticket,
            errand,
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.relay.receipts().remove(&self.ticket);
    }
}

/// Listens for what belongs to this replica, until it stops.
pub(crate) fn serve(service: Arc<Service>) {
    if matches!(service.replica.relay, Relay::None) {
        return;
    }
    let ended = service.replica.ended.clone();
    tokio::spawn(async move {
        let errands = Arc::new(Semaphore::new(ERRANDS_MAX));
        let listening = async {
            loop {
                if let Err(error) = listen(&service, &errands).await {
                    tracing::warn!(%error, "the subscription at Redis was cut: subscribing again");
                }
                sleep(RECONNECT_PAUSE).await;
            }
        };
        ended.run_until_cancelled(listening).await;
    });
}

async fn listen(service: &Arc<Service>, errands: &Arc<Semaphore>) -> redis::RedisResult<()> {
    let replica = &service.replica;
    let Relay::Redis(relay) = &replica.relay else {
        return Ok(());
    };
    let subscribed = timeout(PATIENCE, async {
        let mut subscription = relay.link.client().get_async_pubsub().await?;
        let channels = [channel(&replica.id), ALL.to_owned()];
        subscription.subscribe(&channels).await?;
        Ok::<_, redis::RedisError>(subscription.split())
    });
    let (mut sink, mut letters) = subscribed.await.map_err(silent)??;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let letter = tokio::select! {
            letter = letters.next() => letter,
            // Where nothing is heard, nobody might be there to be heard.
            _ = heartbeat.tick() => {
                let () = timeout(PATIENCE, sink.ping()).await.map_err(silent)??;
                continue;
            }
        };
        let Some(letter) = letter else {
            return Ok(());
        };
        match serde_json::from_slice(letter.get_payload_bytes()) {
            Ok(Letter::Receipt {
                from,
                ticket,
                receipt,
            }) => {
                if let Some(waiting) = relay.receipts().get(&ticket) {
                    let _ = waiting.try_send((from, receipt));
                }
            }
            // What this one asked all.
            Ok(Letter::Errand { from, ticket, .. }) if *from == *replica.id => {
                if let Some(waiting) = relay.receipts().get(&ticket) {
                    let _ = waiting.try_send((from, Receipt::Unknown));
                }
            }
            Ok(Letter::Errand {
                from,
                ticket,
                errand,
            }) => {
                let permit = Arc::clone(errands).try_acquire_owned();
                let service = Arc::clone(service);
                tokio::spawn(async move {
                    let receipt = match &permit {
                        Ok(_) => run(&service, errand).await,
                        Err(_) => Receipt::Busy,
                    };
                    give(&service, &from, ticket, receipt).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "another replica sent what this version does not know")
            }
        }
    }
}

fn silent(_: Elapsed) -> redis::RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}

async fn run(service: &Arc<Service>, errand: Errand) -> Receipt {
    let replica = &service.replica;
    match errand {
        Errand::Post { session, by, body } => {
            sse::accept(service, &session, body.as_bytes(), &by, None, None)
        }
        Errand::Answer { id, outcome } => Receipt::of(replica.pending.answer(&id, outcome)),
        Errand::Update { task, answers } => Receipt::of(replica.tasks.answer(&task, answers).await),
        Errand::Cancel { task } => Receipt::of(replica.tasks.stop(&task).await),
        Errand::Find { tag } => match replica.running.count(&tag) {
            0 => Receipt::Unknown,
            1 => Receipt::Taken,
            _ => Receipt::Busy,
        },
        Errand::Withdraw { tag } => Receipt::of(replica.running.cancel(&tag)),
    }
}

async fn give(service: &Service, to: &str, ticket: u64, receipt: Receipt) {
    if let Relay::Redis(relay) = &service.replica.relay {
        let letter = Letter::Receipt {
            from: service.replica.id.to_string(),
            ticket,
            receipt,
        };
        if let Err(error) = relay.publish(&channel(to), &letter, 1).await {
            tracing::debug!(%error, "a receipt is lost");
        }
    }
}
