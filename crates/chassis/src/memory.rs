//! The allocator of every binary.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// Rendering and JSON allocate much and briefly, on many threads: the system's allocator showed in
/// the profile of a campaign.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the crate leaves out; the test below knows it by its default.
const PURGE_DELAY: mi_option_t = 15;
/// Its own default, a second, lets a busy process keep half as much again as it uses, and saves no
/// time that can be measured.
const PURGE_DELAY_MS: i8 = 10;

/// Lets freed pages go back to the system soon. What the operator says by `MIMALLOC_PURGE_DELAY`
/// goes before.
pub(crate) fn give_back_soon() {
    #[expect(unsafe_code, reason = "options have no safe interface")]
    // SAFETY: it writes one word of a table of options, at any time; an unknown option is ignored.
    unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS.into());
    }
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    /// What the allocator waits before it gives pages back, in milliseconds.
    fn delay() -> std::ffi::c_long {
        #[expect(unsafe_code, reason = "options have no safe interface")]
        // SAFETY: it reads one word of a table of options.
        unsafe {
            mi_option_get(PURGE_DELAY)
        }
    }

    #[test]
    fn pages_are_given_back_sooner_than_by_default() {
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert!(
                [1000, 10].contains(&delay()),
                "another option has this number"
            );
            give_back_soon();
            assert_eq!(delay(), 10);
        }
    }
}
