//! The rule language of segments: what a rule may say, parsed into types.
//!
//! Every condition is true or false for every lead: a lead without a value fulfils no comparison,
//! `ne` and `not` are exact negations, and nothing is "unknown".

mod parse;

use chrono::{DateTime, Utc};
use common::{ListId, SegmentId};
use uuid::Uuid;

pub(crate) use parse::parse;

/// How deep a rule may be nested.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most parts of a rule, with the segments it names written out.
pub(crate) const MAX_NODES: usize = 1_000;
/// Most values in an `in`.
pub(crate) const MAX_VALUES: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Where(Condition),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Id(Vec<Uuid>),
    Text(TextField, TextTest),
    Number(NumberField, NumberTest),
    Time(TimeField, TimeTest),
    Tags(TagTest),
    Attribute(Vec<String>, AttributeTest),
    /// Belongs to any of these lists and has not unsubscribed from it.
    List(Vec<ListId>),
    Segment(Vec<SegmentId>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    /// Compared in lower case.
    Email,
    FirstName,
    LastName,
    Phone,
    Company,
    Status,
    Source,
    Timezone,
    Locale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberField {
    Score,
    Opens,
    Clicks,
    Orders,
    Revenue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeField {
    Created,
    Updated,
    LastOpen,
    LastClick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextTest {
    In(Vec<String>),
    /// By bytes, so that it means the same in every locale.
    Compare(Order, String),
    Contains(String),
    StartsWith(String),
    Exists,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NumberTest {
    In(Vec<f64>),
    Compare(Order, f64),
    Exists,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TimeTest {
    Is(DateTime<Utc>),
    Compare(Order, DateTime<Utc>),
    /// Between so many days ago and now.
    WithinDays(f64),
    /// Longer ago than so many days.
    BeforeDays(f64),
    Exists,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TagTest {
    AnyOf(Vec<String>),
    Exists,
}

/// A single value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttributeTest {
    In(Vec<Scalar>),
    CompareText(Order, String),
    CompareNumber(Order, f64),
    /// Text that contains it, or a list with it as an element.
    Contains(Scalar),
    StartsWith(String),
    WithinDays(f64),
    BeforeDays(f64),
    Exists,
}

impl Rule {
    /// How many parts it has.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::All(rules) | Self::Any(rules) => 1 + rules.iter().map(Self::size).sum::<usize>(),
            Self::Not(rule) => 1 + rule.size(),
            Self::Where(_) => 1,
        }
    }

    /// The lists it names.
    pub(crate) fn lists(&self) -> Vec<ListId> {
        let mut found = Vec::new();
        self.each(&mut |condition| {
            if let Condition::List(ids) = condition {
                found.extend(ids);
            }
        });
        found
    }

    /// The segments it names, as often as it names them.
    pub(crate) fn segments(&self) -> Vec<SegmentId> {
        let mut found = Vec::new();
        self.each(&mut |condition| {
            if let Condition::Segment(ids) = condition {
                found.extend(ids);
            }
        });
        found
    }

    fn each(&self, visit: &mut impl FnMut(&Condition)) {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|rule| rule.each(visit)),
            Self::Not(rule) => rule.each(visit),
            Self::Where(condition) => visit(condition),
        }
    }
}
