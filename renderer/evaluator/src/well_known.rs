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
                intern_first_names(symbols);
                Self { $($field: symbols.intern($name),)* }
            }
        }
    };
}

well_known! {
    allowed_references = b"allowedReferences",
    allowed_requisites = b"allowedRequisites",
    args = b"args",
    builder = b"builder",
    column = b"column",
    content_addressed = b"__contentAddressed",
    disallowed_references = b"disallowedReferences",
    disallowed_requisites = b"disallowedRequisites",
    div = b"__div",
    drv_path = b"drvPath",
    file = b"file",
    find_file = b"__findFile",
    functor = b"__functor",
    ignore_nulls = b"__ignoreNulls",
    impure = b"__impure",
    json = b"__json",
    key = b"key",
    less_than = b"__lessThan",
    line = b"line",
    max_closure_size = b"maxClosureSize",
    max_size = b"maxSize",
    mul = b"__mul",
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
    system = b"system",
    to_string = b"__toString",
    type_ = b"type",
    value = b"value",
    wrong = b"wrong",
}

/// Attributes are evaluated in the order in which their names were first seen, so names must be numbered as in C++ Nix:
/// these are known before anything else is. `''` is the empty one.
const FIRST_NAMES: &str = "\
    <with> outPath drvPath type meta name value system __overrides outputs outputName __ignoreNulls file line column \
    __functor __toString right wrong __structuredAttrs __json allowedReferences allowedRequisites \
    disallowedReferences disallowedRequisites maxSize maxClosureSize builder args __contentAddressed __impure \
    outputHash outputHashAlgo outputHashMode recurseForDerivations description self '' startSet operator key path \
    prefix outputSpecified __sub __lessThan __mul __div or __findFile __nixPath body";

/// Then those of the base environment follow, each as it stands there and without underscores, and those of the file that
/// defines `derivation`.
const BASE_ENVIRONMENT: &str = "\
    builtins true false null __currentTime __currentSystem __nixVersion __storeDir __langVersion __traceVerbose \
    __nixPath scopedImport import __typeOf isNull __isFunction __isInt __isFloat __isString __isBool __isPath \
    __genericClosure break abort throw __addErrorContext __ceil __floor __tryEval __getEnv __seq __deepSeq __trace \
    __warn derivationStrict placeholder __toPath __storePath __pathExists baseNameOf dirOf __readFile __findFile \
    __hashFile __readFileType __readDir __toXML __toJSON __fromJSON __toFile __filterSource __path __attrNames \
    __attrValues __getAttr __unsafeGetAttrPos __hasAttr __isAttrs removeAttrs __listToAttrs __intersectAttrs \
    __catAttrs __functionArgs __mapAttrs __zipAttrsWith __isList __elemAt __head __tail map __filter __elem \
    __concatLists __length __foldl' __any __all __genList __sort __partition __groupBy __concatMap __add __sub __mul \
    __div __bitAnd __bitOr __bitXor __lessThan __toString __substring __stringLength __hashString __convertHash \
    __match __split __concatStringsSep __replaceStrings __parseDrvName __compareVersions __splitVersion \
    __unsafeDiscardStringContext __hasContext __unsafeDiscardOutputDependency __addDrvOutputDependencies \
    __getContext __appendContext fetchMercurial fetchTree __fetchurl fetchTarball fetchGit fromTOML __getFlake \
    __parseFlakeRef __flakeRefToString derivation strict drvAttrs commonAttrs outputsList x outputToAttrListElement";

fn intern_first_names(symbols: &mut Symbols<'_>) {
    for name in FIRST_NAMES.split_ascii_whitespace() {
        symbols.intern(name.trim_matches('\'').as_bytes());
    }
    for name in BASE_ENVIRONMENT.split_ascii_whitespace() {
        symbols.intern(name.as_bytes());
        if let Some(bare) = name.strip_prefix("__") {
            symbols.intern(bare.as_bytes());
        }
    }
}
