//! Whether two JSON values say the same, however they are written.

use serde_json::{Number, Value};

/// The order of members and the way a number is written (`1` and `1.0`) don't matter: a portal that keeps an answer in a database may
/// write it anew.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => equal(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn equal(a: &Number, b: &Number) -> bool {
    let whole = |n: &Number| n.is_i64() || n.is_u64();
    a == b || (!(whole(a) && whole(b)) && a.as_f64() == b.as_f64())
}
