//! Command lines: a bad flag stops the start with one line, as a bad variable does.

use std::io::Write as _;

use clap::error::ErrorKind;

/// Reads the process's arguments. Help and version go to standard output; anything else that does not fit is one line on
/// standard error (the flag, its value, what is allowed) and exit code 2.
pub fn parse<T: clap::Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            error.exit();
        }
        let program = T::command().get_name().to_owned();
        let line = one_line(&error.to_string());
        let _ = writeln!(
            std::io::stderr(),
            "{program}: {line}; --help shows what is allowed"
        );
        std::process::exit(2);
    })
}

/// What is wrong, without the usage and the hint to `--help` that follow it.
fn one_line(rendered: &str) -> String {
    let wrong = rendered
        .split("\n\nUsage:")
        .next()
        .unwrap_or_default()
        .split("\n\nFor more information")
        .next()
        .unwrap_or_default();
    let words: Vec<_> = wrong.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::one_line;
    use clap::{Parser, ValueEnum};

    #[derive(Debug, Clone, ValueEnum)]
    enum Order {
        Key,
        Partition,
    }

    #[derive(Debug, Parser)]
    #[command(name = "p")]
    struct Cli {
        #[arg(long, value_enum)]
        order: Option<Order>,
        #[arg(long)]
        port: Option<u16>,
    }

    #[test]
    fn a_bad_flag_is_one_line_with_name_value_and_what_is_allowed() {
        let line = |args: &[&str]| one_line(&Cli::try_parse_from(args).unwrap_err().to_string());
        assert_eq!(
            line(&["p", "--order", "keys"]),
            "invalid value 'keys' for '--order <ORDER>' [possible values: key, partition] tip: a similar value exists: 'key'"
        );
        let port = line(&["p", "--port", "70000"]);
        assert_eq!(
            port,
            "invalid value '70000' for '--port <PORT>': 70000 is not in 0..=65535"
        );
        assert!(line(&["p", "--no-such"]).starts_with("unexpected argument '--no-such' found"));
    }
}
