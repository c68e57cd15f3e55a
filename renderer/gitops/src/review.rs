//! What the changes of a run mean, for its commit and for its reader.

use std::collections::BTreeMap;

use git2::{Oid, Repository};
use niphas_review::{FilePair, Review, Reviewer, workload_of};

use crate::error::Error;
use crate::owned_files::{Applied, FILE_LIMIT};
use crate::repository::Request;

/// Of the files that were there before this much is read. More than a thousand workloads with thousands of store paths have less.
const READ_LIMIT: usize = 512 * 1024 * 1024;

/// A file that differs, and its content before, if it was there.
pub(crate) struct Replaced {
    environment: String,
    path: String,
    before: Option<Oid>,
}

impl Replaced {
    pub(crate) fn new(environment: &str, path: &str, before: Option<Oid>) -> Self {
        Self {
            environment: environment.to_owned(),
            path: path.to_owned(),
            before,
        }
    }
}

/// Compares what was there with what a run puts into its place, one workload after the other.
pub(crate) fn review(
    repository: &Repository,
    request: &Request<'_>,
    applied: &Applied,
) -> Result<Review, Error> {
    let mut workloads: BTreeMap<(&str, &str), Vec<&Replaced>> = BTreeMap::new();
    for file in &applied.replaced {
        if let Some(workload) = workload_of(&file.environment, &file.path) {
            let files = workloads
                .entry((file.environment.as_str(), workload))
                .or_default();
            files.push(file);
        }
    }
    let mut reviewer = Reviewer::default();
    request
        .environments
        .keys()
        .for_each(|name| reviewer.add_environment(name));
    let mut left = READ_LIMIT;
    for ((environment, workload), files) in workloads {
        let rendered = request.environments.get(environment);
        let before = files.iter().map(|file| {
            file.before
                .map(|id| read(repository, id, &mut left))
                .transpose()
        });
        let before: Vec<Option<Vec<u8>>> = before.collect::<Result<_, Error>>()?;
        let pairs = files.iter().zip(&before).map(|(file, before)| FilePair {
            path: &file.path,
            before: before.as_deref(),
            after: rendered
                .and_then(|rendered| rendered.files.get(&file.path))
                .map(Vec::as_slice),
        });
        reviewer.add_workload(environment, workload, &pairs.collect::<Vec<_>>());
    }
    Ok(reviewer.finish())
}

/// The content of a file, or none of it if that is too much; then it is reported as unreadable.
fn read(repository: &Repository, id: Oid, left: &mut usize) -> Result<Vec<u8>, Error> {
    let (size, _) = repository.odb()?.read_header(id)?;
    if size > FILE_LIMIT.min(*left) {
        return Ok(Vec::new());
    }
    *left -= size;
    Ok(repository.find_blob(id)?.content().to_vec())
}
