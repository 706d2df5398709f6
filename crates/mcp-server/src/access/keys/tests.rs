use super::*;

fn line(name: &str, key: &str, rest: &str) -> String {
    format!("{name} sha256:{} {rest}\n", hex(&digest(key.as_bytes())))
}

fn parse(text: &str) -> Result<Keyring, String> {
    Keyring::parse(text, Limits::default()).map_err(|bad| bad.to_string())
}

#[test]
fn a_key_is_found_by_what_the_caller_sends_and_by_nothing_else() {
    let text = line("worker", "k1", "tools:call,servers:launch")
        + "# a comment\n\n"
        + &line("ci", "k2", "tools:call");
    let keys = parse(&text).unwrap();
    assert_eq!(keys.find(b"k1").unwrap().name(), "worker");
    assert_eq!(keys.find(b"k2").unwrap().name(), "ci");
    let hash = hex(&digest(b"k1"));
    for wrong in [
        "",
        "k",
        "k11",
        "K1",
        hash.as_str(),
        &format!("sha256:{hash}"),
    ] {
        assert_eq!(keys.find(wrong.as_bytes()).unwrap_err(), NoKey::Unknown);
    }
    assert_eq!(keys.find(&[b'k'; 100_000]).unwrap_err(), NoKey::Unknown);
}

#[test]
fn a_key_may_call_the_tools_of_its_scopes() {
    let keys = parse(&line("a", "k", "tools:call,svg:generate")).unwrap();
    let key = keys.find(b"k").unwrap();
    assert_eq!(key.may_call("echo"), Ok(()));
    assert_eq!(key.may_call("refine_svg"), Ok(()));
    assert_eq!(key.may_call("server_initialize"), Err(Scope::ServersLaunch));
    assert_eq!(key.may_call("publish_server"), Err(Scope::ServersPublish));
}

#[test]
fn an_expired_key_is_told_from_an_unknown_one() {
    let text = line("old", "k1", "tools:call expires=2020-01-01T00:00:00Z")
        + &line("new", "k2", "tools:call expires=2999-01-01T00:00:00+02:00");
    let keys = parse(&text).unwrap();
    assert_eq!(keys.find(b"k1").unwrap_err(), NoKey::Expired);
    assert_eq!(keys.find(b"k2").unwrap().name(), "new");
}

#[test]
fn limits_come_from_the_line_or_from_the_defaults() {
    let defaults = Limits {
        rate: 5,
        burst: 6,
        concurrency: 7,
        streams: 8,
    };
    let text = line("a", "k1", "tools:call")
        + &line("b", "k2", "tools:call rate=9 concurrency=0 streams=2");
    let keys = Keyring::parse(&text, defaults).unwrap();
    assert_eq!(keys.find(b"k1").unwrap().limits, defaults);
    let own = Limits {
        rate: 9,
        burst: 6,
        concurrency: 0,
        streams: 2,
    };
    assert_eq!(keys.find(b"k2").unwrap().limits, own);
}

#[test]
fn every_line_that_does_not_fit_is_refused_by_number_and_never_repeats_the_hash_field() {
    let hash = "ab".repeat(32);
    for (text, what) in [
        ("worker", "NAME sha256:HASH SCOPES"),
        ("worker hunter2 tools:call", "64 hexadecimal digits"),
        ("worker sha256:hunter2 tools:call", "64 hexadecimal digits"),
        (&format!("-x sha256:{hash} tools:call"), "name"),
        (&format!("wörker sha256:{hash} tools:call"), "name"),
        (
            &format!("w sha256:{hash} tools:all"),
            "no such scope; there are tools:call",
        ),
        (&format!("w sha256:{hash} tools:call,"), "no such scope"),
        (
            &format!("w sha256:{hash} tools:call rate=x"),
            "rate must be",
        ),
        (&format!("w sha256:{hash} tools:call rate"), "rate must be"),
        (
            &format!("w sha256:{hash} tools:call burts=1"),
            "no such option \"burts\"",
        ),
        (
            &format!("w sha256:{hash} tools:call expires=soon"),
            "2027-01-31",
        ),
        (
            &format!("w sha256:{hash} tools:call\nx sha256:{hash} tools:call"),
            "the same hash",
        ),
    ] {
        let error = parse(&format!("# first\n{text}")).unwrap_err();
        assert!(error.starts_with("line "), "{error}");
        assert!(error.contains(what), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(parse("a b").unwrap_err().starts_with("line 1:"));
}

#[test]
fn a_key_that_stays_keeps_what_it_has_used() {
    let limit = |rate| line("a", "k", &format!("tools:call concurrency={rate}"));
    let old = parse(&limit(1)).unwrap();
    let (limits, used) = old.find(b"k").unwrap().limits();
    assert!(limits.enter(used));
    let new = parse(&limit(1)).unwrap().inheriting(&old);
    let (limits, used) = new.find(b"k").unwrap().limits();
    assert!(!limits.enter(used), "the call under way still counts");
}
