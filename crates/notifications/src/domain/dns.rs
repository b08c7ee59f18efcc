//! Which records a sending domain needs, and whether those that were found will do.

use serde::{Deserialize, Serialize};

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = notifications::RecordType)]
pub(crate) enum Kind {
    Txt,
    Mx,
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::RecordPurpose)]
pub(crate) enum Purpose {
    Dkim,
    Spf,
    Dmarc,
    ReturnPath,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::RecordStatus)]
pub(crate) enum Status {
    Unchecked,
    Ok,
    Missing,
    Wrong,
}

/// A DNS record to publish, and what was there when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = notifications::DnsRecord)]
pub(crate) struct Record {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) purpose: Purpose,
    pub(crate) name: String,
    pub(crate) value: String,
    /// Of DKIM: whether this key signs. A new one waits until its record was seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) signs: Option<bool>,
    /// Of SPF: whether it counts for DMARC. It does when the domain of the envelope's sender, whose
    /// record this is, and the domain of `From` are of one organisation (relaxed alignment,
    /// RFC 7489 §3.1.2).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) aligned: Option<bool>,
    pub(crate) status: Status,
    /// All records of this type at this name.
    pub(crate) found: Vec<String>,
}

impl Record {
    fn new(kind: Kind, purpose: Purpose, name: String, value: String) -> Self {
        Self {
            kind,
            purpose,
            name,
            value,
            signs: None,
            aligned: None,
            status: Status::Unchecked,
            found: Vec::new(),
        }
    }

    pub(crate) fn dkim(domain: &str, selector: &str, value: &str, signs: bool) -> Self {
        let name = format!("{selector}._domainkey.{domain}");
        Self {
            signs: Some(signs),
            ..Self::new(Kind::Txt, Purpose::Dkim, name, value.to_owned())
        }
    }

    /// The status that the same record had in an earlier check.
    pub(crate) fn remembered(mut self, checked: &[Self]) -> Self {
        let same = |old: &&Self| old.name == self.name && old.value == self.value;
        if let Some(old) = checked.iter().find(same) {
            self.status = old.status;
            self.found.clone_from(&old.found);
        }
        self
    }

    /// Judges what was found at its name.
    pub(crate) fn judged(mut self, found: Vec<String>) -> Self {
        self.status = match self.purpose {
            Purpose::Dkim => dkim(&self.value, &found),
            Purpose::Spf => spf(&found),
            Purpose::Dmarc => dmarc(&found),
            Purpose::ReturnPath => return_path(&self.value, &found),
        };
        self.found = found;
        self
    }

    /// Where else it may stand: a DMARC record of a parent domain holds too (RFC 7489 §6.6.3).
    pub(crate) fn elsewhere(&self) -> Vec<String> {
        let Some(domain) = self.name.strip_prefix("_dmarc.") else {
            return Vec::new();
        };
        let parents = domain.match_indices('.').map(|(at, _)| &domain[at + 1..]);
        parents
            .filter(|parent| parent.contains('.'))
            .map(|parent| format!("_dmarc.{parent}"))
            .collect()
    }
}

/// This installation, as the DNS must know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installation<'i> {
    /// The mail server that sends.
    pub(crate) relay: &'i str,
    /// Where what comes back is taken in.
    pub(crate) host: &'i str,
    /// The domain of the envelopes' senders; none when that is the one of `From`.
    pub(crate) bounce_domain: Option<&'i str>,
}

/// The records besides those of the keys: SPF, DMARC, and the MX of the return path. SPF is asked
/// of the domain in the envelope (RFC 7208 §2.4), not of the one in `From`. Without return paths of
/// our own, what comes back goes wherever the domain's mail goes.
pub(crate) fn others(domain: &str, here: Installation<'_>) -> Vec<Record> {
    let relay = here.relay;
    let sends = match relay.parse() {
        Ok(std::net::IpAddr::V4(ip)) => format!("ip4:{ip}"),
        Ok(std::net::IpAddr::V6(ip)) => format!("ip6:{ip}"),
        Err(_) => format!("a:{relay}"),
    };
    let txt = |purpose, name, value| Record::new(Kind::Txt, purpose, name, value);
    let envelope = here.bounce_domain.unwrap_or(domain);
    let spf = Record {
        aligned: Some(organisation(envelope) == organisation(domain)),
        ..txt(
            Purpose::Spf,
            envelope.to_owned(),
            format!("v=spf1 {sends} ~all"),
        )
    };
    let mut records = vec![
        spf,
        txt(
            Purpose::Dmarc,
            format!("_dmarc.{domain}"),
            "v=DMARC1; p=none".into(),
        ),
    ];
    if let Some(bounce) = here.bounce_domain {
        let mx = format!("10 {}", here.host);
        let record = Record::new(Kind::Mx, Purpose::ReturnPath, bounce.to_owned(), mx);
        records.push(record);
    }
    records
}

/// The organisational domain, by the public suffix list (RFC 7489 §3.2).
fn organisation(domain: &str) -> &str {
    psl::domain_str(domain).unwrap_or(domain)
}

/// Receivers take mails from it for genuine: every key that signs is published, and there is a
/// DMARC policy. A signature of the very domain in `From` is aligned.
pub(crate) fn is_authenticated(records: &[Record]) -> bool {
    records.iter().any(|record| record.signs == Some(true)) && lacking(records).next().is_none()
}

/// What keeps a domain from being authenticated.
pub(crate) fn lacking(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| {
        let needed = record.signs == Some(true) || record.purpose == Purpose::Dmarc;
        needed && record.status != Status::Ok
    })
}

/// The value of a tag in a tag list, without white space (RFC 6376 §3.2).
fn tag(record: &str, name: &str) -> Option<String> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let value = tags.into_iter().find(|(found, _)| found.trim() == name)?.1;
    Some(value.split_whitespace().collect())
}

fn dkim(wanted: &str, found: &[String]) -> Status {
    let same = |found: &String| {
        let kind = |record: &str| tag(record, "k").unwrap_or_else(|| "rsa".into());
        tag(found, "p") == tag(wanted, "p") && kind(found) == kind(wanted)
    };
    match found {
        [] => Status::Missing,
        [one] if same(one) => Status::Ok,
        _ => Status::Wrong,
    }
}

/// Exactly one policy (RFC 7208 §4.5) that does not let everybody in. Which senders it must name
/// is not known here: relays often send from other addresses than they listen at.
fn spf(found: &[String]) -> Status {
    let policies: Vec<_> = found
        .iter()
        .map(|text| text.to_lowercase())
        .filter(|text| text.split_whitespace().next() == Some("v=spf1"))
        .collect();
    let lax = |policy: &String| {
        let mut terms = policy.split_whitespace();
        terms.any(|term| term == "+all" || term == "all")
    };
    match policies.as_slice() {
        [] => Status::Missing,
        [policy] if !lax(policy) => Status::Ok,
        _ => Status::Wrong,
    }
}

fn dmarc(found: &[String]) -> Status {
    let policies: Vec<_> = found
        .iter()
        .filter(|text| tag(text, "v").as_deref() == Some("DMARC1"))
        .collect();
    let valid = |policy: &str| {
        let policy = tag(policy, "p");
        matches!(policy.as_deref(), Some("none" | "quarantine" | "reject"))
    };
    match policies.as_slice() {
        [] => Status::Missing,
        [policy] if valid(policy) => Status::Ok,
        _ => Status::Wrong,
    }
}

fn return_path(wanted: &str, found: &[String]) -> Status {
    let host = |record: &str| record.split(' ').nth(1).map(str::to_lowercase);
    match found {
        [] => Status::Missing,
        found if found.iter().any(|found| host(found) == host(wanted)) => Status::Ok,
        _ => Status::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: &[&str]) -> Vec<String> {
        found.iter().map(|text| (*text).to_owned()).collect()
    }

    const HERE: Installation<'static> = Installation {
        relay: "relay.example",
        host: "clarion.test",
        bounce_domain: Some("bounces.shop.co.uk"),
    };

    #[test]
    fn spf_is_of_the_envelope_and_counts_within_one_organisation() {
        for (from, bounce_domain, name, aligned) in [
            (
                "news.shop.co.uk",
                HERE.bounce_domain,
                "bounces.shop.co.uk",
                true,
            ),
            ("shop.co.uk", HERE.bounce_domain, "bounces.shop.co.uk", true),
            (
                "other.co.uk",
                HERE.bounce_domain,
                "bounces.shop.co.uk",
                false,
            ),
            ("other.co.uk", None, "other.co.uk", true),
        ] {
            let here = Installation {
                bounce_domain,
                ..HERE
            };
            let spf = &others(from, here)[0];
            assert_eq!((spf.name.as_str(), spf.aligned), (name, Some(aligned)));
            assert_eq!(spf.value, "v=spf1 a:relay.example ~all");
        }
    }

    #[test]
    fn a_key_is_known_by_its_value() {
        let wanted = "v=DKIM1; k=rsa; p=ABC";
        for (found, status) in [
            (vec![], Status::Missing),
            (vec!["v=DKIM1;p=AB C"], Status::Ok),
            (vec!["k=rsa; p=ABC; t=s"], Status::Ok),
            (vec!["v=DKIM1; k=ed25519; p=ABC"], Status::Wrong),
            (vec!["v=DKIM1; k=rsa; p="], Status::Wrong),
            (vec![wanted, wanted], Status::Wrong),
        ] {
            assert_eq!(dkim(wanted, &texts(&found)), status, "{found:?}");
        }
    }

    #[test]
    fn there_is_one_spf_policy_that_refuses_somebody() {
        for (found, status) in [
            (vec!["hello"], Status::Missing),
            (vec!["v=spf10 -all"], Status::Missing),
            (vec!["hello", "v=spf1 mx -all"], Status::Ok),
            (vec!["V=SPF1 include:x.example ~all"], Status::Ok),
            (vec!["v=spf1 +all"], Status::Wrong),
            (vec!["v=spf1 mx -all", "v=spf1 -all"], Status::Wrong),
        ] {
            assert_eq!(spf(&texts(&found)), status, "{found:?}");
        }
    }

    #[test]
    fn a_dmarc_policy_says_what_is_to_be_done() {
        for (found, status) in [
            (vec![], Status::Missing),
            (
                vec!["v=DMARC1; p=reject; rua=mailto:a@x.example"],
                Status::Ok,
            ),
            (vec!["v=DMARC1"], Status::Wrong),
            (vec!["v=DMARC1; p=none", "v=DMARC1; p=none"], Status::Wrong),
        ] {
            assert_eq!(dmarc(&texts(&found)), status, "{found:?}");
        }
        let records = others("a.b.example.com", HERE);
        assert_eq!(
            records[1].elsewhere(),
            ["_dmarc.b.example.com", "_dmarc.example.com"]
        );
    }

    #[test]
    fn a_return_path_leads_here() {
        let records = others("x.example", HERE);
        let mx = &records[2];
        assert_eq!(
            (mx.name.as_str(), mx.value.as_str()),
            ("bounces.shop.co.uk", "10 clarion.test")
        );
        let without = Installation {
            bounce_domain: None,
            ..HERE
        };
        assert_eq!(others("x.example", without).len(), 2, "they go elsewhere");
        for (found, status) in [
            (vec![], Status::Missing),
            (vec!["20 other.test", "5 Clarion.test"], Status::Ok),
            (vec!["10 other.test"], Status::Wrong),
        ] {
            assert_eq!(mx.clone().judged(texts(&found)).status, status, "{found:?}");
        }
    }
}
