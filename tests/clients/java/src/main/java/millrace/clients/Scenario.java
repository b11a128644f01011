package millrace.clients;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.File;
import java.util.HashMap;
import java.util.Map;

/** What a client is asked to do and should get, filled in, compared and told: a JSON line a step. */
final class Scenario {
  static final ObjectMapper JSON = new ObjectMapper();

  /** What a step is given to, in the shapes of one SDK. */
  interface Client {
    boolean knows(JsonNode step);

    JsonNode call(JsonNode step, JsonNode input) throws Exception;
  }

  static final class Refused extends Exception {
    final String code;

    Refused(String code, String message) {
      super(code + ": " + message);
      this.code = code;
    }
  }

  private final Map<String, JsonNode> saved = new HashMap<>();
  boolean failed;

  Scenario(String name) {
    saved.put("s", TextNode.valueOf(name));
  }

  void run(File steps, Client client) throws Exception {
    for (JsonNode step : JSON.readTree(steps)) {
      if (!client.knows(step)) continue;
      String said = run(step, client);
      failed |= !said.isEmpty();
      System.out.println(JSON.createObjectNode().put("operation", step.get("op").asText()).put("ok", said.isEmpty()).put("said", said));
    }
  }

  private String run(JsonNode step, Client client) {
    String error = step.path("error").asText();
    try {
      JsonNode output = client.call(step, fill(step.get("in")));
      return error.isEmpty() ? compare(step, output) : "not refused with " + error;
    } catch (Refused refused) {
      return refused.code.equals(error) ? "" : refused.getMessage();
    } catch (Exception other) {
      return other.toString();
    }
  }

  private String compare(JsonNode step, JsonNode output) {
    for (Map.Entry<String, JsonNode> each : step.path("expect").properties()) {
      JsonNode found = at(output, each.getKey()), wanted = fill(each.getValue());
      boolean there = found != null && !found.isNull() && !found.isMissingNode();
      boolean well = wanted.asText().equals("*") ? there : wanted.isNull() ? !there : there && found.asText().equals(wanted.asText());
      if (!well) return each.getKey() + " is " + found + " and should be " + wanted;
    }
    for (Map.Entry<String, JsonNode> each : step.path("save").properties()) saved.put(each.getKey(), at(output, each.getValue().asText()));
    return "";
  }

  private static JsonNode at(JsonNode value, String path) {
    for (String part : path.split("\\.")) {
      if (value == null) return null;
      value = part.equals("length") ? JSON.valueToTree(value.size()) : value.isArray() ? value.get(Integer.parseInt(part)) : value.get(part);
    }
    return value;
  }

  private JsonNode fill(JsonNode value) {
    if (value.isTextual() && value.asText().startsWith("$")) return saved.get(value.asText().substring(1));
    if (value.isArray()) {
      ArrayNode filled = JSON.createArrayNode();
      for (JsonNode each : value) filled.add(fill(each));
      return filled;
    }
    if (value.isObject()) {
      ObjectNode filled = JSON.createObjectNode();
      for (Map.Entry<String, JsonNode> each : value.properties()) filled.set(each.getKey(), fill(each.getValue()));
      return filled;
    }
    return value;
  }

  static String method(JsonNode step) {
    String name = step.get("op").asText();
    return Character.toLowerCase(name.charAt(0)) + name.substring(1);
  }
}
