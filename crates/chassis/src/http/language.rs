use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use serde::{Deserialize, Serialize};

/// Of the languages that our pages and mails are written in, the one that somebody reads best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "de")]
    German,
}

impl Language {
    /// What `Accept-Language` (RFC 9110 §12.5.4) likes best; English for who likes none of ours.
    pub fn of(headers: &HeaderMap) -> Self {
        let liked = headers.get_all("accept-language");
        let liked = liked.filter_map(|value| value.to_str().ok());
        let mut best = (Self::default(), 0.0);
        for (language, weight) in liked.flat_map(|list| list.split(',')).filter_map(weighed) {
            // Of two that are liked alike the first one counts.
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// As BCP 47 calls it.
    pub fn tag(self) -> &'static str {
        self.pick("en", "de")
    }

    /// The same thing in this language.
    pub fn pick<T>(self, english: T, german: T) -> T {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }
}

/// `de-AT;q=0.8`: a language of ours, and how much it is liked.
fn weighed(range: &str) -> Option<(Language, f32)> {
    let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
    let primary = tag.trim().split('-').next()?;
    let language = match primary.to_ascii_lowercase().as_str() {
        "en" => Language::English,
        "de" => Language::German,
        _ => return None,
    };
    let weight = parameter.trim().strip_prefix("q=")?.parse().ok()?;
    Some((language, weight))
}

impl FromRequest for Language {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.headers())))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderValue};

    use super::*;

    fn of(list: &str) -> Language {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(list).expect("a header");
        headers.insert(ACCEPT_LANGUAGE, value);
        Language::of(&headers)
    }

    #[test]
    fn the_language_that_is_liked_best_is_taken() {
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
        for german in [
            "de",
            "DE-at",
            "fr-CH, fr;q=0.9, de;q=0.7, en;q=0.5, *;q=0.1",
            "en;q=0.5, de;q=0.9",
            "de-DE, en",
            "en;q=0, de;q=0.1",
        ] {
            assert_eq!(of(german), Language::German, "{german}");
        }
        for english in [
            "",
            "*",
            "fr",
            "en-GB,en;q=0.9,de;q=0.8",
            "de;q=0",
            "de;q=nothing",
            "de;level=1",
            "deu",
            ";;;,,q=1",
        ] {
            assert_eq!(of(english), Language::English, "{english}");
        }
    }
}
