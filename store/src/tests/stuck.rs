//! A disk that keeps a write waiting.

use std::thread;

use super::*;

#[test]
fn appends_behind_one_that_the_disk_keeps_waiting_are_refused_until_it_is_done() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    let held = disk.writes.lock();
    thread::scope(|scope| {
        let first = scope.spawn(|| store.append(&mut batch(&store, &[100])).map(|_| ()));
        // The first may not have come to the lock yet; then this one waits for the disk, and the first is refused.
        let second = scope.spawn(|| store.append(&mut batch(&store, &[100])).map(|_| ()));
        let since = Instant::now();
        while !first.is_finished() && !second.is_finished() {
            assert!(since.elapsed() < LONG, "one of the two is refused");
            thread::yield_now();
        }
        assert!(matches!(store.append(&mut batch(&store, &[100])), Err(AppendError::Busy { .. })));
        drop(held);
        let outcomes = [first, second].map(|append| append.join().expect("no panic"));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    });
    store.append(&mut batch(&store, &[100])).expect("the disk writes again");
    assert_eq!(max_offset(&store), 2, "nothing that was refused is there");
}
