//! Why a text is no expression. Clients show the words to users, so they are Java's, class names and all; only the list
//! of what could have stood in the place of a wrong token is left out.

use thiserror::Error;

use super::token::Place;

/// Java: `MQFilterException`, whose message is its cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SqlError {
    /// No token begins here, or the text ends inside of one.
    #[error(
        "org.apache.rocketmq.filter.parser.TokenMgrError: Lexical error at {at}.  Encountered: {found}after : \"{after}\""
    )]
    Lexical { at: Place, found: String, after: String },
    #[error("org.apache.rocketmq.filter.parser.ParseException: Encountered \"{found}\" at {at}.")]
    Syntax { at: Place, found: String },
    #[error("org.apache.rocketmq.filter.parser.ParseException: Expression will not result in a boolean value: {0}")]
    NotBoolean(String),
    #[error("java.lang.RuntimeException: Value '{0}' cannot be compared.")]
    NotOrdered(String),
    #[error("java.lang.RuntimeException: 'NULL' cannot be compared.")]
    EqualsNull,
    #[error("java.lang.RuntimeException: '{0}' cannot be compared with '{1}'")]
    Incomparable(String, String),
    #[error("java.lang.RuntimeException: Illegal values of between, values can not be null!")]
    BetweenNull,
    #[error(
        "java.lang.RuntimeException: Illegal values of between, left value({0}) must less than or equal to right value({1})"
    )]
    BetweenNothing(String, String),
    #[error("java.lang.RuntimeException: java.lang.NumberFormatException: For input string: \"{0}\"")]
    BetweenText(String),
    #[error("java.lang.RuntimeException: java.lang.NumberFormatException: empty String")]
    BetweenBlank,
    /// Of a text and a truth value.
    #[error("java.lang.ClassCastException: class java.lang.Boolean cannot be cast to class java.lang.String")]
    BetweenTruth,
    #[error("java.lang.RuntimeException: Expected a property for In expression, got: {0}")]
    InWithoutProperty(String),
    #[error("java.lang.NumberFormatException: For input string: \"{0}\"")]
    NumberTooLarge(String),
    #[error("java.lang.RuntimeException: {0} is greater than 1.7976931348623157E308")]
    FloatTooLarge(String),
    /// Zero, too, is refused when it is written with a point.
    #[error("java.lang.RuntimeException: {0} is less than 4.9E-324")]
    FloatTooSmall(String),
    /// Java runs out of stack, a few thousand levels further.
    #[error("the expression is nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("the expression reads more than {0} properties")]
    TooManyProperties(usize),
}
