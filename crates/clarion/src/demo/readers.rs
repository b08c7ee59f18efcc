//! How people and machines take a mail, and what must be counted of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use common::dto::report::{CampaignEngagement, Hits, LinkHits};
use futures::future::join_all;
use reqwest::header::{LOCATION, USER_AGENT};
use reqwest::{Method, Response, StatusCode};

use super::api::retry_after;
use super::inbox::Mail;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const THUNDERBIRD: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0";
const GMAIL_PROXY: &str =
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
const APPLE_MAIL: &str = "Mozilla/5.0";
const BARRACUDA: &str = "Mozilla/5.0 (compatible; Barracuda Sentinel/1.0)";

/// Who gets a mail, and how they take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Opens it in a mail program.
    Opens,
    /// Opens it and follows the first link.
    Clicks,
    /// Opens it twice, follows the first link twice, and a while later the second.
    Returns,
    /// Opens it behind a provider's image proxy.
    Proxied,
    /// Opens it and unsubscribes with one click.
    Leaves,
    /// Loads the picture at delivery, whether or not anybody looks.
    Prefetches,
    /// Looks at every link with HEAD, as a browser by name.
    ScansByHead,
    /// Follows every link at once, as a browser by name.
    ScansAtOnce,
    /// Says that it is a scanner.
    ScansByName,
    /// Does not say what it is.
    ScansNameless,
}

/// One request that somebody makes because of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) agent: &'static str,
    pub(crate) human: bool,
    /// Where a followed link must lead; none for an open.
    pub(crate) destination: Option<String>,
}

impl Reader {
    /// The reader of the mail with this number: mostly people, machines among them.
    pub(crate) fn number(number: usize) -> Self {
        match number % 20 {
            0..=5 => Self::Opens,
            6..=9 => Self::Clicks,
            10 | 11 => Self::Returns,
            12 | 13 => Self::Proxied,
            14 => Self::Leaves,
            15 => Self::Prefetches,
            16 => Self::ScansByHead,
            17 => Self::ScansAtOnce,
            18 => Self::ScansByName,
            _ => Self::ScansNameless,
        }
    }

    /// What they request at first, given where the mail's links lead.
    pub(crate) fn at_first(self, mail: &Mail, destinations: &[String]) -> Vec<Hit> {
        let mail = Requests { mail, destinations };
        match self {
            Self::Opens => mail.open(THUNDERBIRD, true),
            Self::Clicks => [mail.open(SAFARI, true), mail.click(0, SAFARI)].concat(),
            Self::Returns => {
                let once = [mail.open(CHROME, true), mail.click(0, CHROME)].concat();
                [once.clone(), once].concat()
            }
            Self::Proxied => mail.open(GMAIL_PROXY, true),
            Self::Leaves => mail.open(CHROME, true),
            Self::Prefetches => mail.open(APPLE_MAIL, false),
            Self::ScansByHead => mail.scan(&Method::HEAD, CHROME),
            Self::ScansAtOnce => mail.scan(&Method::GET, CHROME),
            Self::ScansByName => [
                mail.open(BARRACUDA, false),
                mail.scan(&Method::GET, BARRACUDA),
            ]
            .concat(),
            Self::ScansNameless => [mail.open("", false), mail.scan(&Method::GET, "")].concat(),
        }
    }

    /// What they request a while later.
    pub(crate) fn later(self, mail: &Mail, destinations: &[String]) -> Vec<Hit> {
        match self {
            Self::Returns => Requests { mail, destinations }.click(1, CHROME),
            _ => Vec::new(),
        }
    }
}

/// The requests that one mail leads to.
struct Requests<'a> {
    mail: &'a Mail,
    destinations: &'a [String],
}

impl Requests<'_> {
    fn open(&self, agent: &'static str, human: bool) -> Vec<Hit> {
        let hit = |url: &str| Hit {
            method: Method::GET,
            url: url.to_owned(),
            agent,
            human,
            destination: None,
        };
        self.mail.pixel().map(hit).into_iter().collect()
    }

    /// Every link, and nothing else: at most a second passes between the first and the last.
    fn scan(&self, method: &Method, agent: &'static str) -> Vec<Hit> {
        let links = self.mail.tracked().into_iter().zip(self.destinations);
        let hit = |(url, destination): (&str, &String)| Hit {
            method: method.clone(),
            url: url.to_owned(),
            agent,
            human: false,
            destination: Some(destination.clone()),
        };
        links.map(hit).collect()
    }

    fn click(&self, link: usize, agent: &'static str) -> Vec<Hit> {
        let all = self
            .scan(&Method::GET, agent)
            .into_iter()
            .skip(link)
            .take(1);
        all.map(|hit| Hit { human: true, ..hit }).collect()
    }
}

/// Makes requests like browsers and scanners: no redirect is followed, no name is given unasked.
#[derive(Clone, Debug)]
pub(crate) struct Visitors(reqwest::Client);

impl Visitors {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .no_proxy();
        Ok(Self(client.build()?))
    }

    /// Makes all requests at once; answers how many were answered as they must be.
    pub(crate) async fn make(&self, hits: &[Hit]) -> anyhow::Result<usize> {
        let answers = join_all(hits.iter().map(|hit| self.follow(hit))).await;
        let good: Vec<bool> = answers.into_iter().collect::<Result<_, _>>()?;
        Ok(good.into_iter().filter(|good| *good).count())
    }

    async fn follow(&self, hit: &Hit) -> anyhow::Result<bool> {
        let answer = self.request(&hit.method, &hit.url, hit.agent).await?;
        let Some(destination) = &hit.destination else {
            let kind = answer
                .headers()
                .get("content-type")
                .and_then(|kind| kind.to_str().ok());
            return Ok(answer.status() == StatusCode::OK && kind == Some("image/gif"));
        };
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|url| url.to_str().ok());
        Ok(answer.status().is_redirection() && location == Some(destination.as_str()))
    }

    /// Looks at a page and changes nothing.
    pub(crate) async fn look(&self, method: &Method, url: &str) -> anyhow::Result<()> {
        self.request(method, url, CHROME).await.map(drop)
    }

    /// Unsubscribes with one click (RFC 8058); answers whether it was accepted.
    pub(crate) async fn unsubscribe(&self, url: &str) -> anyhow::Result<bool> {
        let form = [("List-Unsubscribe", "One-Click")];
        let answer = self.0.post(url).form(&form).send().await?;
        Ok(answer.status().is_success())
    }

    async fn request(&self, method: &Method, url: &str, agent: &str) -> anyhow::Result<Response> {
        for _ in 0..5 {
            let mut request = self.0.request(method.clone(), url);
            if !agent.is_empty() {
                request = request.header(USER_AGENT, agent);
            }
            let answer = request.send().await?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            tokio::time::sleep(retry_after(&answer)).await;
        }
        bail!("{url} is put off again and again (429)")
    }
}

/// What was done, counted as a report must count it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    opens: Count,
    clicks: Count,
    links: BTreeMap<String, Count>,
    left: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    human: i64,
    machine: i64,
    people: BTreeSet<String>,
}

impl Count {
    fn add(&mut self, person: &str, human: bool) {
        if human {
            self.human += 1;
            self.people.insert(person.to_owned());
        } else {
            self.machine += 1;
        }
    }

    fn hits(&self) -> Hits {
        Hits {
            human: self.human,
            machine: self.machine,
            unique: self.people.len() as i64,
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, person: &str, hits: &[Hit]) {
        for hit in hits {
            match &hit.destination {
                None => self.opens.add(person, hit.human),
                Some(destination) => {
                    self.clicks.add(person, hit.human);
                    let link = self.links.entry(destination.clone()).or_default();
                    link.add(person, hit.human);
                }
            }
        }
    }

    pub(crate) fn leave(&mut self, person: &str) {
        self.left.insert(person.to_owned());
    }

    /// Who unsubscribed.
    pub(crate) fn left(&self) -> &BTreeSet<String> {
        &self.left
    }

    /// What the report must say, links by their address.
    pub(crate) fn engagement(&self) -> CampaignEngagement {
        let left = self.left.len() as i64;
        let link = |(url, count): (&String, &Count)| LinkHits {
            url: url.clone(),
            hits: count.hits(),
        };
        CampaignEngagement {
            opens: self.opens.hits(),
            clicks: self.clicks.hits(),
            unsubscribes: Hits {
                human: left,
                machine: 0,
                unique: left,
            },
            complaints: Hits::default(),
            links: self.links.iter().map(link).collect(),
        }
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
