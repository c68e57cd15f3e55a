//! A NAR is refused and leaves nothing, or comes out of the store as it went in.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|nar: &[u8]| niphas_store::fuzzing::nar(nar));
