//! Policies and what keeps builders to them.

#![expect(unsafe_code, reason = "system calls as builders make them")]

mod addresses;
mod attacks;
mod builder;
mod calls;
mod policy;
mod unix;
mod waiting;
