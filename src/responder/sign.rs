//! The key that signs answers, and what anybody needs to check them.

/// Signs answers and reports.
#[derive(Debug)]
pub struct Signer {}
