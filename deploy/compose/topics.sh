#!/usr/bin/env bash
# The topics of the Compose stack. The first call waits for the broker; a topic that is there is left as it is.
set -euo pipefail

make_topic() {
  local topic=$1 partitions=$2
  shift 2
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --create --if-not-exists \
    --topic "$topic" --partitions "$partitions" --replication-factor 1 "$@"
}

day=$((24 * 60 * 60 * 1000))
# A partition has one worker at a time: as many workers as this can be busy, and 12 divides by 2, 3, 4 and 6.
# A job may wait for a week, a weekend's outage and a holiday included.
make_topic mcp-jobs 12 --config "retention.ms=$((7 * day))"
# The same number, so that a letter lies in the partition of its job. People look at them: a month.
make_topic mcp-jobs-dlq 12 --config "retention.ms=$((30 * day))"
# Whoever waits for a result reads it at once.
make_topic mcp-results 12 --config "retention.ms=$day"
# What was redriven, by position: one partition, and the newest record of each stays for as long as the letter can be there.
make_topic mcp-jobs-dlq-redriven 1 --config cleanup.policy=compact
