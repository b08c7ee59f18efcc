//! The rules of delivery, as pure functions.

pub(crate) mod attachment;
pub(crate) mod backoff;
pub(crate) mod bucket;
pub(crate) mod dns;
pub(crate) mod feedback;
pub(crate) mod instance;
pub(crate) mod pace;
pub(crate) mod routing;
pub(crate) mod sender;
pub(crate) mod state;
pub(crate) mod transactional;
pub(crate) mod utm;
pub(crate) mod verdict;
pub(crate) mod warm_up;
pub(crate) mod webhook;
