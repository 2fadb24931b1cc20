//! What of a topic a group wants: subscriptions, and the choice of messages by them.
//!
//! A subscription is a list of tags or an SQL 92 expression over properties. Tags are compared by their hashes, which the
//! queue entry holds: consumers look again. Expressions are evaluated here on each message that a pull comes across, and
//! nobody looks again. A heartbeat's expression is compiled once and kept with its version (`registry`, saved in
//! `config/consumerFilter.json`); one that comes with a pull is kept beside the subscription that it is part of.

mod bloom;
mod choice;
mod file;
mod registry;
mod sql;
mod tag;

pub(crate) use choice::{Filter, Retried};
pub(crate) use registry::Filters;
pub use sql::{Expression, SqlError, Verdict};
pub(crate) use tag::{is_same, subscription};

use std::sync::Arc;

use remoting::body::{ExpressionType, SubscriptionData};
use thiserror::Error;

/// Why a text is not a subscription; the texts are Java's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FilterError {
    #[error("subString split error")]
    NoTags,
    #[error("Expression can't be null! {0}")]
    NoExpression(String),
    #[error("there are no expressions of the type {0}")]
    UnknownType(String),
    #[error(transparent)]
    Sql(#[from] SqlError),
}

/// The expression of a subscription that is no tags.
///
/// # Errors
/// [`FilterError`].
pub(crate) fn expression(subscription: &SubscriptionData) -> Result<Option<Arc<Expression>>, FilterError> {
    let SubscriptionData { expression_type, sub_string, .. } = subscription;
    if expression_type.is_tag() { Ok(None) } else { Ok(Some(Arc::new(compile(expression_type, sub_string)?))) }
}

/// Compiles an expression of any type but tags. Java: `FilterFactory`.
///
/// # Errors
/// [`FilterError`].
pub(crate) fn compile(expression_type: &ExpressionType, text: &str) -> Result<Expression, FilterError> {
    if expression_type.0 != ExpressionType::SQL92 {
        return Err(FilterError::UnknownType(expression_type.0.clone()));
    }
    Ok(Expression::compile(text)?)
}
