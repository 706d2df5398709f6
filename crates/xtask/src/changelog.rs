//! CHANGELOG.md, in the form of Keep a Changelog: a heading `## [version] - date` for each version.

use anyhow::{Context as _, ensure};

/// What the heading of a version says behind the dash while it is not released.
const UNRELEASED: &str = "unreleased";

/// The day `version` was released on, as its heading gives it; `None` while it is not released.
///
/// # Errors
///
/// There is no section of that version, it is empty, or its heading has neither a date nor `unreleased`.
pub(crate) fn released(changelog: &str, version: &str) -> anyhow::Result<Option<String>> {
    let heading = format!("## [{version}]");
    let (_, rest) = changelog
        .split_once(&format!("\n{heading}"))
        .with_context(|| format!("CHANGELOG.md has no section \"{heading}\": write it"))?;
    let (day, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let body = body.split("\n## ").next().unwrap_or_default();
    ensure!(
        body.lines().any(|line| line.starts_with("- ")),
        "CHANGELOG.md says nothing under \"{heading}\""
    );
    let day = day.trim().trim_start_matches("- ");
    if day == UNRELEASED {
        return Ok(None);
    }
    ensure!(
        is_date(day),
        "CHANGELOG.md: \"{heading} - {day}\": a date as 2027-01-31 is allowed, or {UNRELEASED}"
    );
    Ok(Some(day.to_owned()))
}

fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([4, 2, 2])
        && parts.concat().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changelog\n\n## [0.2.0] - unreleased\n\n- new\n\n## [0.1.0] - 2027-01-31\n\n### Added\n\n- all\n\n## [0.0.1] - soon\n\n- a\n\n## [0.0.0] - unreleased\n";

    #[test]
    fn the_heading_says_when_a_version_was_released() {
        assert_eq!(released(TEXT, "0.2.0").expect("a section"), None);
        let day = released(TEXT, "0.1.0").expect("a section");
        assert_eq!(day.as_deref(), Some("2027-01-31"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = |version| released(TEXT, version).unwrap_err().to_string();
        assert!(error("0.3.0").contains("no section \"## [0.3.0]\""));
        assert!(error("0.0.1").contains("soon"));
        assert!(error("0.0.0").contains("says nothing"));
    }

    #[test]
    fn the_version_in_the_manifest_has_its_section() {
        let path = mcp_testkit::fetched::repository().join("CHANGELOG.md");
        let text = std::fs::read_to_string(path).expect("a changelog");
        released(&text, env!("CARGO_PKG_VERSION")).expect("this version's section");
    }
}
