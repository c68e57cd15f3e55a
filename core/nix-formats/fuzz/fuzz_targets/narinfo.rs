//! A narinfo that is read is read the same after it was printed, and has no more than a narinfo may have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_formats::narinfo::{MAX_REFERENCES, MAX_SIGNATURES, MAX_SIGNATURES_OF_NAME};
use nix_formats::{NarInfo, StoreDir};

fuzz_target!(|text: &str| {
    let store_dir = StoreDir::default();
    if let Ok(info) = NarInfo::parse(&store_dir, text) {
        let printed = info.print(&store_dir);
        assert_eq!(NarInfo::parse(&store_dir, &printed).unwrap(), info);
        assert!(info.references.len() <= MAX_REFERENCES);
        assert!(info.signatures.len() <= MAX_SIGNATURES);
        for signature in &info.signatures {
            let of_name = info.signatures.iter().filter(|it| it.key_name == signature.key_name);
            assert!(of_name.count() <= MAX_SIGNATURES_OF_NAME);
        }
        let prefers_a = NarInfo::parse_preferring(&store_dir, text, |name| name == "a");
        let of_a = |info: &NarInfo| info.signatures.iter().filter(|it| it.key_name == "a").count();
        assert!(prefers_a.is_err() || prefers_a.is_ok_and(|other| of_a(&other) >= of_a(&info)));
        let _ = info.is_content_addressed(&store_dir);
    }
});
