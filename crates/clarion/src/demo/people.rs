//! The demo's people: the CSV that is shipped, and all that must come of it.
//!
//! Everything follows from a person's number, so the file is the same on every machine and in every
//! version, and whoever makes it knows exactly what an import of it must answer.

mod bad;
mod names;

use std::collections::HashSet;

use names::{CITIES, COMPANIES, DOMAINS, LOCALES, NAMES, PLANS, STATUSES, TIMEZONES};

/// The file as it lies in this folder, for the usual number of people.
pub(crate) const SHIPPED: &[u8] = include_bytes!("assets/leads.csv");
/// How many people the shipped file holds.
pub(crate) const SHIPPED_PEOPLE: usize = 10_000;

/// The header.
pub(crate) const COLUMNS: [&str; 13] = [
    "email",
    "first_name",
    "last_name",
    "company",
    "phone",
    "status",
    "score",
    "timezone",
    "locale",
    "tags",
    "attributes.plan",
    "attributes.city",
    "attributes.note",
];

/// What the mailbox does with mail for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    /// There is no such mailbox.
    Rejected,
    /// The connection ends before the reply; nothing is kept.
    Lost,
    /// The connection ends before the reply, though the mail is kept.
    KeptWithoutReply,
}

/// One person, with what the file finally says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) company: String,
    pub(crate) phone: String,
    pub(crate) status: String,
    pub(crate) score: String,
    pub(crate) timezone: String,
    pub(crate) locale: String,
    pub(crate) tags: Vec<String>,
    pub(crate) plan: String,
    pub(crate) city: String,
    pub(crate) note: String,
    pub(crate) fate: Fate,
}

/// A row that must be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The physical line it begins on.
    pub(crate) line: u64,
    /// What the reason must name.
    pub(crate) reason: &'static str,
}

/// A file of people, and what an import of it into an empty workspace must answer.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) csv: Vec<u8>,
    pub(crate) people: Vec<Person>,
    pub(crate) rows: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) refused: Vec<Refusal>,
    /// The numbers of the people whom a later row changes.
    pub(crate) changed: HashSet<usize>,
    line: u64,
}

impl Crowd {
    /// Writes down `count` people, with rows among them that repeat, change or are no people.
    pub(crate) fn new(count: usize) -> Self {
        let mut crowd = Self {
            csv: b"\xef\xbb\xbf".to_vec(),
            line: 1,
            ..Self::default()
        };
        crowd.write(&row(&COLUMNS.map(|name| name.as_bytes().to_vec())));
        for number in 0..count {
            crowd.add(number);
            crowd.disturb(number);
        }
        crowd.refuse(bad::UNCLOSED, "quote");
        crowd
    }

    fn write(&mut self, bytes: &[u8]) {
        self.csv.extend_from_slice(bytes);
        let returns = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.line += returns as u64;
    }

    fn add(&mut self, number: usize) {
        let person = Person::number(number);
        self.write(&row(&person.cells()));
        self.rows += 1;
        self.people.push(person);
    }

    fn refuse(&mut self, bytes: &[u8], reason: &'static str) {
        let line = self.line;
        self.refused.push(Refusal { line, reason });
        self.rows += 1;
        self.write(bytes);
    }

    /// What stands behind the row of a person: now and then something else.
    fn disturb(&mut self, number: usize) {
        match number % 100 {
            33 => self.repeat(number - 20, |person| {
                person.email = person.email.to_uppercase()
            }),
            66 => self.repeat(number - 3, Person::say_nothing),
            57 => self.change(number - 50, Person::moves),
            88 => self.change(number, Person::upgrades),
            _ => {}
        }
        if number % 25 == 21 {
            let kind = &bad::KINDS[number / 25 % bad::KINDS.len()];
            let person = Person::number(number);
            self.refuse(&(kind.spoil)(&person), kind.reason);
        }
        if number % 1000 == 500 {
            self.write(b"\r\n");
        }
    }

    /// A row that says nothing new.
    fn repeat(&mut self, number: usize, spell: fn(&mut Person)) {
        let mut again = self.people[number].clone();
        spell(&mut again);
        self.write(&row(&again.cells()));
        self.rows += 1;
        self.unchanged += 1;
    }

    /// A row that says something else of a person who came before: the last one wins.
    fn change(&mut self, number: usize, change: fn(&mut Person) -> Person) {
        let says = change(&mut self.people[number]);
        self.write(&row(&says.cells()));
        self.rows += 1;
        self.updated += 1;
        self.changed.insert(number);
    }

    /// How many people have a fate.
    pub(crate) fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(move |person| person.fate == fate)
    }
}

impl Person {
    fn number(number: usize) -> Self {
        let mut dice = Dice(number as u64);
        let (first, last, slug) = NAMES[number % NAMES.len()];
        let nameless = number % 50 == 7;
        let fate = fate(number);
        Self {
            email: address(number, slug, fate),
            first_name: if nameless { "" } else { first }.to_owned(),
            last_name: last.to_owned(),
            company: dice.pick(&COMPANIES).to_owned(),
            phone: format!("+43 1 {:07}", dice.roll() % 10_000_000),
            status: dice.pick(&STATUSES).to_owned(),
            score: (dice.roll() % 101).to_string(),
            timezone: TIMEZONES[number % 6].to_owned(),
            locale: LOCALES[number % 6].to_owned(),
            tags: tags(number),
            plan: dice.pick(&PLANS).to_owned(),
            city: dice.pick(&CITIES).to_owned(),
            note: note(number),
            fate,
        }
    }

    /// The address as everybody compares it.
    pub(crate) fn key(&self) -> String {
        self.email.to_lowercase()
    }

    /// What a mail to this person must address them by.
    pub(crate) fn called(&self) -> &str {
        match self.first_name.as_str() {
            "" => "there",
            name => name,
        }
    }

    /// Whether the demo's segment holds this person: who neither pays nor is important.
    pub(crate) fn is_guest(&self) -> bool {
        self.plan == "free" && !self.tags.iter().any(|tag| tag == "vip")
    }

    fn say_nothing(&mut self) {
        let email = std::mem::take(&mut self.email);
        *self = Self::silent(email);
    }

    fn silent(email: String) -> Self {
        let empty = String::new;
        Self {
            email,
            first_name: empty(),
            last_name: empty(),
            company: empty(),
            phone: empty(),
            status: empty(),
            score: empty(),
            timezone: empty(),
            locale: empty(),
            tags: Vec::new(),
            plan: empty(),
            city: empty(),
            note: empty(),
            fate: Fate::Accepted,
        }
    }

    /// Changes the person; answers a row that says no more than what is new.
    fn moves(&mut self) -> Self {
        self.company = "Umgezogen; Neu & Co".to_owned();
        self.city = "Nürnberg".to_owned();
        self.tags.push("moved".to_owned());
        Self {
            company: self.company.clone(),
            city: self.city.clone(),
            tags: vec!["moved".to_owned()],
            ..Self::silent(self.email.to_lowercase())
        }
    }

    /// Changes the person; answers a row that says everything.
    fn upgrades(&mut self) -> Self {
        self.plan = "enterprise".to_owned();
        self.note = "Upgraded on the phone;\nsend the \"big\" offer".to_owned();
        self.clone()
    }

    /// The cells of a row, in the header's order.
    fn cells(&self) -> Vec<Vec<u8>> {
        [
            &self.email,
            &self.first_name,
            &self.last_name,
            &self.company,
            &self.phone,
            &self.status,
            &self.score,
            &self.timezone,
            &self.locale,
            &self.tags.join(";"),
            &self.plan,
            &self.city,
            &self.note,
        ]
        .map(|cell| cell.clone().into_bytes())
        .to_vec()
    }
}

/// Few enough to keep the send short, enough to see that each is counted.
fn fate(number: usize) -> Fate {
    match (number % 2_000, number % 5_000) {
        (40, _) => Fate::Rejected,
        (_, 80) => Fate::Lost,
        (_, 90) => Fate::KeptWithoutReply,
        _ => Fate::Accepted,
    }
}

fn address(number: usize, slug: &str, fate: Fate) -> String {
    let tag = match fate {
        Fate::Rejected => "hard+",
        Fate::Lost => "drop+",
        Fate::KeptWithoutReply => "dropafter+",
        Fate::Accepted if number % 5_000 == 60 => "slow+",
        Fate::Accepted => "",
    };
    let domain = DOMAINS[number / 7 % DOMAINS.len()];
    match number % 11 {
        _ if number % 500 == 123 => format!("jörg.müller.{number}@bücher.example"),
        3 => format!("{tag}{slug}.{number}@{}", domain.to_uppercase()),
        5 => format!("{tag}{slug}.{number}@{domain}").to_uppercase(),
        8 => format!(
            "{tag}{}{}.{number}@{domain}",
            slug[..1].to_uppercase(),
            &slug[1..]
        ),
        _ => format!("{tag}{slug}.{number}@{domain}"),
    }
}

fn tags(number: usize) -> Vec<String> {
    let mut tags = vec!["clarion-demo".to_owned()];
    if number.is_multiple_of(17) {
        tags.push("vip".to_owned());
    }
    if number.is_multiple_of(3) {
        tags.push("größe L".to_owned());
    }
    tags
}

fn note(number: usize) -> String {
    match number % 30 {
        3 => "Met at the fair:\r\n\"booth 12\"; wants a call\r\n\r\nafter Easter".to_owned(),
        13 => "one;two;three, four".to_owned(),
        23 => "=SUM(1;2) is only text here".to_owned(),
        _ => String::new(),
    }
}

/// One row of CSV (RFC 4180); a cell is quoted where it must be, and where it holds a semicolon.
fn row(cells: &[Vec<u8>]) -> Vec<u8> {
    let mut row = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            row.push(b',');
        }
        let special = |byte: &u8| matches!(byte, b',' | b';' | b'"' | b'\r' | b'\n');
        if cell.iter().any(special) {
            row.push(b'"');
            for byte in cell {
                row.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"')));
            }
            row.push(b'"');
        } else {
            row.extend_from_slice(cell);
        }
    }
    row.extend_from_slice(b"\r\n");
    row
}

/// SplitMix64: the same numbers everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[(self.roll() % from.len() as u64) as usize]
    }
}

#[cfg(test)]
#[path = "people/tests.rs"]
mod tests;
