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
    all_outputs = b"allOutputs",
    allowed_references = b"allowedReferences",
    allowed_requisites = b"allowedRequisites",
    args = b"args",
    builder = b"builder",
    column = b"column",
    content_addressed = b"__contentAddressed",
    disallowed_references = b"disallowedReferences",
    disallowed_requisites = b"disallowedRequisites",
    drv_path = b"drvPath",
    error = b"error",
    file = b"file",
    find_file = b"__findFile",
    functor = b"__functor",
    ignore_nulls = b"__ignoreNulls",
    impure = b"__impure",
    json = b"__json",
    key = b"key",
    line = b"line",
    max_closure_size = b"maxClosureSize",
    max_size = b"maxSize",
    name = b"name",
    nix_path = b"__nixPath",
    operator = b"operator",
    out_path = b"outPath",
    output_hash = b"outputHash",
    output_hash_algo = b"outputHashAlgo",
    output_hash_mode = b"outputHashMode",
    output_name = b"outputName",
    outputs = b"outputs",
    overrides = b"__overrides",
    path = b"path",
    prefix = b"prefix",
    recurse_for_derivations = b"recurseForDerivations",
    right = b"right",
    start_set = b"startSet",
    structured_attrs = b"__structuredAttrs",
    sub = b"__sub",
    success = b"success",
    system = b"system",
    to_string = b"__toString",
    type_ = b"type",
    value = b"value",
    wrong = b"wrong",
}
