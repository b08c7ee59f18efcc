//! What an event brought in, as its properties tell it.

use serde_json::Value;

use crate::domain::utm;

/// Minor units of a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    pub minor: i64,
    pub currency: String,
    /// The order that it is about.
    pub order_id: Option<String>,
}

/// How many decimals a currency has (ISO 4217).
fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

fn currency_of(properties: &Value) -> Option<String> {
    let code = properties.get("currency")?.as_str()?.to_ascii_uppercase();
    let letters = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    letters.then_some(code)
}

/// The order that properties name.
fn order_of(properties: &Value) -> Option<String> {
    let id = properties.get("order_id").or(properties.get("orderId"))?;
    match id {
        Value::String(text) => utm::value_of(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The house's way: an integer `amount` of minor units and a `currency`.
pub fn minor(properties: &Value) -> Option<Amount> {
    let minor = properties.get("amount")?.as_i64()?;
    let currency = currency_of(properties)?;
    Some(Amount {
        minor,
        currency,
        order_id: order_of(properties),
    })
}

/// Segment's way: `revenue`, or `total`, in major units; US dollars when nothing else is said.
pub fn major(properties: &Value) -> Option<Amount> {
    let value = properties.get("revenue").or(properties.get("total"))?;
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().trim_start_matches(['$', '€', '£']).to_owned(),
        _ => return None,
    };
    let currency = match properties.get("currency") {
        Some(_) => currency_of(properties)?,
        None => "USD".to_owned(),
    };
    let minor = scaled(&text, decimals(&currency))?;
    Some(Amount {
        minor,
        currency,
        order_id: order_of(properties),
    })
}

/// A decimal number times ten to the `decimals`, rounded to the nearest; halves away from zero.
fn scaled(text: &str, decimals: u32) -> Option<i64> {
    let (text, negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if text.contains(['e', 'E']) {
        let number = text.parse::<f64>().ok()? * 10f64.powi(decimals as i32);
        let whole = number.is_finite() && number.abs() < 9e15;
        return whole.then(|| if negative { -number.round() } else { number.round() } as i64);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let kept: String = fraction
        .chars()
        .chain("000".chars())
        .take(decimals as usize)
        .collect();
    let up = fraction
        .as_bytes()
        .get(decimals as usize)
        .is_some_and(|next| *next >= b'5');
    let number: i64 = format!("0{whole}{kept}").parse().ok()?;
    let number = number.checked_add(i64::from(up))?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decimal_revenue_becomes_minor_units() {
        for (properties, minor, currency) in [
            (json!({ "revenue": 25 }), 2500, "USD"),
            (json!({ "revenue": 19.99, "currency": "eur" }), 1999, "EUR"),
            (
                json!({ "revenue": "19.995", "currency": "EUR" }),
                2000,
                "EUR",
            ),
            (json!({ "total": -0.5, "currency": "GBP" }), -50, "GBP"),
            (json!({ "revenue": 1200, "currency": "JPY" }), 1200, "JPY"),
            (json!({ "revenue": 1.2345, "currency": "KWD" }), 1235, "KWD"),
            (json!({ "revenue": 1e3, "currency": "EUR" }), 100_000, "EUR"),
            (json!({ "revenue": 0.07 }), 7, "USD"),
        ] {
            let expected = Amount {
                minor,
                currency: currency.into(),
                order_id: None,
            };
            assert_eq!(major(&properties), Some(expected), "{properties}");
        }
    }

    #[test]
    fn what_is_no_amount_brings_nothing() {
        for properties in [
            json!({}),
            json!({ "revenue": "much" }),
            json!({ "revenue": "" }),
            json!({ "revenue": "." }),
            json!({ "revenue": 1, "currency": "euros" }),
            json!({ "revenue": 1e300 }),
            json!({ "revenue": [1] }),
        ] {
            assert_eq!(major(&properties), None, "{properties}");
        }
        assert_eq!(minor(&json!({ "amount": 1.5, "currency": "EUR" })), None);
        assert_eq!(minor(&json!({ "amount": 15 })), None);
        let fifteen = Amount {
            minor: 15,
            currency: "EUR".into(),
            order_id: None,
        };
        assert_eq!(
            minor(&json!({ "amount": 15, "currency": "EUR" })),
            Some(fifteen)
        );
    }
}
