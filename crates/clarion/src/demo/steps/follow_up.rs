//! A second campaign, to a part of the list: whoever left or bounced must not be mailed again.

use std::collections::BTreeSet;

use serde_json::json;

use super::compose::Campaign;
use super::import::Imported;
use super::{Created, Demo, Expected};
use crate::demo::people::{Fate, Person};
use crate::demo::readers::Tally;

impl Demo {
    /// Sends a second letter to the list without its guests, and looks for it where it must and
    /// must not be.
    pub(super) async fn follow_up(
        &mut self,
        imported: &Imported,
        first: &Campaign,
        tally: &Tally,
    ) -> anyhow::Result<()> {
        let name = "segment: people who stayed";
        self.compare_members(name, &imported.list, &first.guests, tally.left())
            .await?;
        let code = super::code();
        let letter = json!({
            "name": format!("Follow-up {}", self.code),
            "subject": format!("One more thing {code}"),
            "from": { "name": "Clärion Demo", "email": "letters@clarion-demo.example" },
            "content": {
                "format": "markdown",
                "body": "# Hello {{ lead.first_name|default('there') }}\n\n[Unsubscribe]({{ unsubscribe_url }})\n",
            },
            "audience": { "list_ids": [imported.list], "exclude_segment_ids": [first.guests] },
        });
        let campaign: Created = self.api.post("/api/v1/campaigns", &letter).await?;
        let expected = self.expected_after(tally);
        self.deliver(&campaign.id, "follow-up", &expected).await?;
        self.compare_mailbox("follow-up", &code, &expected).await?;
        Ok(())
    }

    /// What must become of those who are no guests, now that some left and some bounced.
    fn expected_after(&self, tally: &Tally) -> Expected {
        let mut suppressed: BTreeSet<String> = self.before.suppressed.clone();
        suppressed.extend(tally.left().iter().cloned());
        suppressed.extend(self.crowd.with_fate(Fate::Rejected).map(Person::key));
        let invited = self.crowd.people.iter().filter(|person| !person.is_guest());
        Expected::of(invited, &suppressed)
    }
}
