use minijinja::{Error, State, Value};

use super::purse::charge;
use super::{as_text, is_missing, wrong};

/// `money('EUR')` of an amount in minor units, or `money` of `{amount, currency}`: `€12.34`.
pub(super) fn money(
    state: &mut State<'_, '_>,
    value: &Value,
    currency: Option<Value>,
) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    charge(state, 64)?;
    let (amount, currency) = match currency {
        Some(currency) => (value.clone(), currency),
        None => (value.get_attr("amount")?, value.get_attr("currency")?),
    };
    let amount = amount
        .as_i64()
        .filter(|_| amount.is_integer())
        .ok_or_else(|| wrong("`money` needs an amount in minor units, such as 1234"))?;
    let code = as_text(&currency)?.to_uppercase();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong("`money` needs an ISO 4217 currency, such as 'EUR'"));
    }
    Ok(format(amount, &code).into())
}

fn format(amount: i64, code: &str) -> String {
    let digits = minor_digits(code);
    let sign = if amount < 0 { "-" } else { "" };
    let plain = format!("{:0width$}", amount.unsigned_abs(), width = digits + 1);
    let (whole, minor) = plain.split_at(plain.len() - digits);
    let point = if digits > 0 { "." } else { "" };
    let figure = format!("{}{point}{minor}", grouped(whole));
    match symbol(code) {
        Some(symbol) => format!("{sign}{symbol}{figure}"),
        None => format!("{sign}{figure} {code}"),
    }
}

fn grouped(whole: &str) -> String {
    let mut result = String::with_capacity(whole.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            result.push(',');
        }
        result.push(digit);
    }
    result
}

fn symbol(code: &str) -> Option<&'static str> {
    Some(match code {
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "JPY" => "¥",
        "INR" => "₹",
        _ => return None,
    })
}

/// ISO 4217: digits of the minor unit.
fn minor_digits(code: &str) -> usize {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_prints_with_the_digits_of_its_currency() {
        assert_eq!(format(123_456_789, "EUR"), "€1,234,567.89");
        assert_eq!(format(-5, "USD"), "-$0.05");
        assert_eq!(format(1_500, "JPY"), "¥1,500");
        assert_eq!(format(1_500, "KWD"), "1.500 KWD");
        assert_eq!(format(i64::MIN, "CHF"), "-92,233,720,368,547,758.08 CHF");
        assert_eq!(format(0, "CHF"), "0.00 CHF");
    }
}
