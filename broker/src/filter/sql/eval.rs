//! What an expression is for one message.

use std::cmp::Ordering;

use super::tree::{Between, How, In, Node, Op, Search};
use super::value::{Illegal, Value, numeric_order, order};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    /// It hangs on a property that is missing.
    Unknown,
    /// It compares what cannot be compared. Java: an exception.
    Illegal,
}

/// The values of the properties, by their slots.
type Slots<'a> = [Option<&'a str>];

pub(super) fn verdict(root: &Node, slots: &Slots<'_>) -> Verdict {
    match truth(root, slots) {
        Ok(Some(true)) => Verdict::True,
        Ok(Some(false)) => Verdict::False,
        Ok(None) => Verdict::Unknown,
        Err(Illegal) => Verdict::Illegal,
    }
}

/// A condition; `None` is unknown.
fn truth(node: &Node, slots: &Slots<'_>) -> Result<Option<bool>, Illegal> {
    match value(node, slots)? {
        Some(Value::Bool(value)) => Ok(Some(value)),
        // Only conditions are asked, as the tree sees to.
        _ => Ok(None),
    }
}

fn value<'a>(node: &'a Node, slots: &Slots<'a>) -> Result<Option<Value<'a>>, Illegal> {
    let truth_value = match node {
        Node::Constant(constant) => return Ok(constant.as_ref().map(|constant| constant.value())),
        Node::Property { slot, .. } => return Ok(slots[*slot].map(Value::Text)),
        Node::Negate(node) => return Ok(value(node, slots)?.and_then(negate)),
        Node::Not(node) => truth(node, slots)?.map(|value| !value),
        // A property is a text, which is never true.
        Node::Cast(node) => value(node, slots)?.map(|_| false),
        Node::All(nodes) => decide(nodes, slots, false)?,
        Node::Any(nodes) => decide(nodes, slots, true)?,
        Node::Equal(left, right) => match (value(left, slots)?, value(right, slots)?) {
            (None, None) => Some(true),
            (None, Some(_)) => None,
            (Some(_), None) => Some(false),
            (Some(left), Some(right)) => Some(order(left, right)?.is_eq()),
        },
        Node::Compare(op, left, right) => {
            let Some(left) = value(left, slots)? else { return Ok(None) };
            let Some(right) = value(right, slots)? else { return Ok(None) };
            Some(op.holds(numeric_order(left, right)?))
        }
        Node::Between(between) => is_between(between, slots)?,
        Node::Search(search) => Some(finds(search, slots)?),
        Node::In(list) => is_in(list, slots),
    };
    Ok(truth_value.map(Value::Bool))
}

/// The first that is `deciding` decides; else one that is unknown makes it unknown. Those behind are not looked at.
///
/// Java: `LogicExpression`.
fn decide(nodes: &[Node], slots: &Slots<'_>, deciding: bool) -> Result<Option<bool>, Illegal> {
    let mut undecided = Some(!deciding);
    for node in nodes {
        match truth(node, slots)? {
            Some(value) if value == deciding => return Ok(Some(deciding)),
            Some(_) => {}
            None => undecided = None,
        }
    }
    Ok(undecided)
}

/// `value >= low AND value <= high`, or `value < low OR value > high`.
fn is_between(between: &Between, slots: &Slots<'_>) -> Result<Option<bool>, Illegal> {
    let Between { value: looked_at, low, high, negated } = between;
    let Some(looked_at) = value(looked_at, slots)? else { return Ok(None) };
    let mut undecided = Some(!*negated);
    for (bound, outside) in [(low, Ordering::Less), (high, Ordering::Greater)] {
        match value(bound, slots)? {
            Some(bound) if numeric_order(looked_at, bound)? == outside => return Ok(Some(*negated)),
            Some(_) => {}
            None => undecided = None,
        }
    }
    Ok(undecided)
}

/// Also false, and never unknown, where there is nothing to look in or for. Java: `ContainsExpression` and its like.
fn finds(search: &Search, slots: &Slots<'_>) -> Result<bool, Illegal> {
    let Search { how, negated, subject, text } = search;
    if text.is_empty() {
        return Ok(false);
    }
    let Some(Value::Text(subject)) = value(subject, slots)? else { return Ok(false) };
    let found = match how {
        How::Contains => subject.contains(&**text),
        How::StartsWith => subject.starts_with(&**text),
        How::EndsWith => subject.ends_with(&**text),
    };
    Ok(found != *negated)
}

fn is_in(list: &In, slots: &Slots<'_>) -> Option<bool> {
    let value = slots[list.slot]?;
    Some(list.holds(value) != list.negated)
}

/// Numbers only; the smallest whole number stays as it is. Java: `UnaryExpression.negate`.
fn negate(value: Value<'_>) -> Option<Value<'_>> {
    match value {
        Value::Int(value) => Some(Value::Int(value.wrapping_neg())),
        Value::Long(value) => Some(Value::Long(value.wrapping_neg())),
        Value::Double(value) => Some(Value::Double(-value)),
        Value::Bool(_) | Value::Text(_) => None,
    }
}

impl Op {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
        }
    }
}
