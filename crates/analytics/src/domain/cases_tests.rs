//! Real-world cases: what scanners, proxies, programs and people do with a mail, and what is thought
//! of each hit.

use chrono::{DateTime, Duration};
use common::token::CANARY;

use super::*;
use crate::domain::burst::{self, Click};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const OLD_CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const OUTLOOK: &str = "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)";
const GMAIL: &str =
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
const GMAIL_AHEAD: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0";
const YAHOO: &str = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html";
const BARRACUDA: &str = "Mozilla/5.0 (compatible; Barracuda Sentinel/1.0)";

use HitKind::{Click as C, Open as O, View as V};
use Verdict::{Bot, Human, Prefetch, Scanner};

/// What a hit is besides a kind and a program: after how long, which link, and by what road.
#[derive(Clone, Copy)]
struct Seen {
    kind: HitKind,
    agent: &'static str,
    /// Milliseconds since the mail was made.
    at: i64,
    link: i32,
    head: bool,
    ahead: bool,
    data_centre: bool,
}

fn hit(kind: HitKind, agent: &'static str, at: i64) -> Seen {
    Seen {
        kind,
        agent,
        at,
        link: 0,
        head: false,
        ahead: false,
        data_centre: false,
    }
}

impl Seen {
    fn link(self, link: i32) -> Self {
        Self { link, ..self }
    }
    fn canary(self) -> Self {
        self.link(CANARY.into())
    }
    fn head(self) -> Self {
        Self { head: true, ..self }
    }
    fn ahead(self) -> Self {
        Self {
            ahead: true,
            ..self
        }
    }
    fn cloud(self) -> Self {
        Self {
            data_centre: true,
            ..self
        }
    }
}

/// A story of one mail: its hits, each with what is thought of it and why.
type Story = (&'static str, Vec<(Seen, Verdict, &'static [&'static str])>);

#[rustfmt::skip]
fn stories() -> Vec<Story> {
    vec![
        ("a person reads and follows one link", vec![
            (hit(O, OUTLOOK, 600_000), Human, &[]),
            (hit(C, CHROME, 620_000), Human, &[]),
        ]),
        ("a person compares two offers", vec![
            (hit(C, CHROME, 600_000), Human, &[]),
            (hit(C, CHROME, 609_000).link(1), Human, &[]),
        ]),
        ("a person clicks twice on the same link", vec![
            (hit(C, IPHONE, 600_000), Human, &[]),
            (hit(C, IPHONE, 600_300), Human, &[]),
        ]),
        ("SafeLinks looks at every link at delivery, as a browser, from its cloud", vec![
            (hit(C, CHROME, 1_200).cloud(), Scanner, &["too_fast", "data_centre", "link_burst", "canary_link"]),
            (hit(C, CHROME, 1_400).link(1).cloud(), Scanner, &["too_fast", "data_centre", "link_burst", "canary_link"]),
            (hit(C, CHROME, 1_600).canary().cloud(), Scanner, &["too_fast", "data_centre", "canary_link", "link_burst"]),
        ]),
        ("SafeLinks looks at the link that a person clicks, at that moment", vec![
            (hit(C, OLD_CHROME, 900_000).cloud(), Scanner, &["data_centre"]),
            (hit(C, CHROME, 900_900), Human, &[]),
        ]),
        ("a mail gateway asks with HEAD before it lets a link through", vec![
            (hit(C, CHROME, 900_000).head(), Scanner, &["head_request"]),
            (hit(C, CHROME, 901_000), Human, &[]),
        ]),
        ("Proofpoint follows the links one after the other, slowly enough", vec![
            (hit(C, CHROME, 20_000), Scanner, &["canary_link"]),
            (hit(C, CHROME, 24_000).link(1), Scanner, &["canary_link"]),
            (hit(C, CHROME, 28_000).link(2), Scanner, &["canary_link"]),
            (hit(C, CHROME, 32_000).canary(), Scanner, &["canary_link"]),
            (hit(C, CHROME, 3_600_000).link(1), Human, &[]),
        ]),
        ("Proofpoint says who it is", vec![
            (hit(C, "Mozilla/5.0 (compatible; ProofPoint URL Defense)", 5_000), Scanner, &["known_scanner"]),
        ]),
        ("Mimecast says who it is, and comes from a cloud", vec![
            (hit(C, "Mimecast-URL-Protect/1.0", 5_000).cloud(), Scanner, &["known_scanner", "data_centre"]),
        ]),
        ("Mimecast follows all links at once under a browser's name", vec![
            (hit(C, OLD_CHROME, 5_000), Scanner, &["link_burst"]),
            (hit(C, OLD_CHROME, 5_100).link(1), Scanner, &["link_burst"]),
            (hit(C, OLD_CHROME, 5_900).link(2), Scanner, &["link_burst"]),
        ]),
        ("Barracuda says who it is, and follows all links", vec![
            (hit(C, BARRACUDA, 3_000), Scanner, &["known_scanner", "link_burst", "canary_link"]),
            (hit(C, BARRACUDA, 3_100).link(1), Scanner, &["known_scanner", "link_burst", "canary_link"]),
            (hit(C, BARRACUDA, 3_200).canary(), Scanner, &["known_scanner", "canary_link", "link_burst"]),
        ]),
        ("a scanner loads the images too, from its cloud", vec![
            (hit(O, CHROME, 4_000).cloud(), Scanner, &["data_centre"]),
        ]),
        ("Apple Mail loads the images at delivery, nobody may look", vec![
            (hit(O, "Mozilla/5.0", 3_000), Prefetch, &["apple_mail_privacy"]),
            (hit(C, IPHONE, 7_200_000), Human, &[]),
        ]),
        ("Apple Mail's relay is in a cloud", vec![
            (hit(O, "Mozilla/5.0", 3_000).cloud(), Prefetch, &["apple_mail_privacy", "data_centre"]),
        ]),
        ("Gmail's proxy loads for somebody who looks", vec![
            (hit(O, GMAIL, 600_000), Human, &["image_proxy"]),
        ]),
        ("Gmail's proxy is in a cloud, and somebody looks all the same", vec![
            (hit(O, GMAIL, 600_000).cloud(), Human, &["image_proxy"]),
        ]),
        ("Gmail loads ahead under the name of an old browser", vec![
            (hit(O, GMAIL_AHEAD, 2_500), Prefetch, &["mail_provider_prefetch"]),
        ]),
        ("Yahoo's proxy loads for somebody who looks", vec![
            (hit(O, YAHOO, 600_000).cloud(), Human, &["image_proxy"]),
        ]),
        ("a browser loads a page ahead", vec![
            (hit(C, CHROME, 600_000).ahead(), Prefetch, &["prefetch_header"]),
            (hit(V, CHROME, 600_000).ahead(), Prefetch, &["prefetch_header"]),
        ]),
        ("a chat shows what is behind a shared link", vec![
            (hit(C, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", 600_000), Bot, &["link_preview"]),
        ]),
        ("a crawler found the link on the web", vec![
            (hit(C, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 86_400_000).cloud(), Bot, &["crawler", "data_centre"]),
        ]),
        ("a program fetches, and says nothing of itself", vec![
            (hit(C, "", 600_000), Bot, &["no_user_agent"]),
            (hit(V, "curl/8.5.0", 600_000), Bot, &["http_library"]),
        ]),
        ("a link checker follows what nobody sees, an hour after a person", vec![
            (hit(C, IPHONE, 600_000), Human, &[]),
            (hit(C, CHROME, 4_200_000).canary(), Scanner, &["canary_link"]),
        ]),
    ]
}

#[test]
fn each_hit_is_judged_as_its_story_says() {
    let stories = stories();
    assert!(stories.len() >= 20);
    for (story, hits) in stories {
        let made = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let clicks: Vec<Click> = hits
            .iter()
            .filter(|(seen, ..)| seen.kind == C)
            .map(|(seen, ..)| Click {
                message: uuid::Uuid::nil().into(),
                link: seen.link,
                at: made + Duration::milliseconds(seen.at),
            })
            .collect();
        let mut siblings = burst::find(&clicks).into_iter();
        for (index, (seen, verdict, reasons)) in hits.iter().enumerate() {
            let mut judged = judge(&Facts {
                kind: seen.kind,
                head: seen.head,
                user_agent: seen.agent,
                announced_prefetch: seen.ahead,
                data_centre: seen.data_centre,
                canary: seen.link == i32::from(CANARY),
                since_issue: Some(Duration::milliseconds(seen.at)),
            });
            let around = match seen.kind {
                C => siblings.next().expect("one of each click"),
                _ => burst::Siblings::default(),
            };
            for reason in around.reasons() {
                if !judged.reasons.contains(&reason) {
                    judged.reasons.push(reason);
                }
                if judged.verdict == Human {
                    judged.verdict = Scanner;
                }
            }
            let found = (judged.verdict, judged.reasons.as_slice());
            assert_eq!(found, (*verdict, *reasons), "{story}: hit {index}");
        }
    }
}
