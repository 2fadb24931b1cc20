//! Random lives of a slave on a disk that forgets, tears and fails: after every power cut its log is a beginning of the
//! master's, with all that was flushed, its queues hold what the log holds, and it goes on from there.

use super::*;
use crate::testing::{Fault, Lie, LossyDisk};

struct Life {
    number: usize,
    rng: Rng,
    master: Arc<Store>,
    disk: Arc<LossyDisk>,
    slave: Arc<Store>,
    flush: FlushMode,
    /// Behind the stores: what these write as they close would stay.
    folder: TempDir,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" });
        let folder = folder.expect("a folder");
        let master = master(&folder.path().join("master"), rng.usize(0..200), rng.u64(..));
        let flush = if rng.bool() { FlushMode::Sync } else { FlushMode::Async };
        let (disk, slave) = open_on(&folder.path().join("0"), flush, rng.u64(..));
        Self { number: 0, rng, master, disk, slave, flush, folder }
    }

    fn live(&mut self) {
        for _ in 0..self.rng.usize(3..12) {
            let mut copy = self.slave.copy();
            self.follow(&mut copy);
            if self.rng.u8(0..4) == 0 {
                let faults = [Fault::Full, Fault::Write, Fault::Sync];
                let fault = self.rng.choice(faults).map(|fault| (fault, self.rng.usize(0..4)));
                self.disk.fail(fault);
                self.follow(&mut copy);
                self.disk.fail(None);
                self.follow(&mut copy);
            }
            drop(copy);
            if self.rng.u8(0..3) == 0 {
                self.crash();
            }
        }
        self.crash();
        let mut copy = self.slave.copy();
        self.follow_to_the_end(&mut copy);
        self.check();
    }

    /// Copies for a while. Refusals are no news while the disk fails; what is taken has to be right.
    fn follow(&mut self, copy: &mut LogCopy) {
        let mut at = self.place(copy);
        for _ in 0..self.rng.usize(0..60) {
            if self.rng.u8(0..3) == 0 {
                send(&self.master, &mut self.rng);
            }
            let max = self.rng.usize(1..3000);
            let Some(bytes) = self.master.log_bytes(at, max).expect("in the log") else { continue };
            if copy.write(at, bytes.as_slice()).is_err() {
                at = self.place(copy);
            } else {
                at = at.after(bytes.len());
            }
        }
        copy.forget_partial();
    }

    fn follow_to_the_end(&self, copy: &mut LogCopy) {
        let mut at = self.place(copy);
        while let Some(bytes) = self.master.log_bytes(at, 1000).expect("in the log") {
            copy.write(at, bytes.as_slice()).expect("taken");
            at = at.after(bytes.len());
        }
        assert_eq!(copy.end(), self.master.max_physical_offset());
    }

    /// Where the master goes on, or begins.
    fn place(&self, copy: &LogCopy) -> PhysicalOffset {
        if copy.is_empty() && copy.received().0 == 0 { self.master.last_file_start() } else { copy.received() }
    }

    /// A power cut, and the next start.
    fn crash(&mut self) {
        let durable = self.slave.shared.log.flushed();
        self.number += 1;
        let root = self.folder.path().join(self.number.to_string());
        self.disk.crash(&root);
        let seed = self.rng.u64(..);
        (self.disk, self.slave) = open_on(&root, self.flush, seed);
        let end = self.slave.max_physical_offset().0;
        assert!(end >= durable, "{durable} was flushed, and {end} is there");
        self.check();
    }

    fn check(&self) {
        let (min, end) = (self.slave.min_physical_offset(), self.slave.max_physical_offset());
        let mut at = min;
        while at < end {
            let max = (end.0 - at.0) as usize;
            let ours = self.slave.log_bytes(at, max).expect("in the log").expect("there");
            let theirs = self.master.log_bytes(at, ours.len()).expect("in the log").expect("there");
            assert!(ours.as_slice() == theirs.as_slice(), "the logs differ in {} bytes from {at} on", ours.len());
            at = at.after(ours.len());
        }
        if min == end {
            return;
        }
        self.slave.shared.flush();
        await_queues(&self.slave);
        let (all, found) = (seen(&self.master), seen(&self.slave));
        for (queue, (first, lens)) in found {
            if !lens.is_empty() {
                let theirs = &all[&queue].1[first as usize..];
                assert!(theirs.starts_with(&lens), "{queue:?} from {first} on");
                assert!(end < self.master.max_physical_offset() || theirs.len() == lens.len(), "{queue:?} is short");
            }
        }
    }
}

fn open_on(root: &Path, flush: FlushMode, seed: u64) -> (Arc<LossyDisk>, Arc<Store>) {
    let disk = Arc::new(LossyDisk::new(root, Lie::None, seed));
    let config = StoreConfig { flush, flush_interval: Duration::from_millis(5), ..config(root) };
    let (slave, _) = Store::open_on(config, Clock::system(), Arc::clone(&disk) as _).expect("opened");
    (disk, slave)
}

/// `COPY_SEEDS=a..b` asks for others than the usual ones.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("COPY_SEEDS").ok();
    asked.map_or(0..200, |asked| {
        let (from, to) = asked.split_once("..").expect("COPY_SEEDS=from..to");
        from.parse().expect("a number")..to.parse().expect("a number")
    })
}

#[test]
fn every_power_cut_leaves_a_beginning_of_the_masters_log() {
    for seed in seeds() {
        let lived = std::panic::catch_unwind(|| Life::begin(seed).live());
        assert!(lived.is_ok(), "COPY_SEEDS={seed}..{}", seed + 1);
    }
}
