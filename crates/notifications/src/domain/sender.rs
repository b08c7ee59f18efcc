//! What makes a usable sender.

use std::collections::BTreeMap;

use common::FieldError;
use common::values::EmailAddress;
use mail::mime;

use super::warm_up::WarmUp;

/// The name of the rate of destination domains that have none of their own.
pub(crate) const OTHERS: &str = "*";
/// The fastest rate that can be asked for.
const FASTEST: f64 = 100_000.0;

/// A domain as addresses spell it in commands: in lower case and ASCII.
pub(crate) fn domain(text: &str) -> Result<String, &'static str> {
    let address = EmailAddress::parse(&format!("x@{text}"));
    let address = address.map_err(|_| "is not a domain")?;
    Ok(mime::ascii_domain(&address).to_lowercase())
}

/// A name or an address of a host, without what belongs to URLs.
pub(crate) fn host(text: &str) -> Result<(), &'static str> {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
    match text {
        "" => Err("must not be empty"),
        text if text.len() > 253 => Err("must have at most 253 characters"),
        text if text.contains(odd) => Err("must be a host name or an IP address"),
        _ => Ok(()),
    }
}

pub(crate) fn line(text: &str, most: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".into());
    }
    match text.chars().count() > most {
        true => Err(format!("must have at most {most} characters")),
        false => Ok(()),
    }
}

pub(crate) fn rate(per_second: f64) -> Result<(), String> {
    match per_second > 0.0 && per_second <= FASTEST {
        true => Ok(()),
        false => Err(format!("must be more than 0 and at most {FASTEST}")),
    }
}

/// The domains, spelled in one way and each once; what is wrong is added to `wrong`.
pub(crate) fn domains(given: &[String], wrong: &mut Vec<FieldError>) -> Vec<String> {
    let mut found = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        match domain(text) {
            Ok(domain) if !found.contains(&domain) => found.push(domain),
            Ok(_) => {}
            Err(why) => wrong.push(FieldError::new(format!("/domains/{index}"), why)),
        }
    }
    if found.len() > 100 {
        wrong.push(FieldError::new("/domains", "must have at most 100 domains"));
    }
    found
}

/// The rates by destination domain, spelled in one way; what is wrong is added to `wrong`.
pub(crate) fn domain_rates(
    given: &BTreeMap<String, f64>,
    wrong: &mut Vec<FieldError>,
) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for (text, per_second) in given {
        let pointer = || {
            format!(
                "/domain_rates/{}",
                text.replace('~', "~0").replace('/', "~1")
            )
        };
        if let Err(why) = rate(*per_second) {
            wrong.push(FieldError::new(pointer(), why));
        }
        let key = match text.as_str() {
            OTHERS => Ok(OTHERS.to_owned()),
            text => domain(text),
        };
        match key {
            Ok(key) => drop(found.insert(key, *per_second)),
            Err(why) => wrong.push(FieldError::new(pointer(), why)),
        }
    }
    if found.len() > 1_000 {
        wrong.push(FieldError::new(
            "/domain_rates",
            "must have at most 1000 domains",
        ));
    }
    found
}

/// What is wrong with a warm-up plan is added to `wrong`.
pub(crate) fn warm_up(plan: Option<&WarmUp>, wrong: &mut Vec<FieldError>) {
    let complaints = plan.map(WarmUp::complaints).unwrap_or_default();
    let field = |(at, why)| FieldError::new(format!("/warm_up{at}"), why);
    wrong.extend(complaints.into_iter().map(field));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for text in ["mail.example", "10.0.0.1", "::1", "relay_1"] {
            assert_eq!(host(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "mail.example/x",
            "a b",
            "a\r\nb",
            "user@host",
            &"a".repeat(254),
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domains_are_spelled_in_one_way() {
        let mut wrong = Vec::new();
        let given = [
            "Shop.Example",
            "shop.example",
            "müller.example",
            "no domain",
        ];
        let found = domains(&given.map(str::to_owned), &mut wrong);
        assert_eq!(found, ["shop.example", "xn--mller-kva.example"]);
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].pointer, "/domains/3");
    }

    #[test]
    fn rates_are_positive_and_named_by_domain() {
        let mut wrong = Vec::new();
        let given = [
            ("GMail.com", 5.0),
            ("*", 50.0),
            ("a/b", 1.0),
            ("x.example", 0.0),
        ];
        let given = given.map(|(name, rate)| (name.to_owned(), rate)).into();
        let found = domain_rates(&given, &mut wrong);
        assert_eq!(found.get("gmail.com"), Some(&5.0));
        assert_eq!(found.get(OTHERS), Some(&50.0));
        let pointers: Vec<_> = wrong.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/domain_rates/a~1b", "/domain_rates/x.example"]);
    }
}
