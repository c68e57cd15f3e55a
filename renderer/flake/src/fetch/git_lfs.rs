//! Git LFS: files whose contents are not in Git. A pointer stands there, with their size and SHA-256, and the server of the
//! repository says where they are.
//!
//! Pointers are those of <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>, the server is asked as in `docs/api/batch.md`
//! there. What is a pointer, and what stays as it is, is as in Nix.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use git2::Repository;
use niphas_http::{Secret, is_same_origin};
use nix_formats::hash::{Hash, HashAlgorithm, HashFormat, Hasher};
use nix_formats::printable;
use serde::Deserialize;

use super::git::Place;
use super::git_size::{Part, TreeSize};
use super::git_tree::{CommitTree, show};
use super::http::{Post, Request};
use super::{Fetcher, MAX_ANSWER};
use crate::error::FlakeError;
use crate::url::Url;

/// What a pointer has fewer bytes than.
pub(super) const MAX_POINTER: u64 = 1024;

/// How many files the server is asked for at a time. GitHub takes no more than 100.
const AT_A_TIME: usize = 100;

/// How many headers the server may want with the request for a file.
const MAX_HEADERS: usize = 16;

const VERSION: &str = "version https://git-lfs.github.com/spec/v1";
const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// What stands in Git for a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    /// The SHA-256 of the contents, in 64 lower-case digits.
    oid: String,
    size: u64,
}

impl Pointer {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if !text.starts_with(VERSION) {
            return None;
        }
        let (mut oid, mut size) = ("", "");
        for line in text.split('\n') {
            if let Some(digest) = line.strip_prefix("oid sha256:") {
                oid = digest;
            } else if let Some(bytes) = line.strip_prefix("size ") {
                size = bytes;
            }
        }
        let is_digest =
            oid.len() == 64 && oid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_size = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
        if !is_digest || !is_size {
            return None;
        }
        let size = size.parse().ok()?;
        let oid = oid.to_owned();
        Some(Self { oid, size })
    }
}

/// A file that Git LFS has.
pub(super) struct LargeFile {
    pub(super) size: u64,
    /// Where its contents are on this machine.
    pub(super) place: PathBuf,
}

impl Fetcher {
    /// The files of `commit` that Git LFS has, by their paths, each checked. The repository comes from `place`. They are counted
    /// as a part of the whole before anything is fetched. `scratch` is a folder to work in.
    pub(super) fn large_files(
        &self,
        (repository, place): (&Repository, &Place),
        commit: &CommitTree<'_>,
        scratch: &Path,
        part: Part<'_>,
    ) -> Result<BTreeMap<Vec<u8>, LargeFile>, FlakeError> {
        let mut pointers = BTreeMap::new();
        let mut bytes: u64 = 0;
        commit.files_of_lfs(scratch, &mut |path, text| {
            let Some(pointer) = text.and_then(Pointer::parse) else {
                let problem = if text.is_some() { "invalid" } else { "too large" };
                tracing::warn!(
                    "encountered file '{}' that should have been a git-lfs pointer, but is {problem}",
                    show(path)
                );
                return;
            };
            bytes = bytes.saturating_add(pointer.size);
            pointers.insert(path.to_owned(), pointer);
        })?;
        let max_bytes = self.settings.max_unpacked;
        part.add(TreeSize::of_bytes(bytes), max_bytes, &place.to_string())?;
        let missing: BTreeSet<&Pointer> = pointers
            .values()
            .filter(|pointer| !self.has_large_file(pointer))
            .collect();
        if !missing.is_empty() {
            let missing: Vec<&Pointer> = missing.into_iter().collect();
            let server = self.lfs_server(repository, place)?;
            self.fetch_large_files(&server, &missing, scratch)?;
        }
        Ok(pointers
            .into_iter()
            .map(|(path, pointer)| {
                let file = LargeFile {
                    size: pointer.size,
                    place: self.cache.large_file(&pointer.oid),
                };
                (path, file)
            })
            .collect())
    }

    /// Whether the cache has the contents. They are read: what was changed does not count.
    fn has_large_file(&self, pointer: &Pointer) -> bool {
        let place = self.cache.large_file(&pointer.oid);
        digest_of(&place).is_ok_and(|found| found == *pointer)
    }

    fn fetch_large_files(
        &self,
        server: &Server,
        missing: &[&Pointer],
        scratch: &Path,
    ) -> Result<(), FlakeError> {
        let bytes = missing
            .iter()
            .fold(0_u64, |sum, pointer| sum.saturating_add(pointer.size));
        let limit = self.settings.max_download;
        if bytes > limit {
            let url = server.batch.as_str().into();
            return Err(FlakeError::TooLarge { url, limit });
        }
        for asked in missing.chunks(AT_A_TIME) {
            let mut found = self.ask_for(server, asked, scratch)?;
            for pointer in asked {
                let object = found.remove(&pointer.oid);
                let object =
                    object.ok_or_else(|| failed(pointer, "the server does not name it"))?;
                self.fetch_large_file(server, pointer, object, scratch)?;
            }
        }
        Ok(())
    }

    /// What the server says of these files, by their digests.
    fn ask_for(
        &self,
        server: &Server,
        asked: &[&Pointer],
        scratch: &Path,
    ) -> Result<BTreeMap<String, Object>, FlakeError> {
        let objects: Vec<_> = asked
            .iter()
            .map(|pointer| serde_json::json!({ "oid": pointer.oid, "size": pointer.size }))
            .collect();
        let body = serde_json::json!({
            "operation": "download",
            "transfers": ["basic"],
            "hash_algo": "sha256",
            "objects": objects,
        });
        let request = Request {
            url: &server.batch,
            credentials: &server.login,
            etag: None,
            post: Some(Post {
                media_type: MEDIA_TYPE,
                body: body.to_string(),
            }),
            limit: MAX_ANSWER,
        };
        let answer = scratch.join("lfs-answer");
        self.settings.may_ask(&server.batch)?;
        self.http().download(&request, &answer)?;
        let text = regular_file::read(&answer).map_err(FlakeError::io("reading file", &answer))?;
        let answer: Answer =
            serde_json::from_slice(&text).map_err(|error| FlakeError::Download {
                url: server.batch.as_str().into(),
                reason: format!("the answer is none of a Git LFS server: {error}"),
            })?;
        let objects = answer.objects.into_iter();
        Ok(objects.map(|object| (object.oid.clone(), object)).collect())
    }

    fn fetch_large_file(
        &self,
        server: &Server,
        pointer: &Pointer,
        object: Object,
        scratch: &Path,
    ) -> Result<(), FlakeError> {
        if let Some(error) = object.error {
            let message = printable(error.message.as_bytes(), false).into_owned();
            let message = String::from_utf8_lossy(&message).into_owned();
            return Err(failed(pointer, &format!("the server says: {message}")));
        }
        let Some(action) = object.actions.and_then(|actions| actions.download) else {
            return Err(failed(pointer, "the server does not say where it is"));
        };
        if action.header.len() > MAX_HEADERS {
            let problem =
                format!("the server wants more than {MAX_HEADERS} headers with the request");
            return Err(failed(pointer, &problem));
        }
        let mut credentials: Vec<(String, Secret)> = action
            .header
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let says_who_asks = credentials
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if !says_who_asks && server.is_at(&action.href) {
            credentials.extend(server.login.iter().cloned());
        }
        let request = Request {
            url: &action.href,
            credentials: &credentials,
            etag: None,
            post: None,
            limit: pointer.size,
        };
        let file = scratch.join("lfs-file");
        self.http().download(&request, &file)?;
        let found = digest_of(&file).map_err(FlakeError::io("reading file", &file))?;
        if found != *pointer {
            let (expected, got) = (described(pointer), described(&found));
            return Err(failed(pointer, &format!("expected {expected}, got {got}")));
        }
        self.cache.adopt_large_file(&file, &pointer.oid)
    }

    /// The server that has the large files of a repository.
    fn lfs_server(&self, repository: &Repository, place: &Place) -> Result<Server, FlakeError> {
        let none = || FlakeError::LfsServer(place.to_string());
        let url = match place {
            Place::Remote(url) => url.expose(),
            Place::Local(_) => {
                let config = repository.config().and_then(|mut config| config.snapshot());
                if let Ok(config) = &config
                    && let Ok(url) = config.get_str("lfs.url")
                {
                    return self.server_at(url.trim_end_matches('/')).ok_or_else(none);
                }
                let origin = repository.find_remote("origin").map_err(|_| none())?;
                origin.url().map_err(|_| none())?.to_owned()
            }
        };
        let endpoint = Url::parse(&url).ok().map(|url| endpoint(&url));
        endpoint
            .and_then(|url| self.server_at(&url))
            .ok_or_else(none)
    }

    /// The server whose address is `endpoint`. None if it is none of HTTP.
    fn server_at(&self, endpoint: &str) -> Option<Server> {
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return None;
        }
        let batch = format!("{endpoint}/objects/batch");
        let login = self.settings.git_login.as_ref();
        let login = login.and_then(|login| login.authorization(&batch));
        let login = login.map(|value| ("Authorization".to_owned(), value));
        Some(Server {
            batch,
            login: login.into_iter().collect(),
        })
    }
}

struct Server {
    /// The URL that is asked where files are. It may hold a password.
    batch: String,
    login: Vec<(String, Secret)>,
}

impl Server {
    /// Whether `url` is one of this server.
    fn is_at(&self, url: &str) -> bool {
        match (reqwest::Url::parse(&self.batch), reqwest::Url::parse(url)) {
            (Ok(ours), Ok(other)) => is_same_origin(&ours, &other),
            _ => false,
        }
    }
}

/// Where the server of the repository at `url` is asked for large files.
fn endpoint(url: &Url) -> String {
    let mut url = url.clone();
    url.query.clear();
    url.fragment.clear();
    let text = url.expose();
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix(".git").unwrap_or(text);
    format!("{text}.git/info/lfs")
}

/// The answer to a question for files.
#[derive(Deserialize)]
struct Answer {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    actions: Option<Actions>,
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
struct Actions {
    download: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ObjectError {
    #[serde(default)]
    message: String,
}

/// What a pointer to this file would say.
fn digest_of(path: &Path) -> io::Result<Pointer> {
    let mut file = regular_file::open_no_follow(path)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    io::copy(&mut file, &mut hasher)?;
    let size = hasher.written();
    let hash: Hash = hasher.finish();
    Ok(Pointer {
        oid: hash.to_string(HashFormat::Base16, false),
        size,
    })
}

fn described(pointer: &Pointer) -> String {
    format!("{} bytes with the SHA-256 {}", pointer.size, pointer.oid)
}

fn failed(pointer: &Pointer, reason: &str) -> FlakeError {
    FlakeError::LfsFile {
        oid: pointer.oid.clone(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "f5e02aa71e67f41d79023a128ca35bad86cf7b6656967bfe0884b3a3c4325eaf";

    #[test]
    fn pointers_are_what_nix_takes_for_one() {
        let pointer = Some(Pointer {
            oid: OID.to_owned(),
            size: 12,
        });
        let usual = format!("{VERSION}\noid sha256:{OID}\nsize 12\n");
        let extended = format!("{VERSION}\next-0-foo sha256:{OID}\nsize 12\noid sha256:{OID}");
        for text in [&usual, &extended] {
            assert_eq!(Pointer::parse(text.as_bytes()), pointer, "{text}");
        }
        for text in [
            String::new(),
            format!("oid sha256:{OID}\nsize 12\n"),
            format!("version https://hawser.github.com/spec/v1\noid sha256:{OID}\nsize 12\n"),
            format!("{VERSION}\noid sha1:{OID}\nsize 12\n"),
            format!("{VERSION}\noid sha256:{}\nsize 12\n", &OID[1..]),
            format!("{VERSION}\noid sha256:{}/\nsize 12\n", &OID[1..]),
            format!("{VERSION}\noid sha256:{OID}\nsize -1\n"),
            format!("{VERSION}\noid sha256:{OID}\nsize \n"),
            format!("{VERSION}\noid sha256:{OID}\nsize 99999999999999999999\n"),
            format!("{VERSION}\r\noid sha256:{OID}\r\nsize 12\r\n"),
        ] {
            assert_eq!(Pointer::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_server_is_asked_below_the_repository() {
        for (repository, expected) in [
            ("https://h/o/r", "https://h/o/r.git/info/lfs"),
            ("https://h/o/r.git/", "https://h/o/r.git/info/lfs"),
            ("http://h:3000/r?lfs=1#x", "http://h:3000/r.git/info/lfs"),
        ] {
            let url = Url::parse(repository).unwrap();
            assert_eq!(endpoint(&url), expected);
        }
    }
}
