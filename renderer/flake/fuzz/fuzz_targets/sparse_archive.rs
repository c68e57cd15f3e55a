//! Whatever a sparse file's map says, no more is written than may be, and holes stay holes.
#![no_main]

use std::os::unix::fs::MetadataExt;

use libfuzzer_sys::fuzz_target;
use nix_flake::{FetchSettings, Fetcher};

// Headers get their right checksum, so that what is in them is read.
fuzz_target!(|bytes: &[u8]| {
    let mut archive = bytes.to_vec();
    archive.resize(archive.len().next_multiple_of(512), 0);
    for block in archive.chunks_exact_mut(512) {
        if matches!(block[156], b'S' | b'x' | b'L' | b'0') {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    std::fs::write(&file, &archive).unwrap();
    let mut settings = FetchSettings::new(folder.path().join("cache"));
    settings.max_unpacked = 16 << 20;
    let url = format!("file://{}", file.display());
    if let Ok(fetched) = Fetcher::new(settings).fetch_tarball(&url, "source", None) {
        let mut blocks = 0;
        let mut sizes = 0;
        let mut folders = vec![fetched.tree.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if metadata.is_file() {
                    blocks += metadata.blocks().saturating_sub(8 * 32);
                    sizes += metadata.len();
                }
            }
        }
        assert!(sizes <= 16 << 20);
        // What is on the disk came from the archive, rounded up to a page for each piece.
        assert!(blocks * 512 <= archive.len() as u64 * 4096);
    }
});
