//! Kafka behind proxies, and one run on it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::time::Duration;

use anyhow::Context as _;
use mcp_testkit::{KafkaClient, KafkaCluster, OffsetWatch, free_port};
use tokio::sync::Mutex;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::director::{self, Director};
use super::feeder::Feeder;
use super::fleet::{Recruiter, client_id};
use super::history::{History, Recorder};
use super::link::Link;
use super::mutations::Mutation;
use super::oracle::{self, Judgement, Ordering, Terms};
use super::plan::{self, Deed, Passage, Plan};
use super::stub::Stub;
use super::workload::Workload;
use super::{Options, Protocol, RATE, watchers};

/// What a worker has for its drain.
const DRAIN: Duration = Duration::from_secs(5);
/// The budgets of all workers together allow so many times the dead letters that are due. Not more, so that one that is
/// alone for a while uses its own up; not less, so that the run has an end.
const BUDGET: f64 = 2.0;
/// Without a new commit for so long, the rest of the jobs is not coming.
const NO_PROGRESS: Duration = Duration::from_secs(40);
/// Longest wait for the rest of the jobs.
const REST: Duration = Duration::from_secs(240);

/// What one run is to be.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) jobs: u32,
    pub(crate) duration: Duration,
    pub(crate) workers: (usize, usize),
    pub(crate) brokers: usize,
    pub(crate) partitions: i32,
    pub(crate) concurrency: usize,
    pub(crate) ordering: Ordering,
    pub(crate) protocol: Protocol,
    pub(crate) only: Vec<Deed>,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) worker: PathBuf,
    /// See [`NO_PROGRESS`].
    pub(crate) patience: Duration,
    pub(crate) logs: Option<PathBuf>,
}

impl Run {
    pub(crate) fn new(seed: u64, options: &Options, worker: PathBuf) -> Self {
        // A partition runs one job at a time in its order, so there is less to do at once.
        let rate = match options.ordering {
            Ordering::Partition => RATE / 4,
            Ordering::Key | Ordering::Unordered => RATE,
        };
        let by_rate = options.duration.as_secs() * rate;
        Self {
            seed,
            jobs: options
                .jobs
                .unwrap_or_else(|| u32::try_from(by_rate).unwrap_or(u32::MAX)),
            duration: options.duration,
            workers: options.workers,
            brokers: options.brokers,
            partitions: options.partitions,
            concurrency: options.concurrency,
            ordering: options.ordering,
            protocol: options.group_protocol,
            only: options.only.clone(),
            mutation: options.mutation,
            worker,
            patience: NO_PROGRESS,
            logs: options.logs.clone(),
        }
    }

    /// What goes wrong when.
    pub(crate) fn plan(&self) -> Plan {
        let terms = plan::Terms {
            duration: self.millis(),
            workers: self.workers,
            brokers: self.brokers,
            only: self.only.clone(),
        };
        Plan::new(self.seed, &terms)
    }

    /// Dead letters that a worker may write in a minute: it begins with as many, and gets as many each minute.
    pub(crate) fn letters_per_minute(&self) -> usize {
        let workload = self.workload();
        let due = (0..self.jobs).filter(|number| !workload.kind(*number).is_good());
        let (minutes, starts) = self.plan().workers(self.millis());
        let each = BUDGET * due.count() as f64 / (minutes + starts as f64).max(1.0);
        each.ceil().max(1.0) as usize
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }

    fn workload(&self) -> Workload {
        Workload {
            seed: self.seed,
            partitions: self.partitions,
        }
    }

    /// What every worker is told; short times, so that much happens in a run.
    fn variables(&self, brokers: &str, topic: &str, group: &str) -> Vec<(String, String)> {
        let ordering = match self.ordering {
            Ordering::Key => "key",
            Ordering::Partition => "partition",
            Ordering::Unordered => "unordered",
        };
        let (concurrency, drain) = (self.concurrency.to_string(), DRAIN.as_millis().to_string());
        let budget = self.letters_per_minute().to_string();
        let mut variables = vec![
            ("KAFKA_BROKERS", brokers),
            ("KAFKA_TOPIC", topic),
            ("MCP_CONSUMER_GROUP", group),
            ("ADMIN_BIND", "127.0.0.1"),
            ("WORKER_ORDERING", ordering),
            ("WORKER_CONCURRENCY", &concurrency),
            ("WORKER_DRAIN_MS", &drain),
            ("WORKER_DLQ_PER_MINUTE", &budget),
            ("WORKER_JOB_TIMEOUT_MS", "2000"),
            // With such short waits, the eight attempts of the default would not outlast the beginning of an outage.
            ("WORKER_MAX_ATTEMPTS", "8"),
            ("WORKER_RETRY_BASE_MS", "50"),
            ("WORKER_RETRY_MAX_MS", "1000"),
            ("KAFKA_PROPERTY_RECONNECT_BACKOFF_MAX_MS", "500"),
            // What happens to each job and in each commit only for whoever reads it.
            (
                "RUST_LOG",
                match self.logs {
                    Some(_) => "warn,kafka_worker=info,kafka_worker::engine::intake=debug",
                    None => "warn,kafka_worker=info,kafka_worker::journal=off",
                },
            ),
        ];
        match self.protocol {
            Protocol::Classic => variables.extend([
                ("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", "6000"),
                ("KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS", "1000"),
            ]),
            Protocol::Consumer => variables.push(("KAFKA_PROPERTY_GROUP_PROTOCOL", "consumer")),
        }
        if let Some(mutation) = self.mutation {
            variables.push(("WORKER_MUTATION", mutation.name()));
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        variables.into_iter().map(owned).collect()
    }
}

/// What a run has brought.
pub(crate) struct Outcome {
    pub(crate) history: History,
    pub(crate) judgement: Judgement,
    /// From the mending until all jobs were done, or given up.
    pub(crate) rest: Duration,
}

/// Kafka, whose brokers workers reach only through proxies.
pub(crate) struct Ground {
    cluster: Arc<Mutex<KafkaCluster>>,
    client: KafkaClient,
    links: Vec<Link>,
    replication: i32,
    runs: AtomicUsize,
}

impl Ground {
    pub(crate) async fn start(brokers: usize) -> anyhow::Result<Self> {
        let mut links = Vec::new();
        for _ in 0..brokers {
            links.push(Link::start(free_port(), None).await.context("a proxy")?);
        }
        let ports: Vec<u16> = links.iter().map(Link::port).collect();
        let properties = [
            // As the workers have it in the classic protocol.
            ("group.consumer.session.timeout.ms", "6000"),
            ("group.consumer.heartbeat.interval.ms", "1000"),
        ];
        let cluster = KafkaCluster::start(&ports, &properties).await;
        for (link, port) in links.iter().zip(cluster.behind_proxy()) {
            link.forward_to(*port);
        }
        Ok(Self {
            client: cluster.client(),
            links,
            replication: if cluster.size() >= 3 { 3 } else { 1 },
            cluster: Arc::new(Mutex::new(cluster)),
            runs: AtomicUsize::new(0),
        })
    }

    /// Plays a run from its beginning to its judgement.
    pub(crate) async fn play(&self, run: &Run) -> anyhow::Result<Outcome> {
        let number = self.runs.fetch_add(1, Atomic::Relaxed);
        let topic = format!("chaos-{number}");
        let (letters, group) = (format!("{topic}-dlq"), format!("group-of-{topic}"));
        self.client
            .create_topic(&topic, run.partitions, self.replication, &[])
            .await;
        self.client
            .create_topic(
                &letters,
                run.partitions,
                self.replication,
                &director::LETTERS,
            )
            .await;
        let recorder = Recorder::new(&topic);
        let (stub, stub_port) = Stub::start(recorder.clone(), run.workload()).await?;
        let watch = self.client.offsets(&group, &topic, run.partitions);
        let tail = self.client.tail(&letters, run.partitions);
        let mut watchers = vec![
            spawn_local(watchers::sample(watch.clone(), recorder.clone())),
            spawn_local(watchers::collect(tail, recorder.clone())),
            spawn_local(watchers::feel_the_machine(recorder.clone())),
        ];
        if run.protocol == Protocol::Classic {
            let group = self.client.group(&group);
            watchers.push(spawn_local(watchers::watch(group, recorder.clone())));
        }
        let addresses: Vec<String> = self
            .links
            .iter()
            .map(|link| format!("127.0.0.1:{}", link.port()))
            .collect();
        let mut director = Director {
            recorder: recorder.clone(),
            recruiter: Recruiter {
                binary: run.worker.clone(),
                variables: run.variables(&addresses.join(","), &topic, &group),
                stub: stub_port,
                recorder: recorder.clone(),
                next: 0,
                passage: Passage::Open,
            },
            stub,
            cluster: self.cluster.clone(),
            client: self.client.clone(),
            kafka_links: &self.links,
            letters: letters.clone(),
            drain: DRAIN,
            workers: HashMap::new(),
            leaving: Vec::new(),
            since: director::Since::default(),
            restarts: Vec::new(),
            logs: run.logs.clone(),
        };
        let feeder = Feeder {
            workload: run.workload(),
            recorder: recorder.clone(),
            topic: topic.clone(),
            feed: self.client.feed(),
            transactions: self.client.transactions(&topic),
        };
        let feeding = tokio::spawn(feeder.run(run.jobs, run.duration.mul_f64(0.95)));
        director.perform(&run.plan(), run.duration).await?;
        director.calm().await?;
        let mended = Instant::now();
        self.wait_for_the_rest(run, &mut director, &recorder, async || {
            feeding.is_finished()
        })
        .await?;
        let rest = mended.elapsed();
        let letters_watch = self.client.offsets(&group, &letters, run.partitions);
        self.look_at_the_end(run, &mut director, &group, &watch, &letters_watch)
            .await;
        watchers.iter().for_each(tokio::task::JoinHandle::abort);
        director.dismiss().await?;
        let history = std::mem::take(&mut *recorder.history());
        let terms = Terms {
            workload: run.workload(),
            ordering: run.ordering,
            concurrency: run.concurrency,
            workers_max: run.workers.1,
            letters_per_minute: run.letters_per_minute(),
        };
        let judgement = oracle::judge(&history, &terms);
        Ok(Outcome {
            history,
            judgement,
            rest,
        })
    }

    /// Until all that was produced is committed, or nothing moves any more.
    async fn wait_for_the_rest(
        &self,
        run: &Run,
        director: &mut Director<'_>,
        recorder: &Recorder,
        fed: impl AsyncFn() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + REST;
        let mut seen = (0, 0);
        let mut moved = Instant::now();
        loop {
            director
                .attend_until(Instant::now() + Duration::from_millis(200))
                .await?;
            let now = {
                let history = recorder.history();
                (history.commits.len(), history.entries.len())
            };
            if now != seen {
                (seen, moved) = (now, Instant::now());
            }
            let is_over = fed().await && is_all_committed(&recorder.history());
            if is_over || moved.elapsed() > run.patience || Instant::now() > deadline {
                if !fed().await {
                    let what = "not all records could be produced".to_owned();
                    recorder.history().own_trouble.push(what);
                }
                return Ok(());
            }
        }
    }

    /// What the group and the topics look like when all is over.
    async fn look_at_the_end(
        &self,
        run: &Run,
        director: &mut Director<'_>,
        group: &str,
        watch: &OffsetWatch,
        letters: &OffsetWatch,
    ) {
        // Whoever leaves or joins is given the time for it, and what was written the time to be read.
        let deadline = Instant::now() + Duration::from_secs(20);
        let recorder = director.recorder.clone();
        loop {
            let live: Vec<String> = director
                .workers
                .values()
                .map(|worker| client_id(worker.instance))
                .collect();
            let members = match run.protocol {
                Protocol::Classic => self.client.group_members(group).await.map(Some),
                // Their members are not told by the request that the client library has.
                Protocol::Consumer => Ok(None),
            };
            let (ends, written) = (watch.ends().await, letters.ends().await);
            let mut complete = false;
            if let (Ok(members), Ok(ends), Ok(written)) = (members, ends, written) {
                let as_many = |members: &Vec<String>| members.len() == live.len();
                let mut history = recorder.history();
                complete = members.as_ref().is_none_or(as_many)
                    && written.iter().sum::<i64>() <= history.letters.len() as i64;
                (history.members, history.ends, history.live) = (members, ends, live);
            }
            if complete || Instant::now() > deadline {
                return;
            }
            let _ = director
                .attend_until(Instant::now() + Duration::from_millis(300))
                .await;
        }
    }
}

fn is_all_committed(history: &History) -> bool {
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    for commit in &history.commits {
        committed.insert(commit.partition, commit.offset);
    }
    history
        .entries
        .iter()
        .filter(|entry| !entry.aborted)
        .all(|entry| {
            committed
                .get(&entry.partition)
                .is_some_and(|at| entry.offset < *at)
        })
}
