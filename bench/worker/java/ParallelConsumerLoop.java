import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import io.confluent.parallelconsumer.internal.DrainingCloseable.DrainingMode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Confluent Parallel Consumer the way its documentation shows it: its own threads, one blocking call a record. */
public final class ParallelConsumerLoop {
    private static final byte[] HEAD =
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"bench\",\"arguments\":"
                    .getBytes(StandardCharsets.US_ASCII);

    public static void main(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        int sessionMs = Integer.parseInt(options.get("--session-ms"));
        Properties properties = new Properties();
        properties.put("bootstrap.servers", options.get("--brokers"));
        properties.put("group.id", options.get("--group"));
        properties.put("session.timeout.ms", sessionMs);
        properties.put("heartbeat.interval.ms", sessionMs / 3);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", false);
        properties.put("key.deserializer", ByteArrayDeserializer.class);
        properties.put("value.deserializer", ByteArrayDeserializer.class);

        ParallelStreamProcessor<byte[], byte[]> processor =
                ParallelStreamProcessor.createEosStreamProcessor(
                        ParallelConsumerOptions.<byte[], byte[]>builder()
                                .consumer(new KafkaConsumer<>(properties))
                                .ordering(ProcessingOrder.valueOf(options.get("--ordering")))
                                .maxConcurrency(Integer.parseInt(options.get("--concurrency")))
                                .commitMode(CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
                                .build());
        // Finishes what runs, and leaves what only waits to the next owner.
        Runtime.getRuntime()
                .addShutdownHook(new Thread(() -> processor.close(Duration.ofSeconds(25), DrainingMode.DONT_DRAIN)));

        HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        int bodyBytes = Integer.parseInt(options.get("--body-bytes"));
        HttpRequest.Builder template =
                HttpRequest.newBuilder(URI.create(options.get("--url")))
                        .header("content-type", "application/json")
                        .header("accept", "application/json");
        processor.subscribe(List.of(options.get("--topic")));
        processor.poll(
                context -> {
                    byte[] body = body(context.value(), bodyBytes);
                    HttpRequest request = template.copy().POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
                    try {
                        HttpResponse<byte[]> response = http.send(request, HttpResponse.BodyHandlers.ofByteArray());
                        if (response.statusCode() != 200) {
                            throw new IllegalStateException("the server answered " + response.statusCode());
                        }
                    } catch (java.io.IOException e) {
                        throw new java.io.UncheckedIOException(e);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                        throw new IllegalStateException(e);
                    }
                });
    }

    /** The same bytes as the floor sends. */
    private static byte[] body(byte[] record, int bytes) {
        byte[] body = new byte[Math.max(bytes, HEAD.length + record.length + 2)];
        Arrays.fill(body, (byte) ' ');
        System.arraycopy(HEAD, 0, body, 0, HEAD.length);
        System.arraycopy(record, 0, body, HEAD.length, record.length);
        body[HEAD.length + record.length] = '}';
        body[body.length - 1] = '}';
        return body;
    }
}
