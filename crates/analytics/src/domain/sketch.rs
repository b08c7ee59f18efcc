//! How many different people there were, without a list of them: exact up to a few, then a
//! HyperLogLog with a standard error of 2.3 %.
//!
//! Flajolet et al. 2007; the estimator is Ertl's (arXiv:1702.01284, §4), which needs no table of
//! corrections. The values are hashes already, and are used as they are.

use crate::domain::visitor::Visitor;

/// Bits that choose a register.
const PRECISION: u32 = 11;
const REGISTERS: usize = 1 << PRECISION;
/// Bits that are left to count zeros in.
const REST: u32 = 64 - PRECISION;
/// Up to so many people are listed.
const LISTED: usize = 128;

/// A set of people, of which only the size can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sketch {
    /// Sorted.
    List(Vec<u64>),
    Registers(Box<[u8; REGISTERS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl FromIterator<Visitor> for Sketch {
    fn from_iter<T: IntoIterator<Item = Visitor>>(people: T) -> Self {
        let mut list: Vec<u64> = people
            .into_iter()
            .map(|person| person.0.cast_unsigned())
            .collect();
        list.sort_unstable();
        list.dedup();
        Self::List(list).kept()
    }
}

impl Sketch {
    /// Takes in everybody of `other`.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::List(list), Self::List(others)) => {
                list.extend(others);
                list.sort_unstable();
                list.dedup();
            }
            (Self::Registers(registers), Self::List(others)) => {
                others.iter().for_each(|hash| count(registers, *hash));
            }
            (Self::Registers(registers), Self::Registers(others)) => {
                for (own, other) in registers.iter_mut().zip(others.iter()) {
                    *own = (*own).max(*other);
                }
            }
            (Self::List(_), Self::Registers(_)) => {
                let list = std::mem::replace(self, other.clone());
                self.merge(&list);
            }
        }
        *self = std::mem::take(self).kept();
    }

    /// The same people, listed only while they are few.
    fn kept(self) -> Self {
        match self {
            Self::List(list) if list.len() > LISTED => {
                let mut registers = Box::new([0; REGISTERS]);
                list.iter().for_each(|hash| count(&mut registers, *hash));
                Self::Registers(registers)
            }
            few => few,
        }
    }

    /// How many different people it has seen.
    pub fn size(&self) -> i64 {
        match self {
            Self::List(list) => i64::try_from(list.len()).unwrap_or(i64::MAX),
            Self::Registers(registers) => estimate(registers),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::List(list) => {
                let hashes = list.iter().flat_map(|hash| hash.to_be_bytes());
                std::iter::once(0).chain(hashes).collect()
            }
            Self::Registers(registers) => std::iter::once(1)
                .chain(registers.iter().copied())
                .collect(),
        }
    }

    /// What [`Sketch::to_bytes`] wrote; anything else is nobody.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((0, list)) => {
                let hash = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or(0);
                Self::List(list.chunks_exact(8).map(hash).collect())
            }
            Some((1, registers)) => match <[u8; REGISTERS]>::try_from(registers) {
                Ok(registers) => Self::Registers(Box::new(registers)),
                Err(_) => Self::default(),
            },
            _ => Self::default(),
        }
    }
}

fn count(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = (hash >> REST) as usize;
    let zeros = (hash << PRECISION).leading_zeros().min(REST) as u8;
    registers[register] = registers[register].max(zeros + 1);
}

fn estimate(registers: &[u8; REGISTERS]) -> i64 {
    let mut counts = [0u32; REST as usize + 2];
    for register in registers {
        counts[usize::from(*register).min(REST as usize + 1)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[REST as usize + 1]) / m);
    for k in (1..=REST as usize).rev() {
        z = 0.5 * (z + f64::from(counts[k]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    let size = m * m / (2.0 * std::f64::consts::LN_2 * z);
    size.round() as i64
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before || !z.is_finite() {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::WorkspaceId;
    use proptest::prelude::*;

    fn people(range: std::ops::Range<usize>) -> Vec<Visitor> {
        let workspace = WorkspaceId(uuid::Uuid::from_u128(3));
        range
            .map(|n| Visitor::user(workspace, &n.to_string()))
            .collect()
    }

    fn sketch(range: std::ops::Range<usize>) -> Sketch {
        people(range).into_iter().collect()
    }

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        for n in [0, 1, 2, LISTED] {
            assert_eq!(sketch(0..n).size(), n as i64);
        }
        for n in [LISTED + 1, 1000, 5000, 10_000, 100_000] {
            let off = (sketch(0..n).size() as f64 / n as f64 - 1.0).abs();
            assert!(off < 0.07, "{n}: {off}");
        }
    }

    #[test]
    fn what_is_no_sketch_is_nobody() {
        for bytes in [&b""[..], b"\x02", b"\x01abc"] {
            assert_eq!(Sketch::from_bytes(bytes).size(), 0);
        }
    }

    proptest! {
        #[test]
        fn parts_make_the_same_sketch_as_the_whole(a in 0usize..400, b in 0usize..400, c in 0usize..800) {
            let whole = sketch(0..a.max(b).max(c));
            let mut parts = sketch(0..a);
            parts.merge(&sketch(0..b));
            parts.merge(&Sketch::from_bytes(&sketch(0..c).to_bytes()));
            prop_assert_eq!(parts, whole);
        }
    }
}
