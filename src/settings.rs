//! From the command line and the file to the settings of each process.

use std::path::{Path, PathBuf};

use broker::config::BrokerConfig;
use namesrv::NamesrvConfig;
use remoting::config::{Config, ConfigError, Loader, Notice, Settings, Unfit, WrongValue};
use store::StoreConfig;

use crate::args::{Args, Command, Extent};

remoting::config! {
    /// Settings of `ferromq standalone` beside those of its two parts.
    pub(crate) struct StandaloneConfig {
        /// Port of the name server; `listenPort` is the broker's.
        namesrv_listen_port: u16 = 9876, "namesrvListenPort", restart;
    }
}

impl Config for StandaloneConfig {}

/// What to start, and with which settings.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namesrv: Option<NamesrvConfig>,
    pub(crate) broker: Option<BrokerConfig>,
    /// Odd keys of the file, for the log.
    pub(crate) notices: Vec<Notice>,
    pub(crate) config_file: Option<PathBuf>,
}

/// Where standalone keeps its data, so that trying it out leaves nothing elsewhere.
const DATA: &str = "data";

impl Plan {
    /// # Errors
    /// [`ConfigError`] with key, line and reason.
    pub(crate) fn of(args: &Args) -> Result<Self, ConfigError> {
        let mut loader = match &args.config_file {
            Some(file) => Loader::from_file(file)?,
            None => Loader::default(),
        };
        let (namesrv, broker) = match args.command {
            Command::Standalone => {
                let namesrv = namesrv_in_data(&mut loader)?;
                (Some(namesrv), Some(broker(&mut loader, args, broker_in_data())?))
            }
            Command::NameServer => (Some(loader.apply(NamesrvConfig::of_this_machine())?), None),
            Command::Broker => (None, Some(broker(&mut loader, args, BrokerConfig::of_this_machine())?)),
        };
        let config_file = args.config_file.clone();
        // As in Java, changes at run time go to the file that was given.
        let namesrv = namesrv.map(|config| match config_file.clone() {
            Some(config_store_path) => NamesrvConfig { config_store_path, ..config },
            None => config,
        });
        namesrv.as_ref().map_or(Ok(()), |config| loader.check(config))?;
        broker.as_ref().map_or(Ok(()), |config| loader.check(config))?;
        Ok(Self { namesrv, broker, notices: loader.notices(), config_file })
    }

    /// Properties text for a person.
    pub(crate) fn print(&self, extent: Extent) -> String {
        let both = self.namesrv.is_some() && self.broker.is_some();
        let part = |title: &str, text: String| if both { format!("# {title}\n{text}") } else { text };
        let namesrv = self.namesrv.as_ref().map(|config| part("name server", print(config, extent)));
        let broker = self.broker.as_ref().map(|config| part("broker", print(config, extent)));
        [namesrv, broker].into_iter().flatten().collect()
    }
}

fn print<C: Settings>(config: &C, extent: Extent) -> String {
    match extent {
        Extent::All => config.print_all(),
        Extent::Important => config.print_important(),
    }
}

fn broker(loader: &mut Loader, args: &Args, base: BrokerConfig) -> Result<BrokerConfig, ConfigError> {
    let mut config = loader.apply(base)?;
    if let Some(name_servers) = &args.name_servers {
        Loader::set_flag(&mut config, "-n", "namesrvAddr", name_servers)?;
    }
    config.broker_config_path.clone_from(&args.config_file);
    Ok(config)
}

/// What a broker's file says of its store.
///
/// # Errors
/// [`ConfigError`] with key, line and reason.
pub(crate) fn store_of(file: &Path) -> Result<StoreConfig, ConfigError> {
    let mut loader = Loader::from_file(file)?;
    let config = loader.apply(BrokerConfig::of_this_machine())?;
    loader.check(&config)?;
    config.store().map_err(|Unfit { key, reason }| ConfigError::Wrong {
        source_name: file.display().to_string(),
        wrong: WrongValue { key: key.to_owned(), value: String::new(), line: None, reason },
    })
}

/// The file's `listenPort` is the broker's; the rest of the keys that both know, such as `bindAddress`, are for both.
fn namesrv_in_data(loader: &mut Loader) -> Result<NamesrvConfig, ConfigError> {
    let folder = Path::new(DATA).join("namesrv");
    let config = loader.apply(NamesrvConfig {
        kv_config_path: folder.join("kvConfig.json"),
        config_store_path: folder.join("namesrv.properties"),
        ..NamesrvConfig::of_this_machine()
    })?;
    let StandaloneConfig { namesrv_listen_port } = loader.apply(StandaloneConfig::default())?;
    Ok(NamesrvConfig { listen_port: namesrv_listen_port, ..config })
}

fn broker_in_data() -> BrokerConfig {
    BrokerConfig { store_path_root_dir: Path::new(DATA).join("store"), ..BrokerConfig::of_this_machine() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn plan(command: Command, name_servers: Option<&str>, file: &str) -> Result<Plan, String> {
        let mut conf = tempfile::NamedTempFile::new().unwrap();
        conf.write_all(file.as_bytes()).unwrap();
        let args =
            Args { command, name_servers: name_servers.map(str::to_owned), config_file: Some(conf.path().into()) };
        Plan::of(&args).map_err(|err| err.to_string().replace(&conf.path().display().to_string(), "FILE"))
    }

    #[test]
    fn a_file_feeds_both_parts_of_standalone() {
        let file =
            "listenPort=20911\nnamesrvListenPort=29876\nbindAddress=127.0.0.1\norderMessageEnable=true\nbrokerName=x";
        let plan = plan(Command::Standalone, None, file).unwrap();
        let (namesrv, broker) = (plan.namesrv.unwrap(), plan.broker.unwrap());
        assert_eq!(namesrv.listen().unwrap().to_string(), "127.0.0.1:29876");
        assert!(namesrv.order_message_enable);
        assert_eq!((broker.listen_port, broker.broker_name.as_str()), (20911, "x"));
        assert_eq!(broker.bind_address, "127.0.0.1");
        assert!(broker.store_path_root_dir.starts_with("data") && namesrv.kv_config_path.starts_with("data"));
        assert_eq!(plan.notices, []);
    }

    #[test]
    fn a_flag_beats_the_file() {
        let plan = plan(Command::Broker, Some("flag:1"), "namesrvAddr=file:1").unwrap();
        assert_eq!(plan.broker.unwrap().name_servers(), ["flag:1"]);
        assert!(plan.namesrv.is_none());
    }

    #[test]
    fn changes_at_run_time_go_to_the_file_that_was_given() {
        let plan = plan(Command::Standalone, None, "").unwrap();
        assert_eq!(plan.namesrv.unwrap().config_store_path, plan.config_file.clone().unwrap());
        assert_eq!(plan.broker.unwrap().broker_config_path, plan.config_file);
    }

    #[test]
    fn what_is_wrong_stops_the_start() {
        let check =
            |command, servers, file: &str, expect: &str| assert_eq!(plan(command, servers, file).unwrap_err(), expect);
        check(
            Command::NameServer,
            None,
            "listenPort=x",
            "FILE: line 1: listenPort is \"x\", which is not a number from 0 to 65535",
        );
        check(
            Command::Broker,
            Some("nowhere"),
            "brokerName=a",
            "FILE: namesrvAddr is \"nowhere\", which is not of the form 127.0.0.1:9876;192.168.0.1:9876",
        );
        let missing = Args { command: Command::Broker, name_servers: None, config_file: Some("/no/such.conf".into()) };
        assert!(Plan::of(&missing).unwrap_err().to_string().starts_with("read /no/such.conf: "));
    }

    #[test]
    fn settings_are_printed_as_a_file_that_reads_back() {
        let plan = plan(Command::Standalone, None, "brokerName=x").unwrap();
        let text = plan.print(Extent::All);
        assert!(text.starts_with("# name server\nbindAddress=0.0.0.0\n") && text.contains("# broker\n"));
        assert!(plan.print(Extent::Important).contains("brokerName=x\n"));
        assert!(!plan.print(Extent::Important).contains("brokerPermission"));
    }
}
