use std::net::TcpListener;
use std::time::Duration;

use mcp_sandbox::confined::{Confined, ConfinedError, Role};

use crate::program::{processes_with, until};

fn confined(role: &'static str) -> Confined {
    // Only the name matters here: the function is in the other executable.
    Confined::new(&Role::new(role, Ok)).executable(env!("CARGO_BIN_EXE_confined-roles"))
}

#[tokio::test]
async fn input_goes_in_and_output_comes_out() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let mut expected = input.clone();
    expected.reverse();
    assert_eq!(confined("reverse").run(&input).await.unwrap(), expected);
    assert_eq!(confined("reverse").run(b"").await.unwrap(), b"");
    assert_eq!(confined("in-threads").run(b"a").await.unwrap(), b"a\x06");
}

#[tokio::test]
async fn what_the_function_refuses_is_told_from_what_went_wrong() {
    let error = confined("refuse").run(b"").await.unwrap_err();
    assert!(matches!(&error, ConfinedError::Refused(why) if why == "this is no picture"));
    let error = confined("panic").run(b"").await.unwrap_err();
    assert!(
        matches!(&error, ConfinedError::Crashed(how) if how.contains("out of cheese")),
        "{error:?}"
    );
    let error = confined("overflow").run(b"").await.unwrap_err();
    assert!(
        matches!(&error, ConfinedError::Crashed(how) if how.contains("overflowed its stack")),
        "{error:?}"
    );
    let error = confined("no-such-role").run(b"").await.unwrap_err();
    assert!(
        matches!(&error, ConfinedError::NotStarted(why) if why.contains("no-such-role")),
        "{error:?}"
    );
    let elsewhere = confined("reverse").executable("/no/such/file");
    assert!(matches!(
        elsewhere.run(b"").await.unwrap_err(),
        ConfinedError::NotStarted(_)
    ));
}

#[tokio::test]
async fn it_is_bounded_in_time_memory_and_size() {
    let short = Duration::from_millis(300);
    for role in ["spin", "wait"] {
        let error = confined(role).wall_clock(short).run(b"").await.unwrap_err();
        assert!(
            matches!(error, ConfinedError::Timeout(time) if time == short),
            "{error:?}"
        );
    }
    let error = confined("spin").cpu_seconds(1).run(b"").await.unwrap_err();
    assert!(matches!(error, ConfinedError::OutOfTime(1)), "{error:?}");
    let error = confined("allocate")
        .memory_bytes(50 << 20)
        .run(b"")
        .await
        .unwrap_err();
    assert!(matches!(error, ConfinedError::OutOfMemory(_)), "{error:?}");
    let small = confined("flood").output_bytes(100_000);
    assert_eq!(small.run(&[0; 100]).await.unwrap().len(), 100_000);
    let error = small.run(&[0; 101]).await.unwrap_err();
    assert!(
        matches!(error, ConfinedError::OutputTooLarge(100_000)),
        "{error:?}"
    );
    let error = small.input_bytes(5).run(b"123456").await.unwrap_err();
    assert!(matches!(
        error,
        ConfinedError::InputTooLarge { bytes: 6, max: 5 }
    ));
    confined("flood-errors").run(b"").await.unwrap();
}

#[tokio::test]
async fn it_reaches_nothing() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2").unwrap();
    let path = secret.path().display();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = std::process::id();
    for what in [
        format!("read {path}"),
        format!("write {path}"),
        "read /etc/passwd".into(),
        "read /etc/shadow".into(),
        "read /proc/self/environ".into(),
        format!("read /proc/{server}/environ"),
        format!("tcp {}", listener.local_addr().unwrap()),
        "udp 127.0.0.1:0".into(),
        "run /bin/true".into(),
    ] {
        let done = confined("attempt").run(what.as_bytes()).await.unwrap();
        let done = String::from_utf8(done).unwrap();
        assert!(
            ["Permission denied", "Operation not permitted"]
                .iter()
                .any(|no| done.starts_with(no)),
            "{what}: {done}"
        );
    }
    let allowed = confined("attempt").read([secret.path().to_owned()]);
    let got = allowed
        .run(format!("read {path}").as_bytes())
        .await
        .unwrap();
    assert_eq!(got, b"GOT hunter2");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing() {
    // A path that is not there changes nothing, and stands in the arguments of this one alone.
    let mark = "/no/such/file/of-the-caller-that-goes-away";
    let waiting = confined("wait").read([mark.into()]);
    let call = tokio::spawn(async move { waiting.run(b"").await });
    until("it runs", || !processes_with(mark).is_empty()).await;
    call.abort();
    until("it is gone", || processes_with(mark).is_empty()).await;
}
