use mcp_testkit::Postgres;

#[tokio::test]
async fn a_postgres_server_keeps_its_data_over_a_stop() {
    let mut postgres = Postgres::start().await;
    postgres.new_database().await;
    postgres.execute("test_0", "CREATE TABLE t (n int)").await;
    postgres
        .execute("test_0", "INSERT INTO t VALUES (1), (2)")
        .await;
    postgres.stop().await;
    postgres.start_again().await;
    assert_eq!(
        postgres
            .execute("test_0", "SELECT n, n * 2 FROM t ORDER BY n")
            .await,
        "1|2\n2|4"
    );
}

#[tokio::test]
async fn each_database_is_its_own() {
    let postgres = Postgres::shared().await;
    let (one, other) = (postgres.new_database().await, postgres.new_database().await);
    assert_ne!(one, other);
    assert!(one.contains(Postgres::PASSWORD) && one.starts_with("postgres://"));
}
