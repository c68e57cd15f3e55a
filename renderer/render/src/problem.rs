//! What can be wrong with an environment.

use std::fmt;

use niphas_api::System;

use crate::attribute_path::AttributePath;

/// The most problems that are written out. Further ones are counted.
const WRITTEN: usize = 100;

/// All that is wrong with an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// What was found, each once, in the order of the attribute paths; `None` if nothing was.
    pub(crate) fn from_found(mut found: Vec<Problem>) -> Option<Self> {
        // The same attribute is seen once for each system.
        found.sort_by(|a, b| (&a.path, &a.position).cmp(&(&b.path, &b.position)));
        found.dedup();
        (!found.is_empty()).then_some(Self(found))
    }

    /// The problems: at least one.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(WRITTEN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().saturating_sub(WRITTEN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The attribute, from the environment down.
    pub path: AttributePath,
    /// `file:line:column` of the attribute or the nearest one around it.
    pub position: Option<String>,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// The problem with its position and hint, a line each.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.elements().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.kind)?;
        if let Some(position) = &self.position {
            write!(f, "\n  at {position}")?;
        }
        if let Some(hint) = self.kind.hint() {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// About a value that `niphas.lib.mkEnvironment` did not make.
    pub fn not_an_environment(why: impl Into<String>) -> Self {
        Self {
            path: AttributePath::default(),
            position: None,
            kind: ProblemKind::NotAnEnvironment(why.into()),
        }
    }
}

/// What is wrong with an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The value is not what `niphas.lib.mkEnvironment` returns.
    #[error("not an environment: {0}")]
    NotAnEnvironment(String),
    /// A value of another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the schema wants.
        expected: String,
        /// What is there.
        found: String,
        /// How to write it, if that can be said.
        hint: Option<String>,
    },
    /// A value of the right type that is not allowed.
    #[error("{found}: expected {expected}")]
    BadValue {
        /// What the schema wants.
        expected: String,
        /// What is there.
        found: String,
        /// The nearest allowed value.
        suggestion: Option<String>,
    },
    /// An attribute that the schema does not have.
    #[error("unknown attribute")]
    UnknownAttribute {
        /// The nearest known name.
        suggestion: Option<String>,
        /// All names that are known here.
        known: Vec<String>,
    },
    /// An attribute that has to be there.
    #[error("attribute '{name}' is missing")]
    MissingAttribute {
        /// Its name.
        name: String,
    },
    /// A rule of the CRD that its types do not say.
    #[error("{rule}")]
    Rule {
        /// The rule's message.
        rule: String,
        /// What can be written, where the value says that.
        hint: Option<String>,
    },
    /// What Kubernetes would refuse, or what could never run.
    #[error("{problem}")]
    Refused {
        /// What is wrong.
        problem: String,
        /// What to write instead.
        remedy: Option<String>,
    },
    /// A store path in a text that the pod would not have.
    #[error("names {path}, which is not in its closure for {system}")]
    OutsideClosure {
        /// The store path.
        path: String,
        /// The system whose closure lacks it.
        system: System,
    },
    /// A name that cannot be part of the objects' names and the files' paths.
    #[error("{name:?} cannot be the name of {what}: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What was to have it.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// There is nothing to run.
    #[error("no package")]
    NoPackage,
    /// The package does not name its program.
    #[error("no command, and package '{package}' has no meta.mainProgram")]
    NoCommand {
        /// The package's name.
        package: String,
    },
    /// Not a store path.
    #[error("{found} is not a store path of /nix/store")]
    NotAStorePath {
        /// What is there.
        found: String,
    },
    /// An attribute that is not the same on all systems.
    #[error("differs between systems: {one} on {one_system}, {other} on {other_system}")]
    DiffersBetweenSystems {
        /// The value on the first system.
        one: String,
        /// The first system.
        one_system: String,
        /// The value on another system.
        other: String,
        /// The other system.
        other_system: String,
        /// Whether it is because of a store path.
        store_path: bool,
    },
    /// The closure was to be resolved before.
    #[error("its closure for {0} is not resolved")]
    UnresolvedClosure(System),
    /// No Kubernetes objects can be made of it.
    #[error("{0}")]
    Children(String),
    /// The object is larger than `kubectl apply` and Argo CD can apply.
    #[error("the object takes {size} bytes, more than the {limit} that can be applied")]
    ObjectTooLarge {
        /// Its size as JSON.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The schema lets it pass, the API's types do not.
    #[error("does not fit the API: {0}")]
    Api(String),
}

impl ProblemKind {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let did_you_mean =
            |name: &Option<String>| name.as_ref().map(|name| format!("did you mean '{name}'?"));
        match self {
            Self::NotAnEnvironment(_) => Some(
                "make it with niphas.lib.mkEnvironment, of the same version as this program".into(),
            ),
            Self::WrongType { hint, .. } | Self::Rule { hint, .. } => hint.clone(),
            Self::BadValue { suggestion, .. } => did_you_mean(suggestion),
            Self::UnknownAttribute { suggestion, known } => {
                did_you_mean(suggestion).or_else(|| match known.as_slice() {
                    [] => None,
                    known => Some(format!("known here: {}", known.join(", "))),
                })
            }
            Self::Refused { remedy, .. } => remedy.clone(),
            Self::OutsideClosure { .. } => Some(
                "write the derivation itself into the text, like \"${pkgs.hello}\": what Nix does not know to be a \
                 reference is neither fetched nor mounted"
                    .into(),
            ),
            Self::NoPackage => {
                Some("set 'package' to the derivation whose program is to run".into())
            }
            Self::NoCommand { .. } => Some(
                "set 'command', like \"${package}/bin/…\", or the package's meta.mainProgram"
                    .into(),
            ),
            Self::NotAStorePath { .. } => {
                Some("expected a derivation, or a string like \"${derivation}\"".into())
            }
            Self::DiffersBetweenSystems {
                store_path: true, ..
            } => Some(
                "one pod template serves all systems: let the package refer to this path itself, \
                 for example with a wrapper program that passes it on"
                    .into(),
            ),
            Self::DiffersBetweenSystems { .. } => Some(
                "one pod template serves all systems: only the package may depend on the system"
                    .into(),
            ),
            Self::ObjectTooLarge { .. } => {
                Some("put large files into the package instead of 'files'".into())
            }
            Self::MissingAttribute { name } => Some(format!("write its {name}")),
            Self::BadName { .. }
            | Self::UnresolvedClosure(_)
            | Self::Children(_)
            | Self::Api(_) => None,
        }
    }
}
