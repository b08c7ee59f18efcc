use serde::{Deserialize, Serialize};

/// What goes wrong on purpose, for every client. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Refuses everything at one stage.
    pub refuse: Option<Refusal>,
    /// Ends the connection around the reply of every nth message.
    pub drop: Option<DropEvery>,
    /// Stops answering until this is false again; connections stay open.
    pub hang: bool,
    /// Closes the listener and every connection until this is false again.
    pub away: bool,
    /// Waits this long before each flight of replies.
    pub delay_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub stage: Stage,
    /// 400 to 599.
    pub code: u16,
}

/// Where in the conversation a refusal is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Connect,
    Mail,
    Rcpt,
    /// After the dot; the message is not stored.
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropEvery {
    /// 1 drops at every message, 2 at every second one.
    pub nth: u64,
    pub when: DropWhen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropWhen {
    /// The message is not stored and gets no reply.
    Unstored,
    /// The message is stored but gets no reply.
    BeforeReply,
    /// The message is stored and answered, then the connection ends.
    AfterReply,
}

impl Faults {
    /// What is wrong with these faults, if anything.
    pub fn complaint(&self) -> Option<&'static str> {
        if self
            .refuse
            .is_some_and(|refusal| !(400..=599).contains(&refusal.code))
        {
            return Some("refuse.code must be between 400 and 599");
        }
        if self.drop.is_some_and(|drop| drop.nth == 0) {
            return Some("drop.nth must be at least 1");
        }
        None
    }

    pub(crate) fn refuses(&self, stage: Stage) -> Option<u16> {
        self.refuse
            .filter(|refusal| refusal.stage == stage)
            .map(|refusal| refusal.code)
    }

    /// What happens to the connection around the reply to the `count`th message.
    pub(crate) fn drops(&self, count: u64) -> Option<DropWhen> {
        self.drop
            .filter(|drop| drop.nth > 0 && count.is_multiple_of(drop.nth))
            .map(|drop| drop.when)
    }
}
