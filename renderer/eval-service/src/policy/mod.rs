//! What the administrator lets namespaces do: the file of the service, read at its start. What it does not allow is refused.

mod flake_input;
mod url_prefix;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use niphas_api::source::{Duration, NiphasSourceSpec};
use serde::{Deserialize, Deserializer};
use url::Url;

pub use crate::builds::settings::{BuildLimits, BuildSettings, Keep};
pub use flake_input::input_url;
pub use url_prefix::{BadUrlPrefix, UrlPrefix};

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Where clones and fetched trees are kept. It may be emptied while the service does not run.
    pub work_folder: PathBuf,
    /// Where people reach the pages of the service, for links in statuses and comments; without it they have none.
    #[serde(default, deserialize_with = "web_page")]
    pub pages_url: Option<Url>,
    /// What evaluations may take.
    #[serde(default)]
    pub limits: EvaluationLimits,
    /// How what caches lack is built. Left out, nothing is built.
    #[serde(default)]
    pub builds: Option<BuildSettings>,
    /// What namespaces may do. For a namespace the first entry counts that names it, or else the first that has `*`.
    pub namespaces: Vec<NamespacePolicy>,
}

/// What evaluations may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EvaluationLimits {
    /// Runs at the same time.
    pub runs: NonZeroUsize,
    /// Address space of one evaluation, in MiB.
    pub memory_mebibytes: u32,
    /// Time of one evaluation.
    pub time: Duration,
    /// Open files of one evaluation.
    pub files: u32,
    /// What one evaluation may give, in MiB.
    pub output_mebibytes: u32,
    /// What one fetch may bring, in MiB.
    pub fetch_mebibytes: u32,
    /// Sources of one namespace.
    pub sources: u32,
}

impl Default for EvaluationLimits {
    fn default() -> Self {
        Self {
            runs: NonZeroUsize::MIN.saturating_add(1),
            memory_mebibytes: 4096,
            time: Duration::from_secs(600),
            files: 4096,
            output_mebibytes: 64,
            fetch_mebibytes: 1024,
            sources: 100,
        }
    }
}

/// What namespaces may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespacePolicy {
    /// Their names; `*` stands for all that no entry names.
    pub names: Vec<String>,
    /// Where flakes may be.
    pub flakes: Vec<UrlPrefix>,
    /// Where inputs of flakes may be, beside where flakes may be.
    #[serde(default)]
    pub inputs: Vec<UrlPrefix>,
    /// Where may be rendered to.
    pub targets: Vec<TargetPolicy>,
    /// The caches that closures are looked for in.
    pub caches: Vec<String>,
    /// The keys whose signatures count.
    pub trusted_public_keys: Vec<String>,
    /// How many of them must have signed a path.
    #[serde(default = "one")]
    pub required_signatures: NonZeroUsize,
    /// Whether what these caches lack may be built for them.
    #[serde(default)]
    pub builds: bool,
}

fn web_page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.query().is_none() => {
            Ok(Some(url))
        }
        _ => Err(serde::de::Error::custom(
            "expected the address of a page, like 'https://niphas.example.org'",
        )),
    }
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

/// Where may be rendered to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetPolicy {
    /// Repositories.
    pub url: UrlPrefix,
    /// Branches of them.
    pub branches: Vec<String>,
    /// A folder, and those below; left out, all.
    #[serde(default)]
    pub dir: Option<String>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is no YAML of this form.
    #[error("the configuration: {0}")]
    Syntax(String),
    /// A value does not make sense.
    #[error("the configuration: {field}: {problem}")]
    Value {
        /// Where.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

/// Why a source is refused. A person of the namespace reads it, so it does not tell what others may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} is not allowed for the namespace '{namespace}'; ask the administrator of niphas-eval to allow it in {setting}"
)]
pub struct Refusal {
    what: String,
    namespace: String,
    setting: &'static str,
}

impl Policy {
    /// Reads the file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            serde_saphyr::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), PolicyError> {
        let wrong = |field: String, problem: &str| {
            let problem = problem.to_owned();
            Err(PolicyError::Value { field, problem })
        };
        if !self.work_folder.is_absolute() {
            return wrong("workFolder".to_owned(), "expected an absolute path");
        }
        let limits = &self.limits;
        let sizes = [
            limits.memory_mebibytes,
            limits.files,
            limits.output_mebibytes,
            limits.fetch_mebibytes,
        ];
        if sizes.contains(&0) || limits.time == Duration::from_secs(0) {
            return wrong("limits".to_owned(), "expected numbers above 0");
        }
        if let Some(builds) = &self.builds {
            let checked = builds.check();
            checked.or_else(|(field, problem)| wrong(field.to_owned(), &problem))?;
        }
        for (index, namespace) in self.namespaces.iter().enumerate() {
            let field = |name: &str| format!("namespaces[{index}].{name}");
            if namespace.names.is_empty() {
                return wrong(field("names"), "expected a name, or '*'");
            }
            if namespace.builds && self.builds.is_none() {
                return wrong(
                    field("builds"),
                    "expected 'builds' at the top, which says how",
                );
            }
            if namespace.builds && namespace.required_signatures > NonZeroUsize::MIN {
                let problem = "what is built has one signature: expected 1 where 'builds' is true";
                return wrong(field("requiredSignatures"), problem);
            }
            for cache in &namespace.caches {
                if let Err(error) = cache.parse::<binary_cache::CacheUrl>() {
                    return wrong(field("caches"), &error.to_string());
                }
            }
            let none: [PathBuf; 0] = [];
            if let Err(error) = binary_cache::read_keys(&namespace.trusted_public_keys, &none) {
                return wrong(field("trustedPublicKeys"), &nix_formats::chain(&error));
            }
        }
        Ok(())
    }

    /// What a namespace may do, if anything.
    pub fn of_namespace(&self, namespace: &str) -> Option<&NamespacePolicy> {
        let entry = |wanted: &str| {
            let mut entries = self.namespaces.iter();
            entries.find(|entry| entry.names.iter().any(|name| name == wanted))
        };
        entry(namespace).or_else(|| entry("*"))
    }

    /// Whether a source may do what it says; what its namespace may do, then.
    pub fn admits(
        &self,
        namespace: &str,
        source: &NiphasSourceSpec,
    ) -> Result<&NamespacePolicy, Refusal> {
        let refusal = |what: String, setting: &'static str| Refusal {
            what,
            namespace: namespace.to_owned(),
            setting,
        };
        let Some(policy) = self.of_namespace(namespace) else {
            return Err(refusal("a NiphasSource".to_owned(), "'namespaces'"));
        };
        let flake = &source.flake.url;
        if !policy.flakes.iter().any(|prefix| prefix.covers(flake)) {
            let what = format!("the flake's repository '{}'", niphas_http::redacted(flake));
            return Err(refusal(what, "'flakes'"));
        }
        let target = &source.target;
        let dir = target.dir.as_deref().unwrap_or_default();
        let is_allowed = |allowed: &TargetPolicy| {
            allowed.url.covers(&target.url)
                && allowed.branches.contains(&target.branch)
                && allowed
                    .dir
                    .as_deref()
                    .is_none_or(|folder| is_below(dir, folder))
        };
        if !policy.targets.iter().any(is_allowed) {
            let what = format!(
                "rendering to the branch '{}' of '{}', folder '{dir}',",
                target.branch,
                niphas_http::redacted(&target.url)
            );
            return Err(refusal(what, "'targets'"));
        }
        Ok(policy)
    }
}

impl NamespacePolicy {
    /// Whether an input of a flake may be fetched from a URL.
    pub fn admits_input(&self, url: &str) -> bool {
        let mut prefixes = self.flakes.iter().chain(&self.inputs);
        prefixes.any(|prefix| prefix.covers(url))
    }
}

fn is_below(dir: &str, folder: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    parts(dir).starts_with(&parts(folder))
}

#[cfg(test)]
mod tests;
