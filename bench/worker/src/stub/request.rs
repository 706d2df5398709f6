//! As much of HTTP/1.1 and JSON-RPC as the clients of this benchmark speak.

use crate::jobs::{DIGITS, MARK};

/// What the bytes of a connection are.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed<'a> {
    Whole(Request<'a>),
    Part,
    Bad,
}

/// A request, as far as it matters here.
#[derive(Debug, PartialEq)]
pub(super) struct Request<'a> {
    pub(super) is_get: bool,
    pub(super) path: &'a [u8],
    pub(super) body_bytes: usize,
    /// The JSON-RPC id.
    pub(super) id: u64,
    /// The job's number.
    pub(super) job: Option<usize>,
}

/// Reads one request; clients here never send a second one before they have their answer.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(head_length) = find(bytes, b"\r\n\r\n") else {
        return Parsed::Part;
    };
    let (head, body) = (&bytes[..head_length], &bytes[head_length + 4..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(|byte| *byte == b' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Parsed::Bad;
    };
    let length = lines.find_map(content_length).unwrap_or(0);
    match body.len() {
        have if have < length => return Parsed::Part,
        have if have > length => return Parsed::Bad,
        _ => {}
    }
    let id = find(body, b"\"id\":").and_then(|at| number(&body[at + 5..], 20));
    let job = find(body, MARK).and_then(|at| number(&body[at + MARK.len()..], DIGITS));
    Parsed::Whole(Request {
        is_get: method == b"GET",
        path,
        body_bytes: length,
        id: id.unwrap_or(0),
        job: job.and_then(|job| usize::try_from(job).ok()),
    })
}

fn content_length(line: &[u8]) -> Option<usize> {
    let name = b"content-length:";
    let (start, value) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The digits at the beginning, at most `most`.
fn number(bytes: &[u8], most: usize) -> Option<u64> {
    let digits = bytes
        .iter()
        .take(most)
        .take_while(|byte| byte.is_ascii_digit());
    let mut value = None;
    for digit in digits {
        let so_far: u64 = value.unwrap_or(0);
        value = Some(
            so_far
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))?,
        );
    }
    value
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(length: usize) -> String {
        let body = r#"{"jsonrpc":"2.0","id":12,"a":"job-00000034"}"#;
        let missing = length - body.len();
        format!(
            "POST /message HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}{}",
            " ".repeat(missing)
        )
    }

    #[test]
    fn a_call_gives_its_id_and_its_job() {
        let post = post(60);
        let Parsed::Whole(request) = parse(post.as_bytes()) else {
            panic!("it is whole");
        };
        assert_eq!((request.id, request.job), (12, Some(34)));
        assert_eq!((request.path, request.body_bytes), (&b"/message"[..], 60));
        assert!(!request.is_get);
    }

    #[test]
    fn a_request_is_waited_for_until_it_is_whole() {
        let post = post(60);
        for length in 0..post.len() {
            assert_eq!(parse(&post.as_bytes()[..length]), Parsed::Part);
        }
        assert_eq!(parse(format!("{post}x").as_bytes()), Parsed::Bad);
    }
}
