//! Versions: which strings are one, and which of two is newer.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;
use semver::Version;

use crate::issue::{Issues, Place};

/// A number with up to three more behind it, and a pre-release. `\d` and `\s` of the official patterns are ASCII.
const EXACT: &str = r"v?[0-9]+(?:\.[0-9]+){0,3}(?:-[0-9A-Za-z.-]+)?";
const SPACE: &str = r"[\t\n\x0C\r ]";

/// The four patterns by which the official registry knows a range (`internal/validators/validators.go`).
static RANGES: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    let wildcard = r"(?:[0-9]+|x|X|\*)";
    [
        format!(r"^(?:\^|~|>=|<=|>|<|=){SPACE}*{EXACT}$"),
        format!(r"^{EXACT}{SPACE}-{SPACE}*{EXACT}$"),
        format!(r"^(?:{EXACT}{SPACE}*)(?:\|\|{SPACE}*{EXACT}{SPACE}*)+$"),
        format!(r"^(?:v?[0-9]+|x|X|\*)(?:\.{wildcard}){{1,2}}(?:-[0-9A-Za-z.-]+)?$"),
    ]
    .map(|pattern| Regex::new(&pattern).expect("a constant pattern compiles"))
});

/// Whether it names several versions: `^1.2`, `>=1`, `1 - 2`, `1 || 2`, `1.x`. As in the official registry, that is also
/// said of a pre-release with an `x` in it, such as `1.0.0-next.1`: what is taken here can be published there.
pub fn looks_like_range(version: &str) -> bool {
    let version = version.trim();
    let [comparator, hyphen, or, dotted] = &*RANGES;
    comparator.is_match(version)
        || hyphen.is_match(version)
        || or.is_match(version)
        || (dotted.is_match(version) && version.contains(['x', 'X', '*']))
}

/// Whether it names several versions in a way that the official registry lets through: `*`, `>=1,<2`, `>1 <2`, `^1.0.0+b`,
/// `!=1`, `x`, `1.2.3.x`.
fn names_several(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    version.starts_with(['^', '~', '<', '>', '=', '!'])
        || version.contains(['*', ',', '<', '>'])
        || version.contains("||")
        || numbers.split('.').any(|number| matches!(number, "x" | "X"))
}

/// The rules for a version, of a server or a package, beyond those of the schema.
pub(crate) fn check(version: &str, place: &Place<'_>, issues: &mut Issues) {
    let name = version.trim_start_matches('@');
    if name.eq_ignore_ascii_case("latest") {
        issues.add(
            place,
            "version-reserved",
            "`latest` is not a version: name the one that is meant",
        );
    } else if looks_like_range(version) || names_several(version) {
        issues.add(
            place,
            "version-range",
            "a range of versions is not a version: name one, such as 1.2.3 (a pre-release with an x in it, such as \
             1.0.0-next.1, counts as a range, as in the official registry)",
        );
    } else if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_graphic()) {
        issues.add(
            place,
            "version-text",
            "a version has at least one character, and all are visible ones of ASCII: no space, no letter that looks like another",
        );
    }
}

/// Which of two versions of a server is the newer one, by the official registry's order
/// (`internal/service/versioning.go`): semantic versions by their precedence, above all others; others by
/// the time of their publication. `Equal` where that does not decide: then the one that is there first stays.
///
/// A semantic version may have a `v` before it. Its three numbers are below 2⁶⁴; with larger ones it is none.
pub fn compare<T: Ord>(left: (&str, T), right: (&str, T)) -> Ordering {
    match (semantic(left.0), semantic(right.0)) {
        (Some(left), Some(right)) => left.cmp_precedence(&right),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => left.1.cmp(&right.1),
    }
}

fn semantic(version: &str) -> Option<Version> {
    Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

#[cfg(test)]
mod tests;
