//! SQL 92 expressions over the properties of messages, as RocketMQ has them.
//!
//! ```text
//! text ─ token (nom) ─ parse ─ tree ─▶ Expression, compiled once per subscription
//! Expression + properties of a record ─ eval ─▶ true, false, unknown or illegal; only true matches
//! ```
//!
//! Properties are texts or missing. A missing one makes most of what it is part of unknown (`NULL`), and a text that is
//! compared with a number and is none makes the whole expression illegal, whatever stands beside it: unless what stands
//! *before* it has already decided. What follows the first whole expression of a text is ignored.
//!
//! Java: `SqlFilter`, `SelectorParser.jj`.

mod error;
mod eval;
mod parse;
mod token;
mod tree;
mod value;

use store::message::properties;

pub use self::error::SqlError;
pub use self::eval::Verdict;
use self::tree::Node;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    root: Node,
    /// The properties it reads, each once; nodes name them by their place.
    names: Vec<Box<str>>,
}

/// Expressions that read no more properties than this need no memory of their own while they are evaluated.
const FEW: usize = 8;

impl Expression {
    /// # Errors
    /// [`SqlError`], in Java's words. Java: `SelectorParser.parse`.
    pub fn compile(text: &str) -> Result<Self, SqlError> {
        let (root, names) = parse::parse(text)?;
        Ok(Self { root, names })
    }

    /// Whether a message with these properties (the text of a record) matches.
    pub fn matches(&self, properties: &str) -> bool {
        self.verdict(properties) == Verdict::True
    }

    /// What the expression is for a message with these properties.
    pub fn verdict(&self, properties: &str) -> Verdict {
        let (mut few, mut many);
        let values = if self.names.len() <= FEW {
            few = [None; FEW];
            &mut few[..self.names.len()]
        } else {
            many = vec![None; self.names.len()];
            &mut many[..]
        };
        for (name, value) in properties::iter(properties) {
            if let Some(slot) = self.names.iter().position(|known| **known == *name) {
                values[slot] = Some(value);
            }
        }
        eval::verdict(&self.root, values)
    }
}

#[cfg(test)]
mod tests;
