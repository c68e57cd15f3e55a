//! Nix's formats, pure: no I/O of its own.
