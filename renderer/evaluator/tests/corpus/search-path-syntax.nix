# <nix/…> always exists; its contents are the evaluator's own.
builtins.isFunction (import <nix/fetchurl.nix>)
