//! One world on disk.
