package millrace.clients;

import com.google.common.util.concurrent.ListenableFuture;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/** The Kinesis Producer Library: it aggregates, and speaks TLS only. The library itself does not verify here: it has no setting for a CA. */
final class Producer {
  static String run(String endpoint, String stream, int records) throws Exception {
    URI uri = URI.create(endpoint);
    KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
        .setRegion("us-east-1")
        .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
        .setKinesisEndpoint(uri.getHost()).setKinesisPort(uri.getPort())
        .setCloudwatchEndpoint(uri.getHost()).setCloudwatchPort(uri.getPort())
        .setStsEndpoint(uri.getHost()).setStsPort(uri.getPort())
        .setVerifyCertificate(false)
        .setRecordMaxBufferedTime(100));
    try {
      List<ListenableFuture<UserRecordResult>> results = new ArrayList<>();
      for (int i = 0; i < records; ++i)
        results.add(producer.addUserRecord(stream, "key-" + i % 10, ByteBuffer.wrap(("record-" + i).getBytes(StandardCharsets.UTF_8))));
      producer.flush();
      Set<String> numbers = new HashSet<>();
      for (ListenableFuture<UserRecordResult> result : results) {
        UserRecordResult put = result.get(30, TimeUnit.SECONDS);
        if (!put.isSuccessful()) return "not put: " + put.getAttempts();
        numbers.add(put.getSequenceNumber());
      }
      return numbers.size() * 2 <= records ? "" : records + " user records came as " + numbers.size() + ": not aggregated";
    } finally {
      producer.destroy();
    }
  }
}
