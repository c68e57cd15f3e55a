//! Hashes, store paths, keys and signatures are read or refused, and print as
//! they were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_formats::{
    ContentAddress, Hash, HashAlgorithm, PublicKey, SecretKey, Signature, StoreDir, StorePath,
};

fuzz_target!(|text: &str| {
    for algorithm in HashAlgorithm::ALL {
        if let Ok((hash, format)) = Hash::parse_any_with_format(text, Some(algorithm)) {
            let printed = hash.to_string(format, true);
            assert_eq!(Hash::parse_any_prefixed(&printed).unwrap(), hash);
        }
    }
    if let Ok(ca) = text.parse::<ContentAddress>() {
        assert_eq!(ca.to_string().parse::<ContentAddress>().unwrap(), ca);
    }
    if let Ok(signature) = text.parse::<Signature>() {
        assert_eq!(
            signature.to_string().parse::<Signature>().unwrap(),
            signature
        );
    }
    if let Ok(path) = StorePath::from_base_name(text) {
        assert_eq!(
            StorePath::from_parts(path.hash_bytes(), path.name()).unwrap(),
            path
        );
    }
    let _ = text.parse::<PublicKey>();
    let _ = text.parse::<SecretKey>();
    let _ = StoreDir::default().parse(text);
    let _ = StoreDir::default().parse_subpath(text);
});
