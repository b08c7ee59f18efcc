//! Where a visit came from, as its URL says in UTM parameters.

/// Longest value that is kept.
const MAX: usize = 128;

/// The three parameters that channels are counted by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utm {
    pub source: Option<String>,
    pub medium: Option<String>,
    pub campaign: Option<String>,
}

impl Utm {
    /// What the query of `url` says; nothing for what is no URL.
    pub fn of_url(url: &str) -> Self {
        let mut found = Self::default();
        let Some((_, query)) = url.split_once('?') else {
            return found;
        };
        let query = query.split('#').next().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "utm_source" => found.source = found.source.or_else(|| value_of(&value)),
                "utm_medium" => found.medium = found.medium.or_else(|| value_of(&value)),
                "utm_campaign" => found.campaign = found.campaign.or_else(|| value_of(&value)),
                _ => {}
            }
        }
        found
    }
}

/// A value as it is kept: without control characters, cut to its length, and not empty.
pub fn value_of(text: &str) -> Option<String> {
    let plain = text.chars().filter(|c| !c.is_control());
    let value: String = plain.take(MAX).collect();
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_parameter_counts() {
        let utm = Utm::of_url(
            "https://a.example/?x=1&utm_source=news%20letter&utm_source=other&utm_medium=email#?utm_campaign=no",
        );
        assert_eq!(utm.source.as_deref(), Some("news letter"));
        assert_eq!(utm.medium.as_deref(), Some("email"));
        assert_eq!(utm.campaign, None);
        assert_eq!(Utm::of_url("https://a.example/"), Utm::default());
        assert_eq!(Utm::of_url("?utm_source=%00&utm_medium="), Utm::default());
    }
}
