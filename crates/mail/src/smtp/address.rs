//! Who a message goes to, as the commands say it.

use common::values::EmailAddress;

/// The addresses of MAIL and RCPT. Built from parsed addresses only, so no command can be
/// smuggled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    from: String,
    to: String,
    /// An address has a local part that needs SMTPUTF8 (RFC 6531).
    utf8: bool,
}

/// The address cannot be said in SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address cannot be used in SMTP")]
pub struct Unsendable;

impl Envelope {
    pub fn new(from: &EmailAddress, to: &EmailAddress) -> Result<Self, Unsendable> {
        let (from, to) = (spell(from)?, spell(to)?);
        let utf8 = !from.is_ascii() || !to.is_ascii();
        Ok(Self { from, to, utf8 })
    }

    pub fn from(&self) -> &str {
        &self.from
    }

    pub fn to(&self) -> &str {
        &self.to
    }

    pub fn needs_utf8(&self) -> bool {
        self.utf8
    }
}

/// The address as commands say it, or an error when its domain cannot be said.
fn spell(address: &EmailAddress) -> Result<String, Unsendable> {
    let spelled = crate::mime::spelled(address);
    let sayable = spelled
        .rsplit_once('@')
        .is_some_and(|(_, domain)| domain.is_ascii());
    if sayable {
        Ok(spelled.into_owned())
    } else {
        Err(Unsendable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(to: &str) -> Envelope {
        let address = |text| EmailAddress::parse(text).expect("an address");
        Envelope::new(&address("a@b.example"), &address(to)).expect("sendable")
    }

    #[test]
    fn a_foreign_domain_is_spelled_in_ascii() {
        let envelope = envelope("ada@müller.example");
        assert_eq!(envelope.to(), "ada@xn--mller-kva.example");
        assert!(!envelope.needs_utf8());
    }

    #[test]
    fn a_foreign_local_part_needs_smtputf8() {
        assert!(envelope("jörg@example.com").needs_utf8());
        assert!(!envelope("Ada.L@example.com").needs_utf8());
    }
}
