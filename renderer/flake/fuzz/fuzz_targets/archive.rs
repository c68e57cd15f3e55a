//! Any bytes unpack within the cache folder or are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_flake::{FetchSettings, Fetcher};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    std::fs::write(&file, bytes).unwrap();
    let mut settings = FetchSettings::new(folder.path().join("cache"));
    settings.max_unpacked = 1 << 20;
    let url = format!("file://{}", file.display());
    let _ = Fetcher::new(settings).fetch_tarball(&url, "source", None);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(name == "a.tar" || name == "cache");
    }
});
