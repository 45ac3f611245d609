import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/**
 * The query of the README as a Flink SQL job on a cluster within this process.
 *
 * FlinkJob BROKERS TOPIC JDBC_URL TABLE CHECKPOINTS FLUSH
 *
 * Windows are shown while they fill, which Flink calls early fire and holds for
 * experimental; each FLUSH (such as 100 ms) what has changed is written to the table.
 */
public class FlinkJob {
    static final int CORES = Runtime.getRuntime().availableProcessors();

    static Configuration configuration(String checkpoints) {
        Configuration c = new Configuration();
        c.setString("parallelism.default", String.valueOf(CORES));
        c.setString("taskmanager.numberOfTaskSlots", String.valueOf(CORES));
        c.setString("execution.checkpointing.interval", "10 s");
        c.setString("execution.checkpointing.storage", "filesystem");
        c.setString("execution.checkpointing.dir", "file://" + checkpoints);
        c.setString("taskmanager.memory.network.min", "64mb");
        c.setString("taskmanager.memory.network.max", "64mb");
        c.setString("taskmanager.memory.managed.size", "128mb");
        for (String host : new String[] {"rest.bind-address", "rest.address", "jobmanager.rpc.address",
                "jobmanager.bind-host", "taskmanager.bind-host", "taskmanager.host"})
            c.setString(host, "127.0.0.1");
        return c;
    }

    static String source(String brokers, String topic) {
        return "CREATE TABLE events (event_type STRING, country STRING, amount DOUBLE, latency_ms INT,"
            + " ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'kafka',"
            + " 'topic' = '" + topic + "', 'properties.bootstrap.servers' = '" + brokers + "',"
            + " 'properties.group.id' = 'flink', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json',"
            + " 'json.timestamp-format.standard' = 'ISO-8601', 'json.ignore-parse-errors' = 'true')";
    }

    static String sink(String url, String table, String flush) {
        return "CREATE TABLE traffic (window_start TIMESTAMP(3), event_type STRING, country STRING, events BIGINT,"
            + " revenue DOUBLE, avg_latency DOUBLE, max_latency INT,"
            + " PRIMARY KEY (window_start, event_type, country) NOT ENFORCED) WITH ('connector' = 'jdbc',"
            + " 'url' = '" + url + "', 'table-name' = '" + table + "', 'sink.buffer-flush.max-rows' = '1000',"
            + " 'sink.buffer-flush.interval' = '" + flush + "')";
    }

    public static void main(String[] args) throws Exception {
        StreamTableEnvironment t = StreamTableEnvironment.create(
            StreamExecutionEnvironment.getExecutionEnvironment(configuration(args[4])));
        t.getConfig().set("table.local-time-zone", "UTC");
        t.getConfig().set("table.exec.emit.early-fire.enabled", "true");
        t.getConfig().set("table.exec.emit.early-fire.delay", args[5]);
        t.getConfig().set("table.exec.sink.upsert-materialize", "NONE");
        t.executeSql(source(args[0], args[1]));
        t.executeSql(sink(args[2], args[3], args[5]));
        t.executeSql("INSERT INTO traffic SELECT CAST(TUMBLE_START(ts, INTERVAL '10' SECOND) AS TIMESTAMP(3)),"
            + " event_type, country, COUNT(*), SUM(amount), AVG(CAST(latency_ms AS DOUBLE)), MAX(latency_ms)"
            + " FROM events GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), event_type, country").await();
    }
}
