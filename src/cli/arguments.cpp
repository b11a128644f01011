#include "millrace/cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/config/config.hpp"

namespace millrace::cli {
namespace {

/// "; did you mean 'serve'?", or all there are.
std::string hint(std::string_view word, const std::vector<std::string>& known, std::string_view otherwise) {
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  if (std::string_view near = nearest(word, candidates); !near.empty())
    return "; did you mean '" + std::string(near) + "'?";
  std::string out = std::string(otherwise);
  for (std::size_t i = 0; i < known.size(); ++i)
    out += (i == 0 ? " " : i + 1 == known.size() ? " and " : ", ") + known[i];
  return out;
}

std::string wrong_command(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  if (words.empty()) return "a command is missing" + hint("", commands, ": there are");
  const std::string_view word =
      std::string_view(words[0]).substr(std::min(words[0].find_first_not_of('-'), words[0].size()));
  return in_quotes(words[0]) + " is not a command" + hint(word, commands, ": there are");
}

std::string wrong_option(const CLI::App& command, const CLI::ParseError& error) {
  const std::string name = command.get_name();
  std::vector<std::string> options;
  for (const CLI::Option* option : command.get_options()) options.push_back("--" + option->get_lnames().front());
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const std::vector<std::string> rest = command.remaining();
    const auto dashed = std::find_if(rest.begin(), rest.end(), [](const std::string& word) { return word[0] == '-'; });
    if (dashed == rest.end()) return name + " takes no " + in_quotes(rest.empty() ? "" : rest.front());
    const std::string option = dashed->substr(0, dashed->find('='));
    return in_quotes(option) + " is not an option of " + name + hint(option, options, ": it has");
  }
  const std::string what = error.what(), option = what.substr(0, what.find(':'));
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch))
    return option + (what.ends_with("missing") ? " takes a value" : " is given twice");
  return what;
}

}  // namespace

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
  auto wrong = [&](const std::string& what) {
    const auto chosen = app.get_subcommands();
    const std::string command = chosen.empty() ? "" : chosen.front()->get_name() + " ";
    return ended(2, "millrace: " + what + "\n`millrace " + command + "--help` tells more\n");
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    if (app.exit(e, out, err) == 0) return ended(0, out.str());
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const auto chosen = app.get_subcommands();
    const bool command = !chosen.empty() && !words[0].starts_with('-');
    return wrong(command ? wrong_option(*chosen.front(), e) : wrong_command(app, words));
  }
  if (help->parsed()) return ended(0, overview);
  // As a shell passes a variable that is not set: what was meant is not the default.
  for (const CLI::App* command : app.get_subcommands())
    for (const CLI::Option* option : command->get_options())
      if (option->count() > 0 && option->get_expected_max() > 0 && option->as<std::string>().empty())
        return wrong("--" + option->get_lnames().front() + " is empty: it takes a value");
  if (!timeout.empty()) {
    auto parsed = config::parse_duration(timeout);
    if (!parsed || *parsed <= std::chrono::milliseconds(0) || *parsed > std::chrono::hours(1))
      return wrong("--timeout: " + in_quotes(timeout) + " is not a duration up to 1h: write 250ms or 2s");
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
