//! Sizes, times and rates as people write them: `2 MiB`, `30s`, `500/s`.

use std::time::Duration;

/// `2 MiB`, `64 KiB`, `512 B`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = parts(text);
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is not a size such as 2 MiB")),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a size such as 2 MiB"))
}

/// `250ms`, `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = parts(text);
    let bad = || format!("`{text}` is not a time such as 30s");
    let number: u64 = number.parse().map_err(|_| bad())?;
    let found = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60).ok_or_else(bad)?),
        "h" => Duration::from_secs(number.checked_mul(3600).ok_or_else(bad)?),
        _ => return Err(bad()),
    };
    match found.is_zero() {
        true => Err(bad()),
        false => Ok(found),
    }
}

/// `500/s`, `60/m`, `1000/h`: how many, and in what time.
pub(super) fn rate(text: &str) -> Result<(u32, Duration), String> {
    let bad = || format!("`{text}` is not a rate such as 500/s");
    let (number, unit) = text.split_once('/').ok_or_else(bad)?;
    let number: u32 = number.trim().parse().map_err(|_| bad())?;
    let time = duration(&format!("1{}", unit.trim())).map_err(|_| bad())?;
    match number {
        0 => Err(bad()),
        number => Ok((number, time)),
    }
}

fn parts(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        assert_eq!(bytes("2 MiB"), Ok(2 << 20));
        assert_eq!(bytes("512B"), Ok(512));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2 h"), Ok(Duration::from_secs(7200)));
        assert_eq!(rate("60/m"), Ok((60, Duration::from_secs(60))));
    }

    #[test]
    fn anything_else_is_quoted() {
        for text in ["", "2", "MiB", "2 MB", "-1 B", "99999999999999999999 GiB"] {
            assert!(bytes(text).is_err_and(|why| why.contains(text)), "{text}");
        }
        for text in ["", "0s", "1 day", "1.5s", "99999999999999999999h"] {
            assert!(
                duration(text).is_err_and(|why| why.contains(text)),
                "{text}"
            );
        }
        for text in ["", "5", "0/s", "5/x", "x/s"] {
            assert!(rate(text).is_err_and(|why| why.contains(text)), "{text}");
        }
    }
}
