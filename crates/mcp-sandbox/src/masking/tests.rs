use mcp_core::Secret;

use super::{Mask, begun};

fn mask(values: &[&str]) -> Mask {
    let values: Vec<_> = values.iter().map(|value| Secret::new(*value)).collect();
    Mask::new(values.iter())
}

#[test]
fn values_and_their_longer_parts_are_replaced() {
    let mask = mask(&["postgres://user:correct-horse@db/x", "1", "key4"]);
    assert_eq!(
        mask.apply("bad password correct-horse (1) key4 postgres://user:correct-horse@db/x"),
        "bad password [secret] (1) [secret] [secret]"
    );
}

#[test]
fn a_text_without_values_stays_as_it_is() {
    let text = "  two  lines\n│ and a frame │\u{fffd}";
    assert_eq!(mask(&[]).apply_to_tail(text, true), text);
    assert_eq!(mask(&["hunter2hunter2"]).apply(text), text);
}

#[test]
fn values_that_overlap_leave_nothing_of_each_other() {
    let mask = mask(&["abcdefghij", "ghijklmnop"]);
    assert_eq!(mask.apply("<abcdefghijklmnop>"), "<[secret]>");
    assert_eq!(mask.apply("<abcdefghijghijklmnop>"), "<[secret][secret]>");
}

#[test]
fn a_value_is_found_however_it_is_spelled() {
    let value = "pass\"word\\with\nlines";
    let mask = mask(&[value]);
    let json = serde_json::to_string(value).unwrap();
    let python = r#"'pass"word\\with\nlines'"#;
    for text in [value, &format!("{value:?}"), &json, python] {
        let masked = mask.apply(&format!("it is {text}."));
        for part in ["pass", "word", "with", "lines"] {
            assert!(!masked.contains(part), "{text}: {masked}");
        }
    }
}

#[test]
fn a_value_is_found_however_it_is_encoded() {
    let mask = mask(&["h\u{fc}nter 2/\u{1f511}"]);
    for text in [
        r#""h\u00fcnter 2/\ud83d\udd11""#,
        "h%C3%BCnter%202%2F%F0%9F%94%91",
        "h%C3%BCnter+2%2F%F0%9F%94%91",
        "aMO8bnRlciAyL/CflJE=",
        "aMO8bnRlciAyL_CflJE",
    ] {
        let masked = mask.apply(&format!("<{text}>"));
        let left = masked.replace(['"', '='], "");
        assert_eq!(left, "<[secret]>", "{text}");
    }
}

#[test]
fn a_value_is_found_across_lines_and_frames() {
    let mask = mask(&["hunter2hunter2", "BEGIN\nfirst-line\nsecond-line\nEND"]);
    for (text, expected) in [
        ("token hunter2\nhunter2 is wrong", "token [secret] is wrong"),
        ("│ hunter2hu │\r\n│   nter2 is │", "│ [secret] is │"),
        ("BEGIN\r\nfirst-line\r\nsecond-line\r\nEND.", "[secret]."),
    ] {
        assert_eq!(mask.apply(text), expected);
    }
}

#[test]
fn no_end_of_a_value_is_left_where_the_beginning_was_cut() {
    let value = "hunter2-äöü-and-more";
    let mask = mask(&[value, "abcd"]);
    // Longer than any spelling of the value.
    let wrong = " is wrong, which is to say that it is not the right one: ";
    let text = format!("{value}{wrong}{value} and abcd, says the server");
    for cut in 1..value.len() {
        // As standard error's tail is cut: by bytes.
        let tail = String::from_utf8_lossy(&text.as_bytes()[cut..]).into_owned();
        let masked = mask.apply_to_tail(&tail, true);
        assert!(
            masked.ends_with("[secret] and [secret], says the server"),
            "{masked}"
        );
        let before = masked.split("[secret]").next().unwrap();
        assert!(wrong.ends_with(before), "{cut}: {masked}");
    }
    // All that was kept is the middle of a value.
    assert_eq!(mask.apply_to_tail("2-äöü-and", true), "");
    // Nothing is left out of a text that is whole.
    assert_eq!(mask.apply_to_tail("2-äöü-and", false), "2-äöü-and");
}

#[test]
fn no_beginning_of_a_value_is_left_where_the_end_was_cut() {
    let value = "hunter2-äöü-and-more";
    let mask = mask(&[value]);
    for cut in 4..value.len() {
        let text = format!("token {value}");
        let text = String::from_utf8_lossy(&text.as_bytes()[.."token ".len() + cut]).into_owned();
        assert_eq!(mask.apply_to_tail(&text, false), "token [secret]", "{text}");
        assert_eq!(mask.shown(text.as_bytes(), 100), "token [secret]", "{text}");
    }
}

#[test]
fn what_is_shown_is_masked_before_it_is_cut() {
    let value = "hunter2-".repeat(100);
    let mask = mask(&[&value]);
    for before in 0..130 {
        let text = format!("{}{value}{}", "x".repeat(before), "y".repeat(10_000));
        let shown = mask.shown(text.as_bytes(), 120);
        assert!(shown.len() <= 123 && !shown.contains("hunt"), "{shown}");
    }
    assert_eq!(mask.shown(b"two\nlines", 5), "two l…");
}

#[test]
fn the_begun_part_of_a_value_is_the_longest_one() {
    for (text, secret, expected) in [
        ("xxabab", "ababc", 4),
        ("ababab", "ababac", 4),
        ("aaaa", "aaaa", 3),
        ("xaaab", "aaaa", 0),
        ("ab", "abcdef", 2),
        ("", "abc", 0),
        ("abc", "", 0),
    ] {
        assert_eq!(
            begun(text.as_bytes(), secret.as_bytes()),
            expected,
            "{text}"
        );
    }
}
