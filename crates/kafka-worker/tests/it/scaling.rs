//! One worker, then five, then two, under load all the time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use mcp_testkit::{Call, Reply, StubServer, eventually};

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Ledger, Setting, answered, job_of, repeated, tool_job};
use crate::worker::{SOON, Worker};

const PARTITIONS: i32 = 12;
/// Jobs that are submitted and not answered, as long as jobs are submitted at all.
const BACKLOG: usize = 120;

/// Between 50 and 200 ms.
async fn work(call: Call) -> Reply {
    let spread = job_of(&call).bytes().map(u64::from).sum::<u64>() * 37 % 150;
    Reply::text("done").after(Duration::from_millis(50 + spread))
}

/// Keeps a backlog until `enough`: three keys a partition, jobs numbered in the order of their submission.
async fn feed(
    setting: &Setting<'_>,
    server: &StubServer,
    ledger: &RefCell<Ledger>,
    enough: &Cell<bool>,
) {
    let mut number = 0;
    while !enough.get() {
        let waiting = number - answered(server).len();
        if waiting >= BACKLOG {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let batch = (0..PARTITIONS).map(async |partition| {
            let key = format!("key{partition}.{}", number / PARTITIONS as usize % 3);
            let id = format!("{key}-{}", number + partition as usize);
            let record = tool_job(&id, "x").key(key).partition(partition);
            (setting.submit(record).await, id)
        });
        let batch = join_all(batch).await;
        number += batch.len();
        ledger.borrow_mut().extend(batch);
    }
}

/// Waits until every worker has its share of the partitions, as even as it can be.
async fn share(workers: &[Worker]) {
    eventually(SOON, async || {
        let mut shares = Vec::new();
        for worker in workers {
            shares.push(worker.metric("worker_partitions_assigned", "").await?);
        }
        let all = f64::from(PARTITIONS);
        let fair = all / workers.len() as f64;
        let even = shares.iter().all(|share| (share - fair).abs() < 1.0);
        match even && shares.iter().sum::<f64>() == all {
            true => Ok(()),
            false => Err(format!("the shares are {shares:?}")),
        }
    })
    .await;
}

/// The jobs of a key were called one after the other, in the order of their submission.
fn assert_order(server: &StubServer) {
    let mut last = HashMap::new();
    for seen in server.calls() {
        let id = job_of(&seen.call);
        let (key, number) = id.split_once('-').expect("a key and a number");
        let number: usize = number.parse().expect("a number");
        if let Some((before, earlier)) = last.insert(key.to_owned(), (number, seen.clone())) {
            assert!(before < number, "{id} came behind {before}");
            assert!(!seen.overlaps(&earlier), "{id} overlaps with {before}");
        }
    }
}

async fn from_one_to_five_to_two_nothing_is_lost_repeated_or_out_of_order(protocol: Protocol) {
    let setting = protocol.setting("scale", PARTITIONS).await;
    let server = StubServer::start(work).await;
    let start = || {
        protocol
            .worker(&setting, &server)
            .var("WORKER_CONCURRENCY", 3)
            .start()
    };
    let (ledger, enough) = (RefCell::default(), Cell::new(false));

    let scale = async {
        let mut workers = vec![start().await];
        server.wait_ended(40, SOON).await;
        workers.extend(join_all((0..4).map(|_| start())).await);
        share(&workers).await;
        let shared = server.calls().len();
        server.wait_ended(shared + 60, SOON).await;
        let mut leaving = workers.split_off(2);
        join_all(leaving.iter_mut().map(Worker::leave)).await;
        share(&workers).await;
        let shared = server.calls().len();
        server.wait_ended(shared + 20, SOON).await;
        enough.set(true);
        workers
    };
    let scenario = async {
        let (workers, ()) = tokio::join!(scale, feed(&setting, &server, &ledger, &enough));
        setting.wait_all_committed().await;
        workers
    };
    let _workers = setting
        .watch_commits(&ledger, || answered(&server), scenario)
        .await;

    let done = answered(&server);
    let ledger = ledger.borrow().clone();
    let lost: Vec<_> = ledger.iter().filter(|(_, id)| !done.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(repeated(&server), Vec::<String>::new());
    assert_order(&server);
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

by_both_protocols!(from_one_to_five_to_two_nothing_is_lost_repeated_or_out_of_order);
