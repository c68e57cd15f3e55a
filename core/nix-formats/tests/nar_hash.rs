//! The hash of a NAR: in each form the same one, and by no other algorithm.

use nix_formats::{Hash, HashAlgorithm, HashFormat, NarHash, NarHashError};
use proptest::prelude::*;

proptest! {
    #[test]
    fn each_form_is_read_as_it_is_printed(bytes: [u8; 32]) {
        let hash = NarHash::from(bytes);
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        prop_assert_eq!(hash.sri().parse(), Ok(hash));
        prop_assert_eq!(NarHash::try_from(Hash::from(hash)), Ok(hash));
        prop_assert_eq!(Hash::sha256(bytes), hash);
        prop_assert_eq!(hash.to_string(), Hash::sha256(bytes).to_string(HashFormat::Nix32, true));
    }

    #[test]
    fn other_algorithms_are_refused(nar: Vec<u8>) {
        for algorithm in HashAlgorithm::ALL {
            let hash = algorithm.digest(&nar);
            let expected = match algorithm {
                HashAlgorithm::Sha256 => Ok(NarHash::of(&nar)),
                other => Err(NarHashError::Algorithm(other)),
            };
            prop_assert_eq!(NarHash::try_from(hash), expected.clone());
            prop_assert_eq!(hash.to_string(HashFormat::Sri, true).parse(), expected);
        }
    }
}
