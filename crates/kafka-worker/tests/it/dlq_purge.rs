use mcp_testkit::Kafka;

use crate::setting::{Setting, ids};

#[tokio::test]
async fn purge_asks_or_is_told_and_says_what_was_never_redriven() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "purge", 1).await;
    setting.bury_all(&ids("job", 3)).await;
    setting.dlq(&["redrive", "--limit", "1"]).await.expect(0);

    // There is nobody to ask.
    let refused = setting.dlq(&["purge"]).await.expect(2).text();
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(kafka.read_all(&setting.dead).await.len(), 3);

    let old = setting.dlq(&["purge", "--before", "1h", "--yes"]).await;
    assert!(old.expect(0).text().contains("nothing to delete"));
    assert_eq!(kafka.read_all(&setting.dead).await.len(), 3);

    let purged = setting.dlq(&["purge", "--yes"]).await.expect(0).text();
    let line = format!("{}/0: 3 letters, 2 never redriven", setting.dead);
    assert!(purged.contains(&line), "{purged}");
    assert_eq!(kafka.read_all(&setting.dead).await.len(), 0);

    // What comes later is a letter as any other.
    setting.bury_all(&ids("later", 1)).await;
    let listed = setting.dlq(&["list", "--json"]).await.expect(0);
    assert_eq!(listed.objects()[0]["jobID"], "later-0");
    setting.dlq(&["redrive"]).await.expect(0);
    assert_eq!(setting.sent().await.len(), 2);
    // The ledger does not grow for ever: it forgets what is not there any more.
    let ledger = kafka.read_all(&format!("{}-redriven", setting.dead)).await;
    let forgotten = ledger.iter().filter(|record| record.value.is_none());
    let forgotten: Vec<_> = forgotten.filter_map(|record| record.key_text()).collect();
    assert_eq!(forgotten, ["0:0"]);
}
