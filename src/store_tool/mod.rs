//! `ferromq store`: what is in a store's files, whether they agree, and the messages in them. Changes nothing; only `import` makes
//! a store of another kind of one.

mod args;
mod config_files;
mod dump;
mod import;
mod text;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use remoting::config::ConfigError;
use serde_json::{Value, json};
use store::import::ImportError;
use store::inspect::{InspectError, InspectOptions, Inspection, Problem, Verified, inspect};

use crate::progress::Bar;
pub(crate) use args::{Act, StoreArgs, parse};

/// Something is wrong with the store, or it could not be read.
const WRONG: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error("write what was found: {0}")]
    Output(#[from] io::Error),
}

/// Does what the command line asks for, to the standard output.
pub(crate) fn run(args: &StoreArgs) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match act(args, &mut out).and_then(|sound| out.flush().map(|()| sound).map_err(ToolError::from)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        // Whoever read it has had enough.
        Err(ToolError::Output(err)) if err.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(err) => crate::fail(WRONG, &err.to_string()),
    }
}

/// Returns whether all is well with the store.
fn act(args: &StoreArgs, out: &mut dyn Write) -> Result<bool, ToolError> {
    if let Act::Import(wanted) = &args.act {
        return import::run(args, wanted, out).map(|()| true);
    }
    let options =
        InspectOptions { root: args.folder.clone(), commit_log_dir: args.commit_log.clone(), running: args.running };
    let store = inspect(&options)?;
    match &args.act {
        Act::Inspect => {
            let configs = config_files::read(&store);
            if args.json {
                writeln!(out, "{:#}", inspection_json(&store, &configs))?;
            } else {
                text::inspection(&store, &configs, out)?;
            }
            Ok(store.problems.is_empty() && configs.problems.is_empty())
        }
        Act::Verify => {
            let mut bar = Bar::new("verify");
            let mut verified = store.verify(&mut |done, total| bar.show(done, total))?;
            drop(bar);
            let configs = config_files::read(&store);
            verified.problem_count += configs.problems.len() as u64;
            verified.problems.extend(configs.problems.iter().cloned());
            if args.json {
                writeln!(out, "{:#}", verified_json(&store, &verified))?;
            } else {
                text::verified(&store, &verified, out)?;
            }
            Ok(verified.problem_count == 0)
        }
        Act::Dump(wanted) => dump::dump(&store, wanted, args.json, out),
        Act::Import(_) => unreachable!("it needs no look at the store"),
    }
}

fn inspection_json(store: &Inspection, configs: &config_files::Configs) -> Value {
    let queue = |queue: &store::inspect::QueueSummary| {
        json!({
            "topic": queue.topic, "queueId": queue.queue_id, "batches": queue.batches, "minOffset": queue.min,
            "maxOffset": queue.max, "units": queue.units, "files": queue.files,
        })
    };
    let index = |index: &store::inspect::IndexSummary| {
        json!({
            "file": index.file, "bytes": index.bytes, "entries": index.entries, "slots": index.slots,
            "beginTime": index.begin_time, "endTime": index.end_time, "beginOffset": index.begin_offset,
            "endOffset": index.end_offset,
        })
    };
    let checkpoint = store.checkpoint.map(|checkpoint| {
        json!({
            "logFlushedTime": checkpoint.log_flushed_time, "queuesFlushedTime": checkpoint.queues_flushed_time,
            "indexFlushedTime": checkpoint.index_flushed_time, "masterFlushedOffset": checkpoint.master_flushed_offset,
            "confirmedOffset": checkpoint.confirmed_offset, "queuesFlushedOffset": checkpoint.queues_flushed_offset,
        })
    });
    let others: Vec<_> = store
        .others
        .iter()
        .map(|other| json!({ "path": other.path, "files": other.files, "bytes": other.bytes }))
        .collect();
    json!({
        "root": store.root, "kind": store.kind.to_string(), "running": store.running, "abort": store.abort,
        "commitLog": {
            "files": store.log.files, "fileBytes": store.log.file_bytes, "bytes": store.log.bytes,
            "minOffset": store.log.min, "endOfFiles": store.log.capacity,
        },
        "queues": store.queues.iter().map(queue).collect::<Vec<_>>(),
        "indexes": store.indexes.iter().map(index).collect::<Vec<_>>(),
        "checkpoint": checkpoint,
        "roster": store.roster.as_ref().map(|roster| json!({ "bytes": roster.bytes, "queues": roster.queues })), "others": others, "topics": configs.topics, "groups": configs.groups,
        "problems": problems_json(store.problems.iter().chain(&configs.problems)),
    })
}

fn verified_json(store: &Inspection, verified: &Verified) -> Value {
    json!({
        "root": store.root, "kind": store.kind.to_string(), "records": verified.log.records, "end": verified.log.end,
        "units": verified.units, "indexEntries": verified.index_entries, "notes": verified.notes,
        "problemCount": verified.problem_count, "problems": problems_json(&verified.problems),
    })
}

fn problems_json<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Value {
    problems.into_iter().map(|problem| json!({ "place": problem.place, "what": problem.what })).collect()
}

#[cfg(test)]
mod tests;
