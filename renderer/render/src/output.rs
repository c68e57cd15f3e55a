//! The files of an environment.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use niphas_api::{
    BASE_IMAGE, Closure, ClosureLines, ENVIRONMENT_ANNOTATION, NiphasWorkload, NiphasWorkloadSpec,
    Root, System, children, to_yaml,
};
use nix_formats::StorePath;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde_json::{Value, json};

use crate::attribute_path::AttributePath;
use crate::environment::{CheckedEnvironment, CheckedWorkload, WorkloadRoots};
use crate::further_objects::FOLDER;
use crate::lock::{Lock, is_repository_path};
use crate::names::EnvironmentName;
use crate::problem::{Problem, ProblemKind, Problems};

/// `kubectl apply` and Argo CD keep an object's last form in an annotation of this size.
const OBJECT_LIMIT: usize = 256 * 1024;

/// One closure of an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClosureId {
    /// The workload's name.
    pub workload: String,
    /// The system.
    pub system: System,
}

/// The folder of the repository that has the environments' folders in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployFolder(Option<String>);

/// A text that is no [`DeployFolder`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' cannot hold the environments: expected a folder in the repository, like 'deploy', or '.' for its root"
)]
pub struct BadDeployFolder(pub String);

impl DeployFolder {
    /// The path of an environment's folder, from the repository's root.
    pub fn environment(&self, name: &EnvironmentName) -> String {
        self.join(&name.to_string())
    }

    fn join(&self, path: &str) -> String {
        match &self.0 {
            Some(folder) => format!("{folder}/{path}"),
            None => path.to_owned(),
        }
    }
}

/// The text that it is read from; `.` for the repository's root.
impl fmt::Display for DeployFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("."))
    }
}

impl FromStr for DeployFolder {
    type Err = BadDeployFolder;

    fn from_str(text: &str) -> Result<Self, BadDeployFolder> {
        let path = text.strip_prefix("./").unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "." => Ok(Self(None)),
            path if is_repository_path(path) && !path.split('/').any(|part| part == ".niphas") => {
                Ok(Self(Some(path.to_owned())))
            }
            _ => Err(BadDeployFolder(text.to_owned())),
        }
    }
}

/// What the files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `NiphasWorkload`s, for clusters with the operator.
    Workloads,
    /// The plain Kubernetes objects that the operator would make of them.
    Expanded {
        /// The image that pods name.
        base_image: String,
    },
}

/// The files of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedEnvironment {
    /// The environment's name.
    pub name: String,
    /// Bytes by path from the repository's root; the lock is not among them.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The folders and the file in which all is that [`CheckedEnvironment::render`] makes, and the lock of that.
pub fn places(folder: &DeployFolder, environment: &str) -> [String; 3] {
    [
        folder.join(environment),
        format!(".niphas/{environment}"),
        Lock::path(environment),
    ]
}

/// Paths and bytes of files.
type Files = Vec<(String, Vec<u8>)>;

impl CheckedEnvironment {
    /// The closures to resolve: which they are, and their roots.
    pub fn closures(&self) -> impl Iterator<Item = (ClosureId, &[StorePath])> {
        self.workloads.iter().flat_map(|(workload, checked)| {
            checked.roots.iter().map(move |(system, roots)| {
                let id = ClosureId {
                    workload: workload.clone(),
                    system: system.clone(),
                };
                (id, roots.paths.as_slice())
            })
        })
    }

    /// Makes the files: manifests below `folder`, and the closures' lines. `closures` has all of
    /// [`CheckedEnvironment::closures`].
    ///
    /// # Errors
    /// What cannot be applied to a cluster.
    pub fn render(
        &self,
        folder: &DeployFolder,
        form: &Form,
        closures: &BTreeMap<ClosureId, ClosureLines>,
    ) -> Result<RenderedEnvironment, Problems> {
        let of_workloads: Vec<Result<Files, Vec<Problem>>> = self
            .workloads
            .par_iter()
            .map(|(name, workload)| self.files_of(name, workload, folder, form, closures))
            .collect();
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        for of_workload in of_workloads {
            match of_workload {
                Ok(of_workload) => files.extend(of_workload),
                Err(found) => problems.extend(found),
            }
        }
        for object in &self.objects {
            let path = folder.join(&format!("{}/{FOLDER}/{}", self.name, object.file));
            let yaml = match &object.verbatim {
                // What says that it may be removed cannot be in it.
                Some(text) => Ok(format!("# {ENVIRONMENT_ANNOTATION}: {}\n{text}", self.name)),
                None => self.manifest(object.object.clone()).map(|(_, yaml)| yaml),
            };
            match yaml {
                Ok(yaml) => {
                    files.insert(path, yaml.into_bytes());
                }
                Err(kind) => problems.push(Problem {
                    path: AttributePath::of(&["objects", &object.file]),
                    position: None,
                    kind,
                }),
            }
        }
        match Problems::from_found(problems) {
            Some(problems) => Err(problems),
            None => Ok(RenderedEnvironment {
                name: self.name.clone(),
                files,
            }),
        }
    }

    /// A workload's files, or all that is wrong with it.
    fn files_of(
        &self,
        name: &str,
        workload: &CheckedWorkload,
        folder: &DeployFolder,
        form: &Form,
        closures: &BTreeMap<ClosureId, ClosureLines>,
    ) -> Result<Files, Vec<Problem>> {
        let environment = &self.name;
        let mut files = Files::new();
        let mut problems = Vec::new();
        let problem = |kind| Problem {
            path: AttributePath::of(&["workloads", name]),
            position: workload.position.clone(),
            kind,
        };
        let mut declared = Vec::new();
        for (system, roots) in &workload.roots {
            let id = ClosureId {
                workload: name.to_owned(),
                system: system.clone(),
            };
            let Some(lines) = closures.get(&id) else {
                problems.push(problem(ProblemKind::UnresolvedClosure(id.system)));
                continue;
            };
            problems.extend(workload.mentions.outside(system, lines));
            declared.push(declare(system, roots, lines));
            let path = format!(".niphas/{environment}/closures/{name}.{system}.txt");
            files.push((path, lines.to_string().into_bytes()));
        }
        match self.manifests(name, workload, declared, form) {
            Ok(manifests) => {
                for (file, yaml) in manifests {
                    let path = folder.join(&format!("{environment}/{name}/{file}"));
                    files.push((path, yaml.into_bytes()));
                }
            }
            Err(kind) => problems.push(problem(kind)),
        }
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(problems)
        }
    }

    /// The workload's files: their names, and the YAML in them.
    fn manifests(
        &self,
        name: &str,
        workload: &CheckedWorkload,
        closures: Vec<Closure>,
        form: &Form,
    ) -> Result<Vec<(String, String)>, ProblemKind> {
        let api = |error: serde_json::Error| ProblemKind::Api(error.to_string());
        let mut spec = Value::Object(workload.spec.clone());
        spec["closures"] = serde_json::to_value(closures).map_err(api)?;
        // Through the API's types: so defaults stand in the file, and the cluster adds nothing to it.
        let spec: NiphasWorkloadSpec = serde_json::from_value(spec).map_err(api)?;
        let mut object = NiphasWorkload::new(name, spec);
        let own = workload.companions.namespace.clone();
        object.metadata.namespace = own.or_else(|| self.namespace.clone());
        // For what delivers the workload, such as the order of Argo CD's waves; the operator reads the spec alone.
        let labels = object.spec.labels.clone();
        object.metadata.labels = (!labels.is_empty()).then_some(labels);
        let annotations = object.spec.annotations.clone();
        object.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
        // What the operator could not make objects of is reported here, where it can be mended.
        let base_image = match form {
            Form::Workloads => BASE_IMAGE,
            Form::Expanded { base_image } => base_image,
        };
        let children = children(&object, base_image)
            .map_err(|error| ProblemKind::Children(error.to_string()))?;
        let mut objects = match form {
            Form::Workloads => vec![without_idle_replicas(json!(&object))],
            Form::Expanded { .. } => children.iter().map(|child| json!(child)).collect(),
        };
        objects.extend(workload.companions.objects(&object)?);
        objects
            .into_iter()
            .map(|object| self.manifest(object))
            .collect()
    }

    fn manifest(&self, mut object: Value) -> Result<(String, String), ProblemKind> {
        object["metadata"]["annotations"][ENVIRONMENT_ANNOTATION] = json!(self.name);
        let size = object.to_string().len();
        if size > OBJECT_LIMIT {
            return Err(ProblemKind::ObjectTooLarge {
                size,
                limit: OBJECT_LIMIT,
            });
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&object["kind"]);
        let name = text(&object["metadata"]["name"]);
        let yaml = to_yaml(&object).map_err(|error| ProblemKind::Api(error.to_string()))?;
        Ok((format!("{kind}-{name}.yaml"), yaml))
    }
}

/// Leaves `replicas` out where they mean nothing: the kind has none, or an autoscaler decides. Readers would take them for a
/// promise.
fn without_idle_replicas(mut object: Value) -> Value {
    let spec = &mut object["spec"];
    let counts = spec["kind"] == "Deployment" || spec["kind"] == "StatefulSet";
    if (!counts || !spec["autoscaling"].is_null())
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("replicas");
    }
    object
}

pub(crate) fn declare(system: &System, roots: &WorkloadRoots, lines: &ClosureLines) -> Closure {
    let names = roots.names.iter();
    Closure {
        system: system.clone(),
        roots: roots.paths.iter().cloned().map(Root::from).collect(),
        names: names
            .map(|(name, path)| (name.clone(), path.clone().into()))
            .collect(),
        digest: lines.digest(),
        nar_size: lines.nar_size(),
        path_count: lines.path_count(),
    }
}
