//! `niphas init`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use niphas_terminal::say;

use crate::failure::Failure;

/// Write a flake to start from
///
/// Files that exist are not overwritten: if one is in the way, nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Templates:
  hello   one web server
  shop    two environments with a Deployment, a StatefulSet and a CronJob
Nix has the same: nix flake init --template github:niphas/niphas#shop")]
pub(crate) struct Args {
    /// The directory to write to, made if there is none
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// What to write
    #[arg(long, value_enum, value_name = "NAME", default_value = "hello")]
    template: Template,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Template {
    Hello,
    Shop,
}

macro_rules! template {
    ($name:literal: $($file:literal),*) => {
        &[$(($file, include_str!(concat!("../../../../examples/templates/", $name, "/", $file)))),*]
    };
}

impl Template {
    /// Its files, by name.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Template::Hello => template!("hello": ".gitignore", "flake.nix", "index.html"),
            Template::Shop => template!("shop": ".gitignore", "flake.nix", "workloads.nix"),
        }
    }
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let folder = &self.folder;
        let files = self.template.files();
        let in_the_way: Vec<_> = files
            .iter()
            .map(|(name, _)| folder.join(name))
            .filter(|file| fs::symlink_metadata(file).is_ok())
            .map(|file| format!("'{}'", file.display()))
            .collect();
        if !in_the_way.is_empty() {
            return Err(Failure::with_hint(
                match &in_the_way[..] {
                    [one] => anyhow!("{one} exists already, and is not overwritten"),
                    all => {
                        let all = all.join(", ");
                        anyhow!("{all} exist already, and are not overwritten")
                    }
                },
                "name another directory: niphas init DIR",
            ));
        }
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the directory '{}'", folder.display()))?;
        for (name, text) in files {
            let file = folder.join(name);
            write_new(&file, text)
                .with_context(|| format!("failed to write '{}'", file.display()))?;
            say!("wrote {}", file.display());
        }
        self.say_next();
        Ok(ExitCode::SUCCESS)
    }

    /// The commands from these files to a GitOps repository.
    fn say_next(&self) {
        let enter = match self.folder.as_path() {
            here if here == Path::new(".") => String::new(),
            folder => format!("  cd {}\n", folder.display()),
        };
        // Nix and niphas see only the files of a repository that Git knows.
        let start = if is_in_repository(&self.folder) {
            ""
        } else {
            "  git init\n"
        };
        say!(
            "next:
{enter}{start}  git add .
  niphas flake lock && git add flake.lock
  niphas key generate demo-1 --output ~/demo.secret > ~/demo.public
  nix build --no-link $(niphas roots)
  niphas roots --paths | niphas cache push --to file://$HOME/demo-cache --sign-key ~/demo.secret -
  niphas render --to ../gitops --init --cache file://$HOME/demo-cache --key-file ~/demo.public"
        );
    }
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(file)?;
    file.write_all(text.as_bytes())
}

/// Whether a folder is in a repository of Git.
fn is_in_repository(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    folder.ancestors().any(|above| above.join(".git").exists())
}
