//! Flake references: an input, and the folder within it that holds flake.nix.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::attrs::Attrs;
use crate::error::RefError;
use crate::input::Input;
use crate::url::{Authority, Url, decode_query, is_made_of, path_segments, percent_decode};

/// What a text is taken for.
#[derive(Debug, Clone)]
pub struct ParseOptions {
    /// What relative paths are relative to. With it, paths are looked up: flake.nix is searched
    /// upwards, and a folder within a Git repository becomes a `git+file` reference.
    pub base_dir: Option<PathBuf>,
    /// Whether flake.nix may be missing.
    pub allow_missing: bool,
    /// Whether a flake is meant, or any tree or file.
    pub is_flake: bool,
    /// Whether relative paths are let through as they are: they are in flake.nix.
    pub preserve_relative_paths: bool,
}

impl ParseOptions {
    /// A reference that stands alone, as `builtins.parseFlakeRef` takes it.
    pub fn absolute() -> Self {
        Self {
            base_dir: None,
            allow_missing: true,
            is_flake: true,
            preserve_relative_paths: false,
        }
    }

    /// A reference as typed on a command line in folder `dir`.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            base_dir: Some(dir.into()),
            allow_missing: false,
            ..Self::absolute()
        }
    }

    /// A reference in the `inputs` of a flake.nix.
    pub fn input(is_flake: bool) -> Self {
        Self {
            is_flake,
            preserve_relative_paths: true,
            ..Self::absolute()
        }
    }
}

/// A reference to a flake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlakeRef {
    /// Where the tree comes from.
    pub input: Input,
    /// The folder of flake.nix within it; empty for its root.
    pub subdir: String,
}

impl FlakeRef {
    /// Parses a reference without a fragment.
    pub fn parse(text: &str, options: &ParseOptions) -> Result<Self, RefError> {
        let (reference, fragment) = Self::parse_with_fragment(text, options)?;
        if fragment.is_empty() {
            Ok(reference)
        } else {
            Err(RefError::Fragment {
                fragment,
                reference: text.into(),
            })
        }
    }

    /// Parses `reference#fragment`.
    pub fn parse_with_fragment(
        text: &str,
        options: &ParseOptions,
    ) -> Result<(Self, String), RefError> {
        if let Some(parsed) = parse_id(text, options.is_flake)? {
            return Ok(parsed);
        }
        match parse_url(text, options) {
            Err(error) if error.is_bad_url() => parse_path(text, options),
            parsed => parsed,
        }
    }

    /// Reads a reference from attributes; `dir` among them is the folder.
    pub fn from_attrs(mut attrs: Attrs) -> Result<Self, RefError> {
        let subdir = attrs.string("dir")?.unwrap_or_default().to_owned();
        attrs.remove("dir");
        Ok(Self {
            input: Input::from_attrs(attrs)?,
            subdir,
        })
    }

    /// The reference as attributes.
    pub fn to_attrs(&self) -> Attrs {
        let mut attrs = self.input.attrs().clone();
        if !self.subdir.is_empty() {
            attrs.set_if_absent("dir", self.subdir.as_str());
        }
        attrs
    }

    /// The reference as a URL.
    pub fn to_url(&self) -> Result<Url, RefError> {
        let mut url = self.input.to_url()?;
        if !self.subdir.is_empty() {
            url.query
                .entry("dir".to_owned())
                .or_insert_with(|| self.subdir.clone());
        }
        Ok(url)
    }

    /// The reference as Nix writes it, secrets included. `Display` leaves them out.
    pub fn expose(&self) -> String {
        match self.to_url() {
            Ok(url) => url.expose(),
            Err(_) => self.to_string(),
        }
    }

    fn from_url(mut url: Url, is_flake: bool) -> Result<(Self, String), RefError> {
        let subdir = url.query.remove("dir").unwrap_or_default();
        let fragment = std::mem::take(&mut url.fragment);
        let input = Input::from_url(&url, is_flake)?;
        Ok((Self { input, subdir }, fragment))
    }

    /// The reference as newer versions of Nix write it: without the `?dir=` that old ones left
    /// in the URL. Lock files hold both.
    pub(crate) fn canonical(&self) -> Self {
        let mut canonical = self.clone();
        if let Ok(Some(text)) = self.input.attrs().string("url")
            && let Ok(mut url) = Url::parse_lenient(text)
        {
            if !self.subdir.is_empty() && url.query.get("dir") == Some(&self.subdir) {
                url.query.remove("dir");
            }
            canonical.input.attrs_mut().set("url", url.expose());
        }
        canonical
    }
}

impl fmt::Display for FlakeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_url() {
            Ok(url) => url.fmt(f),
            Err(_) => f.write_str(&self.to_attrs().to_json()),
        }
    }
}

/// Whether `text` names a flake or an input: `[a-zA-Z][a-zA-Z0-9_-]*`.
pub(crate) fn is_flake_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// `id`, `id/branch`, `id/commit`, `id/branch/commit`, each with a fragment perhaps.
fn parse_id(text: &str, is_flake: bool) -> Result<Option<(FlakeRef, String)>, RefError> {
    let (name, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (id, rest) = match name.split_once('/') {
        Some((id, rest)) => (id, Some(rest)),
        None => (name, None),
    };
    let is_ref = |rest: &str| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@')
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_./@+-".contains(&b))
    };
    let is_fragment = |fragment: &str| {
        is_made_of(fragment, |b| {
            b.is_ascii_alphanumeric() || b"-._~!$&'\"()*+,;=:@/? ^".contains(&b)
        })
    };
    if !is_flake_id(id) || !rest.is_none_or(is_ref) || !is_fragment(fragment) {
        return Ok(None);
    }
    let url = Url {
        scheme: "flake".to_owned(),
        authority: None,
        path: name.split('/').map(str::to_owned).collect(),
        query: std::collections::BTreeMap::new(),
        fragment: String::new(),
    };
    let (reference, _) = FlakeRef::from_url(url, is_flake)?;
    Ok(Some((reference, percent_decode(fragment)?)))
}

fn parse_url(text: &str, options: &ParseOptions) -> Result<(FlakeRef, String), RefError> {
    let mut url = Url::parse_lenient(text)?;
    if let Some(base) = &options.base_dir
        && matches!(url.scheme.as_str(), "path" | "git+file")
    {
        let path = url.file_path()?;
        if !path.starts_with('/') {
            url.path = path_segments(&to_text(&clean(&base.join(path)))?);
        }
    }
    FlakeRef::from_url(url, options.is_flake)
}

fn parse_path(text: &str, options: &ParseOptions) -> Result<(FlakeRef, String), RefError> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = decode_query(query)?;
    let fragment = percent_decode(fragment)?;
    let mut url = Url {
        scheme: "path".to_owned(),
        authority: None,
        path: Vec::new(),
        query,
        fragment,
    };
    let Some(base) = &options.base_dir else {
        if !options.preserve_relative_paths && !path.starts_with('/') {
            return Err(RefError::NotAbsolute(text.into()));
        }
        url.authority = path.starts_with('/').then(Authority::default);
        url.path = path_segments(path);
        return FlakeRef::from_url(url, options.is_flake);
    };
    let joined = base.join(path);
    let mut path = joined.canonicalize().unwrap_or_else(|_| clean(&joined));
    if options.is_flake {
        path = find_flake(path, options.allow_missing)?;
        if let Some((root, subdir)) = find_repository(&path) {
            "git+file".clone_into(&mut url.scheme);
            url.authority = Some(Authority::default());
            url.path = path_segments(&to_text(root)?);
            if !subdir.as_os_str().is_empty()
                && url
                    .query
                    .insert("dir".to_owned(), to_text(subdir)?)
                    .is_some()
            {
                return Err(RefError::InconsistentDir(text.into()));
            }
            if root.join(".git/shallow").exists() {
                url.query.insert("shallow".to_owned(), "1".to_owned());
            }
            return FlakeRef::from_url(url, options.is_flake);
        }
    }
    url.authority = Some(Authority::default());
    url.path = path_segments(&to_text(&path)?);
    FlakeRef::from_url(url, options.is_flake)
}

/// The folder of flake.nix: `path` or the nearest one above it within the repository.
fn find_flake(mut path: PathBuf, allow_missing: bool) -> Result<PathBuf, RefError> {
    let status = path.symlink_metadata().map_err(|error| RefError::Status {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    if !status.is_dir() {
        if path.file_name().is_some_and(|name| name == "flake.nix")
            && let Some(parent) = path.parent()
        {
            tracing::warn!(
                "Path '{}' should point at the directory containing the 'flake.nix' file, not the file itself. Pretending that you meant '{}'",
                path.display(),
                parent.display()
            );
            path = parent.to_path_buf();
        } else {
            return Err(RefError::NotADirectory(path));
        }
    }
    if allow_missing || path.join("flake.nix").exists() {
        return Ok(path);
    }
    for folder in path.ancestors().filter(|folder| folder.parent().is_some()) {
        if folder.join("flake.nix").exists() {
            return Ok(folder.to_owned());
        }
        if folder.join(".git").exists() {
            return Err(RefError::NotPartOfFlake(folder.to_owned()));
        }
    }
    Err(RefError::NoFlakeFound)
}

/// The repository that `path` is in, and where in it.
fn find_repository(path: &Path) -> Option<(&Path, &Path)> {
    path.ancestors()
        .filter(|folder| folder.parent().is_some())
        .find(|folder| folder.join(".git").exists())
        .map(|root| (root, path.strip_prefix(root).unwrap_or(Path::new(""))))
}

fn to_text(path: &Path) -> Result<String, RefError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| RefError::NotAbsolute(path.display().to_string().into()))
}

/// Resolves `.` and `..` without a look at the disk.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
