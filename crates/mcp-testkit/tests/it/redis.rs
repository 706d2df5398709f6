use mcp_testkit::Redis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn ping(redis: &Redis) -> std::io::Result<String> {
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_redis_server_answers_dies_and_comes_back_on_its_port() {
    let mut redis = Redis::start().await;
    assert_eq!(ping(&redis).await.unwrap(), "+PONG\r\n");
    redis.kill();
    ping(&redis).await.unwrap_err();
    redis.restart().await;
    assert_eq!(ping(&redis).await.unwrap(), "+PONG\r\n");
}
