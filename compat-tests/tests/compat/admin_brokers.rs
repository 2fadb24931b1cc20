//! mqadmin sees the cluster and its broker.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_cluster_list_shows_the_broker).with(&[Client::Mqadmin]).mixed(),
    scenario!(mqadmin_broker_status_tells_the_usual_figures).with(&[Client::Mqadmin]),
    scenario!(mqadmin_limits_what_a_group_reads_from_disk).with(&[Client::Mqadmin]),
];

async fn mqadmin_cluster_list_shows_the_broker(run: Run) -> Result<()> {
    let out = run.mqadmin(&["clusterList"]).await?;
    let broker = run.cluster.broker_address();
    let row = check::row(&out, &[CLUSTER, BROKER, "0", &broker])?;
    let version = row.get(4).context("find the version")?;
    ensure!(version.starts_with('V'), "version {version} in\n{out}");
    // The last columns are read from the broker's status: hours since the first message, disk ratio, active.
    ensure!(row.last().is_some_and(|active| active == "true"), "not active in\n{out}");

    let more = run.mqadmin(&["clusterList", "-m"]).await?;
    let totals = check::row(&more, &[CLUSTER, BROKER])?;
    ensure!(totals.len() == 6 && totals[2..].iter().all(|n| n.parse::<u64>().is_ok()), "totals in\n{more}");
    Ok(())
}

/// What Java's tools and dashboards read from a broker's status.
const FIGURES: [&str; 21] = [
    "bootTimestamp",
    "brokerActive",
    "brokerVersionDesc",
    "commitLogDiskRatio",
    "commitLogMaxOffset",
    "commitLogMinOffset",
    "consumeQueueDiskRatio",
    "dispatchBehindBytes",
    "earliestMessageTimeStamp",
    "getTotalTps",
    "getTransferredTps",
    "msgGetTotalTodayMorning",
    "msgGetTotalTodayNow",
    "msgPutTotalTodayMorning",
    "msgPutTotalTodayNow",
    "pullThreadPoolQueueSize",
    "putMessageAverageSize",
    "putMessageTimesTotal",
    "putTps",
    "runtime",
    "sendThreadPoolQueueSize",
];

async fn mqadmin_broker_status_tells_the_usual_figures(run: Run) -> Result<()> {
    let figures = async || {
        let out = run.mqadmin(&["brokerStatus", "-b", &run.cluster.broker_address()]).await?;
        let pairs = out.lines().filter_map(|line| line.split_once(':'));
        anyhow::Ok(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect::<Vec<_>>())
    };
    let value = |figures: &[(String, String)], key: &str| {
        figures.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let before = figures().await?;
    let missing: Vec<&str> = FIGURES.into_iter().filter(|key| value(&before, key).is_none()).collect();
    ensure!(missing.is_empty(), "without {missing:?}: {before:?}");

    let number = |figures: &[(String, String)], key: &str| -> Result<u64> {
        let text = value(figures, key).with_context(|| format!("find {key}"))?;
        text.parse().with_context(|| format!("{key} is `{text}`"))
    };
    let topic = run.topic("topic", 1).await?;
    for body in 0..5 {
        run.mqadmin(&["sendMessage", "-t", &topic, "-p", &format!("body {body}")]).await?;
    }
    let after = figures().await?;
    for key in ["putMessageTimesTotal", "msgPutTotalTodayNow"] {
        let (before, after) = (number(&before, key)?, number(&after, key)?);
        ensure!(after >= before + 5, "{key} went from {before} to {after} by five sends");
    }
    ensure!(number(&after, "commitLogMaxOffset")? > number(&before, "commitLogMaxOffset")?, "the log did not grow");
    Ok(())
}

async fn mqadmin_limits_what_a_group_reads_from_disk(run: Run) -> Result<()> {
    let (broker, group) = (run.cluster.broker_address(), run.name("group"));
    let told = async || {
        let out = run.mqadmin(&["getColdDataFlowCtrInfo", "-b", &broker]).await?;
        let from = out.find('{').with_context(|| format!("find the object in\n{out}"))?;
        serde_json::from_str::<serde_json::Value>(&out[from..]).with_context(|| format!("read\n{out}"))
    };
    let before = told().await?;
    ensure!(before["cgColdReadThreshold"] == 3 << 20 && before["globalColdReadThreshold"] == 100 << 20, "{before:#}");
    ensure!(before["runtimeTable"].is_object() && before["globalAcc"].is_number(), "{before:#}");

    let update = ["updateColdDataFlowCtrGroupConfig", "-b", &broker, "-g", &group, "-v", "1048576"];
    let out = run.mqadmin(&update).await?;
    ensure!(out.contains("updateColdDataFlowCtrGroupConfig success"), "{out}");
    let limited = told().await?;
    ensure!(limited["configTable"][&group] == 1 << 20, "no limit of {group} in {limited:#}");

    let out = run.mqadmin(&["removeColdDataFlowCtrGroupConfig", "-b", &broker, "-g", &group]).await?;
    ensure!(out.contains("remove broker cold read threshold success"), "{out}");
    let free = told().await?;
    ensure!(free["configTable"].get(&group).is_none(), "still a limit of {group} in {free:#}");
    Ok(())
}
