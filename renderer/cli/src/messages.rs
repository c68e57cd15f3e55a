//! How much is said on standard error, for every command.

use clap::ArgAction;
use tracing::Level;

/// Options of all commands: `main` reads them before it runs any.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// Say what is fetched and evaluated; given twice, what helps to find faults
    #[arg(short, long, global = true, action = ArgAction::Count, hide_short_help = true)]
    verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, global = true, overrides_with_all = ["verbose", "debug"], hide_short_help = true)]
    quiet: bool,
    /// Say what helps to find faults
    #[arg(long, global = true, hide_short_help = true)]
    debug: bool,
}

impl MessageArgs {
    /// Starts printing messages; `NIPHAS_LOG` counts where no option is given.
    pub(crate) fn start(&self) {
        match self.level() {
            Some(level) => niphas_terminal::start_messages(level),
            None => niphas_terminal::start_warnings(),
        }
    }

    fn level(&self) -> Option<Level> {
        match (self.quiet, self.debug, self.verbose) {
            (true, ..) => Some(Level::ERROR),
            (_, true, _) | (_, _, 2..) => Some(Level::DEBUG),
            (_, _, 1) => Some(Level::INFO),
            (false, false, 0) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn options_before_and_after_a_command_count() {
        let level = |words: &str| {
            let words = std::iter::once("niphas").chain(words.split(' '));
            Cli::try_parse_from(words).unwrap().messages.level()
        };
        assert_eq!(level("crd"), None);
        assert_eq!(level("-v crd"), Some(Level::INFO));
        assert_eq!(level("flake show --verbose"), Some(Level::INFO));
        assert_eq!(level("cache info -vv x"), Some(Level::DEBUG));
        assert_eq!(level("eval --debug"), Some(Level::DEBUG));
        assert_eq!(level("crd --quiet"), Some(Level::ERROR));
        assert_eq!(level("derivation show -q"), Some(Level::ERROR));
    }
}
