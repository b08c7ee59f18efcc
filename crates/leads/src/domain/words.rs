//! The words of a form's pages and mail, where the form has none of its own.

use chassis::http::Language;

use super::form::Why;

/// Languages that a form's page speaks.
pub(crate) const LANGUAGES: [Language; 2] = [Language::English, Language::German];

#[derive(Debug)]
pub(crate) struct Words {
    pub language: Language,
    pub email: &'static str,
    pub optional: &'static str,
    pub leave_empty: &'static str,
    pub button: &'static str,
    pub check: &'static str,
    pub missing: &'static str,
    pub no_address: &'static str,
    pub too_long: &'static str,
    pub unprintable: &'static str,
    pub not_agreed: &'static str,
    /// After a form that is confirmed by mail.
    pub look_title: &'static str,
    pub look: &'static str,
    /// After any other form.
    pub thanks_title: &'static str,
    pub thanks: &'static str,
    pub closed_title: &'static str,
    pub closed: &'static str,
    pub nothing_title: &'static str,
    pub nothing: &'static str,
    pub confirm_title: &'static str,
    pub confirm: &'static str,
    pub confirm_button: &'static str,
    pub confirmed_title: &'static str,
    pub confirmed: &'static str,
    pub over_title: &'static str,
    pub over: &'static str,
    /// What it prints stands in `data`.
    pub subject: &'static str,
    pub mail: &'static str,
}

static ENGLISH: Words = Words {
    language: Language::English,
    email: "Email address",
    optional: "optional",
    leave_empty: "Leave this empty",
    button: "Subscribe",
    check: "Please look at what is marked.",
    missing: "Please fill this in.",
    no_address: "Please give an email address such as ada@example.com.",
    too_long: "Please make this shorter; it may have so many characters:",
    unprintable: "Please write this in one line.",
    not_agreed: "Please agree to this.",
    look_title: "Please look into your mailbox",
    look: "We have sent you a mail. The link in it confirms that the address is yours.",
    thanks_title: "Thank you",
    thanks: "You are on the list.",
    closed_title: "This form is closed",
    closed: "It does not take anybody at the moment.",
    nothing_title: "There is no form here",
    nothing: "Please look at the address again: a part of it may be missing.",
    confirm_title: "Please confirm",
    confirm: "You agree to this:",
    confirm_button: "Yes, I agree",
    confirmed_title: "It is confirmed",
    confirmed: "Thank you. Every mail has a link by which you can leave again.",
    over_title: "This link is not valid any more",
    over: "It works for a week. Please fill in the form again.",
    subject: "Please confirm: {{ data.title }}",
    mail: "Hello,\n\nsomebody, hopefully you, gave this address in a form:\n\n{{ data.title }}\n\n\
           and agreed to this:\n\n{{ data.wording }}\n\nPlease confirm it here:\n\n{{ data.url }}\n\n\
           The link works for a week. If it was not you, ignore this mail: nothing will be sent to you.\n",
};

static GERMAN: Words = Words {
    language: Language::German,
    email: "E-Mail-Adresse",
    optional: "freiwillig",
    leave_empty: "Bitte leer lassen",
    button: "Anmelden",
    check: "Bitte sehen Sie sich die markierten Stellen an.",
    missing: "Bitte füllen Sie das aus.",
    no_address: "Bitte geben Sie eine E-Mail-Adresse wie ada@example.com an.",
    too_long: "Bitte kürzen Sie das; erlaubt sind so viele Zeichen:",
    unprintable: "Bitte schreiben Sie das in eine Zeile.",
    not_agreed: "Bitte stimmen Sie zu.",
    look_title: "Bitte sehen Sie in Ihr Postfach",
    look: "Wir haben Ihnen eine Mail geschickt. Der Link darin bestätigt, dass die Adresse Ihre ist.",
    thanks_title: "Vielen Dank",
    thanks: "Sie stehen auf der Liste.",
    closed_title: "Dieses Formular ist geschlossen",
    closed: "Zurzeit nimmt es niemanden auf.",
    nothing_title: "Hier ist kein Formular",
    nothing: "Bitte prüfen Sie die Adresse: Vielleicht fehlt ein Teil davon.",
    confirm_title: "Bitte bestätigen",
    confirm: "Sie stimmen dem zu:",
    confirm_button: "Ja, ich stimme zu",
    confirmed_title: "Es ist bestätigt",
    confirmed: "Vielen Dank. In jeder Mail ist ein Link, mit dem Sie sich wieder abmelden können.",
    over_title: "Dieser Link gilt nicht mehr",
    over: "Er gilt eine Woche. Bitte füllen Sie das Formular noch einmal aus.",
    subject: "Bitte bestätigen: {{ data.title }}",
    mail: "Guten Tag,\n\njemand, hoffentlich Sie, hat diese Adresse in einem Formular angegeben:\n\n\
           {{ data.title }}\n\nund dem zugestimmt:\n\n{{ data.wording }}\n\nBitte bestätigen Sie es \
           hier:\n\n{{ data.url }}\n\nDer Link gilt eine Woche. Wenn Sie es nicht waren, lassen Sie \
           diese Mail liegen: Dann wird Ihnen nichts geschickt.\n",
};

/// The words in a language.
pub(crate) fn words(language: Language) -> &'static Words {
    language.pick(&ENGLISH, &GERMAN)
}

/// The words in the language of this tag, in English where it is none of [`LANGUAGES`].
pub(crate) fn words_of(tag: &str) -> &'static Words {
    let known = LANGUAGES.into_iter().find(|known| known.tag() == tag);
    words(known.unwrap_or_default())
}

impl Words {
    /// For a person.
    pub(crate) fn wrong(&self, why: &Why) -> String {
        match why {
            Why::Missing => self.missing.to_owned(),
            Why::NoAddress => self.no_address.to_owned(),
            Why::TooLong(limit) => format!("{} {limit}.", self.too_long),
            Why::Unprintable => self.unprintable.to_owned(),
            Why::NotAgreed => self.not_agreed.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_words_of_its_own() {
        for language in LANGUAGES {
            assert_eq!(words_of(language.tag()).language, language);
        }
        assert_eq!(words_of("fr").language, Language::English);
    }
}
