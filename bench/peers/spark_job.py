"""The query of the README as a Spark Structured Streaming job, as a team would write it.

spark_job.py BROKERS TOPIC HOST:PORT TABLE CHECKPOINT JARS

Its JDBC writer cannot upsert: each micro-batch goes into TABLE_stage and is merged from
there.  Tuned: as many shuffle partitions as there are processors, and at most so many
messages a batch; with what Spark has by default a batch takes half a minute.
"""

import glob
import os
import sys

import psycopg2
from pyspark.sql import SparkSession, functions as F

BATCH = 500_000
SCHEMA = "event_type STRING, country STRING, amount DOUBLE, latency_ms INT, ts TIMESTAMP"
MERGE = """INSERT INTO {0} SELECT * FROM {0}_stage ON CONFLICT (window_start, event_type, country)
    DO UPDATE SET events = excluded.events, revenue = excluded.revenue, avg_latency = excluded.avg_latency,
        max_latency = excluded.max_latency"""


def session(jars):
    cores = os.cpu_count()
    paths = glob.glob(f"{jars}/*.jar")
    wanted = [p for p in paths if os.path.basename(p).startswith(
        ("spark-sql-kafka", "spark-token-provider-kafka", "kafka-clients", "commons-pool2", "postgresql"))]
    settings = {
        "spark.jars": ",".join(wanted),
        "spark.driver.extraClassPath": ":".join(wanted),
        "spark.driver.memory": "2g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": cores,
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("traffic")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


def traffic(spark, brokers, topic):
    messages = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", brokers)
                .option("subscribe", topic).option("startingOffsets", "earliest")
                .option("maxOffsetsPerTrigger", BATCH).load())
    events = messages.select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("e")).select("e.*")
    return (events.withWatermark("ts", "5 seconds")
            .groupBy(F.window("ts", "10 seconds"), "event_type", "country")
            .agg(F.count("*").alias("events"), F.sum("amount").alias("revenue"),
                 F.avg("latency_ms").alias("avg_latency"), F.max("latency_ms").alias("max_latency"))
            .select(F.col("window.start").alias("window_start"), "event_type", "country", "events", "revenue",
                    "avg_latency", "max_latency"))


def upsert(server, table):
    host, port = server.split(":")
    connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")

    def write(batch, _):
        (batch.write.format("jdbc").mode("overwrite").option("truncate", "true").option("numPartitions", 1)
         .option("batchsize", 10_000).option("driver", "org.postgresql.Driver").option("dbtable", table + "_stage")
         .option("url", f"jdbc:postgresql://{server}/postgres?user=postgres&reWriteBatchedInserts=true").save())
        with connection, connection.cursor() as cursor:
            cursor.execute(MERGE.format(table))
    return write


def main():
    brokers, topic, server, table, checkpoint, jars = sys.argv[1:]
    (traffic(session(jars), brokers, topic).writeStream.outputMode("update")
     .foreachBatch(upsert(server, table)).option("checkpointLocation", checkpoint).start().awaitTermination())


main()
