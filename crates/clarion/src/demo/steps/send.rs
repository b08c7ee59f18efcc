//! The send: started once, watched until everybody is accounted for, then looked for in the mailbox.

use std::collections::{BTreeSet, HashMap};

use anyhow::bail;
use common::dto::dispatch::Settlement;
use serde::Deserialize;
use serde_json::{Value, json};

use super::compose::Campaign;
use super::{Demo, Expected, PAUSE};
use crate::demo::console::{Step, thousands};
use crate::demo::inbox::{Summary, mail_key};

/// How long a campaign may stand still before the demo gives up.
const STANDSTILL: u32 = 400;

/// A campaign that is settled, and its mails.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) settlement: Settlement,
    /// The mails in the mailbox, by the recipient's key.
    pub(super) mails: HashMap<String, Summary>,
}

#[derive(Deserialize)]
struct Message {
    to: String,
}

impl Demo {
    /// Starts the campaign and compares everything that became of it.
    pub(super) async fn send(&mut self, campaign: &Campaign) -> anyhow::Result<Sent> {
        let expected = Expected::of(self.crowd.people.iter(), &self.before.suppressed);
        let settlement = self.deliver(&campaign.id, "send", &expected).await?;
        self.compare_ledger(&campaign.id, &expected).await?;
        let code = self.code.clone();
        let mails = self.compare_mailbox("mailbox", &code, &expected).await?;
        Ok(Sent { settlement, mails })
    }

    /// Starts a campaign, waits until it is settled, and compares how everybody fared.
    pub(super) async fn deliver(
        &mut self,
        campaign: &str,
        name: &'static str,
        expected: &Expected,
    ) -> anyhow::Result<Settlement> {
        let path = format!("/api/v1/campaigns/{campaign}/start");
        let _: Value = self
            .api
            .post_once(&path, &json!({ "accept_warnings": true }))
            .await?;
        let step = Step::through(name, expected.settlement().audience as usize);
        let settlement = self.settle(campaign, name, &step).await?;
        step.end(&sum(&settlement));
        let done = expected.settlement();
        let outcomes = [
            ("audience", done.audience, settlement.audience),
            ("accepted", done.accepted, settlement.accepted),
            ("rejected", done.rejected, settlement.rejected),
            ("suppressed", done.suppressed, settlement.suppressed),
            ("skipped", done.skipped, settlement.skipped),
            ("ambiguous", done.ambiguous, settlement.ambiguous),
            ("pending", done.pending, settlement.pending),
        ];
        for (outcome, done, reported) in outcomes {
            self.figures
                .compare(format!("{name}: {outcome}"), done, reported);
        }
        Ok(settlement)
    }

    /// Looks at the settlement until it is settled; it must add up at every look.
    async fn settle(
        &mut self,
        campaign: &str,
        name: &str,
        step: &Step,
    ) -> anyhow::Result<Settlement> {
        let path = format!("/api/v1/campaigns/{campaign}/settlement");
        let (mut looks, mut right, mut still, mut last) = (0_u64, 0_u64, 0, -1);
        loop {
            let now: Settlement = self.api.get(&path).await?;
            looks += 1;
            right += u64::from(now.audience == now.sum());
            step.of(now.audience);
            step.at((now.audience - now.pending).max(0) as usize);
            if now.settled {
                self.figures.compare(
                    format!("{name}: times the settlement added up"),
                    looks,
                    right,
                );
                return Ok(now);
            }
            still = if now.pending == last { still + 1 } else { 0 };
            if still > STANDSTILL {
                bail!(
                    "the campaign stands still: {}, {} pending",
                    sum(&now),
                    now.pending
                );
            }
            last = now.pending;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Everybody must be in the ledger by name, with the outcome that is theirs.
    async fn compare_ledger(&mut self, campaign: &str, expected: &Expected) -> anyhow::Result<()> {
        let step = Step::through("read the ledger", expected.settlement().audience as usize);
        let outcomes = [
            ("accepted", &expected.accepted),
            ("rejected", &expected.rejected),
            ("suppressed", &expected.suppressed),
            ("ambiguous", &expected.ambiguous),
        ];
        let mut named = 0;
        for (outcome, keys) in outcomes {
            let path = format!("/api/v1/messages?campaign_id={campaign}&outcome={outcome}");
            let before = named;
            let messages: Vec<Message> = self.api.all(&path, |read| step.at(before + read)).await?;
            named += messages.len();
            let reported = messages.iter().map(|message| message.to.to_lowercase());
            self.figures.compare_names(
                format!("ledger: {outcome} by name"),
                keys.clone(),
                reported,
            );
        }
        step.end(&format!("{} messages by name", thousands(named)));
        Ok(())
    }

    /// The mailbox must hold one mail for everybody who was mailed, and none for anybody else.
    pub(super) async fn compare_mailbox(
        &mut self,
        name: &str,
        code: &str,
        expected: &Expected,
    ) -> anyhow::Result<HashMap<String, Summary>> {
        let step = Step::through("read the mailbox", expected.delivered.len());
        let editor = format!("editor.{}@", self.code.to_lowercase());
        let mut mails = self.inbox.with_subject(code, |read| step.at(read)).await?;
        mails.retain(|mail| !mail.rcpt_to.iter().any(|to| to.starts_with(&editor)));
        let recipients = || {
            mails
                .iter()
                .flat_map(|mail| mail.rcpt_to.iter().map(|to| mail_key(to)))
        };
        let distinct: BTreeSet<String> = recipients().collect();
        let ids: BTreeSet<&str> = mails
            .iter()
            .filter_map(|mail| mail.message_id.as_deref())
            .collect();
        let delivered = expected.delivered.len();
        self.figures.compare_names(
            format!("{name}: mails by recipient"),
            expected.delivered.clone(),
            recipients(),
        );
        self.figures.compare(
            format!("{name}: distinct recipients"),
            delivered,
            distinct.len(),
        );
        self.figures.compare(
            format!("{name}: distinct Message-IDs"),
            delivered,
            ids.len(),
        );
        step.end(&format!(
            "{} mails, {} recipients",
            thousands(mails.len()),
            thousands(distinct.len())
        ));
        let by_recipient = |mail: Summary| Some((mail_key(mail.rcpt_to.first()?), mail));
        Ok(mails.into_iter().filter_map(by_recipient).collect())
    }
}

/// The settlement as the sum that it is.
pub(crate) fn sum(settlement: &Settlement) -> String {
    let Settlement {
        audience,
        accepted,
        rejected,
        suppressed,
        skipped,
        ambiguous,
        ..
    } = settlement;
    format!(
        "{audience} = {accepted} accepted + {rejected} rejected + {suppressed} suppressed + \
         {skipped} skipped + {ambiguous} ambiguous"
    )
}

/// Text without the line breaks that a mail puts into it.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
