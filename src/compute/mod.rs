//! CPU-heavy work: one scheduler and a few threads for all of it.
