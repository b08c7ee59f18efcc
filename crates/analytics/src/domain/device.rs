//! What somebody holds in their hands, as far as a user agent tells.

/// `desktop`, `mobile` or `tablet`; nothing when it cannot be told.
pub fn class(user_agent: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| user_agent.contains(part));
    if has(&["iPad", "Tablet", "Kindle", "Silk/", "PlayBook"])
        || (user_agent.contains("Android") && !user_agent.contains("Mobile"))
    {
        Some("tablet")
    } else if has(&[
        "iPhone",
        "iPod",
        "Android",
        "Mobile",
        "Outlook-iOS",
        "Windows Phone",
    ]) {
        Some("mobile")
    } else if has(&["Windows", "Macintosh", "X11", "CrOS", "Linux"]) {
        Some("desktop")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn common_user_agents_are_told_apart() {
        for (name, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                Some("desktop"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                Some("desktop"),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
                Some("desktop"),
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                Some("desktop"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                Some("mobile"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                Some("mobile"),
            ),
            (
                "Outlook-iOS/723.4027091.prod.iphone (4.2447.0)",
                Some("mobile"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                Some("tablet"),
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
                Some("tablet"),
            ),
            (
                "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(class(name), expected, "{name}");
        }
    }
}
