//! Patterns of arguments and names. `*` stands for any text without `/`, `**` for any text; `**` alone, as the last argument
//! pattern, for any further arguments.
//!
//! A caller chooses what a wildcard stands for, so that it never stands for an option or for a way out of a folder.

/// Whether `text` fits `pattern`.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    if pattern.contains('*') && text.contains("..") {
        return false;
    }
    // Up to where the pattern's beginning can reach in the text: so the work is their lengths' product at most.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while !rest.is_empty() {
        let literal = &rest[..rest.find('*').unwrap_or(rest.len())];
        if literal.is_empty() {
            let any = rest.starts_with("**");
            rest = &rest[if any { 2 } else { 1 }..];
            for at in 1..=text.len() {
                reached[at] |= reached[at - 1] && (any || text.as_bytes()[at - 1] != b'/');
            }
        } else {
            rest = &rest[literal.len()..];
            for at in (0..=text.len()).rev() {
                reached[at] = at >= literal.len()
                    && reached[at - literal.len()]
                    && text.as_bytes()[..at].ends_with(literal.as_bytes());
            }
        }
    }
    reached[text.len()]
}

/// How options begin, with shells also by `+`, and the names of files that hold more arguments.
const OPTIONS: [char; 3] = ['-', '+', '@'];

/// Whether `arg` fits `pattern`. What looks like an option fits only a pattern that begins so.
fn fits_argument(pattern: &str, arg: &str) -> bool {
    let fits_beginning = match arg.chars().next() {
        Some(first) if OPTIONS.contains(&first) => pattern.starts_with(first),
        _ => true,
    };
    fits_beginning && fits(pattern, arg)
}

/// Whether no text fits it, for it asks for what no wildcard admits.
pub(crate) fn is_vain(pattern: &str) -> bool {
    pattern.contains('*') && pattern.contains("..")
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
            .all(|(pattern, arg)| fits_argument(pattern, arg))
}

#[cfg(test)]
mod tests {
    use super::{all_fit, fits};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_star_stands_for_any_text_of_one_segment_and_two_for_any() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "x"),
            ("*", "ä"),
            ("run", "run"),
            ("--port=*", "--port=80"),
            ("*.py", "a.py"),
            ("a*b*c", "a1b2bc"),
            ("a*a", "aaa"),
            ("/srv/*", "/srv/a"),
            ("/srv/*/*.py", "/srv/a/b.py"),
            ("/srv/**", "/srv/a/b.py"),
            ("/srv/**/b.py", "/srv/a/a/b.py"),
            ("**", "https://example.com/"),
            ("../shared", "../shared"),
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
            ("*", "a/b"),
            ("*.py", "https://example.com/a.py"),
            ("/srv/*", "/srv/a/b"),
            ("/srv/*", "/srv/.."),
            ("/srv/**", "/srv/../etc/shadow"),
            ("--directory=*", "--directory=.."),
            ("a.*", "a../b"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_no_option() {
        for (patterns, args) in [
            ("*.py", "-cimport_os;os.system('id')#.py"),
            ("*", "--import=data:text/javascript,x"),
            ("*.js", "-e1;//.js"),
            ("run *", "run --with=evil"),
            ("* *", "+c id"),
            ("*/**", "@/tmp/arguments"),
        ] {
            assert!(!all_fit(&words(patterns), &words(args)), "{args}");
        }
        assert!(all_fit(&words("-*"), &words("-x")), "the operator says so");
        assert!(all_fit(&words("- @a/*"), &words("- @a/x")));
    }

    #[test]
    fn arguments_fit_one_by_one() {
        let patterns = words("--directory ** run *");
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
        assert!(all_fit(&open, &words("run a")) && all_fit(&open, &words("run a -b c/d")));
        assert!(!all_fit(&open, &words("run")));
        assert!(all_fit(&[], &[]) && !all_fit(&[], &words("x")));
    }
}
