//! Acts one by one: who may, and what is refused.

use super::*;
