//! What a controller is to follow: the arguments that all of them take.

use std::fmt;
use std::str::FromStr;

use niphas_gitops::Location;
use niphas_render::{DeployFolder, EnvironmentName, Label};

/// A repository, and the environments in it.
#[derive(Debug, clap::Args)]
pub(super) struct Followed {
    /// The repository, as the controller reaches it: https://…, ssh://… or user@host:path
    pub(super) repository: RepositoryUrl,
    /// An environment to follow; can be given several times
    #[arg(short, long = "environment", value_name = "NAME", required = true)]
    pub(super) environments: Vec<EnvironmentName>,
    /// The branch that `niphas render` commits to
    #[arg(long, default_value = "main")]
    pub(super) branch: String,
    /// The directory of the repository that the environments' directories are in
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    pub(super) dir: DeployFolder,
    /// The namespace of the workloads; needed where the flake's environment names none
    #[arg(long)]
    pub(super) namespace: Option<Label>,
    /// What the names of the printed objects begin with [default: the repository's name]
    #[arg(long)]
    name: Option<Label>,
}

impl Followed {
    /// The name of the objects that are about the whole repository.
    pub(super) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.repository.name(),
        }
    }

    /// For each environment the name of the objects that are about it, and its folder.
    pub(super) fn environments(&self) -> impl Iterator<Item = (String, String)> {
        self.environments.iter().map(|environment| {
            let name = format!("{}-{environment}", self.name());
            (name, self.dir.environment(environment))
        })
    }
}

/// The URL of a repository that others reach, too.
#[derive(Debug, Clone)]
pub(super) struct RepositoryUrl(String);

impl FromStr for RepositoryUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.parse()? {
            Location::Remote(url) => Ok(Self(url)),
            Location::Path(_) => anyhow::bail!(
                "the controller cannot reach a folder of this machine: want https://…, ssh://… or user@host:path"
            ),
        }
    }
}

impl RepositoryUrl {
    /// `user@host:path` as a URL with a scheme.
    pub(super) fn with_scheme(&self) -> String {
        match self.0.split_once(':') {
            Some((host, path)) if !self.0.contains("://") => {
                format!("ssh://{host}/{}", path.trim_start_matches('/'))
            }
            _ => self.0.clone(),
        }
    }

    /// The end of its path, in characters that objects' names may have.
    fn name(&self) -> String {
        let path = self.0.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let last = path.rsplit(['/', ':']).next().unwrap_or_default();
        let last = last.to_ascii_lowercase();
        let words: Vec<&str> = last
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        if words.is_empty() {
            return "niphas".to_owned();
        }
        words.join("-")
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
