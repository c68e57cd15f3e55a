//! From environments and their closures to files.

use std::collections::BTreeMap;

use niphas_render::{CheckedEnvironment, DeployFolder, Form, RenderedEnvironment};

use crate::closures::Closures;
use crate::error::EnvironmentProblems;

/// Makes the files of environments by name: manifests below `folder`, and the closures' lines. `closures` is what
/// [`resolve`](crate::resolve) found for these environments.
pub fn render(
    environments: &[CheckedEnvironment],
    closures: &Closures,
    folder: &DeployFolder,
    form: &Form,
) -> Result<BTreeMap<String, RenderedEnvironment>, EnvironmentProblems> {
    let mut rendered = BTreeMap::new();
    for environment in environments {
        let name = environment.name.clone();
        let files = environment.render(folder, form, &closures[&name]);
        let files = files.map_err(|problems| EnvironmentProblems {
            environment: name.clone(),
            problems,
        })?;
        rendered.insert(name, files);
    }
    Ok(rendered)
}
