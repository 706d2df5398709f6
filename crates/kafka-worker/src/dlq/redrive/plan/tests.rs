use super::*;
use crate::dlq::letter::tests::letter;

const SOURCE: [(&str, &str); 3] = [
    ("__dlq.errors.topic", "jobs"),
    ("__dlq.errors.partition", "1"),
    ("__dlq.errors.offset", "5"),
];

fn dead(headers: &[(&str, &str)]) -> Letter {
    letter(&[headers, &SOURCE].concat())
}

fn source() -> Source {
    Source {
        topic: "jobs".into(),
        partition: 1,
        offset: 5,
    }
}

/// For headers whose values are texts.
fn texts(job: &Job) -> Vec<(&str, &str)> {
    let headers = job.headers.iter();
    headers
        .map(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            (name.as_str(), std::str::from_utf8(value).unwrap())
        })
        .collect()
}

#[test]
fn a_letter_goes_where_it_came_from_within_the_rules() {
    let topics = ["jobs".to_owned()];
    let rules = Rules {
        topics: &topics,
        max_redrives: 3,
    };
    let of = |letter: &Letter| destination(letter, &rules);
    assert_eq!(of(&dead(&[])), Ok(source()));
    assert_eq!(of(&letter(&[])), Err(Skip::Foreign));
    assert_eq!(of(&letter(&SOURCE[..2])), Err(Skip::Foreign));
    assert_eq!(of(&dead(&[("mcp.redrive.count", "2")])), Ok(source()));
    let third = of(&dead(&[("mcp.redrive.count", "3")])).unwrap_err();
    assert_eq!(
        third.to_string(),
        "it was redriven 3 times already; --max-redrives 4 lets it go once more"
    );
    let others = ["others".to_owned()];
    let rules = Rules {
        topics: &others,
        max_redrives: 3,
    };
    assert_eq!(
        destination(&dead(&[]), &rules),
        Err(Skip::OtherTopic("jobs".into()))
    );
}

#[test]
fn key_value_and_the_records_own_headers_stay_as_they_were() {
    let mut headers = vec![
        ("tenant", "a"),
        ("tenant", "b"),
        // Of another queue, and of another program: the record's own.
        ("__dlq.errors.topic", "elsewhere"),
        ("mcp.note", "kept"),
        ("traceparent", "00-1-2-01"),
    ];
    let own = headers.clone();
    headers.extend(SOURCE);
    headers.extend([
        ("__dlq.errors.group", "g"),
        ("__dlq.errors.delivery.count", "1"),
        ("__dlq.errors.message", "m"),
        ("mcp.error.code", "c"),
        ("mcp.error.class", "c"),
        ("mcp.error.detail", "{}"),
        ("mcp.first-attempt-at", "t"),
        ("mcp.failed-at", "t"),
        ("mcp.worker", "w"),
        ("mcp.redrive.count", "1"),
        ("mcp.job.id", "j"),
        ("mcp.job.type", "t"),
    ]);
    let mut letter = letter(&headers);
    letter.headers.insert(2, ("nothing".into(), None));
    letter
        .headers
        .insert(3, ("bytes".into(), Some(b"\xff".to_vec())));

    let mut job = job(&letter, &source(), None).unwrap();
    assert_eq!((&job.key, &job.value), (&letter.key, &letter.value));
    assert_eq!(job.headers.remove(2), ("nothing".into(), None));
    assert_eq!(
        job.headers.remove(2),
        ("bytes".into(), Some(b"\xff".to_vec()))
    );
    let wanted: Vec<_> = own
        .into_iter()
        .chain([("mcp.redrive.count", "2")])
        .collect();
    assert_eq!(texts(&job), wanted);
}

#[test]
fn a_null_value_stays_null() {
    let mut letter = dead(&[]);
    letter.value = None;
    letter.key = None;
    let job = job(&letter, &source(), None).unwrap();
    assert_eq!((job.key, job.value), (None, None));
}

#[test]
fn an_omitted_value_comes_from_the_source() {
    let mut letter = dead(&[("tenant", "a"), ("mcp.value.omitted", "5")]);
    letter.value = Some(Vec::new());
    assert!(needs_source(&letter));
    let mut original = letter.clone();
    original.value = Some(b"whole".to_vec());
    let sent = job(&letter, &source(), Some(&original)).unwrap();
    assert_eq!(sent.value.as_deref(), Some(&b"whole"[..]));
    assert_eq!(texts(&sent), [("tenant", "a"), ("mcp.redrive.count", "1")]);

    assert_eq!(job(&letter, &source(), None), Err(Skip::Gone(source())));
    original.value = Some(b"another".to_vec());
    assert_eq!(
        job(&letter, &source(), Some(&original)),
        Err(Skip::Replaced(source()))
    );
    original.value = Some(b"whole".to_vec());
    original.key = Some(b"another".to_vec());
    assert_eq!(
        job(&letter, &source(), Some(&original)),
        Err(Skip::Replaced(source()))
    );
}

#[test]
fn omitted_headers_come_from_the_source_and_the_trace_from_where_there_is_one() {
    let mut letter = dead(&[
        ("mcp.value.omitted", "5"),
        ("mcp.headers.omitted", "1"),
        ("traceparent", "of the letter"),
        ("mcp.redrive.count", "1"),
    ]);
    letter.key = None;
    letter.value = Some(Vec::new());
    let mut original =
        crate::dlq::letter::tests::letter(&[("tenant", "a"), ("mcp.redrive.count", "1")]);
    original.value = Some(b"whole".to_vec());
    let sent = job(&letter, &source(), Some(&original)).unwrap();
    assert_eq!(sent.key.as_deref(), Some(&b"k"[..]));
    let wanted = [
        ("tenant", "a"),
        ("traceparent", "of the letter"),
        ("mcp.redrive.count", "2"),
    ];
    assert_eq!(texts(&sent), wanted);
    original.headers = vec![("traceparent".into(), Some(b"own".to_vec()))];
    let sent = job(&letter, &source(), Some(&original)).unwrap();
    assert_eq!(
        texts(&sent),
        [("traceparent", "own"), ("mcp.redrive.count", "2")]
    );
}
