//! The tree of an expression, and which trees there may be: Java refuses some comparisons when it builds them.

use std::fmt;

use super::SqlError;
use super::value::{Value, order};
use crate::java_double::JavaDouble;

#[derive(Debug)]
pub(super) enum Node {
    /// `None` is the word `NULL`.
    Constant(Option<Constant>),
    Property {
        slot: usize,
        name: Box<str>,
    },
    Negate(Box<Node>),
    Not(Box<Node>),
    /// A property that stands where a condition is wanted.
    Cast(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Equal(Box<Node>, Box<Node>),
    Compare(Op, Box<Node>, Box<Node>),
    Between(Box<Between>),
    Search(Box<Search>),
    In(Box<In>),
}

#[derive(Debug)]
pub(super) enum Constant {
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

#[derive(Debug)]
pub(super) struct Between {
    pub(super) value: Node,
    pub(super) low: Node,
    pub(super) high: Node,
    pub(super) negated: bool,
}

#[derive(Debug)]
pub(super) struct Search {
    pub(super) how: How,
    pub(super) negated: bool,
    pub(super) subject: Node,
    pub(super) text: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug)]
pub(super) struct In {
    pub(super) slot: usize,
    name: Box<str>,
    /// In order if they are many.
    texts: Vec<Box<str>>,
    pub(super) negated: bool,
}

/// So many texts are sooner searched than gone through.
const MANY: usize = 8;

impl In {
    pub(super) fn holds(&self, text: &str) -> bool {
        if self.texts.len() < MANY {
            self.texts.iter().any(|known| **known == *text)
        } else {
            self.texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
        }
    }
}

impl Constant {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Long(value) => Value::Long(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(value) => Value::Text(value),
        }
    }
}

impl Node {
    /// Java: `ConstantExpression.createFromDecimal`.
    pub(super) fn decimal(digits: &str) -> Result<Self, SqlError> {
        let long: i64 = digits.parse().map_err(|_| SqlError::NumberTooLarge(digits.to_owned()))?;
        Ok(Self::Constant(Some(i32::try_from(long).map_or(Constant::Long(long), Constant::Int))))
    }

    /// Java: `ConstantExpression.createFloat`.
    pub(super) fn float(digits: &str) -> Result<Self, SqlError> {
        let value: f64 = digits.parse().map_err(|_| SqlError::NumberTooLarge(digits.to_owned()))?;
        if value.is_infinite() {
            Err(SqlError::FloatTooLarge(digits.to_owned()))
        } else if value == 0.0 {
            Err(SqlError::FloatTooSmall(digits.to_owned()))
        } else {
            Ok(Self::Constant(Some(Constant::Double(value))))
        }
    }

    /// As a condition, if it is one. Java: `SelectorParser.asBooleanExpression`.
    pub(super) fn condition(self) -> Result<Self, SqlError> {
        match self {
            Self::Property { .. } => Ok(Self::Cast(Box::new(self))),
            _ if self.is_condition() => Ok(self),
            _ => Err(SqlError::NotBoolean(self.to_string())),
        }
    }

    fn is_condition(&self) -> bool {
        match self {
            Self::Constant(constant) => matches!(constant, None | Some(Constant::Bool(_))),
            Self::Property { .. } | Self::Negate(_) => false,
            Self::Not(_)
            | Self::Cast(_)
            | Self::All(_)
            | Self::Any(_)
            | Self::Equal(..)
            | Self::Compare(..)
            | Self::Between(_)
            | Self::Search(_)
            | Self::In(_) => true,
        }
    }

    /// Java: `ComparisonExpression.createEqual`.
    pub(super) fn equal(self, right: Self) -> Result<Self, SqlError> {
        if matches!(self, Self::Constant(None)) || matches!(right, Self::Constant(None)) {
            return Err(SqlError::EqualsNull);
        }
        if self.is_condition()
            && matches!((&self, &right), (Self::Constant(_), Self::Constant(_)))
            && !right.is_condition()
        {
            return Err(SqlError::Incomparable(self.to_string(), right.to_string()));
        }
        Ok(Self::Equal(Box::new(self), Box::new(right)))
    }

    /// Java: `ComparisonExpression.createIsNull`.
    pub(super) fn missing(self) -> Self {
        Self::Equal(Box::new(self), Box::new(Self::Constant(None)))
    }

    pub(super) fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Java: `ComparisonExpression.createGreaterThan` and its like.
    pub(super) fn compare(self, op: Op, right: Self) -> Result<Self, SqlError> {
        self.check_ordered()?;
        right.check_ordered()?;
        Ok(Self::Compare(op, Box::new(self), Box::new(right)))
    }

    /// Only numbers and properties have an order. Java: `ComparisonExpression.checkLessThanOperand`.
    fn check_ordered(&self) -> Result<(), SqlError> {
        let refused = match self {
            Self::Constant(constant) => matches!(constant, None | Some(Constant::Bool(_) | Constant::Text(_))),
            _ => self.is_condition(),
        };
        if refused { Err(SqlError::NotOrdered(self.to_string())) } else { Ok(()) }
    }

    /// The bounds belong to it. Java: `ComparisonExpression.createBetween`, `createNotBetween`.
    pub(super) fn between(self, low: Self, high: Self, negated: bool) -> Result<Self, SqlError> {
        if let (Self::Constant(from), Self::Constant(to), false) = (&low, &high, negated) {
            let (Some(from), Some(to)) = (from, to) else { return Err(SqlError::BetweenNull) };
            match order(to.value(), from.value()) {
                Ok(order) if order.is_lt() => {
                    return Err(SqlError::BetweenNothing(from.to_string(), to.to_string()));
                }
                Ok(_) => {}
                Err(_) if matches!(to, Constant::Bool(_)) => return Err(SqlError::BetweenTruth),
                Err(_) => {
                    let text = if matches!(to, Constant::Text(_)) { to } else { from }.to_string();
                    let float = matches!((from, to), (Constant::Double(_), _) | (_, Constant::Double(_)));
                    return Err(if float && text.is_empty() {
                        SqlError::BetweenBlank
                    } else {
                        SqlError::BetweenText(text)
                    });
                }
            }
        }
        self.check_ordered()?;
        low.check_ordered()?;
        high.check_ordered()?;
        Ok(Self::Between(Box::new(Between { value: self, low, high, negated })))
    }

    /// Java: `ComparisonExpression.createInFilter`.
    pub(super) fn one_of(self, mut texts: Vec<Box<str>>, negated: bool) -> Result<Self, SqlError> {
        let Self::Property { slot, name } = self else { return Err(SqlError::InWithoutProperty(self.to_string())) };
        if texts.len() >= MANY {
            texts.sort_unstable();
        }
        Ok(Self::In(Box::new(In { slot, name, texts, negated })))
    }

    pub(super) fn search(self, how: How, text: Box<str>, negated: bool) -> Self {
        Self::Search(Box::new(Search { how, negated, subject: self, text }))
    }
}

/// As Java prints its expressions, in words of refusal.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = |f: &mut fmt::Formatter<'_>, nodes: &[Self], sign: &str| {
            (1..nodes.len()).try_for_each(|_| f.write_str("("))?;
            for (at, node) in nodes.iter().enumerate() {
                match at {
                    0 => write!(f, "{node}")?,
                    _ => write!(f, " {sign} {node})")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Constant(None) => f.write_str("NULL"),
            Self::Constant(Some(Constant::Bool(value))) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Constant(Some(Constant::Text(text))) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Constant(Some(constant)) => write!(f, "{constant}"),
            Self::Property { name, .. } => f.write_str(name),
            Self::Negate(node) => write!(f, "(- {node})"),
            Self::Not(node) => write!(f, "(NOT {node})"),
            Self::Cast(node) => write!(f, "{node}"),
            Self::All(nodes) => chain(f, nodes, "&&"),
            Self::Any(nodes) => chain(f, nodes, "||"),
            Self::Equal(left, right) => write!(f, "({left} == {right})"),
            Self::Compare(op, left, right) => write!(f, "({left} {} {right})", op.sign()),
            Self::Between(between) => {
                let Between { value, low, high, negated } = &**between;
                match negated {
                    false => write!(f, "(({value} >= {low}) && ({value} <= {high}))"),
                    true => write!(f, "(({value} < {low}) || ({value} > {high}))"),
                }
            }
            Self::Search(search) => {
                let not = if search.negated { "NOT " } else { "" };
                write!(f, "({not}{} {})", search.how.word(), search.subject)
            }
            Self::In(list) => {
                write!(f, "{} {} ( {} )", list.name, if list.negated { "NOT IN" } else { "IN" }, list.texts.join(", "))
            }
        }
    }
}

/// As Java prints the bare value.
impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{}", JavaDouble(*value)),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl Op {
    fn sign(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
        }
    }
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::StartsWith => "STARTSWITH",
            Self::EndsWith => "ENDSWITH",
        }
    }
}
