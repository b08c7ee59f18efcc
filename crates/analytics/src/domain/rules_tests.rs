//! Real-world user agents and who they are.

use super::*;

/// (kind, user agent, verdict, reason)
type Row = (HitKind, &'static str, Verdict, &'static str);

use HitKind::{Click, Open};
use Verdict::{Bot, Human, Prefetch, Scanner};

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // People: browsers, mail programs, in-app browsers.
    (Click, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", Human, ""),
    (Click, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", Human, ""),
    (Click, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", Human, ""),
    (Click, "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", Human, ""),
    (Click, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1", Human, ""),
    (Open, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", Human, ""),
    (Open, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", Human, ""),
    (Click, "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", Human, ""),
    (Click, "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", Human, ""),
    (Open, "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)", Human, ""),
    (Open, "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/8.0; .NET4.0C; .NET4.0E; ms-office)", Human, ""),
    (Open, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0", Human, ""),
    (Open, "Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A.220624.014)", Human, ""),
    (Open, "Outlook-iOS/723.4027091.prod.iphone (4.2447.0)", Human, ""),
    (Click, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G93 [FBAN/FBIOS;FBAV/480.0.0.31.109;FBBV/644600000]", Human, ""),
    (Click, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G93 Instagram 350.0.0.23.94", Human, ""),
    (Click, "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36", Human, ""),
    (Click, "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18", Human, ""),
    // People behind their provider's image proxy.
    (Open, "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", Human, "image_proxy"),
    (Open, "Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.0.7) Gecko/2009021910 Firefox/3.0.7 (via ggpht.com GoogleImageProxy)", Human, "image_proxy"),
    (Open, "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", Human, "image_proxy"),
    // Loading ahead.
    (Open, "Mozilla/5.0", Prefetch, "apple_mail_privacy"),
    (Open, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", Prefetch, "mail_provider_prefetch"),
    // Mail security.
    (Click, "Mozilla/5.0 (compatible; Barracuda Sentinel/1.0)", Scanner, "known_scanner"),
    (Click, "BarracudaCentral/2.0", Scanner, "known_scanner"),
    (Click, "Mozilla/5.0 (compatible; ProofPoint URL Defense)", Scanner, "known_scanner"),
    (Click, "Mimecast-URL-Protect/1.0", Scanner, "known_scanner"),
    (Click, "Mozilla/5.0 (compatible; Symantec.cloud)", Scanner, "known_scanner"),
    (Click, "FireEye/1.0 URL analysis", Scanner, "known_scanner"),
    (Click, "Mozilla/5.0 (compatible; NetcraftSurveyAgent/1.0; +info@netcraft.com)", Scanner, "known_scanner"),
    (Click, "Expanse, a Palo Alto Networks company, searches across the global IPv4 space", Scanner, "known_scanner"),
    // Link previews.
    (Click, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Bot, "link_preview"),
    (Click, "Twitterbot/1.0", Bot, "link_preview"),
    (Click, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Bot, "link_preview"),
    (Click, "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", Bot, "link_preview"),
    (Click, "WhatsApp/2.23.20.0", Bot, "link_preview"),
    (Click, "TelegramBot (like TwitterBot)", Bot, "link_preview"),
    (Click, "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", Bot, "link_preview"),
    (Click, "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com", Bot, "link_preview"),
    (Click, "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; BingPreview/1.0b) Chrome/80.0 Safari/537.36", Bot, "link_preview"),
    // Crawlers.
    (Click, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)", Bot, "crawler"),
    (Click, "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", Bot, "crawler"),
    (Click, "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", Bot, "crawler"),
    // Programs.
    (Click, "curl/8.5.0", Bot, "http_library"),
    (Click, "Wget/1.21.4", Bot, "http_library"),
    (Click, "python-requests/2.32.3", Bot, "http_library"),
    (Click, "Go-http-client/2.0", Bot, "http_library"),
    (Click, "Java/17.0.9", Bot, "http_library"),
    (Click, "okhttp/4.12.0", Bot, "http_library"),
    (Click, "axios/1.7.9", Bot, "http_library"),
    (Click, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36", Bot, "headless_browser"),
    (Click, "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", Bot, "monitoring"),
    (Click, "kube-probe/1.31", Bot, "monitoring"),
    // Nobody in particular.
    (Click, "Mozilla/5.0", Bot, "bare_user_agent"),
    (Open, "", Bot, "no_user_agent"),
    (Click, "   ", Bot, "no_user_agent"),
];

#[test]
fn real_user_agents_are_told_apart() {
    assert!(TABLE.len() >= 40);
    for (kind, name, verdict, reason) in TABLE {
        let sign = user_agent(*kind, name);
        let expected = (!reason.is_empty()).then_some((*verdict, *reason));
        assert_eq!(sign, expected, "{name}");
    }
}
