#include "millrace/cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <sstream>

#include "millrace/config/config.hpp"

namespace millrace::cli {

std::variant<Arguments, Ended> parse(int argc, const char* const* argv) {
  Arguments arguments;
  std::string config, timeout;
  CLI::App app("A Kinesis, Firehose and API Gateway compatible ingestion daemon.", "millrace");
  app.require_subcommand(1);

  auto with_config = [&](CLI::App* command) {
    command->add_option("--config", config, "The YAML file to read; without it every key has its default")
        ->type_name("FILE");
  };
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGINT or SIGTERM");
  with_config(serve);
  CLI::App* check = app.add_subcommand("check", "Say what would be served, or what is wrong with the configuration");
  with_config(check);
  CLI::App* version = app.add_subcommand("version", "Print the version");
  CLI::App* health = app.add_subcommand("health", "Ask a running daemon whether it is well: exit 0 or 1");
  with_config(health);
  health
      ->add_option("--url", arguments.url,
                   "Where it listens, e.g. http://localhost:4566; from the configuration unless said")
      ->type_name("URL");
  health->add_flag("--ready", arguments.ready, "Ask whether it takes requests yet");
  health->add_option("--timeout", timeout, "How long to wait, e.g. 2s")->type_name("DURATION");
  CLI::App* help = app.add_subcommand("help", "Print this");
  const std::string overview = app.help();  // after parsing it would be the chosen command's

  auto ended = [&](int exit_code, const std::string& text) { return Ended{exit_code, text}; };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    bool asked_for_help = app.exit(e, out, err) == 0;
    return asked_for_help ? ended(0, out.str()) : ended(2, err.str());
  }
  if (help->parsed()) return ended(0, overview);
  if (!timeout.empty()) {
    auto parsed = config::parse_duration(timeout);
    if (!parsed || *parsed <= std::chrono::milliseconds(0) || *parsed > std::chrono::hours(1))
      return ended(2, "--timeout: '" + timeout + "' is not a duration: write 250ms or 2s\n");
    arguments.timeout = *parsed;
  }
  if (!config.empty()) arguments.config = config;
  arguments.command = version->parsed()  ? Command::version
                      : check->parsed()  ? Command::check
                      : health->parsed() ? Command::health
                                         : Command::serve;
  return arguments;
}

}  // namespace millrace::cli
