//! Subscriptions by tag: `*`, or `TagA || TagB`.

use remoting::body::{ExpressionType, SubscriptionData};
use remoting::types::TopicName;
use store::EntryFilter;
use store::message::java_hash;

use super::FilterError;

/// Subscribes to all messages.
const ALL: &str = "*";
const OR: &str = "||";

/// A subscription from the two texts that say it.
///
/// # Errors
/// [`FilterError`]. Java: `FilterAPI.build`.
pub(crate) fn subscription(
    topic: &TopicName,
    text: &str,
    expression_type: Option<&str>,
    version: i64,
) -> Result<SubscriptionData, FilterError> {
    let blank = SubscriptionData { topic: topic.clone(), sub_version: version, ..SubscriptionData::default() };
    match expression_type {
        Some(other) if other != ExpressionType::TAG => {
            if text.is_empty() {
                return Err(FilterError::NoExpression(other.to_owned()));
            }
            let expression_type = ExpressionType(other.to_owned());
            Ok(SubscriptionData { sub_string: text.to_owned(), expression_type, ..blank })
        }
        _ if text.is_empty() || text == ALL => Ok(SubscriptionData { sub_string: ALL.to_owned(), ..blank }),
        _ => {
            // Java's split drops empty pieces at the end, and is left with none of a text of separators alone.
            if text.split(OR).all(str::is_empty) {
                return Err(FilterError::NoTags);
            }
            let mut tags_set: Vec<String> = Vec::new();
            for tag in text.split(OR).map(str::trim).filter(|tag| !tag.is_empty()) {
                if !tags_set.iter().any(|known| known == tag) {
                    tags_set.push(tag.to_owned());
                }
            }
            let code_set = tags_set.iter().map(|tag| java_hash(tag)).collect();
            Ok(SubscriptionData { sub_string: text.to_owned(), tags_set, code_set, ..blank })
        }
    }
}

/// Whether [`subscription`] of these texts would be `known`, but for its version.
pub(crate) fn is_same(known: &SubscriptionData, text: &str, expression_type: Option<&str>) -> bool {
    let text = if text.is_empty() { ALL } else { text };
    known.sub_string == text && known.expression_type.0 == expression_type.unwrap_or(ExpressionType::TAG)
}

/// Rules out messages by the hash of their tags. Different tags can share a hash, so consumers look again at the tags
/// themselves. Java: `ExpressionMessageFilter`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagFilter<'a> {
    /// `None`: everything passes.
    codes: Option<&'a [i32]>,
}

impl<'a> TagFilter<'a> {
    pub(crate) fn of(subscription: &'a SubscriptionData) -> Self {
        let everything = subscription.class_filter_mode || subscription.sub_string == ALL;
        Self { codes: (!everything).then_some(&subscription.code_set) }
    }
}

impl EntryFilter for TagFilter<'_> {
    fn matches_code(&self, tags_code: i64) -> bool {
        // Java compares the low 32 bits.
        self.codes.is_none_or(|codes| codes.contains(&(tags_code as i32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, tags: Option<&[&str]>) {
        let built = subscription(&"T".into(), text, None, 7);
        let built_tags = built.as_ref().ok().map(|built| built.tags_set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(built_tags.as_deref(), tags, "{text:?}");
        if let Ok(built) = built {
            assert_eq!(built.code_set, built.tags_set.iter().map(|tag| java_hash(tag)).collect::<Vec<_>>());
            assert!(
                is_same(&built, text, Some("TAG"))
                    && !is_same(&built, "x", None)
                    && !is_same(&built, text, Some("SQL92"))
            );
        }
    }

    #[test]
    fn tags_are_split_as_java_does() {
        check("*", Some(&[]));
        check("", Some(&[]));
        check("A", Some(&["A"]));
        check("A || B||C", Some(&["A", "B", "C"]));
        check(" A ||  || A ", Some(&["A"]));
        check(" ||", Some(&[]));
        check("||", None);
        check("||||", None);
    }

    #[test]
    fn an_expression_of_another_type_is_kept_as_it_is() {
        let built = subscription(&"T".into(), "a > 1", Some("SQL92"), 7).unwrap();
        assert_eq!((built.sub_string.as_str(), built.expression_type.0.as_str()), ("a > 1", "SQL92"));
        assert_eq!(subscription(&"T".into(), "", Some("SQL92"), 7), Err(FilterError::NoExpression("SQL92".into())));
    }

    #[test]
    fn messages_pass_by_the_hash_of_their_tags() {
        let passes = |text: &str, tags: &str| {
            let built = subscription(&"T".into(), text, None, 7).unwrap();
            TagFilter::of(&built).matches_code(i64::from(java_hash(tags)))
        };
        assert!(passes("A || B", "B") && !passes("A || B", "C"));
        // The two share a hash.
        assert!(passes("Aa", "BB"));
        // No tags: hash 0.
        assert!(passes("*", "") && !passes("A", "") && !passes(" ||", "A"));
        let built = SubscriptionData { class_filter_mode: true, sub_string: "A".into(), ..SubscriptionData::default() };
        assert!(TagFilter::of(&built).matches_code(5));
    }
}
