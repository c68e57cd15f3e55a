//! A NAR that is read to its end is written again to the same bytes.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use nix_formats::nar::{Event, Reader, Writer};

fn copy(nar: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(nar);
    let mut writer = Writer::new(Vec::new());
    while let Some(event) = reader.next_event().ok()? {
        match event {
            Event::Directory => writer.begin_directory().unwrap(),
            Event::Entry(name) => writer.entry(&name).unwrap(),
            Event::EndDirectory => writer.end_directory().unwrap(),
            Event::Symlink(target) => writer.symlink(&target).unwrap(),
            Event::File {
                executable, size, ..
            } => {
                let mut contents = Vec::new();
                reader.read_to_end(&mut contents).ok()?;
                assert_eq!(contents.len() as u64, size);
                writer.file(executable, &contents).unwrap();
            }
        }
    }
    Some(writer.finish().unwrap())
}

fuzz_target!(|nar: &[u8]| {
    if let Some(copied) = copy(nar) {
        assert_eq!(copied, nar);
    }
});
