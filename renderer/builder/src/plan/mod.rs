//! The plan: what has to be built and fetched for some derivations, and in which order.
