//! Numbers are read as 64-bit integers or doubles. A whole number that is neither would silently become another one, and two
//! documents that differ in it would be the same content: that is refused.

use serde_json::Value;

use crate::issue::{Issues, Place};

/// From here on a double does not hold every integer: 2⁵³.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Adds an issue for each number that may have been another one in the text. Those that serde_json holds as integers are exact
/// up to 2⁶⁴.
pub(crate) fn check(value: &Value, place: &Place<'_>, issues: &mut Issues) {
    match value {
        Value::Number(number) => {
            let is_exact = !number.is_f64() || number.as_f64().is_some_and(|it| it.abs() < EXACT);
            if !is_exact {
                issues.add(
                    place,
                    "number",
                    "is too large to be kept exactly: write it as a text, or as an integer from -2^63 to 2^64 - 1",
                );
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                check(value, &place.index(index), issues);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                check(value, &place.field(name), issues);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
