package millrace.clients;

import com.amazonaws.AmazonServiceException;
import com.amazonaws.ClientConfiguration;
import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.kinesis.AmazonKinesis;
import com.amazonaws.services.kinesis.AmazonKinesisClientBuilder;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.lang.reflect.InvocationTargetException;

/** AWS SDK for Java 1, whose last release is older than some operations. */
final class Version1 implements Scenario.Client {
  private static final String MODEL = "com.amazonaws.services.kinesis.model.";
  private static final ObjectMapper BEANS = new ObjectMapper()
      .setPropertyNamingStrategy(PropertyNamingStrategies.UPPER_CAMEL_CASE)
      .setSerializationInclusion(JsonInclude.Include.NON_NULL)
      .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
      .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS);
  private final AmazonKinesis client;

  Version1(String endpoint) {
    client = AmazonKinesisClientBuilder.standard()
        .withEndpointConfiguration(new EndpointConfiguration(endpoint, "us-east-1"))
        .withClientConfiguration(new ClientConfiguration().withMaxErrorRetry(0))
        .withCredentials(new AWSStaticCredentialsProvider(new BasicAWSCredentials("test", "test"))).build();
  }

  private static Class<?> type(JsonNode step) {
    try {
      return Class.forName(MODEL + step.get("op").asText() + "Request");
    } catch (ClassNotFoundException unknown) {
      return null;
    }
  }

  @Override
  public boolean knows(JsonNode step) {
    return type(step) != null && !step.has("events");
  }

  @Override
  public JsonNode call(JsonNode step, JsonNode input) throws Exception {
    Class<?> type = type(step);
    try {
      Object output = AmazonKinesis.class.getMethod(Scenario.method(step), type).invoke(client, BEANS.treeToValue(input, type));
      return BEANS.valueToTree(output);
    } catch (InvocationTargetException failed) {
      if (failed.getCause() instanceof AmazonServiceException refused)
        throw new Scenario.Refused(refused.getErrorCode(), refused.getErrorMessage());
      throw failed.getCause() instanceof Exception cause ? cause : failed;
    }
  }
}
