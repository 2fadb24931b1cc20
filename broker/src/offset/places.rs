//! What is known of each queue of a topic. Most groups of light queues, of which there may be very many, know one queue: that
//! costs no map, whose first node would be ten times as large.

use std::collections::BTreeMap;

use remoting::types::QueueId;

#[derive(Debug)]
pub(super) enum Places<T> {
    One(Option<(QueueId, T)>),
    Many(BTreeMap<QueueId, T>),
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self::One(None)
    }
}

impl<T: Default> Places<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(one) => usize::from(one.is_some()),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn get(&self, queue: QueueId) -> Option<&T> {
        match self {
            Self::One(one) => one.as_ref().filter(|(known, _)| *known == queue).map(|(_, place)| place),
            Self::Many(many) => many.get(&queue),
        }
    }

    pub(super) fn get_mut(&mut self, queue: QueueId) -> Option<&mut T> {
        match self {
            Self::One(one) => one.as_mut().filter(|(known, _)| *known == queue).map(|(_, place)| place),
            Self::Many(many) => many.get_mut(&queue),
        }
    }

    pub(super) fn get_or_default(&mut self, queue: QueueId) -> &mut T {
        if let Self::One(one) = self
            && one.as_ref().is_some_and(|(known, _)| *known != queue)
        {
            *self = Self::Many(one.take().into_iter().collect());
        }
        match self {
            Self::One(one) => &mut one.get_or_insert_with(|| (queue, T::default())).1,
            Self::Many(many) => many.entry(queue).or_default(),
        }
    }

    /// By queue, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (QueueId, &T)> {
        let (one, many) = match self {
            Self::One(one) => (one.as_ref(), None),
            Self::Many(many) => (None, Some(many)),
        };
        let one = one.into_iter().map(|(queue, place)| (*queue, place));
        one.chain(many.into_iter().flatten().map(|(queue, place)| (*queue, place)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let (one, many) = match self {
            Self::One(one) => (one.as_mut(), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().map(|(_, place)| place).chain(many.into_iter().flat_map(BTreeMap::values_mut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_queue_and_many_are_alike() {
        let mut places = Places::<i32>::default();
        assert_eq!((places.len(), places.get(QueueId(3)), places.iter().count()), (0, None, 0));
        *places.get_or_default(QueueId(3)) = 30;
        assert_eq!((places.len(), places.get(QueueId(3)), places.get(QueueId(1))), (1, Some(&30), None));
        *places.get_or_default(QueueId(3)) += 1;
        assert!(matches!(places, Places::One(_)), "a second look at the queue needs no map");
        *places.get_or_default(QueueId(1)) = 10;
        *places.get_mut(QueueId(3)).unwrap() += 1;
        assert_eq!(places.get_mut(QueueId(2)), None);
        assert_eq!(places.iter().map(|(queue, place)| (queue.0, *place)).collect::<Vec<_>>(), [(1, 10), (3, 32)]);
        places.values_mut().for_each(|place| *place = 0);
        assert_eq!((places.len(), places.get(QueueId(1)), places.get(QueueId(3))), (2, Some(&0), Some(&0)));
    }
}
