package millrace.clients;

import java.io.File;

/** Runs the scenario: v1, v2 or v2-async, the endpoint, the stream's name, the scenario's file. */
public final class Main {
  public static void main(String[] arguments) throws Exception {
    String endpoint = arguments[1];
    Scenario.Client client = switch (arguments[0]) {
      case "v1" -> new Version1(endpoint);
      case "v2" -> new Version2(endpoint, false);
      case "v2-async" -> new Version2(endpoint, true);
      default -> throw new IllegalArgumentException(arguments[0]);
    };
    Scenario scenario = new Scenario(arguments[2]);
    scenario.run(new File(arguments[3]), client);
    System.exit(scenario.failed ? 1 : 0);
  }
}
