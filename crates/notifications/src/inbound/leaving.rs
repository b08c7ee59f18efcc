//! Mails that unsubscribe whoever wrote them (RFC 2369 §3.2).

use chrono::{DateTime, Utc};
use common::events::MessageDeclined;
use common::return_path::ReturnPath;
use diesel::{PgConnection, QueryResult};

use super::desk::Outcome;
use crate::store::feedback::find_message;

/// Tells leads that the recipient of a message wants no more. What the mail says does not matter:
/// its address is signed, and stands in that message only. Told again it changes nothing there.
pub(super) fn leave(
    conn: &mut PgConnection,
    path: ReturnPath,
    now: DateTime<Utc>,
) -> QueryResult<Outcome> {
    let Some((workspace, message)) = find_message(conn, path.message_id, path.workspaces)? else {
        return Ok(Outcome::Unmatched);
    };
    let Some(lead_id) = message.lead_id else {
        return Ok(Outcome::Unmatched);
    };
    let event = MessageDeclined {
        message_id: message.id,
        lead_id,
        campaign_id: message.campaign_id,
        at: now,
    };
    chassis::outbox::push(conn, workspace, &event)?;
    Ok(Outcome::Left)
}
