//! From environments and their closures to files.

use std::collections::BTreeMap;

use niphas_render::{CheckedEnvironment, DeployFolder, Form, RenderedEnvironment};

use crate::closures::Closures;
use crate::error::{EnvironmentProblems, RefusedEnvironments};

/// Makes the files of environments by name: manifests below `folder`, and the closures' lines. `closures` is what
/// [`resolve`](crate::resolve) found for these environments.
pub fn render(
    environments: &[CheckedEnvironment],
    closures: &Closures,
    folder: &DeployFolder,
    form: &Form,
) -> Result<BTreeMap<String, RenderedEnvironment>, RefusedEnvironments> {
    let mut rendered = BTreeMap::new();
    let mut refused = Vec::new();
    for environment in environments {
        let name = environment.name.clone();
        match environment.render(folder, form, &closures[&name]) {
            Ok(files) => {
                rendered.insert(name, files);
            }
            Err(problems) => refused.push(EnvironmentProblems {
                environment: name,
                problems,
            }),
        }
    }
    RefusedEnvironments::unless_empty(refused)?;
    Ok(rendered)
}
