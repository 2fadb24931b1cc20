//! The command line behind `ferromq store`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoreArgs {
    pub(crate) act: Act,
    pub(crate) folder: PathBuf,
    pub(crate) commit_log: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) running: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Inspect,
    Verify,
    Dump(Wanted),
    Import(Import),
}

/// Where a store goes that is made of a DLedger member's files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) to: PathBuf,
    pub(crate) data: Option<PathBuf>,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) committed_only: bool,
    pub(crate) dry_run: bool,
}

/// Which messages are printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) topic: Option<String>,
    pub(crate) queue: Option<i32>,
    /// Queue offset, or place in the log if neither topic nor queue is given.
    pub(crate) from: Option<i64>,
    pub(crate) max: Option<u64>,
}

/// Reads what follows `store`; `None`: help is asked for.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(parser: &mut Parser) -> Result<Option<StoreArgs>, String> {
    let (mut act, mut folder, mut commit_log, mut json, mut running) = (None, None, None, false, false);
    let (mut to, mut data, mut config_file, mut committed_only, mut dry_run) = (None, None, None, false, false);
    let mut wanted = Wanted::default();
    let say = |err: lexopt::Error| err.to_string();
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("json") => json = true,
            Arg::Long("running") => running = true,
            Arg::Long("commitlog") => commit_log = Some(PathBuf::from(parser.value().map_err(say)?)),
            Arg::Long("topic") => wanted.topic = Some(parser.value().and_then(|value| value.string()).map_err(say)?),
            Arg::Long("queue") => wanted.queue = Some(parser.value().and_then(|value| value.parse()).map_err(say)?),
            Arg::Long("from") => wanted.from = Some(parser.value().and_then(|value| value.parse()).map_err(say)?),
            Arg::Long("max") => wanted.max = Some(parser.value().and_then(|value| value.parse()).map_err(say)?),
            Arg::Long("data") => data = Some(PathBuf::from(parser.value().map_err(say)?)),
            Arg::Short('c') | Arg::Long("configFile") => {
                config_file = Some(PathBuf::from(parser.value().map_err(say)?));
            }
            Arg::Long("committed") => committed_only = true,
            Arg::Long("dry-run") => dry_run = true,
            Arg::Value(word) if act.is_none() => {
                act = Some(word.into_string().map_err(|word| format!("there is no store command {word:?}"))?);
            }
            Arg::Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            Arg::Value(path) if to.is_none() && act.as_deref() == Some("import") => to = Some(PathBuf::from(path)),
            other => return Err(say(other.unexpected())),
        }
    }
    let Some(act) = act else { return Err("which store command: inspect, verify, dump or import?".to_owned()) };
    let chooses = wanted != Wanted::default();
    let is_import = act == "import";
    if !is_import && (data.is_some() || config_file.is_some() || committed_only || dry_run) {
        return Err("--data, -c, --committed and --dry-run are for import".to_owned());
    }
    if is_import && running {
        return Err("a store that is in use cannot be imported: stop its broker".to_owned());
    }
    let act = match act.as_str() {
        "dump" => Act::Dump(wanted),
        _ if chooses => return Err("--topic, --queue, --from and --max are for dump".to_owned()),
        "inspect" => Act::Inspect,
        "verify" => Act::Verify,
        "import" => {
            let to = to.ok_or(
                "import from where to where? The storePathRootDir of a stopped DLedger member, and a new folder",
            )?;
            Act::Import(Import { to, data, config_file, committed_only, dry_run })
        }
        _ => {
            return Err(format!(
                "there is no store command {act:?}; the commands are inspect, verify, dump and import"
            ));
        }
    };
    let folder = folder.ok_or("which folder? It is the broker's storePathRootDir")?;
    Ok(Some(StoreArgs { act, folder, commit_log, json, running }))
}
