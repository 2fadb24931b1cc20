//! Our name server and broker.

use std::path::Path;

use anyhow::Result;

use super::Launch;
use crate::stage::Stage;

pub(super) fn name_server(stage: &Stage, config: &Path) -> Result<Launch> {
    let args = ["namesrv".to_owned(), "-c".to_owned(), config.display().to_string()];
    Ok(Launch { program: stage.ferromq()?, args: args.into() })
}

pub(super) fn broker(stage: &Stage, config: &Path, name_servers: &str) -> Result<Launch> {
    let args =
        ["broker".to_owned(), "-c".to_owned(), config.display().to_string(), "-n".to_owned(), name_servers.to_owned()];
    Ok(Launch { program: stage.ferromq()?, args: args.into() })
}
