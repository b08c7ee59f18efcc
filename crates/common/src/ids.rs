//! Identifiers: UUIDv7 (RFC 9562), one type per noun, so that a lead is never taken for a campaign.

/// Defines an id newtype that is a UUID in JSON, in paths and in Postgres.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new id; later ids sort after earlier ones.
            #[expect(clippy::new_without_default, reason = "an id is made, never defaulted")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <uuid::Uuid as diesel::serialize::ToSql<
                    diesel::sql_types::Uuid,
                    diesel::pg::Pg,
                >>::to_sql(&self.0, out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn from_sql(
                bytes: diesel::pg::PgValue<'_>,
            ) -> diesel::deserialize::Result<Self> {
                <uuid::Uuid as diesel::deserialize::FromSql<
                    diesel::sql_types::Uuid,
                    diesel::pg::Pg,
                >>::from_sql(bytes)
                .map(Self)
            }
        }
    )+};
}

ids! {
    /// A tenant; every owned row carries one.
    WorkspaceId,
    /// A person who signs in.
    UserId,
    /// A key that a program presents instead of a person's session.
    ApiKeyId,
    /// A set of scopes that a workspace made for itself.
    RoleId,
    /// An offer to belong to a workspace.
    InvitationId,
    /// A person in the audience.
    LeadId,
    /// What a person consents to.
    ListId,
    /// A saved rule over leads.
    SegmentId,
    /// One run of a CSV import.
    ImportId,
    /// A public subscription form.
    FormId,
    /// Somebody's answers to a form.
    SubmissionId,
    /// One piece of content to one audience.
    CampaignId,
    /// Reusable content.
    TemplateId,
    /// One mail to one person: a row of the ledger.
    MessageId,
    /// An SMTP server with its limits.
    SenderId,
    /// A URL that a mail provider tells bounces to.
    HookId,
    /// A domain that mails are sent from.
    DomainId,
    /// A URL that events are posted to.
    WebhookId,
    /// One event on its way to one webhook.
    DeliveryId,
    /// One recorded fact in analytics.
    EventId,
    /// A key that a site or a program sends events with.
    WriteKeyId,
    /// A link that shows reports.
    ShareId,
    /// What a workspace wants people to do.
    GoalId,
}
