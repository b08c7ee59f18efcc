//! The rules verdicts are made by, as data. Whoever changes one raises [`VERSION`].

use crate::domain::verdict::{HitKind, Verdict};

/// Stored with every event, so that older verdicts can be found and made anew.
pub const VERSION: i16 = 2;
/// A click sooner after the mail was made than this is no person's.
pub const TOO_FAST_MS: i64 = 2000;
/// Different links of one mail within this time are a scanner's.
pub const BURST_WINDOW_MS: i64 = 1000;
/// The reason of a click in such a burst.
pub const BURST: &str = "link_burst";
/// Clicks within this time of one on the link that nobody sees are a scanner's, too.
pub const CANARY_WINDOW_MS: i64 = 60_000;
/// The reason of such a click, and of that one itself.
pub const CANARY: &str = "canary_link";
/// The reason of what comes from a network that no person is in.
pub const DATA_CENTRE: &str = "data_centre";

/// What a known user agent says about who is there.
type Sign = (Verdict, &'static str);

/// Real opens that reach us through a mail provider's proxy. They come first: their names look
/// like those of bots.
const IMAGE_PROXIES: Sign = (Verdict::Human, "image_proxy");
const SCANNER: Sign = (Verdict::Scanner, "known_scanner");
const PREVIEW: Sign = (Verdict::Bot, "link_preview");
const CRAWLER: Sign = (Verdict::Bot, "crawler");
const LIBRARY: Sign = (Verdict::Bot, "http_library");
const HEADLESS: Sign = (Verdict::Bot, "headless_browser");
const MONITOR: Sign = (Verdict::Bot, "monitoring");
const PROVIDER_PREFETCH: Sign = (Verdict::Prefetch, "mail_provider_prefetch");

/// Parts of user agents in lower case; the first that occurs decides.
const USER_AGENTS: &[(&[&str], Sign)] = &[
    (&["googleimageproxy", "yahoomailproxy"], IMAGE_PROXIES),
    (
        // Gmail loads images at delivery under this name, years after that browser.
        &["chrome/42.0.2311.135 safari/537.36 edge/12.246 mozilla/5.0"],
        PROVIDER_PREFETCH,
    ),
    (
        &[
            "barracuda",
            "proofpoint",
            "mimecast",
            "safelinks",
            "symantec",
            "messagelabs",
            "fireeye",
            "trellix",
            "zscaler",
            "forcepoint",
            "ironport",
            "cisco umbrella",
            "fortiguard",
            "fortinet",
            "sophos",
            "trendmicro",
            "trend micro",
            "cloudmark",
            "spamhaus",
            "virustotal",
            "urlscan",
            "phishtank",
            "bitdefender",
            "checkpoint",
            "check point",
            "kaspersky",
            "mcafee",
            "paloalto",
            "palo alto",
            "netcraft",
            "urldefense",
            "vade",
            "hornetsecurity",
            "censys",
            "expanse",
            "nmap",
            "nikto",
            "zgrab",
            "masscan",
            "expel",
        ],
        SCANNER,
    ),
    (
        &[
            "facebookexternalhit",
            "facebookcatalog",
            "meta-externalagent",
            "twitterbot",
            "slackbot",
            "slack-imgproxy",
            "linkedinbot",
            "whatsapp",
            "telegrambot",
            "discordbot",
            "skypeuripreview",
            "microsoft teams",
            "msteams",
            "bingpreview",
            "google web preview",
            "google-pagerenderer",
            "google-safety",
            "embedly",
            "iframely",
            "redditbot",
            "pinterestbot",
            "viberbot",
            "snap url preview",
            "line-poker",
            "kakaotalk-scrap",
            "vkshare",
            "nuzzel",
            "mastodon",
            "mattermost",
            "rocket.chat",
            "zulipurlembed",
            "bitlybot",
            "feishu",
            "larkurl",
            "signal-android-preview",
        ],
        PREVIEW,
    ),
    (
        &[
            "headlesschrome",
            "phantomjs",
            "slimerjs",
            "puppeteer",
            "playwright",
            "selenium",
            "lighthouse",
            "chrome-lighthouse",
            "prerender",
            "htmlunit",
            "splash",
        ],
        HEADLESS,
    ),
    (
        &[
            "curl/",
            "wget/",
            "python-requests",
            "python-urllib",
            "python/",
            "aiohttp",
            "httpx/",
            "go-http-client",
            "java/",
            "apache-httpclient",
            "okhttp",
            "libwww-perl",
            "lwp::",
            "ruby",
            "faraday",
            "php/",
            "guzzlehttp",
            "node-fetch",
            "axios/",
            "undici",
            "got (",
            "superagent",
            "reqwest",
            "hyper/",
            "http_request",
            "winhttp",
            "powershell",
            "postmanruntime",
            "insomnia",
            "httpie",
            "scrapy",
            "colly",
            "restsharp",
            "jakarta",
            "http-client",
            "typhoeus",
            "ureq",
            "dart:io",
            "dart/",
            "perl/",
            "libcurl",
            "aria2",
        ],
        LIBRARY,
    ),
    (
        &[
            "uptimerobot",
            "pingdom",
            "statuscake",
            "site24x7",
            "newrelicpinger",
            "datadog",
            "monitis",
            "nagios",
            "check_http",
            "zabbix",
            "better uptime",
            "betteruptime",
            "prometheus",
            "blackbox-exporter",
            "freshping",
            "hetrixtools",
            "gtmetrix",
            "kube-probe",
            "elb-healthchecker",
            "googlehc",
            "healthcheck",
        ],
        MONITOR,
    ),
    (
        &[
            "bot",
            "crawl",
            "spider",
            "slurp",
            "mediapartners",
            "apis-google",
            "feedfetcher",
            "google-read-aloud",
            "google favicon",
            "googleother",
            "duckduckgo",
            "baiduspider",
            "yandex.com/",
            "archive.org",
            "ia_archiver",
            "heritrix",
            "nutch",
            "mj12",
            "ahrefs",
            "semrush",
            "scrape",
            "fetcher",
            "validator",
            "linkcheck",
            "link check",
            "+http",
            "(compatible; http",
            "http://",
            "https://",
            "feedly",
            "newsblur",
            "inoreader",
            "dataprovider",
            "panscient",
            "rss",
            "chatgpt-user",
            "perplexity",
            "claude-",
            "anthropic",
        ],
        CRAWLER,
    ),
];

/// Makes of telephones whose names look like those of bots.
const INNOCENT: &[&str] = &["cubot"];

/// What the user agent says, if anything. A sign of [`Verdict::Human`] explains; it accuses nobody.
pub fn user_agent(kind: HitKind, user_agent: &str) -> Option<Sign> {
    let user_agent = user_agent.trim();
    if user_agent.is_empty() {
        return Some((Verdict::Bot, "no_user_agent"));
    }
    if user_agent == "Mozilla/5.0" {
        // Apple Mail's privacy protection loads every image at delivery, with this name and no more.
        return Some(match kind {
            HitKind::Open => (Verdict::Prefetch, "apple_mail_privacy"),
            HitKind::Click | HitKind::View => (Verdict::Bot, "bare_user_agent"),
        });
    }
    let mut name = user_agent.to_ascii_lowercase();
    for innocent in INNOCENT {
        name = name.replace(innocent, "");
    }
    let known = |(parts, sign): &(&[&str], Sign)| {
        let found = parts.iter().any(|part| name.contains(part));
        found.then_some(*sign)
    };
    USER_AGENTS.iter().find_map(known)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
