//! Policies and what keeps builders to them.

mod policy;
