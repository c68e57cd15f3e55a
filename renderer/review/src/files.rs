//! Which of a repository's files are a workload's.

/// A file as it was and as it will be.
#[derive(Debug, Clone, Copy)]
pub struct FilePair<'a> {
    /// Its path from the repository's root.
    pub path: &'a str,
    /// Its bytes before, if it was there.
    pub before: Option<&'a [u8]>,
    /// Its bytes after, if it will be there.
    pub after: Option<&'a [u8]>,
}

/// What a file of a workload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// The lines of the closure for a system.
    Closure { system: &'a str },
    /// A Kubernetes object.
    Manifest,
}

/// The workload that a file of an environment belongs to, if it is a workload's.
pub fn workload_of<'a>(environment: &str, path: &'a str) -> Option<&'a str> {
    read_path(environment, path).map(|(workload, _)| workload)
}

/// The workload of a file, and what it holds.
pub(crate) fn read_path<'a>(environment: &str, path: &'a str) -> Option<(&'a str, Content<'a>)> {
    let closures = path.strip_prefix(".niphas/").and_then(|path| {
        let path = path.strip_prefix(environment)?;
        path.strip_prefix("/closures/")
    });
    if let Some(file) = closures {
        let (workload, system) = file.strip_suffix(".txt")?.split_once('.')?;
        return Some((workload, Content::Closure { system }));
    }
    let mut parts = path.rsplit('/');
    let (file, workload, folder) = (parts.next()?, parts.next()?, parts.next()?);
    file.strip_suffix(".yaml")?;
    (folder == environment).then_some((workload, Content::Manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_whose_they_are() {
        let closure = |system| Content::Closure { system };
        for (path, expected) in [
            (
                ".niphas/prod/closures/web.x86_64-linux.txt",
                Some(("web", closure("x86_64-linux"))),
            ),
            (
                "deploy/prod/web/NiphasWorkload-web.yaml",
                Some(("web", Content::Manifest)),
            ),
            (
                "prod/web/Service-web.yaml",
                Some(("web", Content::Manifest)),
            ),
            (".niphas/prod.lock", None),
            (".niphas/prod/closures/web.txt", None),
            ("deploy/staging/web/NiphasWorkload-web.yaml", None),
            ("web/Service-web.yaml", None),
            ("deploy/prod/web/README.md", None),
        ] {
            assert_eq!(read_path("prod", path), expected, "{path}");
        }
    }
}
