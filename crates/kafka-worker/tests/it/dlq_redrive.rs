use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};

use crate::setting::{Setting, ids, tool_job, wait_answered};
use crate::worker::SOON;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn a_job_succeeds_once_the_server_is_mended_and_keeps_its_trace() {
    let setting = Setting::new(Kafka::shared().await, "redrive", 2).await;
    let mended = Arc::new(AtomicBool::new(false));
    let works = mended.clone();
    let server = StubServer::start(move |_| {
        let works = works.load(Ordering::SeqCst);
        async move {
            match works {
                true => Reply::text("done"),
                false => Reply::status(422),
            }
        }
    })
    .await;
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let job = tool_job("a", "t")
        .key("ordering")
        .header("tenant", "x")
        .header("traceparent", &trace)
        .partition(1);
    setting.submit(job).await;
    let _worker = setting.worker(&server).start().await;
    setting.dead_letters(1).await;

    // Not mended: it comes back, and the second letter looks as the first one did.
    setting.dlq(&["redrive"]).await.expect(0);
    let letters = setting.dead_letters(2).await;
    assert_eq!(letters[1].header("mcp.redrive.count").as_deref(), Some("1"));
    assert_eq!(letters[1].headers.len(), letters[0].headers.len());
    mended.store(true, Ordering::SeqCst);
    let redriven = setting.dlq(&["redrive"]).await.expect(0).text();
    assert!(
        redriven.contains("1 letter redriven, 1 redriven before"),
        "{redriven}"
    );

    wait_answered(&server, &["a".to_owned()], SOON).await;
    // The last offset of the partition is the marker of the transaction, which no consumer sees.
    let committed = [None, Some(4)];
    let (group, jobs) = (&setting.group, &setting.jobs);
    setting
        .kafka
        .wait_committed(group, jobs, &committed, SOON)
        .await;
    let records = setting.kafka.read_all(&setting.jobs).await;
    let [first, .., last] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(records.len(), 3);
    assert_eq!(
        (last.partition, &last.key, &last.value),
        (1, &first.key, &first.value)
    );
    let own = last
        .headers
        .iter()
        .filter(|(name, _)| name != "mcp.redrive.count");
    assert_eq!(own.cloned().collect::<Vec<_>>(), first.headers);
    assert_eq!(last.header("mcp.redrive.count").as_deref(), Some("2"));
    for seen in server.calls() {
        let parent = seen.call.headers["traceparent"].to_str().expect("text");
        assert!(parent.contains(TRACE), "{parent}");
    }

    // Both letters are redriven: they are hidden, unless they are asked for.
    let list = setting.dlq(&["list", "--json"]).await.expect(0);
    assert_eq!(list.objects().len(), 0);
    let all = setting
        .dlq(&["list", "--json", "--all"])
        .await
        .expect(0)
        .objects();
    assert_eq!(all.len(), 2);
    assert!(
        all.iter().all(|letter| letter["redrivenAt"].is_string()),
        "{all:?}"
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
    let setting = Setting::new(Kafka::shared().await, "dry", 1).await;
    setting.bury_all(&ids("job", 2)).await;

    let dry = setting
        .dlq(&["redrive", "--dry-run"])
        .await
        .expect(0)
        .text();
    assert!(
        dry.contains(&format!("would redrive 0:1 (job-1) to {}/0", setting.jobs)),
        "{dry}"
    );
    assert!(dry.contains("2 letters would be redriven"), "{dry}");
    assert_eq!(setting.sent().await.len(), 0);
    assert_eq!(setting.dlq(&["list", "--json"]).await.objects().len(), 2);
}

#[tokio::test]
async fn of_two_letters_of_one_record_one_is_sent() {
    // As a worker leaves them that is killed between a letter and its commit.
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "twins", 1).await;
    kafka.create_topic(&setting.dead, 1, &[]).await;
    for (id, source) in [("twin", 0), ("other", 1), ("twin", 0)] {
        setting.bury(setting.letter(id, source)).await;
    }
    let dry = setting.dlq(&["redrive", "--dry-run"]).await.expect(0);
    assert!(
        dry.text()
            .contains("2 letters would be redriven, 1 redriven before")
    );
    let end = setting.dlq(&["redrive"]).await.expect(0).text();
    assert!(
        end.contains("2 letters redriven, 1 redriven before"),
        "{end}"
    );
    // A third one comes later: the ledger knows.
    setting.bury(setting.letter("twin", 0)).await;
    let end = setting.dlq(&["redrive"]).await.expect(0).text();
    assert!(
        end.contains("0 letters redriven, 4 redriven before"),
        "{end}"
    );
    assert_eq!(setting.sent().await, ["other", "twin"]);
}

#[tokio::test]
async fn what_can_not_go_back_is_skipped_with_its_reason() {
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "skip", 1).await;
    kafka.create_topic(&setting.dead, 1, &[]).await;
    setting.bury(setting.letter("good", 0)).await;
    setting
        .bury(setting.letter("loop", 1).header("mcp.redrive.count", "3"))
        .await;
    setting
        .bury(
            setting
                .letter("other", 2)
                .header("__dlq.errors.topic", "elsewhere"),
        )
        .await;
    setting.bury(NewRecord::value("foreign")).await;

    let end = setting.dlq(&["redrive"]).await.expect(1).text();
    for part in [
        "skipped 0:1 (loop): it was redriven 3 times already",
        "skipped 0:2 (other): it came from topic elsewhere",
        "skipped 0:3: it has no __dlq.errors.topic header",
        "1 letter redriven, 3 skipped",
    ] {
        assert!(end.contains(part), "{part}: {end}");
    }
    assert_eq!(setting.sent().await, ["good"]);

    let missing = setting
        .dlq(&["redrive", "0:9", "0:0"])
        .await
        .expect(1)
        .text();
    assert!(
        missing.contains("skipped 0:9: there is no such letter"),
        "{missing}"
    );
    assert!(missing.contains("1 redriven before"), "{missing}");
    setting
        .dlq(&["redrive", "0:1", "--max-redrives", "4"])
        .await
        .expect(0);
    assert_eq!(setting.sent().await, ["good", "loop"]);
}

#[tokio::test]
async fn a_record_that_its_topic_refuses_does_not_hold_the_others_up() {
    let kafka = Kafka::shared().await;
    let jobs = kafka
        .new_topic("refusing", 1, &[("max.message.bytes", "3000")])
        .await;
    let setting = Setting {
        dead: format!("{jobs}-dlq"),
        group: "g".into(),
        kafka,
        jobs,
    };
    kafka.create_topic(&setting.dead, 1, &[]).await;
    setting.bury(setting.letter("a", 0)).await;
    let large: Vec<u8> = (0..6_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    setting
        .bury(setting.letter_of(NewRecord::value(large), "large", 1))
        .await;
    setting.bury(setting.letter("b", 2)).await;

    let end = setting.dlq(&["redrive"]).await.expect(1).text();
    assert!(
        end.contains(&format!(
            "skipped 0:1 (large): {} does not take it",
            setting.jobs
        )),
        "{end}"
    );
    assert!(end.contains("2 letters redriven, 1 skipped"), "{end}");
    assert_eq!(setting.sent().await, ["a", "b"]);
}

#[tokio::test]
async fn a_value_that_was_left_out_is_read_from_its_source_while_that_holds_it() {
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "omitted", 1).await;
    kafka
        .create_topic(&setting.dead, 1, &[("max.message.bytes", "3000")])
        .await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let large = NewRecord::value([b'x'; 5_000])
        .key("k")
        .header("tenant", "a");
    let larger = NewRecord::value([b'y'; 6_000])
        .key([b'k'; 2_000])
        .header("large", [b'z'; 2_000]);
    setting.submit(large).await;
    setting.submit(larger).await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_ORDERING", "partition")
        .start()
        .await;
    setting.dead_letters(2).await;
    setting.wait_all_committed().await;
    worker.leave().await;

    setting.dlq(&["redrive"]).await.expect(0);
    let records = kafka.read_all(&setting.jobs).await;
    assert_eq!(records.len(), 4);
    for (original, again) in [(&records[0], &records[2]), (&records[1], &records[3])] {
        assert_eq!((&original.key, &original.value), (&again.key, &again.value));
        assert_eq!(again.headers[0], original.headers[0]);
        assert_eq!(again.header("mcp.redrive.count").as_deref(), Some("1"));
        assert_eq!(again.header("mcp.value.omitted"), None);
    }

    // The source lets go of its records, as retention does.
    setting
        .bury(
            setting
                .letter_of(NewRecord::value(""), "late", 0)
                .header("mcp.value.omitted", "5000"),
        )
        .await;
    let dead = setting.jobs.as_str();
    setting
        .dlq(&["purge", "--yes", "--topic", "none", "--dlq-topic", dead])
        .await
        .expect(0);
    let gone = setting.dlq(&["redrive"]).await.expect(1).text();
    assert!(
        gone.contains(&format!("{}/0:0 does not hold it any more", setting.jobs)),
        "{gone}"
    );
    assert_eq!(setting.dlq(&["list", "--json"]).await.objects().len(), 1);
}

#[tokio::test]
async fn killed_in_the_middle_and_run_again_it_sends_each_letter_once() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "killed", 2).await;
    let ids = ids("job", 300);
    setting.bury_all(&ids).await;

    for part in [40, 80, 120] {
        let mut process = setting.start_dlq(&["redrive", "--rate", "100"]);
        setting.wait_growing(part).await;
        process.kill9();
    }
    let end = setting
        .dlq(&["redrive", "--rate", "100000"])
        .await
        .expect(0)
        .text();
    // It was killed with something done and something left to do.
    assert!(end.contains("redriven before"), "{end}");
    let nothing = end
        .lines()
        .any(|line| line.starts_with("0 letters redriven"));
    assert!(!nothing, "{end}");

    let mut wanted = ids.clone();
    wanted.sort();
    assert_eq!(setting.sent().await, wanted);
    setting.dlq(&["redrive"]).await.expect(0);
    assert_eq!(setting.sent().await.len(), ids.len());
}

#[tokio::test]
async fn of_two_redrives_at_once_the_second_takes_over() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "two", 1).await;
    let ids = ids("job", 200);
    setting.bury_all(&ids).await;

    let first = setting.start_dlq(&["redrive", "--rate", "40"]);
    setting.wait_growing(20).await;
    setting
        .dlq(&["redrive", "--rate", "100000"])
        .await
        .expect(0);
    let first = crate::dlq_command::ended(first).await.expect(1).text();

    assert!(first.contains("another redrive of"), "{first}");
    let mut wanted = ids.clone();
    wanted.sort();
    assert_eq!(setting.sent().await, wanted);
}

#[tokio::test]
async fn interrupted_it_ends_after_its_transaction_and_says_how_to_go_on() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "interrupted", 1).await;
    let ids = ids("job", 200);
    setting.bury_all(&ids).await;

    let process = setting.start_dlq(&["redrive", "--rate", "20"]);
    setting.wait_growing(10).await;
    process.interrupt();
    let end = crate::dlq_command::ended(process).await.expect(1).text();

    assert!(end.contains("run the same command again to go on"), "{end}");
    let sent = setting.sent().await.len();
    assert!(
        end.contains(&format!("{sent} letters redriven")),
        "{sent}: {end}"
    );
    setting
        .dlq(&["redrive", "--rate", "100000"])
        .await
        .expect(0);
    assert_eq!(setting.sent().await.len(), ids.len());
}

#[tokio::test]
async fn a_ledger_that_would_forget_is_refused() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "forgetful", 1).await;
    setting.bury_all(&ids("job", 1)).await;
    kafka
        .create_topic(
            &format!("{}-redriven", setting.dead),
            1,
            &[("cleanup.policy", "delete")],
        )
        .await;

    let end = setting.dlq(&["redrive"]).await.expect(1).text();
    assert!(end.contains("--add-config cleanup.policy=compact"), "{end}");
    assert_eq!(setting.sent().await.len(), 0);
}

#[tokio::test]
async fn letters_of_a_topic_that_was_made_anew_are_not_taken_for_redriven_ones() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "anew", 1).await;
    setting.bury_all(&["before".to_owned()]).await;
    setting.dlq(&["redrive"]).await.expect(0);
    kafka.delete_topic(&setting.dead).await;
    kafka.create_topic(&setting.dead, 1, &[]).await;
    setting.bury_all(&["after".to_owned()]).await;

    setting.dlq(&["redrive"]).await.expect(0);
    assert_eq!(setting.sent().await, ["after", "before"]);
}
