package millrace.clients;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.protocol.MarshallingType;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.core.traits.MapTrait;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;
import software.amazon.awssdk.utils.builder.Buildable;

/** AWS SDK for Java 2: both speak CBOR; the asynchronous client HTTP/2, by prior knowledge where the endpoint is http. */
final class Version2 implements Scenario.Client {
  private static final String MODEL = "software.amazon.awssdk.services.kinesis.model.";
  private final KinesisClient sync;
  private final KinesisAsyncClient async;

  Version2(String endpoint, boolean asynchronous) {
    StaticCredentialsProvider credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
    URI uri = URI.create(endpoint);
    sync = asynchronous ? null
        : KinesisClient.builder().endpointOverride(uri).region(Region.US_EAST_1).credentialsProvider(credentials)
            .httpClient(UrlConnectionHttpClient.create()).overrideConfiguration(o -> o.retryStrategy(r -> r.maxAttempts(1))).build();
    async = !asynchronous ? null
        : KinesisAsyncClient.builder().endpointOverride(uri).region(Region.US_EAST_1).credentialsProvider(credentials)
            .overrideConfiguration(o -> o.retryStrategy(r -> r.maxAttempts(1))).build();
  }

  @Override
  public boolean knows(JsonNode step) {
    return async != null || !step.has("events");  // subscriptions are the asynchronous client's
  }

  @Override
  public JsonNode call(JsonNode step, JsonNode input) throws Exception {
    Class<?> type = Class.forName(MODEL + step.get("op").asText() + "Request");
    SdkPojo builder = (SdkPojo) type.getMethod("builder").invoke(null);
    fill(builder, input);
    Object request = ((Buildable) builder).build();
    try {
      if (step.has("events")) return Scenario.JSON.valueToTree(plain(firstEvent((SubscribeToShardRequest) request)));
      Object output = sync != null ? KinesisClient.class.getMethod(Scenario.method(step), type).invoke(sync, request)
          : ((CompletableFuture<?>) KinesisAsyncClient.class.getMethod(Scenario.method(step), type).invoke(async, request)).join();
      return Scenario.JSON.valueToTree(plain(output));
    } catch (InvocationTargetException | CompletionException failed) {
      if (failed.getCause() instanceof AwsServiceException refused)
        throw new Scenario.Refused(refused.awsErrorDetails().errorCode(), refused.awsErrorDetails().errorMessage());
      throw failed.getCause() instanceof Exception cause ? cause : failed;
    }
  }

  private SubscribeToShardEvent firstEvent(SubscribeToShardRequest request) throws Exception {
    CompletableFuture<SubscribeToShardEvent> first = new CompletableFuture<>();
    CompletableFuture<Void> all = async.subscribeToShard(request, SubscribeToShardResponseHandler.builder()
        .onError(first::completeExceptionally)
        .subscriber(event -> {
          if (event instanceof SubscribeToShardEvent got) first.complete(got);
        }).build());
    try {
      return first.get(20, TimeUnit.SECONDS);
    } finally {
      all.cancel(true);
    }
  }

  private static void fill(SdkPojo builder, JsonNode input) {
    for (SdkField<?> field : builder.sdkFields()) {
      JsonNode value = input.get(field.locationName());
      if (value != null) field.set(builder, typed(field, value));
    }
  }

  private static Object typed(SdkField<?> field, JsonNode value) {
    MarshallingType<?> type = field.marshallingType();
    if (type == MarshallingType.INTEGER) return value.asInt();
    if (type == MarshallingType.BOOLEAN) return value.asBoolean();
    if (type == MarshallingType.SDK_BYTES) return SdkBytes.fromByteArray(Base64.getDecoder().decode(value.asText()));
    if (type == MarshallingType.INSTANT) return Instant.parse(value.asText());
    if (type == MarshallingType.SDK_POJO) {
      SdkPojo builder = field.constructor().get();
      fill(builder, value);
      return ((Buildable) builder).build();
    }
    if (type == MarshallingType.LIST) {
      List<Object> list = new ArrayList<>();
      for (JsonNode each : value) list.add(typed(field.getTrait(ListTrait.class).memberFieldInfo(), each));
      return list;
    }
    if (type == MarshallingType.MAP) {
      Map<String, Object> map = new HashMap<>();
      for (Map.Entry<String, JsonNode> each : value.properties())
        map.put(each.getKey(), typed(field.getTrait(MapTrait.class).valueFieldInfo(), each.getValue()));
      return map;
    }
    return value.asText();
  }

  private static Object plain(Object value) {
    if (value instanceof SdkPojo pojo) {
      Map<String, Object> members = new HashMap<>();
      for (SdkField<?> field : pojo.sdkFields()) members.put(field.locationName(), plain(field.getValueOrDefault(pojo)));
      return members;
    }
    if (value instanceof SdkBytes bytes) return Base64.getEncoder().encodeToString(bytes.asByteArray());
    if (value instanceof Instant time) return time.toString();
    if (value instanceof List<?> list) return list.stream().map(Version2::plain).toList();
    return value;
  }
}
