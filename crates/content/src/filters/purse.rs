use minijinja::{Error, ErrorKind, State};

use crate::limits::MAX_FILTER_BYTES;

/// Bytes that the filters of one render have read and produced.
#[derive(Default)]
struct Purse(usize);

/// Takes `bytes` from the render's purse, before they are allocated.
///
/// The error is that of exhausted fuel: both say that the template is too expensive.
pub(super) fn charge(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let purse = state.get_or_insert_extension_with(Purse::default);
    purse.0 = purse.0.saturating_add(bytes);
    if purse.0 > MAX_FILTER_BYTES {
        return Err(Error::from(ErrorKind::OutOfFuel));
    }
    Ok(())
}
