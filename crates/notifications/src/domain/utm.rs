//! UTM parameters that are added to links.

use std::fmt::Write;

use common::dto::dispatch::Utm;

/// The parameters of a campaign's links, ready to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Those of a campaign; it is named as the campaign is where nothing else is said.
    pub(crate) fn of(utm: &Utm, campaign: &str) -> Self {
        let or_name = utm.campaign.as_deref().unwrap_or(campaign);
        let given = [
            ("utm_source", Some(utm.source.as_str())),
            ("utm_medium", Some(utm.medium.as_str())),
            ("utm_campaign", Some(or_name)),
            ("utm_term", utm.term.as_deref()),
            ("utm_content", utm.content.as_deref()),
        ];
        let written = given.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((name, encoded(value)))
        });
        Self(written.collect())
    }

    /// `url` with the parameters that it does not have yet, at the end of its query. Every byte of
    /// it stays where it is otherwise.
    pub(crate) fn added_to(&self, url: &str) -> String {
        let (before, fragment) = match url.find('#') {
            Some(at) => url.split_at(at),
            None => (url, ""),
        };
        let query = before.split_once('?').map(|(_, query)| query);
        let mut result = before.to_owned();
        let mut separator = match query {
            None => "?",
            Some(query) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        let has = |name: &str| {
            let mut names = query.unwrap_or_default().split('&');
            names.any(|part| part.split('=').next() == Some(name))
        };
        for (name, value) in self.0.iter().filter(|(name, _)| !has(name)) {
            // Writing to a string does not fail.
            write!(result, "{separator}{name}={value}").ok();
            separator = "&";
        }
        result + fragment
    }
}

/// A value as queries hold it: all but letters, digits and `-._~` in percent signs.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => text.push(byte.into()),
            false => {
                write!(text, "%{byte:02X}").ok();
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters() -> Parameters {
        let utm = Utm {
            source: "news letter".into(),
            medium: "email".into(),
            campaign: None,
            term: None,
            content: Some(String::new()),
        };
        Parameters::of(&utm, "Grüße & more")
    }

    const ADDED: &str =
        "utm_source=news%20letter&utm_medium=email&utm_campaign=Gr%C3%BC%C3%9Fe%20%26%20more";

    #[test]
    fn they_come_at_the_end_of_the_query() {
        for (url, before, after) in [
            ("https://a.example", "https://a.example?", ""),
            ("https://a.example/#top", "https://a.example/?", "#top"),
            ("https://a.example/?a=1&b", "https://a.example/?a=1&b&", ""),
            ("https://a.example/?", "https://a.example/?", ""),
            (
                "https://a.example/?a=1&#x?y=2",
                "https://a.example/?a=1&",
                "#x?y=2",
            ),
            (
                "https://müller.example/ä?ö=%C3%BC#ß",
                "https://müller.example/ä?ö=%C3%BC&",
                "#ß",
            ),
            (
                "https://a.example/#/route?x=1",
                "https://a.example/?",
                "#/route?x=1",
            ),
        ] {
            assert_eq!(
                parameters().added_to(url),
                format!("{before}{ADDED}{after}")
            );
        }
    }

    #[test]
    fn what_a_link_says_itself_stays() {
        let url = "https://a.example/?utm_source=mine&utm_campaign=#x";
        assert_eq!(
            parameters().added_to(url),
            "https://a.example/?utm_source=mine&utm_campaign=&utm_medium=email#x"
        );
        let own = format!("https://a.example/?{ADDED}");
        assert_eq!(parameters().added_to(&own), own);
        assert_eq!(Parameters::default().added_to(url), url);
    }

    proptest! {
        #[test]
        fn without_them_the_link_is_what_it_was(
            path in "[a-zé/.%]{0,12}", query in prop::option::of("[a-z=&ü%]{0,12}"),
            fragment in prop::option::of("[a-z?#&=/]{0,8}")
        ) {
            let before = match &query {
                Some(query) => format!("https://a.example/{path}?{query}"),
                None => format!("https://a.example/{path}"),
            };
            let fragment = fragment.map(|text| format!("#{text}")).unwrap_or_default();
            let tagged = parameters().added_to(&format!("{before}{fragment}"));
            let rest = tagged.strip_prefix(before.as_str()).expect("it begins as it was");
            let rest = rest.strip_suffix(fragment.as_str()).expect("it ends as it was");
            prop_assert_eq!(rest.trim_start_matches(['?', '&']), ADDED);
        }
    }
}
