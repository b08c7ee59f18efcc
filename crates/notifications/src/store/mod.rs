//! Queries. The moves of a message are all in `moves`: nothing else writes its state.

pub(crate) mod attachments;
pub(crate) mod bundles;
pub(crate) mod campaigns;
pub(crate) mod claims;
pub(crate) mod domains;
pub(crate) mod feedback;
pub(crate) mod handover;
pub(crate) mod holds;
pub(crate) mod hooks;
pub(crate) mod instance;
pub(crate) mod messages;
pub(crate) mod moves;
pub(crate) mod partitions;
pub(crate) mod people;
pub(crate) mod replicas;
pub(crate) mod restored;
pub(crate) mod senders;
pub(crate) mod snapshots;
pub(crate) mod templates;
pub(crate) mod webhook_deliveries;
pub(crate) mod webhooks;
