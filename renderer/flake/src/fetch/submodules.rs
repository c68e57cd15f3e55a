//! Git submodules.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use git2::{Config, ObjectType, Repository};

use super::Fetcher;
use super::git::Place;
use super::git_size::Part;
use super::git_tree::CommitTree;
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::input::Input;
use crate::tree::SourceTree;

/// The largest .gitmodules, in bytes.
const MAX_GITMODULES: u64 = 1 << 20;

/// An entry of .gitmodules.
pub(super) struct Submodule {
    /// Relative to the repository, within it.
    pub(super) path: String,
    url: String,
    branch: String,
}

/// The submodules that the .gitmodules of a work tree names.
pub(super) fn of_worktree(root: &Path) -> Result<Vec<Submodule>, FlakeError> {
    let file = root.join(".gitmodules");
    if file.exists() {
        parse(&file)
    } else {
        Ok(Vec::new())
    }
}

fn parse(file: &Path) -> Result<Vec<Submodule>, FlakeError> {
    let size = file
        .metadata()
        .map_err(FlakeError::io("reading file", file))?
        .len();
    if size > MAX_GITMODULES {
        return Err(FlakeError::TooLarge {
            url: file.display().to_string().into(),
            limit: MAX_GITMODULES,
        });
    }
    let text = regular_file::read(file).map_err(FlakeError::io("reading file", file))?;
    // libgit2 would read what the file names, anywhere on this machine. Git does not.
    let include = b"[include";
    if text
        .windows(include.len())
        .any(|window| window.eq_ignore_ascii_case(include))
    {
        return Err(FlakeError::GitmodulesInclude(file.to_owned()));
    }
    let failed = || FlakeError::git(format!("parsing '{}'", file.display()));
    let config = Config::open(file).map_err(failed())?;
    let mut values = BTreeMap::new();
    let entries = config
        .entries(Some("^submodule\\..*\\.(path|url|branch)$"))
        .map_err(failed())?;
    entries
        .for_each(|entry| {
            let (Ok(name), Ok(value)) = (entry.name(), entry.value()) else {
                return;
            };
            if let Some(name) = name.strip_prefix("submodule.") {
                values
                    .entry(name.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        })
        .map_err(failed())?;
    Ok(values
        .iter()
        .filter_map(|(key, path)| {
            let name = key.strip_suffix(".path")?;
            let get = |what| {
                let key = format!("{name}.{what}");
                values.get(&key).cloned().unwrap_or_default()
            };
            Some(Submodule {
                path: normal_path(path)?,
                url: get("url"),
                branch: get("branch"),
            })
        })
        .collect())
}

/// The path without `.`; none if it leads out of the repository.
fn normal_path(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

impl Fetcher {
    /// The submodules of a commit, by their path; the repository comes from `place`. `scratch` is a folder to work in.
    pub(super) fn submodules(
        &self,
        (repository, place): (&Repository, &Place),
        commit: &CommitTree<'_>,
        (reference, lfs): (&str, bool),
        scratch: &Path,
        part: Part<'_>,
    ) -> Result<BTreeMap<String, SourceTree>, FlakeError> {
        let mut trees = BTreeMap::new();
        let Some(text) = commit.top_file(".gitmodules", MAX_GITMODULES)? else {
            return Ok(trees);
        };
        let file = scratch.join("gitmodules");
        #[expect(
            clippy::disallowed_methods,
            reason = "a name of our own in a scratch folder"
        )]
        fs::write(&file, text.content()).map_err(FlakeError::io("writing file", &file))?;
        for submodule in parse(&file)? {
            let Ok(entry) = commit.root().get_path(Path::new(&submodule.path)) else {
                continue;
            };
            if entry.kind() != Some(ObjectType::Commit) {
                continue;
            }
            let mut attrs = Attrs::new();
            attrs.set("type", "git");
            attrs.set("url", resolve_url(repository, place, &submodule.url));
            match submodule.branch.as_str() {
                "" => {}
                "." => attrs.set("ref", reference),
                branch => attrs.set("ref", branch),
            }
            attrs.set("rev", entry.id().to_string());
            attrs.set("submodules", true);
            if lfs {
                attrs.set("lfs", true);
            }
            attrs.set("allRefs", true);
            let input = Input::from_attrs(attrs)?;
            let found = part
                .submodule()
                .and_then(|part| self.find_git(&input, part))
                .map_err(|source| FlakeError::Fetching {
                    input: input.to_string(),
                    source: Box::new(source),
                })?;
            trees.insert(submodule.path, found.tree);
        }
        Ok(trees)
    }
}

/// A submodule's URL; one that starts with `./` or `../` is relative to where the repository
/// itself comes from.
fn resolve_url(repository: &Repository, place: &Place, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let of_remote = || {
        let remote = repository.find_remote("origin").ok()?;
        remote.url().ok().map(str::to_owned)
    };
    let origin = match place {
        Place::Remote(url) => Some(url.expose()),
        Place::Local(_) => of_remote(),
    };
    let base = origin.unwrap_or_else(|| {
        let place = repository.workdir().unwrap_or_else(|| repository.path());
        place.display().to_string()
    });
    resolve_against(&base, url)
}

fn resolve_against(base: &str, url: &str) -> String {
    let mut base = base.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(shorter) = rest.strip_prefix("./") {
            rest = shorter;
        } else if let Some(shorter) = rest.strip_prefix("../") {
            rest = shorter;
            base = base.rfind(['/', ':']).map_or("", |end| &base[..end]);
        } else {
            return format!("{base}/{rest}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::resolve_against;

    #[test]
    fn relative_urls_of_submodules_start_at_the_repository() {
        assert_eq!(
            resolve_against("https://h/o/r.git/", "../s.git"),
            "https://h/o/s.git"
        );
        assert_eq!(resolve_against("git@h:o/r", "../../p/s"), "git@h/p/s");
        assert_eq!(resolve_against("/a/r", "./s"), "/a/r/s");
    }
}
