//! Archives and files at plain URLs.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use niphas_archive::{ArchiveError, Top, is_zip, unpack};
use niphas_http::{Secret, redacted};
use nix_formats::content_address::ContentAddressMethod;
use nix_formats::hash::{Hash, HashAlgorithm, HashFormat, Hasher};

use super::cache::Key;
use super::forge::asked_as;
use super::http::Request;
use super::{FetchedFile, Fetcher, Found, cached_number};
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::input::{Input, Scheme};
use crate::tree::SourceTree;
use crate::url::Url;

/// An unpacked archive or a downloaded file.
pub(super) struct Content {
    pub(super) nar_hash: Hash,
    pub(super) tree: SourceTree,
    /// 0 for files.
    pub(super) last_modified: u64,
    immutable_url: Option<String>,
}

impl Content {
    /// What the index holds about it.
    pub(super) fn attrs(&self) -> Attrs {
        let mut attrs = Attrs::new();
        let hash = self.nar_hash.to_string(HashFormat::Sri, true);
        attrs.set("narHash", hash);
        attrs.set("lastModified", self.last_modified);
        if let Some(url) = &self.immutable_url {
            attrs.set("immutableUrl", url.as_str());
        }
        attrs
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Archive,
    File,
}

impl Shape {
    fn index(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::File => "file",
        }
    }
}

impl Fetcher {
    pub(super) fn find_tarball(&self, input: &Input) -> Result<Found, FlakeError> {
        let url = input.attrs().required_string("url")?;
        let content = self.download(url, &[], Shape::Archive, self.settings.max_download)?;
        let mut input = match &content.immutable_url {
            None => input.clone(),
            Some(url) => {
                let immutable =
                    Input::from_url(&Url::parse(url).map_err(crate::RefError::from)?, true)?;
                if immutable.scheme() != Some(Scheme::Tarball) {
                    return Err(FlakeError::ImmutableLink);
                }
                immutable
            }
        };
        if content.last_modified > 0 {
            input
                .attrs_mut()
                .set_if_absent("lastModified", content.last_modified);
        }
        input.set_nar_hash(&content.nar_hash);
        Ok(Found {
            input,
            tree: content.tree,
            nar_hash: Some(content.nar_hash),
        })
    }

    pub(super) fn find_file(&self, input: &Input) -> Result<Found, FlakeError> {
        let url = input.attrs().required_string("url")?;
        let content = self.download(url, &[], Shape::File, self.settings.max_download)?;
        let mut input = input.clone();
        input.set_nar_hash(&content.nar_hash);
        Ok(Found {
            input,
            tree: content.tree,
            nar_hash: Some(content.nar_hash),
        })
    }

    /// Downloads what is at `url`, at most `limit` bytes, or takes it from the cache while that is fresh or the server
    /// says that it is current.
    pub(super) fn download(
        &self,
        url: &str,
        headers: &[(String, Secret)],
        shape: Shape,
        limit: u64,
    ) -> Result<Content, FlakeError> {
        let parsed = Url::parse(url).map_err(crate::RefError::from)?;
        if parsed.scheme == "file" {
            let file = local_file(&parsed, shape)?;
            return self.take_in(&file, url, None, shape, None);
        }
        let key = Key::new(shape.index(), &[url, asked_as(headers)]);
        let cached = self.cache.look_up(&key);
        let known = match &cached {
            Some(entry) => self.content_of(&entry.attrs)?,
            None => None,
        };
        if let (Some(entry), Some(_)) = (&cached, &known)
            && entry.is_fresh(self.settings.ttl())
        {
            return known.ok_or_else(|| unreachable_content(url));
        }
        let etag = match (&cached, &known) {
            (Some(entry), Some(_)) => entry.attrs.string("etag")?,
            _ => None,
        };
        let scratch = self.cache.scratch()?;
        let file = scratch.path().join("download");
        let request = Request {
            url,
            credentials: headers,
            etag,
            post: None,
            limit,
        };
        self.settings.may_ask(url)?;
        let download = match self.http().download(&request, &file) {
            Ok(download) => download,
            Err(error) => {
                let Some(known) = known else {
                    return Err(error);
                };
                tracing::warn!("{error}; using cached version");
                return Ok(known);
            }
        };
        match (download.received, known) {
            (false, Some(known)) => {
                if let Some(entry) = cached {
                    self.cache.remember(&key, &entry.attrs)?;
                }
                Ok(known)
            }
            (false, None) => Err(unreachable_content(url)),
            (true, _) => {
                let immutable = download.immutable_url;
                self.take_in(&file, url, Some((&key, download.etag)), shape, immutable)
            }
        }
    }

    /// Unpacks or copies a file into the cache, and remembers it under the key, with its `ETag`.
    fn take_in(
        &self,
        file: &Path,
        url: &str,
        key: Option<(&Key, Option<String>)>,
        shape: Shape,
        immutable_url: Option<String>,
    ) -> Result<Content, FlakeError> {
        let scratch = self.cache.scratch()?;
        let (root, last_modified) = match shape {
            Shape::Archive => {
                let limit = self.settings.max_unpacked;
                check_zip(file, url)?;
                let unpacked = unpack(file, scratch.path(), limit, Top::LeftOut);
                let unpacked = unpacked.map_err(|error| not_unpacked(file, url, error))?;
                (unpacked.root, unpacked.last_modified)
            }
            Shape::File => {
                let copy = scratch.path().join("file");
                let mut contents: Box<dyn Read> = if is_device(file) {
                    Box::new(std::io::empty())
                } else {
                    let opened = regular_file::open(file);
                    Box::new(opened.map_err(FlakeError::io("opening file", file))?)
                };
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a name of our own in a scratch folder"
                )]
                let mut out = File::create_new(&copy).map_err(FlakeError::io("creating", &copy))?;
                std::io::copy(&mut contents, &mut out)
                    .map_err(FlakeError::io("writing file", &copy))?;
                (copy, 0)
            }
        };
        let (nar_hash, tree) = self.cache.adopt(&root)?;
        let content = Content {
            nar_hash,
            tree,
            last_modified,
            immutable_url,
        };
        if let Some((key, etag)) = key {
            let mut attrs = content.attrs();
            if let Some(etag) = etag {
                attrs.set("etag", etag);
            }
            self.cache.remember(key, &attrs)?;
        }
        Ok(content)
    }

    /// What the index knows under `key`, if it is still in the cache.
    pub(super) fn known_content(&self, key: &Key) -> Result<Option<Content>, FlakeError> {
        match self.cache.look_up(key) {
            Some(entry) => self.content_of(&entry.attrs),
            None => Ok(None),
        }
    }

    /// What an entry of the index speaks of, if it is still in the cache.
    pub(super) fn content_of(&self, attrs: &Attrs) -> Result<Option<Content>, FlakeError> {
        let hash = attrs
            .string("narHash")?
            .and_then(|text| Hash::parse_sri(text).ok());
        let Some(nar_hash) = hash else {
            return Ok(None);
        };
        let Some(tree) = self.cache.tree(&nar_hash)? else {
            return Ok(None);
        };
        Ok(Some(Content {
            nar_hash,
            tree,
            last_modified: cached_number(attrs, "lastModified").unwrap_or(0),
            immutable_url: attrs.string("immutableUrl")?.map(str::to_owned),
        }))
    }

    /// `builtins.fetchTarball`: an unpacked archive as the store path `name`. With `expected`,
    /// its NAR hash, it is taken from the cache if it is there.
    pub fn fetch_tarball(
        &self,
        url: &str,
        name: &str,
        expected: Option<&Hash>,
    ) -> Result<FetchedFile, FlakeError> {
        let cached = match expected {
            Some(hash) if hash.algorithm() == HashAlgorithm::Sha256 => self.cache.tree(hash)?,
            _ => None,
        };
        let (hash, tree) = if let (Some(tree), Some(hash)) = (cached, expected) {
            (*hash, tree)
        } else {
            let content = self.download(url, &[], Shape::Archive, self.settings.max_download)?;
            (content.nar_hash, content.tree)
        };
        check_hash(url, expected, &hash)?;
        let store_path = self.recursive_path(&hash, name)?;
        let tree = self.mount(&store_path, tree.fetched_from(redacted(url)));
        Ok(FetchedFile { store_path, tree })
    }

    /// `builtins.fetchurl`: a file as the store path `name`. With `expected`, the hash of its
    /// contents, it is taken from the cache if it is there.
    pub fn fetch_url(
        &self,
        url: &str,
        name: &str,
        expected: Option<&Hash>,
    ) -> Result<FetchedFile, FlakeError> {
        let cached = match expected {
            Some(hash) => self.known_content(&flat_key(hash))?,
            None => None,
        };
        let content = match cached {
            Some(content) => content,
            None => self.download(url, &[], Shape::File, self.settings.max_download)?,
        };
        let hash = hash_file(content.tree.root())?;
        check_hash(url, expected, &hash)?;
        let nar_hash = content.nar_hash.to_string(HashFormat::Sri, true);
        self.cache
            .remember(&flat_key(&hash), &Attrs::from_iter([("narHash", nar_hash)]))?;
        let store_path = self.fixed_path(ContentAddressMethod::Flat, &hash, name)?;
        let tree = content.tree.fetched_from(redacted(url));
        let tree = self.mount(&store_path, tree);
        Ok(FetchedFile { store_path, tree })
    }
}

/// A file by the hash of its contents, which [`Fetcher::fetch_url`] compares in any case.
fn flat_key(hash: &Hash) -> Key {
    Key::new("flat", &[&hash.to_string(HashFormat::Sri, true)])
}

fn unreachable_content(url: &str) -> FlakeError {
    FlakeError::Download {
        url: url.into(),
        reason: "the server says that nothing has changed, but nothing was asked".to_owned(),
    }
}

fn check_hash(url: &str, expected: Option<&Hash>, got: &Hash) -> Result<(), FlakeError> {
    match expected {
        Some(expected) if expected != got => Err(FlakeError::HashMismatch {
            url: url.into(),
            expected: expected.to_string(HashFormat::Nix32, true),
            got: got.to_string(HashFormat::Nix32, true),
        }),
        _ => Ok(()),
    }
}

fn hash_file(path: &Path) -> Result<Hash, FlakeError> {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut file = regular_file::open(path).map_err(FlakeError::io("opening file", path))?;
    std::io::copy(&mut file, &mut hasher).map_err(FlakeError::io("reading file", path))?;
    Ok(hasher.finish())
}

/// Whether a path is of a device such as `/dev/null`, which is taken for an empty file.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

/// The file that a `file` URL names, with Nix's hints for the usual mistakes.
fn local_file(url: &Url, shape: Shape) -> Result<PathBuf, FlakeError> {
    let path = url.file_path().map_err(crate::RefError::from)?;
    if !path.starts_with('/') {
        return Err(FlakeError::LocalTarball {
            tarball: format!("'{url}'"),
            problem: "must use an absolute path. The 'file' scheme does not support relative paths.",
        });
    }
    let problem = |problem| {
        Err(FlakeError::LocalTarball {
            tarball: format!("{path:?}"),
            problem,
        })
    };
    let Ok(metadata) = fs::metadata(&path) else {
        return problem("does not exist.");
    };
    if metadata.is_dir() {
        if shape == Shape::Archive && Path::new(&path).join(".git").exists() {
            return problem(
                "is a git repository, not a tarball. Please use `git+file` as the scheme.",
            );
        }
        return problem("is a directory, not a file.");
    }
    if !is_device(Path::new(&path)) {
        regular_file::check(&metadata).map_err(FlakeError::io("opening file", &path))?;
    }
    Ok(PathBuf::from(path))
}

/// Where its URL does not say that an archive is a zip archive, Nix reads it as a stream, and without the modes and links that stand
/// at its end: such a tree is not made here.
fn check_zip(file: &Path, url: &str) -> Result<(), FlakeError> {
    let path = Url::parse(url).map_err(crate::RefError::from)?.path;
    let name = path.last().map(String::as_str).unwrap_or_default();
    let is_said = name.to_ascii_lowercase().ends_with(".zip");
    if is_said || !is_zip(file).map_err(|error| not_unpacked(file, url, error))? {
        return Ok(());
    }
    let reason = "it is a zip archive, and its URL does not end in '.zip'".to_owned();
    Err(FlakeError::Archive {
        archive: redacted(url),
        reason,
    })
}

/// What is wrong with an archive, which is named by its URL without secrets.
fn not_unpacked(file: &Path, url: &str, error: ArchiveError) -> FlakeError {
    match error {
        ArchiveError::Open(error) => FlakeError::io("opening file", file)(error),
        ArchiveError::Tree(error) => error.into(),
        ArchiveError::NoArchive(reason) | ArchiveError::Refused(reason) => FlakeError::Archive {
            archive: redacted(url),
            reason,
        },
    }
}
