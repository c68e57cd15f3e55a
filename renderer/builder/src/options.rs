//! What the attributes of a derivation ask of its builder: `DerivationOptions` in Nix 2.34.
