//! Names that mean something to the language.

use crate::symbol::{Symbol, Symbols};

macro_rules! well_known {
    ($($field:ident = $name:literal),* $(,)?) => {
        /// Symbols of the names that mean something to the language.
        #[derive(Clone, Copy)]
        pub(crate) struct WellKnown {
            $(pub $field: Symbol,)*
        }

        impl WellKnown {
            pub(crate) fn new(symbols: &mut Symbols<'_>) -> Self {
                Self { $($field: symbols.intern($name),)* }
            }
        }
    };
}

well_known! {
    column = b"column",
    drv_path = b"drvPath",
    error = b"error",
    file = b"file",
    find_file = b"__findFile",
    functor = b"__functor",
    key = b"key",
    line = b"line",
    name = b"name",
    nix_path = b"__nixPath",
    operator = b"operator",
    out_path = b"outPath",
    overrides = b"__overrides",
    path = b"path",
    prefix = b"prefix",
    recurse_for_derivations = b"recurseForDerivations",
    right = b"right",
    start_set = b"startSet",
    sub = b"__sub",
    success = b"success",
    to_string = b"__toString",
    type_ = b"type",
    value = b"value",
    wrong = b"wrong",
}
