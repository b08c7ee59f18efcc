use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Summary;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Where the source of a message is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Memory(Bytes),
    File(FilePlace),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FilePlace {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) summary: Summary,
    pub(crate) place: Place,
    /// The recipients in lower case, for searches.
    recipients: Vec<String>,
}

/// Which messages, and how many at once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Part of a recipient's address, in any case of letters.
    pub to: Option<String>,
    /// A recipient's whole address, in any case of letters.
    pub rcpt: Option<String>,
    /// Part of the subject, in any case of letters.
    pub subject: Option<String>,
    /// 1 to 500; 50 unless given.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of messages, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    pub items: Vec<Summary>,
    pub next_cursor: Option<String>,
    /// How many messages match, on all pages.
    pub total: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub messages: u64,
    /// Accepted recipients, counted once per message.
    pub recipients: u64,
    pub distinct_recipients: u64,
    /// How often a recipient got a Message-ID that they had already.
    pub duplicates: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidCursor;

/// Every message in the order it was stored.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<Arc<Entry>>,
    /// Position of the first entry ever since the start; cursors outlive a `clear`.
    base: usize,
    by_id: HashMap<Uuid, usize>,
    by_recipient: HashMap<String, Vec<usize>>,
    deliveries: HashSet<u128>,
    stats: Stats,
}

impl Index {
    pub(crate) fn push(&mut self, summary: Summary, place: Place) {
        let at = self.base + self.entries.len();
        let recipients: Vec<_> = summary.rcpt_to.iter().map(|to| to.to_lowercase()).collect();
        self.stats.messages += 1;
        for recipient in &recipients {
            self.count(recipient, summary.message_id.as_deref());
            self.by_recipient
                .entry(recipient.clone())
                .or_default()
                .push(at);
        }
        self.stats.distinct_recipients = self.by_recipient.len() as u64;
        self.by_id.insert(summary.id, at);
        self.entries.push(Arc::new(Entry {
            summary,
            place,
            recipients,
        }));
    }

    fn count(&mut self, recipient: &str, message_id: Option<&str>) {
        self.stats.recipients += 1;
        let Some(message_id) = message_id else { return };
        if !self.deliveries.insert(fingerprint(recipient, message_id)) {
            self.stats.duplicates += 1;
        }
    }

    pub(crate) fn clear(&mut self) {
        let base = self.base + self.entries.len();
        *self = Self {
            base,
            ..Self::default()
        };
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Entry>> {
        self.entry(*self.by_id.get(&id)?).cloned()
    }

    fn entry(&self, at: usize) -> Option<&Arc<Entry>> {
        self.entries.get(at.checked_sub(self.base)?)
    }

    pub(crate) fn list(&self, filter: &Filter) -> Result<Listing, InvalidCursor> {
        let before = match &filter.cursor {
            Some(cursor) => cursor.parse::<usize>().map_err(|_| InvalidCursor)?,
            None => usize::MAX,
        };
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let needle = Needle::new(filter);
        let matches = self
            .candidates(filter)
            .filter(|(_, entry)| needle.fits(entry));
        let mut listing = Listing {
            items: Vec::new(),
            next_cursor: None,
            total: 0,
        };
        let mut last = None;
        for (at, entry) in matches {
            listing.total += 1;
            if at >= before {
                continue;
            }
            if listing.items.len() < limit {
                listing.items.push(entry.summary.clone());
                last = Some(at);
            } else if listing.next_cursor.is_none() {
                listing.next_cursor = last.map(|at| at.to_string());
            }
        }
        Ok(listing)
    }

    /// Newest first: everything, or what went to one address.
    fn candidates(&self, filter: &Filter) -> Box<dyn Iterator<Item = (usize, &Arc<Entry>)> + '_> {
        let Some(address) = &filter.rcpt else {
            let numbered = self.entries.iter().enumerate().rev();
            return Box::new(numbered.map(|(at, entry)| (self.base + at, entry)));
        };
        let known = self.by_recipient.get(&address.to_lowercase());
        let mut positions = known.cloned().unwrap_or_default();
        positions.dedup();
        Box::new(
            positions
                .into_iter()
                .rev()
                .filter_map(|at| Some((at, self.entry(at)?))),
        )
    }
}

struct Needle {
    to: Option<String>,
    subject: Option<String>,
}

impl Needle {
    fn new(filter: &Filter) -> Self {
        let lower = |text: &Option<String>| {
            text.as_deref()
                .map(|text| text.trim().to_lowercase())
                .filter(|text| !text.is_empty())
        };
        Self {
            to: lower(&filter.to),
            subject: lower(&filter.subject),
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        let to = self.to.as_deref().is_none_or(|part| {
            entry
                .recipients
                .iter()
                .any(|recipient| recipient.contains(part))
        });
        to && self.subject.as_deref().is_none_or(|part| {
            let subject = entry.summary.subject.as_deref().unwrap_or_default();
            subject.to_lowercase().contains(part)
        })
    }
}

/// 128 bits that stand for a delivery, so that a million of them stay small in memory.
fn fingerprint(recipient: &str, message_id: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, recipient, message_id).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(index: &mut Index, to: &[&str], subject: &str, message_id: &str) -> Uuid {
        let summary = Summary {
            id: Uuid::now_v7(),
            received_at: chrono::DateTime::UNIX_EPOCH,
            mail_from: "a@b.c".into(),
            rcpt_to: to.iter().map(|to| (*to).to_owned()).collect(),
            subject: Some(subject.into()),
            from: None,
            to: None,
            message_id: Some(message_id.into()),
            size: 1,
        };
        let id = summary.id;
        index.push(summary, Place::Memory(Bytes::new()));
        id
    }

    #[test]
    fn pages_are_newest_first_and_stay_still_while_mail_arrives() {
        let mut index = Index::default();
        let ids: Vec<_> = (0..5)
            .map(|n| given(&mut index, &["x@y.z"], "s", &n.to_string()))
            .collect();
        let page = |index: &Index, cursor: Option<String>| {
            index
                .list(&Filter {
                    limit: Some(2),
                    cursor,
                    ..Filter::default()
                })
                .unwrap()
        };
        let first = page(&index, None);
        assert_eq!(
            first.items.iter().map(|s| s.id).collect::<Vec<_>>(),
            [ids[4], ids[3]]
        );
        given(&mut index, &["x@y.z"], "s", "new");
        let second = page(&index, first.next_cursor);
        assert_eq!(
            second.items.iter().map(|s| s.id).collect::<Vec<_>>(),
            [ids[2], ids[1]]
        );
        let third = page(&index, second.next_cursor);
        assert_eq!(
            third.items.iter().map(|s| s.id).collect::<Vec<_>>(),
            [ids[0]]
        );
        assert_eq!((third.next_cursor, third.total), (None, 6));
        let crooked = Filter {
            cursor: Some("x".into()),
            ..Filter::default()
        };
        assert_eq!(index.list(&crooked).unwrap_err(), InvalidCursor);
    }

    #[test]
    fn filters_find_by_part_by_whole_address_and_by_subject() {
        let mut index = Index::default();
        given(&mut index, &["Ann@example.com"], "Spring sale", "1");
        given(
            &mut index,
            &["joann@example.com", "JOANN@example.com"],
            "Autumn",
            "2",
        );
        let total = |filter: Filter| index.list(&filter).unwrap().total;
        assert_eq!(
            total(Filter {
                to: Some("ANN@".into()),
                ..Filter::default()
            }),
            2
        );
        assert_eq!(
            total(Filter {
                rcpt: Some("ann@EXAMPLE.com".into()),
                ..Filter::default()
            }),
            1
        );
        assert_eq!(
            total(Filter {
                rcpt: Some("joann@example.com".into()),
                ..Filter::default()
            }),
            1
        );
        assert_eq!(
            total(Filter {
                rcpt: Some("nobody@example.com".into()),
                ..Filter::default()
            }),
            0
        );
        assert_eq!(
            total(Filter {
                subject: Some("SALE".into()),
                ..Filter::default()
            }),
            1
        );
        assert_eq!(
            total(Filter {
                to: Some(" ".into()),
                ..Filter::default()
            }),
            2
        );
    }

    #[test]
    fn a_message_id_twice_for_one_recipient_is_a_duplicate() {
        let mut index = Index::default();
        given(&mut index, &["a@x.y", "b@x.y"], "s", "1");
        given(&mut index, &["c@x.y"], "s", "1");
        assert_eq!(index.stats().duplicates, 0);
        let id = given(&mut index, &["A@x.y"], "s", "1");
        let stats = Stats {
            messages: 3,
            recipients: 4,
            distinct_recipients: 3,
            duplicates: 1,
        };
        assert_eq!(index.stats(), stats);

        index.clear();
        assert_eq!(index.stats(), Stats::default());
        assert!(index.get(id).is_none());
        let id = given(&mut index, &["a@x.y"], "s", "1");
        assert_eq!(index.stats().duplicates, 0);
        assert_eq!(index.get(id).unwrap().summary.id, id);
    }
}
