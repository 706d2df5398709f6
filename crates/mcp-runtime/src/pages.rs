//! What a binary tells of its command line besides `--help`: completions for shells, and man pages. Each binary has both as
//! commands, so that they always belong to the binary that they are asked of.

mod man;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap_complete::{Generator as _, Shell};

/// The commands, to be flattened into those of a binary.
#[derive(Debug, clap::Subcommand)]
pub enum Pages {
    /// Print the completions of this command line for a shell
    #[command(after_help = WHERE)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages of this command line: what packages are made with
    #[command(hide = true)]
    Man {
        /// A folder that exists
        folder: PathBuf,
    },
}

const WHERE: &str = "\
Where shells look for them, with PROGRAM for the name of this one:
  bash  ~/.local/share/bash-completion/completions/PROGRAM
  zsh   _PROGRAM in a folder of $fpath
  fish  ~/.config/fish/completions/PROGRAM.fish

Example:
  PROGRAM completions fish > ~/.config/fish/completions/PROGRAM.fish";

impl Pages {
    /// Does it, for the command line `T`.
    ///
    /// # Errors
    ///
    /// What can't be written, and why.
    pub fn run<T: clap::CommandFactory>(self) -> std::io::Result<()> {
        match self {
            Self::Completions { shell } => {
                let mut out = std::io::stdout();
                out.write_all(&completions(&T::command(), shell))?;
                out.flush()
            }
            Self::Man { folder } => write_man(T::command(), &folder),
        }
    }
}

fn completions(command: &clap::Command, shell: Shell) -> Vec<u8> {
    let mut command = without_hidden(command).bin_name(command.get_name().to_owned());
    command.build();
    let mut text = Vec::new();
    shell.generate(&command, &mut text);
    match shell {
        Shell::Bash => with_one_name(&text, command.get_name()),
        _ => text,
    }
}

/// For a program with a hyphen in its name clap_complete writes that name in two ways, so that nothing is offered behind a command
/// (https://github.com/clap-rs/clap/issues/6421). This leaves one of them.
fn with_one_name(script: &[u8], program: &str) -> Vec<u8> {
    let (wrong, right) = (
        program.replace('-', "__subcmd__"),
        program.replace('-', "__"),
    );
    String::from_utf8_lossy(script)
        .replace(&wrong, &right)
        .into_bytes()
}

/// What completions are made from: the generators would offer hidden commands and options as well.
fn without_hidden(command: &clap::Command) -> clap::Command {
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set());
    let mut copy = clap::Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|one| !one.is_hide_set()))
        .visible_aliases(command.get_visible_aliases().map(str::to_owned))
        .propagate_version(command.is_propagate_version_set())
        .subcommands(visible.map(without_hidden));
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        copy = copy.version(version.to_owned());
    }
    copy
}

fn write_man(command: clap::Command, folder: &Path) -> std::io::Result<()> {
    for (name, page) in man::pages(command)? {
        let path = folder.join(name);
        fs::write(&path, page).map_err(|error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[derive(clap::Parser)]
    #[command(name = "the-program", version, about = "Does things")]
    struct Cli {
        /// How often
        #[arg(long)]
        times: Option<u32>,
        #[arg(long, hide = true)]
        secret_option: bool,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand)]
    enum Command {
        /// Begin
        Start,
        #[command(flatten)]
        Pages(Pages),
    }

    fn text(shell: Shell) -> String {
        String::from_utf8(completions(&Cli::command(), shell)).expect("text")
    }

    #[test]
    fn completions_offer_what_is_visible_and_nothing_else() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = text(shell);
            for offered in ["start", "completions", "times", "version", "help"] {
                assert!(text.contains(offered), "{shell} without {offered}:\n{text}");
            }
            for hidden in ["man", "secret-option"] {
                let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
                let found = text.split(|c| !word(c)).any(|one| one.ends_with(hidden));
                assert!(!found, "{shell} offers {hidden}:\n{text}");
            }
        }
    }

    #[test]
    fn bash_has_an_answer_for_every_command_that_it_notices() {
        let text = text(Shell::Bash);
        let noticed: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'))
            .filter(|command| !command.is_empty())
            .collect();
        assert!(noticed.len() > 3, "{text}");
        for command in noticed {
            let label = format!("{command})");
            assert!(
                text.lines().any(|line| line.trim() == label),
                "{label}:\n{text}"
            );
        }
    }

    #[test]
    fn options_of_hidden_commands_are_no_command_line_of_their_own() {
        let command = without_hidden(&Cli::command());
        let names: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(names, ["start", "completions"]);
        assert!(matches!(
            <Cli as clap::Parser>::try_parse_from(["the-program", "man", "folder"])
                .map(|cli| cli.command),
            Ok(Command::Pages(Pages::Man { .. }))
        ));
    }
}
