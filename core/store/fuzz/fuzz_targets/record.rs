//! A record is refused, or read the same after it was written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (data, record) = input;
    niphas_store::fuzzing::record(u64::from(data), record);
});
