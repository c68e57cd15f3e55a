# The drvPaths of common packages of a real package tree.
let
  pkgs = import (builtins.getEnv "NIPHAS_CORE_PKGS") { };
in
map (name: builtins.unsafeDiscardStringContext pkgs.${name}.drvPath) [
  "acl" "attr" "autoconf" "automake" "bash" "binutils" "bison" "boost" "bzip2" "cairo" "clang" "cmake" "coreutils"
  "curl" "elfutils" "expat" "fontconfig" "gcc" "gdb" "gettext" "git" "glib" "glibc" "gnugrep" "gnutls" "icu" "krb5"
  "libxml2" "llvm" "meson" "ncurses" "openssl" "perl" "pkg-config" "python3" "re2c" "rustc" "sqlite" "texinfo" "zlib"
]
