package millrace.clients;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** The Kinesis Client Library: reads each record of a stream that is resharded meanwhile, the parents' before their children's. */
final class Consumer {
  private static final int HALF = 300, KEYS = 20;

  private final KinesisAsyncClient kinesis;
  private final DynamoDbAsyncClient dynamo;
  private final CloudWatchAsyncClient cloudwatch;
  private final String stream;
  private final boolean fanOut;
  private final Map<String, Integer> last = new ConcurrentHashMap<>();  // by key
  private final Set<String> shards = ConcurrentHashMap.newKeySet();
  private final Set<String> seen = ConcurrentHashMap.newKeySet();
  private volatile String wrong = "";

  Consumer(String endpoint, String stream, String dynamoEndpoint, boolean fanOut) {
    StaticCredentialsProvider credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
    URI uri = URI.create(endpoint);
    kinesis = KinesisClientUtil.createKinesisAsyncClient(
        KinesisAsyncClient.builder().endpointOverride(uri).region(Region.US_EAST_1).credentialsProvider(credentials));
    dynamo = DynamoDbAsyncClient.builder().endpointOverride(URI.create(dynamoEndpoint)).region(Region.US_EAST_1)
        .credentialsProvider(credentials).build();
    cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(uri).region(Region.US_EAST_1).credentialsProvider(credentials).build();
    this.stream = stream;
    this.fanOut = fanOut;
  }

  String run() throws Exception {
    kinesis.createStream(r -> r.streamName(stream).shardCount(2)).join();
    String arn = kinesis.describeStreamSummary(r -> r.streamName(stream)).join().streamDescriptionSummary().streamARN();
    put(0);
    ConfigsBuilder configs = new ConfigsBuilder(
        new SingleStreamTracker(StreamIdentifier.singleStreamInstance(stream),
            InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)),
        stream + "-app", kinesis, dynamo, cloudwatch, UUID.randomUUID().toString(), Processor::new);
    Scheduler scheduler = new Scheduler(configs.checkpointConfig(),
        configs.coordinatorConfig().parentShardPollIntervalMillis(500).shardConsumerDispatchPollIntervalMillis(100),
        configs.leaseManagementConfig().failoverTimeMillis(4000).shardSyncIntervalMillis(1000),
        configs.lifecycleConfig(), configs.metricsConfig(), configs.processorConfig(),
        configs.retrievalConfig().retrievalSpecificConfig(
            fanOut ? new FanOutConfig(kinesis).streamName(stream).applicationName(stream + "-app")
                : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(300)));
    Thread thread = new Thread(scheduler);
    thread.setDaemon(true);
    thread.start();
    if (!wait(HALF)) return "of the first " + HALF + " records came " + seen.size() + wrong;
    kinesis.updateShardCount(r -> r.streamARN(arn).targetShardCount(3).scalingType("UNIFORM_SCALING")).join();
    put(HALF);
    if (!wait(2 * HALF)) return "of " + 2 * HALF + " records came " + seen.size() + wrong;
    scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
    if (shards.size() < 4) return "read from " + shards + " only";
    return wrong;
  }

  private void put(int from) {
    for (int i = from; i < from + HALF; ++i) {
      int number = i;
      kinesis.putRecord(r -> r.streamName(stream).partitionKey("key-" + number % KEYS)
          .data(SdkBytes.fromUtf8String(Integer.toString(number)))).join();
    }
  }

  private boolean wait(int records) throws InterruptedException {
    for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(90); System.nanoTime() < end; Thread.sleep(50))
      if (seen.size() >= records) return true;
    return false;
  }

  private final class Processor implements ShardRecordProcessor {
    private String shard;

    @Override
    public void initialize(InitializationInput input) {
      shard = input.shardId();
      shards.add(shard);
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
      for (KinesisClientRecord record : input.records()) {
        String text = StandardCharsets.UTF_8.decode(record.data()).toString();
        if (!seen.add(text)) continue;  // at least once is what the library promises
        Integer before = last.put(record.partitionKey(), Integer.parseInt(text));
        if (before != null && before > Integer.parseInt(text)) wrong = "; of " + record.partitionKey() + " " + text + " came after " + before;
      }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {}

    @Override
    public void shardEnded(ShardEndedInput input) {
      try {
        input.checkpointer().checkpoint();
      } catch (ShutdownException | InvalidStateException failed) {
        wrong = "; " + failed;
      }
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
      try {
        input.checkpointer().checkpoint();
      } catch (ShutdownException | InvalidStateException failed) {
        wrong = "; " + failed;
      }
    }
  }
}
