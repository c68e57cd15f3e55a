//! Makes the [`Process`](crate::Process) of a derivation: its environment, arguments and files, as Nix 2.34 makes them.
