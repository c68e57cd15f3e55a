//! What `niphas flake show` says of a flake's outputs, as a tree and as JSON.

use niphas_terminal::print_line;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// What is said of an output, or of something in it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Shown {
    /// A set: what is said of its attributes, by name.
    Set(Vec<(String, Shown)>),
    Derivation {
        /// Which sort, for people: "package".
        sort: String,
        name: String,
        description: String,
    },
    App {
        description: Option<String>,
    },
    Template {
        description: String,
    },
    Environment {
        workloads: Vec<String>,
    },
    /// Anything else, by its sort.
    Other(Sort),
    /// Not evaluated.
    Omitted(Omission),
    /// A place where nothing has to be.
    Nothing,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum Sort {
    NixosConfiguration,
    NixosModule,
    Overlay,
    Unknown,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum Omission {
    OtherSystem,
    Legacy,
    ImportFromDerivation,
}

impl Sort {
    /// For programs and for people.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Sort::NixosConfiguration => ("nixos-configuration", "NixOS configuration"),
            Sort::NixosModule => ("nixos-module", "NixOS module"),
            Sort::Overlay => ("nixpkgs-overlay", "Nixpkgs overlay"),
            Sort::Unknown => ("unknown", "unknown"),
        }
    }
}

impl Omission {
    fn text(self) -> &'static str {
        match self {
            Omission::OtherSystem => "omitted (use '--all-systems' to show)",
            Omission::Legacy => "omitted (use '--legacy' to show)",
            Omission::ImportFromDerivation => "omitted due to use of import from derivation",
        }
    }
}

impl Shown {
    /// The JSON that Nix prints. `path` leads here; what is omitted is warned about.
    pub(super) fn to_json(&self, path: &str) -> Json {
        match self {
            Shown::Set(members) => {
                let members = members.iter().map(|(name, shown)| {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    (name.clone(), shown.to_json(&path))
                });
                Json::Object(members.collect())
            }
            Shown::Derivation {
                name, description, ..
            } => json!({ "type": "derivation", "name": name, "description": description }),
            Shown::App { description: None } => json!({ "type": "app" }),
            Shown::App {
                description: Some(description),
            } => json!({ "type": "app", "description": description }),
            Shown::Template { description } => {
                json!({ "type": "template", "description": description })
            }
            Shown::Environment { workloads } => {
                json!({ "type": niphas_render::ENVIRONMENT, "workloads": workloads })
            }
            Shown::Other(sort) => json!({ "type": sort.words().0 }),
            Shown::Omitted(omission) => {
                tracing::warn!("{path} {}", omission.text());
                Json::Object(Map::new())
            }
            Shown::Nothing => Json::Object(Map::new()),
        }
    }

    /// Prints the members of a set, a line for each, and what is below them.
    pub(super) fn print_members(&self, indent: &str) {
        let Shown::Set(members) = self else { return };
        let last = members.len().saturating_sub(1);
        for (index, (name, shown)) in members.iter().enumerate() {
            let (branch, below) = if index == last {
                ("└───", "    ")
            } else {
                ("├───", "│   ")
            };
            if let Some(about) = shown.about() {
                print_line(format!("{indent}{branch}{name}{about}"));
            }
            shown.print_members(&format!("{indent}{below}"));
        }
    }

    /// What stands behind the name; none if there is no line at all.
    fn about(&self) -> Option<String> {
        Some(match self {
            Shown::Nothing => return None,
            Shown::Set(_) => String::new(),
            Shown::Omitted(omission) => format!(" {}", omission.text()),
            Shown::Derivation { sort, name, .. } => format!(": {sort} '{name}'"),
            Shown::App { description } => {
                let description = description.as_deref().unwrap_or("no description");
                format!(": app: {description}")
            }
            Shown::Template { description } => format!(": template: {description}"),
            Shown::Environment { workloads } if workloads.is_empty() => {
                ": environment without workloads".to_owned()
            }
            Shown::Environment { workloads } => {
                format!(": environment with {}", workloads.join(", "))
            }
            Shown::Other(sort) => format!(": {}", sort.words().1),
        })
    }
}
