//! A narinfo that is read is read the same after it was printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_formats::{NarInfo, StoreDir};

fuzz_target!(|text: &str| {
    let store_dir = StoreDir::default();
    if let Ok(info) = NarInfo::parse(&store_dir, text) {
        let printed = info.print(&store_dir);
        assert_eq!(NarInfo::parse(&store_dir, &printed).unwrap(), info);
        let _ = info.is_content_addressed(&store_dir);
    }
});
