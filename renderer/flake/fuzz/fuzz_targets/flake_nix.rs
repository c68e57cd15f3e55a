//! Any text is a flake.nix or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = nix_flake::parse_flake_nix(text, "/f/flake.nix", std::path::Path::new("/f")) {
        let _ = error.to_string();
    }
});
