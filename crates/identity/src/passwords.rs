//! Password hashes: argon2id made and verified, bcrypt verified and replaced at the next sign-in.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use chassis::Unavailable;
use common::values::Secret;
use tokio::sync::Semaphore;

use crate::error::Error;

/// Kept instead of a hash for people who have never set a password: none is right.
pub(crate) const NO_PASSWORD: &str = "!";
/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How long a sign-in waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hashes passwords on blocking threads, few at once: each takes 19 MiB and tens of milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified against when there is nobody to verify, so that this takes as long.
    nobody: Arc<str>,
}

/// What a verification found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and here is a better hash of it.
    Outdated(String),
}

impl Passwords {
    /// Allows `at_once` hashes at a time.
    pub(crate) fn new(at_once: usize) -> Result<Self, Error> {
        let nobody = hash(&Secret::new(uuid::Uuid::new_v4().to_string()))?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            nobody: nobody.into(),
        })
    }

    /// A new hash of `password`, with a salt of its own.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Error> {
        self.in_turn(move || hash(&password)).await
    }

    /// Whether `password` is the one that `stored` is a hash of. Nobody's password is never
    /// right, and takes as long to be wrong as somebody's.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<Verdict, Error> {
        let nobody = Arc::clone(&self.nobody);
        self.in_turn(move || match stored {
            Some(stored) if stored != NO_PASSWORD => verify(&password, &stored),
            _ => verify(&password, &nobody).map(|_| Verdict::Wrong),
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turns = Arc::clone(&self.turns);
        let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned())
            .await
            .map_err(|late| Unavailable::because("sign-in", late))?
            .map_err(|closed| Unavailable::because("sign-in", closed))?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(Error::internal)?
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &Secret) -> Result<String, Error> {
    let hash: PasswordHash = argon2()?
        .hash_password(password.expose().as_bytes())
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(password: &Secret, stored: &str) -> Result<Verdict, Error> {
    if stored.starts_with("$2") {
        let right = bcrypt::verify(password.expose(), stored).map_err(Error::internal)?;
        return match right {
            true => hash(password).map(Verdict::Outdated),
            false => Ok(Verdict::Wrong),
        };
    }
    let parsed = PasswordHash::new(stored).map_err(|error| Error::internal(error.to_string()))?;
    let right = argon2()?
        .verify_password(password.expose().as_bytes(), &parsed)
        .is_ok();
    match right {
        true if is_weaker(&parsed) => hash(password).map(Verdict::Outdated),
        true => Ok(Verdict::Right),
        false => Ok(Verdict::Wrong),
    }
}

/// Whether a hash was made with less work than today's.
fn is_weaker(hash: &PasswordHash) -> bool {
    Params::try_from(hash).map_or(true, |params| {
        params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_with_the_stated_work() -> Result<(), Error> {
        let hash = hash(&Secret::new("correct horse"))?;
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(
            verify(&Secret::new("correct horse"), &hash)?,
            Verdict::Right
        );
        assert_eq!(verify(&Secret::new("wrong horse"), &hash)?, Verdict::Wrong);
        Ok(())
    }

    #[test]
    fn a_bcrypt_hash_is_taken_and_replaced() -> Result<(), Error> {
        let old = bcrypt::hash("correct horse", 4).map_err(Error::internal)?;
        assert_eq!(verify(&Secret::new("wrong horse"), &old)?, Verdict::Wrong);
        let Verdict::Outdated(new) = verify(&Secret::new("correct horse"), &old)? else {
            panic!("a bcrypt hash is to be replaced");
        };
        assert_eq!(verify(&Secret::new("correct horse"), &new)?, Verdict::Right);
        Ok(())
    }

    #[test]
    fn a_weaker_argon2_hash_is_replaced() -> Result<(), Error> {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).expect("valid parameters"),
        );
        let old: PasswordHash = weak.hash_password(b"correct horse").expect("it hashes");
        let verdict = verify(&Secret::new("correct horse"), &old.to_string())?;
        assert!(matches!(verdict, Verdict::Outdated(_)), "{verdict:?}");
        Ok(())
    }

    #[test]
    fn what_is_no_hash_is_our_failure_and_never_right() {
        assert!(verify(&Secret::new("x"), "plain text").is_err());
    }
}
