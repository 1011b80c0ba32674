//! Over real sockets, with a real desk and real signatures.
