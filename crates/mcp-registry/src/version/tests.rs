use std::cmp::Ordering;

use proptest::prelude::*;

use super::{compare, looks_like_range};

#[test]
fn ranges_are_told_from_versions() {
    for range in [
        "^1.2.3",
        "~1.2.3",
        ">=1.0.0",
        "<=1",
        ">1.0",
        "<1.0.0",
        "=1.0.0",
        "^ v1",
        "1.2.3 - 2.0.0",
        "1 - 2",
        "1.2 || 1.3",
        "1||2||3",
        "1.x",
        "1.X",
        "1.2.*",
        "1.2.x",
        "x.x",
        "*.1",
        " ^1.0 ",
        "1.x-beta",
        "1.0.0-next.1",
    ] {
        assert!(looks_like_range(range), "{range}");
    }
    for version in [
        "1.2.3",
        "v1.2.3",
        "1.0.0-alpha.1",
        "1.0.0+build",
        "2021.03.15",
        "snapshot",
        "1",
        "1.2",
        "1.2.3.4",
        "1.0.0+x",
        "1.0-rc.1+linux-x64",
        "xylophone",
        "x",
        "*",
        "1-2",
        "a - b",
        "1.0.0-rc - x",
    ] {
        assert!(!looks_like_range(version), "{version}");
    }
}

#[test]
fn the_order_is_that_of_the_official_registry() {
    // The versions and times of the official tests, and what they say of the left one.
    for (left, right, order) in [
        (("2.0.0", 1), ("1.0.0", 2), Ordering::Greater),
        (("1.0.0", 1), ("1.0.0-alpha", 2), Ordering::Greater),
        (
            ("1.0.0-alpha.10", 1),
            ("1.0.0-alpha.9", 1),
            Ordering::Greater,
        ),
        (("1.10.0", 1), ("1.9.0", 2), Ordering::Greater),
        (("v1.0.0", 1), ("1.0.0", 2), Ordering::Equal),
        (("1.0.0+a", 1), ("1.0.0+b", 2), Ordering::Equal),
        (("1.0.0", 1), ("snapshot", 2), Ordering::Greater),
        (("1.0", 2), ("1.0.0", 1), Ordering::Less),
        (("2021.03.15", 1), ("1.0.0", 1), Ordering::Less),
        (("snapshot", 2), ("nightly", 1), Ordering::Greater),
        (("b", 1), ("a", 1), Ordering::Equal),
    ] {
        assert_eq!(compare(left, right), order, "{left:?} {right:?}");
    }
}

/// Semantic versions, near misses, and anything else.
fn versions() -> impl Strategy<Value = String> {
    prop_oneof![
        "v?(0|1|2|10|18446744073709551616)(\\.(0|1|2|10|18446744073709551616)){2}",
        "[0-2]\\.[0-2]\\.[0-2]-(alpha|beta|rc)(\\.[0-9]{1,2})?(\\+[a-z]{1,3})?",
        "0?[0-2](\\.0?[0-2]){0,3}",
        "[a-c]{1,3}",
    ]
}

proptest! {
    #[test]
    fn the_order_is_one(a in versions(), b in versions(), c in versions(), times in [0u8..3, 0..3, 0..3]) {
        let (a, b, c) = ((&*a, times[0]), (&*b, times[1]), (&*c, times[2]));
        prop_assert_eq!(compare(a, a), Ordering::Equal);
        prop_assert_eq!(compare(a, b), compare(b, a).reverse());
        if compare(a, b) != Ordering::Less && compare(b, c) != Ordering::Less {
            prop_assert_ne!(compare(a, c), Ordering::Less);
        }
        if compare(a, b) == Ordering::Equal && compare(b, c) == Ordering::Equal {
            prop_assert_eq!(compare(a, c), Ordering::Equal);
        }
    }

    #[test]
    fn a_semantic_version_is_above_any_other(number in [0u64..9, 0..9, 0..9], other in "[a-z]{1,6}") {
        let [major, minor, patch] = number;
        let semantic = format!("{major}.{minor}.{patch}");
        prop_assert_eq!(compare((&*semantic, 0), (&*other, 1)), Ordering::Greater);
    }

    #[test]
    fn any_text_can_be_asked_about(text in "\\PC*") {
        looks_like_range(&text);
        compare((&*text, 0), ("1.0.0", 0));
    }
}
