use std::time::Duration;

use prometheus_client::registry::Unit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::testing::Surroundings;

fn registry(surroundings: &Surroundings) -> Registry {
    Registry::new(&surroundings.ctx.identity, &surroundings.ctx.settings())
}

#[test]
fn a_page_has_names_types_units_and_the_labels_of_the_broker() {
    let surroundings = Surroundings::with(|settings| settings.metrics_label = "zone:a".to_owned());
    let mut registry = registry(&surroundings);
    registry.add(|page| {
        page.gauge(("rocketmq_size", Some(Unit::Bytes), "How large"), 4_u8)?;
        page.counter(("rocketmq_seen", None, "How many"), 7)?;
        let topics = [("a", 1), ("b\"\n", 2)].map(|(name, count)| (vec![("topic", name.to_owned())], count));
        page.counters(("rocketmq_out", None, "What went out"), topics)?;
        let ends = [Duration::from_millis(10), Duration::from_secs(1)];
        let took = ("rocketmq_took", "How long it took");
        page.times(took, &vec![("of", "x".to_owned())], Duration::from_millis(2500), &ends, &[3, 1, 1])
    });
    let all = r#"cluster="DefaultCluster",node_type="broker",node_id="broker-a",zone="a""#;
    let expect = format!(
        r#"# HELP rocketmq_size_bytes How large
# TYPE rocketmq_size_bytes gauge
# UNIT rocketmq_size_bytes bytes
rocketmq_size_bytes{{{all}}} 4.0
# HELP rocketmq_seen How many
# TYPE rocketmq_seen counter
rocketmq_seen_total{{{all}}} 7
# HELP rocketmq_out What went out
# TYPE rocketmq_out counter
rocketmq_out_total{{{all},topic="a"}} 1
rocketmq_out_total{{{all},topic="b\"\n"}} 2
# HELP rocketmq_took_seconds How long it took
# TYPE rocketmq_took_seconds histogram
# UNIT rocketmq_took_seconds seconds
rocketmq_took_seconds_sum{{{all},of="x"}} 2.5
rocketmq_took_seconds_count{{{all},of="x"}} 5
rocketmq_took_seconds_bucket{{{all},le="0.01",of="x"}} 3
rocketmq_took_seconds_bucket{{{all},le="1.0",of="x"}} 4
rocketmq_took_seconds_bucket{{{all},le="+Inf",of="x"}} 5
# EOF
"#
    );
    assert_eq!(registry.text(), expect);
}

async fn ask(port: u16, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn readiness_and_metrics_are_answered_by_http() {
    let surroundings = Surroundings::new();
    let site = Arc::new(Site::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stopping = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, Arc::clone(&site), stopping.clone()));
    let get = async |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let check = |answer: &str, status: &str, body: &str| {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")) && answer.ends_with(&format!("\r\n\r\n{body}")),
            "{answer}"
        );
    };
    check(&get("/live").await, "200 OK", "live\n");
    let starts = "not ready: the broker starts: it opens its store\n";
    check(&get("/ready").await, "503 Service Unavailable", starts);
    check(&get("/metrics").await, "503 Service Unavailable", "the broker starts: it has no figures yet\n");
    site.set_ready();
    site.show(registry(&surroundings));
    check(&get("/ready?verbose").await, "200 OK", "ready\n");
    check(&get("/metrics").await, "200 OK", "# EOF\n");
    check(&get("/").await, "200 OK", "# EOF\n");
    check(&ask(port, "HEAD /ready HTTP/1.0\r\n\r\n").await, "200 OK", "");
    check(
        &ask(port, "POST /ready HTTP/1.1\r\n\r\n").await,
        "405 Method Not Allowed",
        "metrics are asked for with GET\n",
    );
    site.ask(Box::new(|| Box::pin(async { Err("why".to_owned()) })));
    check(&get("/ready").await, "503 Service Unavailable", "not ready: why\n");
    site.set_stopping();
    check(&get("/ready").await, "503 Service Unavailable", "not ready: the broker stops\n");
    stopping.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = BrokerConfig {
        metrics_exporter_type: MetricsExporterType::Prom,
        metrics_prom_exporter_port: taken.local_addr().unwrap().port(),
        metrics_prom_exporter_host: "localhost".to_owned(),
        ..BrokerConfig::default()
    };
    let site = Arc::default();
    let refused = Exporter::start(&config, &site).await.err().unwrap().to_string();
    assert!(
        refused.starts_with("show metrics at localhost:") && refused.contains("metricsPromExporterPort"),
        "{refused}"
    );
    let off = BrokerConfig { metrics_exporter_type: MetricsExporterType::Disable, ..config };
    assert!(Exporter::start(&off, &site).await.unwrap().is_none());
}
