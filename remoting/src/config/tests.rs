use super::*;

crate::choice! {
    enum Flush { Async = "ASYNC_FLUSH", Sync = "SYNC_FLUSH" }
}

crate::config! {
    /// Settings that are like a broker's.
    struct Sample {
        /// Name of the broker set.
        name: String = "a".to_owned(), "brokerName", important;
        /// Listening port.
        port: u16 = 10911, "listenPort", restart;
        /// Time between two flushes,
        /// under `ASYNC_FLUSH`.
        interval: Millis = Millis::new(500), "flushIntervalCommitLog";
        /// How long files are kept.
        reserved: Hours = Hours::new(72), "fileReservedTime";
        /// When a message counts as stored.
        flush: Flush = Flush::Async, "flushDiskType", important, restart;
        /// Whether topics come into being by sending.
        auto_create: bool = true, "autoCreateTopicEnable";
        /// Where name servers are.
        name_servers: Option<String> = None, "namesrvAddr";
        /// Keys nobody changes at run time.
        black_list: String = "brokerConfigPath".to_owned(), "configBlackList";
    }
}

impl Config for Sample {
    const INERT: &'static [Inert] =
        &[Inert { reason: "requests have no thread pools here", keys: &["sendMessageThreadPoolNums"] }];
    const MISSING: &'static [Missing] =
        &[Missing { feature: "authentication", keys: &[("authenticationEnabled", "false"), ("authConfigPath", "")] }];
    const FROZEN: &'static [&'static str] = &["configBlackList", "rocketmqHome"];

    fn black_list(&self) -> &str {
        &self.black_list
    }

    fn check(&self) -> Result<(), Unfit> {
        if self.port < 3 {
            return Err(Unfit::new("listenPort", "leaves no room for the fast port two below it"));
        }
        Ok(())
    }
}

fn load(text: &str) -> Result<(Sample, Vec<String>), String> {
    let mut loader = Loader::from_properties("broker.conf", Properties::parse(text).unwrap());
    let sample = loader.apply(Sample::default()).map_err(|err| err.to_string())?;
    loader.check(&sample).map_err(|err| err.to_string())?;
    Ok((sample, loader.notices().iter().map(ToString::to_string).collect()))
}

#[test]
fn a_file_sets_what_it_names_and_leaves_the_rest() {
    let (sample, notices) =
        load("flushDiskType = SYNC_FLUSH \nfileReservedTime=48 \nautoCreateTopicEnable=FALSE\nnamesrvAddr=h:9876")
            .unwrap();
    assert!(notices.is_empty());
    let expect = Sample {
        flush: Flush::Sync,
        reserved: Hours::new(48),
        auto_create: false,
        name_servers: Some("h:9876".to_owned()),
        ..Sample::default()
    };
    assert_eq!(sample, expect);
    assert_eq!(*sample.reserved, std::time::Duration::from_secs(48 * 3600));
}

#[test]
fn a_wrong_value_is_refused_with_key_line_and_reason() {
    let check = |text: &str, expect: &str| assert_eq!(load(text).unwrap_err(), expect);
    check(
        "a=1\n\nfileReservedTime=two",
        "broker.conf: line 3: fileReservedTime is \"two\", which is not a number of hours, 0 or more",
    );
    check(
        "flushDiskType=sync",
        "broker.conf: line 1: flushDiskType is \"sync\", which is not one of ASYNC_FLUSH SYNC_FLUSH",
    );
    check(
        "autoCreateTopicEnable=yes",
        "broker.conf: line 1: autoCreateTopicEnable is \"yes\", which is not true or false",
    );
    check("listenPort=70000", "broker.conf: line 1: listenPort is \"70000\", which is not a number from 0 to 65535");
    check(
        "listenPort=2",
        "broker.conf: line 1: listenPort is \"2\", which leaves no room for the fast port two below it",
    );
    check(
        "fileReservedTime=18446744073709551615",
        "broker.conf: line 1: fileReservedTime is \"18446744073709551615\", which is not a number of hours, 0 or more",
    );
}

#[test]
fn a_key_for_a_missing_feature_is_never_ignored() {
    assert_eq!(load("authenticationEnabled=False\nauthConfigPath=").unwrap(), (Sample::default(), Vec::new()));
    assert_eq!(
        load("authenticationEnabled=true").unwrap_err(),
        "broker.conf: line 1: authenticationEnabled is \"true\", which asks for what is not there yet: authentication; \
         only \"false\" is accepted"
    );
    let err = Update::plan(&Sample::default(), "authenticationEnabled=true").unwrap_err();
    assert!(matches!(err, UpdateError::Wrong(_)), "{err}");
}

#[test]
fn odd_keys_are_told_once_with_what_may_have_been_meant() {
    let text = "brokerNme=x\nbrokerNme=y\nsendMessageThreadPoolNums=4\nlistenPort=1\nlistenPort=10911\nquiteOther=1";
    assert_eq!(
        load(text).unwrap().1,
        [
            "line 1: there is no setting brokerNme; brokerName is the nearest one",
            "line 3: sendMessageThreadPoolNums does nothing here: requests have no thread pools here",
            "line 4: listenPort is set again further down, which is what counts",
            "line 6: there is no setting quiteOther",
        ]
    );
}

#[test]
fn a_key_of_one_struct_is_not_unknown_to_another() {
    crate::config! {
        /// Another process in the same file.
        struct Other {
            /// A setting.
            zone: String = String::new(), "zone";
        }
    }
    impl Config for Other {}

    let mut loader = Loader::from_properties("f", Properties::parse("zone=z\nbrokerName=b").unwrap());
    assert_eq!(loader.apply(Sample::default()).unwrap().name, "b");
    assert_eq!(loader.apply(Other::default()).unwrap().zone, "z");
    assert_eq!(loader.notices(), []);
}

#[test]
fn settings_print_as_text_that_reads_back() {
    let mut sample = Sample { name: " odd\\ name=".to_owned(), ..Sample::default() };
    sample.name_servers = Some("a:1;b:2".to_owned());
    let (read, _) = load(&sample.print_all()).unwrap();
    // Blanks at the ends of a value do not survive, on purpose.
    assert_eq!(read, Sample { name: "odd\\ name=".to_owned(), ..sample });
    assert_eq!(Sample::default().print_important(), "brokerName=a\nflushDiskType=ASYNC_FLUSH\n");
    assert!(!Sample::default().print_all().contains("namesrvAddr"));
}

#[test]
fn a_change_takes_effect_as_a_whole_or_not_at_all() {
    let sample = Sample::default();
    let update =
        Update::plan(&sample, "fileReservedTime=1\nlistenPort=20911\nfileReservdTime=2\nsendMessageThreadPoolNums=1")
            .unwrap();
    assert_eq!(update.config, Sample { reserved: Hours::new(1), port: 20911, ..Sample::default() });
    assert_eq!(update.after_restart, ["listenPort"]);
    assert_eq!(
        update.changes,
        [("fileReservedTime".to_owned(), Some("1".to_owned())), ("listenPort".to_owned(), Some("20911".to_owned()))]
    );
    assert_eq!(update.ignored.len(), 2);

    let refuse = |text: &str, expect: &str| assert_eq!(Update::plan(&sample, text).unwrap_err().to_string(), expect);
    refuse("fileReservedTime=1\nrocketmqHome=/x", "Can not update config in black list.");
    refuse("brokerConfigPath=/x", "Can not update config in black list.");
    refuse("fileReservedTime=1\nflushDiskType=X", "flushDiskType is \"X\", which is not one of ASYNC_FLUSH SYNC_FLUSH");
    refuse("listenPort=1", "listenPort is \"1\", which leaves no room for the fast port two below it");
}

#[test]
fn documentation_comes_with_each_setting() {
    let setting = Sample::SETTINGS.iter().find(|setting| setting.key == "flushIntervalCommitLog").unwrap();
    assert_eq!(setting.doc, [" Time between two flushes,", " under `ASYNC_FLUSH`."]);
    assert_eq!((setting.get)(&Sample::default()).as_deref(), Some("500"));
    assert!(!setting.is_important() && !setting.needs_restart());
}
