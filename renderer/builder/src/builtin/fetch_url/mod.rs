//! `builtin:fetchurl`: one file from a URL, or the tree of a NAR.

mod refused;
mod settings;
mod transfer;
mod tree;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use liblzma::stream::{CONCATENATED, Stream};
use nix_formats::Compression;

pub use settings::FetchSettings;

use super::Builtin;
use super::failure::{Failure, shown_path};
use refused::Refused;
use transfer::Transfer;

/// What is unpacked lies here in the build folder before it is.
const ARCHIVE: &str = ".fetched";

pub(super) fn run(builtin: &Builtin) -> Result<(), Failure> {
    let Some(out) = builtin.outputs.get("out").map(Path::new) else {
        return Err(Failure::error(
            "'builtin:fetchurl' requires an 'out' output",
        ));
    };
    if !builtin.may_fetch {
        return Err(Failure::error(
            "'builtin:fetchurl' must be a fixed-output or impure derivation",
        ));
    }
    let url = builtin
        .attributes
        .get(&b"url"[..])
        .ok_or_else(|| Failure::exception("map::at"))?;
    let url = String::from_utf8_lossy(url);
    let is_set = |name: &str| {
        builtin
            .attributes
            .get(name.as_bytes())
            .is_some_and(|value| value == b"1")
    };
    let place = Place {
        out,
        unpack: is_set("unpack"),
        executable: is_set("executable"),
        is_xz: url.ends_with(".xz"),
    };
    let transfer = Transfer::new(&builtin.fetch)?;
    if let Some(name) = &builtin.mirrored {
        for mirror in &builtin.fetch.hashed_mirrors {
            let slash = if mirror.ends_with('/') { "" } else { "/" };
            // A mirror that does not have it, or not whole, is passed by without a word.
            if place
                .fetch(&transfer, &format!("{mirror}{slash}{name}"))
                .is_ok()
            {
                return Ok(());
            }
        }
    }
    place.fetch(&transfer, &url)
}

/// Where what is fetched goes.
struct Place<'a> {
    out: &'a Path,
    unpack: bool,
    executable: bool,
    /// What is unpacked is compressed.
    is_xz: bool,
}

impl Place<'_> {
    fn fetch(&self, transfer: &Transfer, url: &str) -> Result<(), Failure> {
        if self.unpack {
            let mut archive = temporary_file()?;
            transfer
                .fetch(url, &mut archive)
                .map_err(Refused::failure)?;
            archive
                .rewind()
                .map_err(|error| Failure::system("reading what was fetched", &error))?;
            self.unpack(archive)?;
        } else {
            let mut file = File::create(self.out).map_err(|error| self.opening(&error))?;
            let fetched = transfer.fetch(url, &mut file);
            fetched.map_err(|refused| {
                refused.failure_within(&format!("writing file {}", shown_path(self.out)))
            })?;
        }
        if self.executable {
            let mode = Permissions::from_mode(0o755);
            let set = fs::set_permissions(self.out, mode);
            set.map_err(|error| {
                Failure::system(
                    format_args!("setting permissions on {}", shown_path(self.out)),
                    &error,
                )
            })?;
        }
        Ok(())
    }

    fn unpack(&self, archive: File) -> Result<(), Failure> {
        let archive = BufReader::new(archive);
        if !self.is_xz {
            return tree::restore(archive, self.out);
        }
        let stream = Stream::new_stream_decoder(Compression::MOST_LOOKED_BACK, CONCATENATED);
        let stream = stream.map_err(Failure::error)?;
        let mut archive = BufReader::new(liblzma::bufread::XzDecoder::new_stream(archive, stream));
        let mut first = [0];
        // Its first byte tells whether it is compressed at all.
        match archive.read(&mut first) {
            Ok(count) => tree::restore(
                io::Cursor::new(first).take(count as u64).chain(archive),
                self.out,
            ),
            Err(_) => Err(Failure::error("input compression not recognized")),
        }
    }

    fn opening(&self, error: &io::Error) -> Failure {
        Failure::system(format_args!("opening file {}", shown_path(self.out)), error)
    }
}

/// A file in the build folder that has no name any more.
fn temporary_file() -> Result<File, Failure> {
    let open = || {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(ARCHIVE)?;
        fs::remove_file(ARCHIVE)?;
        Ok(file)
    };
    open().map_err(|error| {
        Failure::system(
            format_args!("opening file {}", shown_path(Path::new(ARCHIVE))),
            &error,
        )
    })
}

/// The file that a `file:` URL names.
fn local_path(url: &str) -> Option<Vec<u8>> {
    let rest = url.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/')
        .then(|| percent_encoding::percent_decode_str(path).collect())
}

/// Copies a file of the sandbox.
fn copy_local(path: &[u8], out: &mut File) -> Result<(), Refused> {
    let place = Path::new(OsStr::from_bytes(path));
    let opened = File::open(place).and_then(|file| {
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::IsADirectory.into())
        }
    });
    let text = format!("Could not open file {}", place.display());
    let mut file = opened.map_err(|_| Refused::curl("Could not read a file:// file", 37, &text))?;
    io::copy(&mut file, out).map_err(Refused::write)?;
    Ok(())
}
