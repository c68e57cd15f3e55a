//! Pure and restricted evaluation: a view of the world that leaves out what is not allowed.

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    EntryKind, EvalIo, FetchAttribute, FetchAttributes, FetchInput, FetchRequest, Fetched,
    FileType, ParsedFlakeRef, StoreObject, WantedOutput,
};
use crate::path::{join, parent};

/// Which evaluation a [`RestrictedIo`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// Nothing that can differ from one run to the next (`--pure-eval`).
    Pure,
    /// No files but those of the look-up path, no URLs but those that are listed (`--restrict-eval`).
    Restricted,
    /// No URLs but those that are listed; files are not this view's concern (`--allow-uri`).
    Urls,
}

/// A world of which an evaluation sees only allowed paths, and those that it or its fetches put into the store; no
/// environment, and in restricted evaluation only allowed URLs.
#[derive(Debug)]
pub struct RestrictedIo<I> {
    inner: I,
    restriction: Restriction,
    /// Paths with everything below them, in the order of [`key`].
    allowed: Mutex<BTreeSet<Vec<u8>>>,
    allowed_urls: Vec<String>,
}

/// Sorts what lies below a path right behind it.
fn key(path: &[u8]) -> Vec<u8> {
    if path == b"/" {
        return Vec::new();
    }
    let order = |&byte: &u8| if byte == b'/' { 0 } else { byte };
    path.iter().map(order).collect()
}

impl<I: EvalIo> RestrictedIo<I> {
    /// A view of `inner` in which nothing is allowed yet.
    pub fn new(inner: I, restriction: Restriction) -> Self {
        Self {
            inner,
            restriction,
            allowed: Mutex::default(),
            allowed_urls: Vec::new(),
        }
    }

    /// Allows a path and all that lies below it.
    pub fn allow(&self, path: &[u8]) {
        self.allowed().insert(key(path));
    }

    /// Allows a URL and all that lies below it, or a whole scheme (`https:`), to restricted evaluation.
    pub fn allow_url(&mut self, prefix: &str) {
        self.allowed_urls.push(prefix.to_owned());
    }

    /// Allows store paths that were built, and all that they refer to.
    fn allow_closures(&self, paths: Vec<String>) {
        let mut seen = BTreeSet::new();
        let mut pending = paths;
        while let Some(path) = pending.pop() {
            if seen.contains(&path) {
                continue;
            }
            self.allow(path.as_bytes());
            let references = self.inner.references(path.as_bytes());
            pending.extend(references.unwrap_or_default());
            seen.insert(path);
        }
    }

    fn allowed(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path or one above it is allowed, or one below it, to which it leads.
    fn is_allowed(&self, path: &[u8]) -> bool {
        let (allowed, wanted) = (self.allowed(), key(path));
        let next = allowed
            .range::<[u8], _>((Bound::Included(&wanted[..]), Bound::Unbounded))
            .next();
        let leads_on = next.is_some_and(|next| {
            let rest = next.strip_prefix(&wanted[..]);
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == 0)
        });
        let mut above = path;
        while !leads_on && above != b"/" {
            above = parent(above);
            if allowed.contains(&key(above)) {
                return true;
            }
        }
        leads_on
    }

    fn check(&self, path: &[u8]) -> io::Result<()> {
        if self.restriction == Restriction::Urls || self.is_allowed(path) {
            return Ok(());
        }
        let path = self.inner.shown_path(path);
        let why = match self.restriction {
            Restriction::Pure => "in pure evaluation mode (use '--impure' to override)",
            Restriction::Restricted | Restriction::Urls => "in restricted mode",
        };
        Err(forbidden(format!(
            "access to absolute path '{path}' is forbidden {why}"
        )))
    }

    fn check_url(&self, url: &str) -> io::Result<()> {
        if self.restriction == Restriction::Pure || self.is_allowed_url(url) {
            return Ok(());
        }
        if self.restriction == Restriction::Urls {
            return Err(forbidden(format!(
                "access to URI '{url}' is forbidden: it begins with none of those allowed with --allow-uri"
            )));
        }
        let path = url.strip_prefix("file://").unwrap_or(url);
        if path.starts_with('/') {
            return self.check(path.as_bytes());
        }
        Err(forbidden(format!(
            "access to URI '{url}' is forbidden in restricted mode"
        )))
    }

    fn is_allowed_url(&self, url: &str) -> bool {
        self.allowed_urls.iter().any(|prefix| {
            let Some(rest) = url.strip_prefix(prefix.as_str()) else {
                return false;
            };
            let whole_part = prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/');
            whole_part || is_scheme(prefix)
        })
    }

    fn check_request(&self, request: &FetchRequest) -> io::Result<()> {
        match request {
            FetchRequest::Url { url, .. }
            | FetchRequest::Tree {
                input: FetchInput::Reference(url),
                ..
            } => self.check_url(url),
            FetchRequest::Tree {
                input: FetchInput::Attributes(attributes),
                ..
            } if self.restriction != Restriction::Pure => {
                let url = self.inner.flake_ref_to_string(attributes);
                match (url, attributes.get("url")) {
                    (Ok(url), _) => self.check_url(&url),
                    (Err(_), Some(FetchAttribute::String(url))) => self.check_url(url),
                    (Err(error), _) => Err(error),
                }
            }
            FetchRequest::Tree { .. } => Ok(()),
        }
    }
}

fn forbidden(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// `https:` and the like.
fn is_scheme(prefix: &str) -> bool {
    let Some(name) = prefix.strip_suffix(':') else {
        return false;
    };
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(inner)
}

impl<I: EvalIo> EvalIo for RestrictedIo<I> {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.check(path)?;
        self.inner.read_file(path)
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        self.check(path)?;
        self.inner.file_type(path)
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        self.check(path)?;
        let mut entries = self.inner.read_dir(path)?;
        if self.restriction == Restriction::Urls {
            return Ok(entries);
        }
        entries.retain(|(name, _)| self.is_allowed(&join(path, name)));
        Ok(entries)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.check(path)?;
        self.inner.read_link(path)
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        match self.restriction {
            Restriction::Urls => self.inner.env_var(name),
            Restriction::Pure | Restriction::Restricted => None,
        }
    }

    fn current_time(&self) -> i64 {
        self.inner.current_time()
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        self.inner.add_to_store(path, object)?;
        self.allow(path.as_bytes());
        Ok(())
    }

    fn store_path_exists(&self, path: &str) -> bool {
        self.inner.store_path_exists(path)
    }

    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        let built = self.inner.build(wanted)?;
        self.allow_closures(built.clone().unwrap_or_default());
        Ok(built)
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        self.inner.references(path)
    }

    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched> {
        self.check_request(request)?;
        let fetched = self.inner.fetch(request)?;
        self.allow(fetched.store_path.as_bytes());
        Ok(fetched)
    }

    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef> {
        self.inner.parse_flake_ref(reference)
    }

    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String> {
        self.inner.flake_ref_to_string(attributes)
    }

    fn shown_path(&self, path: &[u8]) -> String {
        self.inner.shown_path(path)
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        self.inner.why_missing(path)
    }

    fn message(&self, text: &str) {
        self.inner.message(text);
    }

    fn observed(&self, path: &[u8]) {
        self.inner.observed(path);
    }

    fn is_observed(&self) -> bool {
        self.inner.is_observed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::LocalIo;

    #[test]
    fn what_leads_to_an_allowed_path_and_what_lies_below_it_is_allowed() {
        let io = RestrictedIo::new(LocalIo::default(), Restriction::Pure);
        for path in ["/a-b", "/a/c/d", "/store/x"] {
            io.allow(path.as_bytes());
        }
        let seen = [
            "/",
            "/a",
            "/a/c",
            "/a/c/d",
            "/a/c/d/e",
            "/store/x/y",
            "/a-b",
        ];
        assert!(seen.iter().all(|path| io.is_allowed(path.as_bytes())));
        let unseen = ["/a/b", "/a/c/d2", "/store/xy", "/b"];
        let unseen = unseen.map(|path| io.is_allowed(path.as_bytes()));
        assert_eq!(unseen, [false; 4]);
        let error = io.read_file(b"/b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "access to absolute path '/b' is forbidden in pure evaluation mode (use '--impure' to override)"
        );
    }

    #[test]
    fn an_allowed_root_allows_everything() {
        let io = RestrictedIo::new(LocalIo::default(), Restriction::Restricted);
        io.allow(b"/");
        assert!(io.is_allowed(b"/any/path"));
    }

    #[test]
    fn a_url_is_allowed_by_itself_by_a_folder_above_it_or_by_its_scheme() {
        let mut io = RestrictedIo::new(LocalIo::default(), Restriction::Restricted);
        for prefix in ["https://a.example/x", "http:", "ssh://b.example/"] {
            io.allow_url(prefix);
        }
        let allowed = [
            "https://a.example/x",
            "https://a.example/x/y",
            "http://anything",
            "ssh://b.example/z",
        ];
        assert!(allowed.iter().all(|url| io.check_url(url).is_ok()));
        let error = io.check_url("https://a.example/xy").unwrap_err();
        assert_eq!(
            error.to_string(),
            "access to URI 'https://a.example/xy' is forbidden in restricted mode"
        );
    }
}
