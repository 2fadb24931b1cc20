use std::fs;

use remoting::config::Properties;
use remoting::protocol::config::{GetBrokerConfig, UpdateBrokerConfig};

use super::*;

impl Fixture {
    fn file(&self) -> std::path::PathBuf {
        self.surroundings.folder.path().join("broker.conf")
    }

    async fn update(&self, text: &'static str) -> Result<String, Refusal> {
        let handler = &self.admin.settings;
        let reply = handler.handle(call(UpdateBrokerConfig {}, text, &peer(9))).await;
        reply.map(|_| String::new()).map_err(|err| (err.code(), err.to_string()))
    }

    async fn shown(&self) -> Properties {
        Properties::parse(&ask(&self.admin.settings, GetBrokerConfig {}, "").await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_changed_setting_is_in_force_shown_and_saved() {
    let fixture = Fixture::new();
    fs::write(fixture.file(), "# ours\nbrokerName=b\n\n  autoCreateSubscriptionGroup = true # no comment\n").unwrap();
    fixture.update("autoCreateSubscriptionGroup=false\nmaxMessageSize=1024\nnoSuchKey=1").await.unwrap();
    assert!(!fixture.surroundings.ctx.settings().auto_create_subscription_group);
    assert!(fixture.groups.find("new").is_none());
    assert_eq!(fixture.shown().await.get("maxMessageSize").unwrap().value, "1024");
    assert_eq!(
        fs::read_to_string(fixture.file()).unwrap(),
        "# ours\nbrokerName=b\n\nautoCreateSubscriptionGroup=false\nmaxMessageSize=1024\n"
    );
}

#[tokio::test]
async fn what_must_not_or_cannot_be_set_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.surroundings.ctx.settings();
    let frozen = refused(ResponseCode::NO_PERMISSION, "Can not update config in black list.");
    assert_eq!(fixture.update("traceOn=false\nrocketmqHome=/x").await, frozen);
    assert_eq!(fixture.update("configBlackList=").await, frozen);
    let (code, remark) = fixture.update("traceOn=false\nmaxMessageSize=big").await.unwrap_err();
    assert_eq!(code, ResponseCode::SYSTEM_ERROR);
    assert!(remark.contains("maxMessageSize"), "{remark}");
    assert_eq!(fixture.surroundings.ctx.settings(), before);
    assert!(!fixture.file().exists());
}

#[tokio::test]
async fn the_version_counts_changes() {
    let fixture = Fixture::new();
    let version = async || {
        let reply = fixture.admin.settings.handle(call(GetBrokerConfig {}, "", &peer(9))).await.unwrap();
        fastjson::read::<Value>(reply.header().unwrap().version.as_bytes()).unwrap()["counter"].clone()
    };
    assert_eq!(version().await, 0);
    fixture.update("traceOn=false").await.unwrap();
    assert_eq!(version().await, 1);
    fixture.update("rocketmqHome=/x").await.unwrap_err();
    assert_eq!(version().await, 1);
}

#[tokio::test]
async fn settings_that_wait_or_do_nothing_are_told() {
    let fixture = Fixture::new();
    let text = "listenPort=12345\nnoSuchKey=1\ntraceOn=false";
    let reply = fixture.admin.settings.handle(call(UpdateBrokerConfig {}, text, &peer(9))).await.unwrap();
    let remark = reply.response_remark().unwrap();
    assert!(remark.contains("listenPort takes effect at the next start") && remark.contains("noSuchKey"), "{remark}");
    assert!(!remark.contains("traceOn"), "{remark}");
}

#[tokio::test]
async fn another_permission_is_another_version_of_the_topics() {
    let fixture = Fixture::new();
    let before = fixture.topics.version().counter;
    fixture.update("brokerPermission=4").await.unwrap();
    assert_eq!(fixture.topics.version().counter, before + 1);
    fixture.update("brokerPermission=4").await.unwrap();
    assert_eq!(fixture.topics.version().counter, before + 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.file()).unwrap();
    let (code, remark) = fixture.update("traceOn=false").await.unwrap_err();
    assert_eq!(code, ResponseCode::SYSTEM_ERROR);
    assert!(remark.starts_with("the settings are in force, but a restart would forget them: read"), "{remark}");
    assert!(!fixture.surroundings.ctx.settings().trace_on);
}
