//! What the agent of a build is started with.

use std::path::PathBuf;

use clap::Args;

/// What the agent of a build is started with. The service writes it into the Job; the agent's program reads it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Arguments {
    /// Hash part of the derivation's path
    #[arg(long)]
    pub name: String,
    /// URL of the service that outputs and logs are delivered to
    #[arg(long, value_name = "URL")]
    pub service: String,
    /// Verify the service by the certificates beside the token
    #[arg(long = "verify-by-ca-file")]
    pub is_verified_by_ca_file: bool,
    /// Static program that is /bin/sh of sandboxes
    #[arg(long, value_name = "FILE")]
    pub shell: Option<PathBuf>,
}

impl Arguments {
    /// As they are written in the Job.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![
            format!("--name={}", self.name),
            format!("--service={}", self.service),
        ];
        if self.is_verified_by_ca_file {
            args.push("--verify-by-ca-file".to_owned());
        }
        if let Some(shell) = &self.shell {
            args.push(format!("--shell={}", shell.display()));
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn arguments_are_read_as_they_are_written() {
        let least = Arguments {
            name: "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h".to_owned(),
            service: "https://niphas-eval.niphas-system.svc".to_owned(),
            is_verified_by_ca_file: false,
            shell: None,
        };
        let all = Arguments {
            is_verified_by_ca_file: true,
            shell: Some("/bin/busybox".into()),
            ..least.clone()
        };
        for arguments in [least, all] {
            let mut line = vec!["agent".to_owned()];
            line.extend(arguments.to_args());
            assert_eq!(Program::try_parse_from(line).unwrap().arguments, arguments);
        }
    }
}
