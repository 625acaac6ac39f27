//! Ports of fragments.
