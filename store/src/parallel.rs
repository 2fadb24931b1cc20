//! Work on many things at once, while a store is being opened.

use std::thread;

/// Fewer are done by the caller.
const WORTH_A_THREAD: usize = 1024;
/// However few cores there are: the work waits for the disk, unless all of it is cached.
const THREADS: usize = 8;

/// Calls `work` with parts of `items`, each on a thread of its own; the results are in the order of the parts.
///
/// # Errors
/// The first of those that failed.
pub(crate) fn in_parts<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    if items.len() < WORTH_A_THREAD {
        return Ok(vec![work(items)?]);
    }
    thread::scope(|scope| {
        let work = &work;
        let parts = items.chunks(items.len().div_ceil(THREADS));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_done_and_keep_their_order() {
        for count in [0, 1, 5000] {
            let items: Vec<_> = (0..count).collect();
            let parts = in_parts(&items, |part| Ok::<_, ()>(part.to_vec())).expect("no failure");
            assert_eq!(parts.concat(), items);
        }
        let items: Vec<_> = (0..5000).collect();
        let failed = in_parts(&items, |part| if part.contains(&4999) { Err(4999) } else { Ok(()) });
        assert_eq!(failed, Err(4999));
    }
}
