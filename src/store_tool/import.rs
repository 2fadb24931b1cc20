//! `ferromq store import`: an ordinary store is made of the files of a Java DLedger member.

use std::io::{self, Write};

use remoting::types::Clock;
use serde_json::{Value, json};
use store::StoreConfig;
use store::import::{ImportOptions, Imported, Step, import};

use super::args::{Import, StoreArgs};
use super::{ToolError, text};
use crate::progress::Bar;
use crate::settings;

/// Makes the store, or tells what would be made.
pub(super) fn run(args: &StoreArgs, wanted: &Import, out: &mut dyn Write) -> Result<(), ToolError> {
    let config = match &wanted.config_file {
        Some(file) => settings::store_of(file)?,
        None => StoreConfig::new(&wanted.to),
    };
    let options = ImportOptions {
        from: args.folder.clone(),
        data_dir: wanted.data.clone(),
        commit_log_dir: args.commit_log.clone(),
        config: StoreConfig { root: wanted.to.clone(), ..config },
        sizes_of_files: wanted.config_file.is_none(),
        committed_only: wanted.committed_only,
        dry_run: wanted.dry_run,
    };
    let mut bar = Some(Bar::new("import"));
    let imported = import(&options, Clock::system(), &mut |step| match step {
        Step::Log { done, total } => {
            if let Some(bar) = &mut bar {
                bar.show(done, total);
            }
        }
        Step::Queues => {
            bar = None;
            // Progress is not worth failing for.
            let _ = writeln!(io::stderr().lock(), "all messages are there; makes their queues and index");
        }
    });
    drop(bar);
    let imported = imported?;
    if args.json {
        writeln!(out, "{:#}", json_of(&imported, wanted.dry_run))?;
    } else {
        text::imported(&imported, &options, out)?;
    }
    Ok(())
}

fn json_of(imported: &Imported, dry_run: bool) -> Value {
    json!({
        "member": imported.member, "dryRun": dry_run, "records": imported.records, "oldRecords": imported.old_records,
        "emptyEntries": imported.empty_entries, "lastIndex": imported.last.map(|(index, _)| index),
        "lastTerm": imported.last.map(|(_, term)| term), "committedIndex": imported.committed,
        "minOffset": imported.begin, "endOffset": imported.end, "queues": imported.queues,
        "emptyQueues": imported.kept_queues, "timerUnits": imported.timers, "tables": imported.tables,
        "mappedFileSizeCommitLog": imported.commit_log_file_bytes,
        "mappedFileSizeConsumeQueue": imported.consume_queue_file_bytes,
        "maxHashSlotNum": imported.index.map(|(slots, _)| slots),
        "maxIndexNum": imported.index.map(|(_, entries)| entries), "notes": imported.notes,
    })
}
