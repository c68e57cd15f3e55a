//! A lock file that is read prints to one that is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_flake::LockFile;

fuzz_target!(|text: &str| {
    if let Ok(file) = LockFile::parse(text, "flake.lock") {
        let printed = file.to_json();
        let again = LockFile::parse(&printed, "flake.lock").unwrap();
        assert_eq!(again.to_json(), printed);
        let _ = file.diff(&LockFile::default());
    }
});
