//! A reference that is read is the same after a way through its attributes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_flake::{FlakeRef, ParseOptions};

fuzz_target!(|text: &str| {
    for options in [ParseOptions::absolute(), ParseOptions::input(false)] {
        if let Ok((reference, _)) = FlakeRef::parse_with_fragment(text, &options) {
            let _ = reference.to_string();
            assert_eq!(
                FlakeRef::from_attrs(reference.to_attrs()).as_ref(),
                Ok(&reference)
            );
        }
    }
});
