//! From a NAR to files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use nix_formats::nar::{Event, Reader};

use super::super::failure::{Failure, shown_path};

/// Makes what a NAR has. Nothing of it may be there: no name in a NAR leads out of the folders that it makes.
pub(super) fn restore(input: impl Read, root: &Path) -> Result<(), Failure> {
    let mut reader = Reader::new(input);
    let mut place = root.to_owned();
    let mut depth = 0;
    while let Some(event) = reader
        .next_event()
        .map_err(|error| Failure::error(nix_formats::chain(&error)))?
    {
        let is_begin = matches!(event, Event::Directory);
        let made = match event {
            Event::Directory => fs::create_dir(&place),
            Event::Entry(name) => {
                place.push(OsStr::from_bytes(&name));
                depth += 1;
                continue;
            }
            Event::EndDirectory => Ok(()),
            Event::File { executable, .. } => write_file(&mut reader, &place, executable),
            Event::Symlink(target) => symlink(OsStr::from_bytes(&target), &place),
        };
        made.map_err(|error| {
            Failure::system(format_args!("creating {}", shown_path(&place)), &error)
        })?;
        if !is_begin && depth > 0 {
            place.pop();
            depth -= 1;
        }
    }
    Ok(())
}

fn write_file(contents: &mut impl Read, place: &Path, executable: bool) -> io::Result<()> {
    let mode = if executable { 0o777 } else { 0o666 };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(place)?;
    io::copy(contents, &mut file)?;
    Ok(())
}
