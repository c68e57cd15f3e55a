//! `builtin:unpack-channel`: the one thing in an archive, under another name.

use std::path::Path;
use std::{fs, io};

use niphas_archive::{ArchiveError, Top, unpack};

use super::Builtin;
use super::failure::{Failure, shown};

/// What a channel may unpack to, in bytes.
const LIMIT: u64 = 64 << 30;
/// Where it is unpacked, if the channel has not that name; otherwise the second.
const SCRATCH: [&str; 2] = [".unpacking", ".unpacking-2"];

pub(super) fn run(builtin: &Builtin) -> Result<(), Failure> {
    let out = builtin.out()?;
    let name = builtin.path("channelName")?;
    let source = builtin.path("src")?;
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        let name = shown(name.display());
        return Err(Failure::error(format_args!(
            "channelName is not allowed to contain filesystem separators, got {name}"
        )));
    }
    let directory = |error: io::Error| {
        Failure::system(
            format_args!("creating directory '{}'", shown(out.display())),
            &error,
        )
    };
    fs::create_dir_all(out).map_err(directory)?;
    // Next to where it goes, as links do not lead from one mount to another; under another name than the channel's.
    let is_taken = name == Path::new(SCRATCH[0]);
    let scratch = out.join(SCRATCH[usize::from(is_taken)]);
    fs::create_dir(&scratch).map_err(directory)?;
    let unpacked =
        unpack(source, &scratch, LIMIT, Top::Kept).map_err(|error| not_unpacked(source, &error))?;

    let entries = fs::read_dir(&unpacked.root).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Failure::system("reading what was unpacked", &error))?;
    let tarball = shown(source.display());
    let entry = match entries.as_slice() {
        [] => {
            return Err(Failure::error(format_args!(
                "channel tarball '{tarball}' is empty"
            )));
        }
        [entry] => entry,
        _ => {
            return Err(Failure::error(format_args!(
                "channel tarball '{tarball}' contains more than one file"
            )));
        }
    };
    let target = out.join(name);
    fs::rename(entry.path(), &target).map_err(|error| {
        let from = shown(out.join(entry.file_name()).display());
        Failure::system(
            format_args!("failed to rename {from} to {}", shown(target.display())),
            &error,
        )
    })?;
    fs::remove_dir_all(&scratch).map_err(directory)
}

/// In the words of Nix, which unpacks with another library: its reasons differ.
fn not_unpacked(source: &Path, error: &ArchiveError) -> Failure {
    match error {
        ArchiveError::Open(_) => {
            let reason = shown(format_args!("Failed to open '{}'", source.display()));
            Failure::error(format_args!("failed to open archive: {reason}"))
        }
        ArchiveError::NoArchive(_) => Failure::error(format_args!(
            "failed to open archive: {}",
            shown("Unrecognized archive format")
        )),
        ArchiveError::Tree(error) => {
            let reason = shown(nix_formats::chain(error));
            Failure::error(format_args!("failed to extract archive ({reason})"))
        }
        ArchiveError::Refused(reason) => Failure::error(format_args!(
            "failed to extract archive ({})",
            shown(reason)
        )),
    }
}
