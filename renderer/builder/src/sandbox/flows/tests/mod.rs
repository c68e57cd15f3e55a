//! Policies and what keeps builders to them.

#![expect(unsafe_code, reason = "system calls as builders make them")]

mod addresses;
mod attacks;
mod builder;
mod calls;
mod cost;
mod policy;
mod programs;
mod unix;
mod waiting;
