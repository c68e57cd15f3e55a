//! A file is refused as a pack, or its record names nothing outside of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pack: &[u8]| niphas_store::fuzzing::pack(pack));
