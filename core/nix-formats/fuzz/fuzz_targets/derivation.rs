//! A derivation that is read is read the same after it was printed, as ATerm
//! and as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_formats::{Derivation, StoreDir};

fuzz_target!(|text: &[u8]| {
    let store_dir = StoreDir::default();
    if let Ok(drv) = Derivation::parse_aterm(&store_dir, "x", text) {
        let printed = drv.to_aterm(&store_dir).unwrap();
        assert_eq!(
            Derivation::parse_aterm(&store_dir, "x", &printed).unwrap(),
            drv
        );
        if let Ok(json) = drv.to_json() {
            assert_eq!(
                Derivation::from_json(&json).unwrap().to_json().unwrap(),
                json
            );
        }
    }
    if let Ok(json) = serde_json::from_slice(text) {
        let _ = Derivation::from_json(&json);
    }
});
