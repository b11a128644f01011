package millrace.clients;

import java.io.File;

/**
 * v1, v2 or v2-async: runs the scenario; the endpoint, the stream's name, the scenario's file. kpl: puts 1,000 user records; the
 * endpoint, the stream's name. kcl-polling or kcl-fan-out: reads through a reshard; the endpoint, the stream's name, DynamoDB's.
 */
public final class Main {
  public static void main(String[] arguments) throws Exception {
    String endpoint = arguments[1];
    switch (arguments[0]) {
      case "kpl" -> end("PutRecords", Producer.run(endpoint, arguments[2], 1000));
      case "kcl-polling" -> end("GetRecords", new Consumer(endpoint, arguments[2], arguments[3], false).run());
      case "kcl-fan-out" -> end("SubscribeToShard", new Consumer(endpoint, arguments[2], arguments[3], true).run());
      case "v1" -> scenario(new Version1(endpoint), arguments);
      case "v2" -> scenario(new Version2(endpoint, false), arguments);
      case "v2-async" -> scenario(new Version2(endpoint, true), arguments);
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  private static void scenario(Scenario.Client client, String[] arguments) throws Exception {
    Scenario scenario = new Scenario(arguments[2]);
    scenario.run(new File(arguments[3]), client);
    System.exit(scenario.failed ? 1 : 0);
  }

  private static void end(String operation, String said) {
    System.out.println(Scenario.JSON.createObjectNode().put("operation", operation).put("ok", said.isEmpty()).put("said", said));
    System.exit(said.isEmpty() ? 0 : 1);
  }
}
