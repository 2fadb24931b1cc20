//! From a fault to the first acknowledged write, as stock clients saw it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Fault;
use crate::clients::Client;

/// All faults of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Milliseconds, by fault, whether it met the leader, and client; without one, of whichever client was served first.
    gaps: BTreeMap<(Fault, bool, Option<Client>), Vec<i64>>,
}

impl Report {
    pub(super) fn note(&mut self, fault: Fault, at_leader: bool, gaps: &BTreeMap<Client, i64>) {
        let first = gaps.values().min().map(|first| (None, *first));
        for (client, gap) in first.into_iter().chain(gaps.iter().map(|(client, gap)| (Some(*client), *gap))) {
            self.gaps.entry((fault, at_leader, client)).or_default().push(gap);
        }
    }

    /// A table in Markdown, in milliseconds.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| fault | member | client | rounds | median ms | p99 ms | max ms |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for ((fault, at_leader, client), gaps) in &self.gaps {
            let mut gaps = gaps.clone();
            gaps.sort_unstable();
            let client = client.map_or_else(|| "first of all".to_owned(), |client| client.to_string());
            let member = if *at_leader { "leader" } else { "follower" };
            let (median, p99, max) = (rank(&gaps, 50), rank(&gaps, 99), rank(&gaps, 100));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {fault} | {member} | {client} | {} | {median} | {p99} | {max} |", gaps.len());
        }
        text
    }
}

/// The value that `percent` of a hundred are not above; of sorted ones.
fn rank(sorted: &[i64], percent: usize) -> i64 {
    let place = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(place - 1).copied().unwrap_or_default()
}

pub(super) fn in_words(gaps: &BTreeMap<Client, i64>) -> String {
    gaps.iter().map(|(client, gap)| format!("{gap} ms ({client})")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn ranks_are_values_that_were_seen() {
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!((rank(&hundred, 50), rank(&hundred, 99), rank(&hundred, 100)), (50, 99, 100));
        assert_eq!((rank(&[7], 50), rank(&[7], 99)), (7, 7));
        assert_eq!(rank(&[1, 2, 3], 50), 2);
    }
}
