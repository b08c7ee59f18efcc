//! Events as rows of `COPY` (PostgreSQL's documentation of `COPY`, "Binary Format"; columns are
//! written as the `…send` functions of their types do).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::event::Event;

/// What Postgres counts microseconds from: 2000-01-01, in seconds of Unix.
const EPOCH: i64 = 946_684_800;
/// The object id of `text`.
const TEXT: i32 = 25;
const JSONB_VERSION: u8 = 1;

/// The columns of [`write()`]'s rows, in their order.
pub const COLUMNS: &str = "workspace_id, id, type, occurred_at, received_at, campaign_id, lead_id, \
    message_id, anonymous_id, url, link, user_agent, ip, verdict, reasons, rules_version, \
    properties, name, user_id, visitor, source_id, context, utm_source, utm_medium, utm_campaign, \
    device, amount, currency, order_id, country";

/// `rows` as a whole file.
pub fn write(rows: &[&Event]) -> Vec<u8> {
    // A page view takes about 400 bytes.
    let mut out = Out(Vec::with_capacity(512 * rows.len()));
    out.0.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.i32(0);
    out.i32(0);
    for row in rows {
        out.row(row);
    }
    out.i16(-1);
    out.0
}

struct Out(Vec<u8>);

impl Out {
    fn row(&mut self, event: &Event) {
        self.i16(30);
        self.uuid(Some(event.workspace_id.0));
        self.uuid(Some(event.id.0));
        self.text(Some(&event.kind));
        self.time(event.occurred_at);
        self.time(event.received_at);
        self.uuid(event.campaign_id.map(|id| id.0));
        self.uuid(event.lead_id.map(|id| id.0));
        self.uuid(event.message_id.map(|id| id.0));
        self.text(event.anonymous_id.as_deref());
        self.text(event.url.as_deref());
        self.field(event.link.map(i32::to_be_bytes));
        self.text(event.user_agent.as_deref());
        self.text(event.ip.as_deref());
        self.text(Some(event.verdict.as_str()));
        self.texts(&event.reasons);
        self.field(Some(event.rules_version.to_be_bytes()));
        self.json(event.properties.as_ref().map(|json| json.0.as_str()));
        self.text(event.name.as_deref());
        self.text(event.user_id.as_deref());
        self.field(event.visitor.map(|visitor| visitor.0.to_be_bytes()));
        self.uuid(event.source_id.map(|id| id.0));
        self.json(event.context.as_ref().map(|json| json.0.as_str()));
        self.text(event.utm_source.as_deref());
        self.text(event.utm_medium.as_deref());
        self.text(event.utm_campaign.as_deref());
        self.text(event.device);
        self.field(event.amount.map(i64::to_be_bytes));
        self.text(event.currency.as_deref());
        self.text(event.order_id.as_deref());
        self.text(event.country.as_deref());
    }

    fn i16(&mut self, number: i16) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn length(&mut self, bytes: usize) {
        self.i32(i32::try_from(bytes).expect("a body is far shorter"));
    }

    /// A field, or NULL.
    fn field(&mut self, bytes: Option<impl AsRef<[u8]>>) {
        match bytes {
            Some(bytes) => {
                self.length(bytes.as_ref().len());
                self.0.extend_from_slice(bytes.as_ref());
            }
            None => self.i32(-1),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        self.field(text);
    }

    fn uuid(&mut self, id: Option<Uuid>) {
        self.field(id.map(Uuid::into_bytes));
    }

    fn time(&mut self, at: DateTime<Utc>) {
        let micros = at.timestamp_micros() - EPOCH * 1_000_000;
        self.field(Some(micros.to_be_bytes()));
    }

    fn json(&mut self, json: Option<&str>) {
        match json {
            Some(json) => {
                self.length(1 + json.len());
                self.0.push(JSONB_VERSION);
                self.0.extend_from_slice(json.as_bytes());
            }
            None => self.i32(-1),
        }
    }

    /// An array of one dimension, or of none when it is empty.
    fn texts(&mut self, texts: &[&str]) {
        let each: usize = texts.iter().map(|text| 4 + text.len()).sum();
        let dimensions = usize::from(!texts.is_empty());
        self.length(12 + 8 * dimensions + each);
        self.length(dimensions);
        // No NULLs.
        self.i32(0);
        self.i32(TEXT);
        if dimensions == 1 {
            self.length(texts.len());
            // Counted from 1.
            self.i32(1);
        }
        for text in texts {
            self.text(Some(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use common::{CampaignId, WorkspaceId};

    use super::*;
    use crate::domain::event::{CLICK, RawJson};

    /// The fields of the rows of a whole file.
    fn fields(file: &[u8]) -> Vec<Vec<Option<&[u8]>>> {
        let (head, mut rest) = file.split_at(19);
        assert_eq!(head, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        let mut take = |count: usize| {
            let taken = &rest[..count];
            rest = &rest[count..];
            taken
        };
        let mut rows = Vec::new();
        loop {
            let count = i16::from_be_bytes(take(2).try_into().expect("two"));
            if count == -1 {
                break;
            }
            let mut field = || {
                let length = i32::from_be_bytes(take(4).try_into().expect("four"));
                usize::try_from(length).ok().map(&mut take)
            };
            rows.push((0..count).map(|_| field()).collect());
        }
        assert!(rest.is_empty());
        rows
    }

    #[test]
    fn every_column_has_its_field() {
        let at = Utc
            .timestamp_opt(EPOCH + 1, 5_000)
            .single()
            .expect("a time");
        let plain = Event::new(WorkspaceId::new(), CLICK, at);
        let mut full = plain.clone();
        let campaign = CampaignId::new();
        full.campaign_id = Some(campaign);
        full.properties = Some(RawJson("{}".into()));
        full.amount = Some(-1);
        full.reasons = vec!["burst", "é"];
        full.country = Some("DE".into());
        let file = write(&[&plain, &full]);
        let rows = fields(&file);
        let columns: Vec<_> = COLUMNS.split(',').map(str::trim).collect();
        let of = |row: usize, column: &str| {
            let place = columns.iter().position(|name| *name == column);
            rows[row][place.expect("a column")]
        };
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.len() == columns.len()));
        assert_eq!(of(0, "type"), Some(&b"click"[..]));
        assert_eq!(of(0, "received_at"), Some(&1_000_005_i64.to_be_bytes()[..]));
        assert_eq!(of(0, "campaign_id"), None);
        assert_eq!(of(0, "reasons"), Some(&b"\0\0\0\0\0\0\0\0\0\0\0\x19"[..]));
        assert_eq!(of(0, "country"), None);
        assert_eq!(of(1, "campaign_id"), Some(&campaign.0.as_bytes()[..]));
        assert_eq!(of(1, "properties"), Some(&b"\x01{}"[..]));
        assert_eq!(of(1, "amount"), Some(&[0xff; 8][..]));
        let reasons =
            b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x05burst\0\0\0\x02\xc3\xa9";
        assert_eq!(of(1, "reasons"), Some(&reasons[..]));
        assert_eq!(of(1, "country"), Some(&b"DE"[..]));
    }
}
