//! What the gateway itself asks of the parts.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::gate::Gate;
use crate::upstream::{AnswerBody, Call, Payload, Pool, send};
use crate::wire::{Flow, next};

/// Whoever asks is waiting; a part that takes longer is counted as away.
const DEADLINE: Duration = Duration::from_secs(3);
const LARGEST: usize = 8 * 1024 * 1024;

/// `GET path` of a pool: its status and body.
pub(crate) async fn get(gate: &Rc<Gate>, pool: &Pool, path: &str) -> Result<(u16, Vec<u8>), Error> {
    get_with(gate, pool, path, b"").await
}

/// The same with more lines in the head.
pub(crate) async fn get_with(
    gate: &Rc<Gate>,
    pool: &Pool,
    path: &str,
    lines: &[u8],
) -> Result<(u16, Vec<u8>), Error> {
    let mut head = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    head.extend_from_slice(lines);
    let call = Call {
        pool,
        head: &head,
        idempotent: true,
        head_only: false,
        retries: 1,
        until: Instant::now() + DEADLINE,
    };
    let reading = async {
        let mut answer = send(gate, &call, &mut Payload::None).await?;
        let status = answer.head.status;
        let mut whole = std::mem::take(&mut answer.connection.small);
        let mut body = AnswerBody::new(Rc::clone(gate), answer);
        loop {
            let broken = |error| Error::broken(pool.name(), error);
            match next(&mut body).await.map_err(broken)? {
                0 => return Ok((status, whole)),
                count if whole.len() + count > LARGEST => {
                    return Err(Error::broken(pool.name(), "its answer is too large"));
                }
                count => {
                    whole.extend_from_slice(&body.data()[..count]);
                    body.consume(count);
                }
            }
        }
    };
    let late = || Error::Late {
        part: pool.name().to_owned(),
    };
    actix_web::rt::time::timeout(DEADLINE, reading)
        .await
        .unwrap_or_else(|_| Err(late()))
}
