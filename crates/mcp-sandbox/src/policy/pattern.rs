//! Patterns of arguments and names: `*` stands for any text within one of them, `**` as the last argument pattern for
//! any further arguments.

/// Whether `text` fits `pattern`.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether `args` fit `patterns`, one each.
pub(crate) fn all_fit(patterns: &[String], args: &[String]) -> bool {
    let (fixed, open) = match patterns.split_last() {
        Some((last, fixed)) if last == "**" => (fixed, true),
        _ => (patterns, false),
    };
    let count_fits = if open {
        args.len() >= fixed.len()
    } else {
        args.len() == fixed.len()
    };
    count_fits
        && fixed
            .iter()
            .zip(args)
            .all(|(pattern, arg)| fits(pattern, arg))
}

#[cfg(test)]
mod tests {
    use super::{all_fit, fits};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "x"),
            ("run", "run"),
            ("--port=*", "--port=80"),
            ("*.py", "a.py"),
            ("a*b*c", "a1b2bc"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("run", "runs"),
            ("run", "xrun"),
            ("--port=*", "--prt=80"),
            ("a*a", "a"),
            ("a*b*c", "ac"),
            ("", "x"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn arguments_fit_one_by_one() {
        let patterns = words("--directory * run *");
        assert!(all_fit(
            &patterns,
            &words("--directory path/to/server run server.py")
        ));
        assert!(!all_fit(
            &patterns,
            &words("--directory path/to/server run server.py more")
        ));
        assert!(!all_fit(&patterns, &words("--directory path/to/server")));
        let open = words("run * **");
        assert!(all_fit(&open, &words("run a")) && all_fit(&open, &words("run a b c")));
        assert!(!all_fit(&open, &words("run")));
        assert!(all_fit(&[], &[]) && !all_fit(&[], &words("x")));
    }
}
