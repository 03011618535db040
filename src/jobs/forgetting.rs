//! erasures
