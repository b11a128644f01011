#include "millrace/cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
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

/// The command that was chosen, and the one of it: null when none was.
const CLI::App* chosen_of(const CLI::App& app) {
  const CLI::App* chosen = nullptr;
  for (auto of = app.get_subcommands(); !of.empty(); of = chosen->get_subcommands()) chosen = of.front();
  return chosen;
}
/// As it is typed: `log verify`.
std::string name_of(const CLI::App* command) {
  if (!command || !command->get_parent()) return "";
  const std::string before = name_of(command->get_parent());
  return before.empty() ? command->get_name() : before + " " + command->get_name();
}

/// @param words  what is there instead of one of the commands of `app`
std::string wrong_command(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  const std::string name = name_of(&app), of = name.empty() ? "" : " of " + name;
  if (words.empty()) return "a command" + of + " is missing" + hint("", commands, ": there are");
  const std::string_view word =
      std::string_view(words[0]).substr(std::min(words[0].find_first_not_of('-'), words[0].size()));
  return in_quotes(words[0]) + " is not a command" + of + hint(word, commands, ": there are");
}

std::string wrong_option(const CLI::App& command, const CLI::ParseError& error) {
  const std::string name = name_of(&command);
  std::vector<std::string> options;
  for (const CLI::Option* option : command.get_options())
    if (!option->get_lnames().empty()) options.push_back("--" + option->get_lnames().front());
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const std::vector<std::string> rest = command.remaining();
    const auto dashed = std::find_if(rest.begin(), rest.end(), [](const std::string& word) { return word[0] == '-'; });
    if (dashed == rest.end()) return name + " takes no " + in_quotes(rest.empty() ? "" : rest.front());
    const std::string option = dashed->substr(0, dashed->find('='));
    return in_quotes(option) + " is not an option of " + name + hint(option, options, ": it has");
  }
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError)) {
    const std::string what = error.what();
    return what.substr(0, what.find(' ')) + " is missing";
  }
  const std::string what = error.what(), option = what.substr(0, what.find(':'));
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch))
    return option + (what.ends_with("missing") ? " takes a value" : " is given twice");
  return what;
}

}  // namespace

std::variant<Arguments, Ended> parse(int argc, const char* const* argv) {
  Arguments arguments;
  std::string config, timeout, data_dir, keys, from_time, to_time, limit, tail_from, tail_limit;
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
  CLI::App* log = app.add_subcommand("log", "Look at the records that a data directory holds, also while it is in use");
  log->require_subcommand(1);
  auto with_directory = [&](CLI::App* command) {
    with_config(command);
    command->add_option("--data-dir", data_dir, "The data directory; from the configuration unless said")
        ->type_name("DIR");
    command->add_option("--keys", keys, "The file with the keys of what is sealed; from the configuration unless said")
        ->type_name("FILE");
  };
  CLI::App* inspect = log->add_subcommand("inspect", "Say which files there are, and which records of which stream");
  with_directory(inspect);
  inspect->add_flag("--json", arguments.log.json, "As JSON");
  CLI::App* verify = log->add_subcommand("verify", "Read and check all of it: exit 0 when it is sound, 1 when not");
  with_directory(verify);
  CLI::App* exported = log->add_subcommand("export", "Write records as lines of JSON, by stream and shard, in order");
  with_directory(exported);
  ExportSelection& selection = arguments.log.selection;
  exported->add_option("--stream", selection.stream, "Only of this stream")->type_name("NAME");
  exported->add_option("--shard", selection.shard, "Only of this shard, e.g. shardId-000000000000")->type_name("ID");
  exported->add_option("--from-time", from_time, "Only what arrived then or later, e.g. 2026-01-31T17:00:00Z")
      ->type_name("TIME");
  exported->add_option("--to-time", to_time, "Only what arrived before")->type_name("TIME");
  exported->add_option("--limit", limit, "At most so many records")->type_name("N");
  exported->add_flag("--orphans", selection.orphans, "Records that are no stream's any more, too");
  CLI::App* tail = app.add_subcommand("tail", "Write the records of a stream as they come, until Ctrl-C");
  with_config(tail);
  tail->add_option("STREAM", arguments.tail.stream, "Its name")->required();
  tail->add_option("--shard", arguments.tail.shard, "Only of this shard, e.g. shardId-000000000000")->type_name("ID");
  tail->add_option("--from", tail_from,
                   "Begin at the `horizon`, the `tip` (unless said) or a time, e.g. 2026-01-31T17:00:00Z")
      ->type_name("WHERE");
  tail->add_flag("--raw", arguments.tail.raw, "Data as it is and a line end, not objects of JSON");
  tail->add_option("--limit", tail_limit, "End after so many records")->type_name("N");
  tail->add_option("--url", arguments.url, "Where the daemon listens; from the configuration unless said")
      ->type_name("URL");
  tail->add_option("--ca", arguments.tail.ca_file, "The certificates that sign an https server's")->type_name("FILE");
  CLI::App* agent = app.add_subcommand("agent", "Send what is written to log files, as the Amazon Kinesis Agent does");
  with_config(agent);
  std::string agent_file;
  agent->add_option("FILE", agent_file, "What to follow and where to send it: agent.json")->required();
  agent->add_flag("--check", arguments.agent.check, "Say what is wrong with it, or what would be followed");
  agent->add_option("--url", arguments.url, "Where the daemon listens, instead of the endpoints in FILE")
      ->type_name("URL");
  agent->add_option("--ca", arguments.agent.ca_file, "The certificates that sign an https server's")->type_name("FILE");
  CLI::App* help = app.add_subcommand("help", "Print this");
  const std::string overview = app.help();  // after parsing it would be the chosen command's

  auto ended = [&](int exit_code, const std::string& text) { return Ended{exit_code, text}; };
  auto wrong = [&](const std::string& what) {
    const std::string command = name_of(chosen_of(app));
    return ended(
        2, "millrace: " + what + "\n`millrace " + command + (command.empty() ? "" : " ") + "--help` tells more\n");
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    if (app.exit(e, out, err) == 0) return ended(0, out.str());
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const CLI::App* const chosen = chosen_of(app);
    if (!chosen || words[0].starts_with('-')) return wrong(wrong_command(app, words));
    if (chosen == log || (log->parsed() && words[1].starts_with('-')))
      return wrong(wrong_command(*log, {words.begin() + 1, words.end()}));
    return wrong(wrong_option(*chosen, e));
  }
  if (help->parsed()) return ended(0, overview);
  // As a shell passes a variable that is not set: what was meant is not the default.
  for (const CLI::Option* option : chosen_of(app)->get_options())
    if (option->count() > 0 && option->get_expected_max() > 0 && option->as<std::string>().empty())
      return wrong((option->get_lnames().empty() ? option->get_name() : "--" + option->get_lnames().front()) +
                   " is empty: it takes a value");
  if (!timeout.empty()) {
    auto parsed = config::parse_duration(timeout);
    if (!parsed || *parsed <= std::chrono::milliseconds(0) || *parsed > std::chrono::hours(1))
      return wrong("--timeout: " + in_quotes(timeout) + " is not a duration up to 1h: write 250ms or 2s");
    arguments.timeout = *parsed;
  }
  auto not_a_time = [&](const std::string& option, const std::string& text, std::optional<std::int64_t>& out) {
    if (!text.empty()) out = parse_time(text);
    return !text.empty() && !out ? option + ": " + in_quotes(text) + " is not a time: write 2026-01-31T17:00:00Z" : "";
  };
  if (std::string no = not_a_time("--from-time", from_time, selection.from_ms); !no.empty()) return wrong(no);
  if (std::string no = not_a_time("--to-time", to_time, selection.to_ms); !no.empty()) return wrong(no);
  for (const auto& [text, out] : {std::pair{&limit, &selection.limit}, {&tail_limit, &arguments.tail.limit}}) {
    if (text->empty()) continue;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), *out);
    if (failed != std::errc{} || end != text->data() + text->size())
      return wrong("--limit: " + in_quotes(*text) + " is not a number of records");
  }
  if (tail_from == "horizon") {
    arguments.tail.from = TailCommand::From::horizon;
  } else if (!tail_from.empty() && tail_from != "tip") {
    const auto at = parse_time(tail_from);
    if (!at)
      return wrong("--from: " + in_quotes(tail_from) + " is not horizon, tip or a time like 2026-01-31T17:00:00Z");
    arguments.tail.from = TailCommand::From::time;
    arguments.tail.from_ms = *at;
  }
  if (!data_dir.empty()) arguments.data_dir = data_dir;
  if (!keys.empty()) arguments.keys = keys;
  arguments.log.what = verify->parsed()     ? LogCommand::What::verify
                       : exported->parsed() ? LogCommand::What::export_records
                                            : LogCommand::What::inspect;
  if (!config.empty()) arguments.config = config;
  arguments.agent.file = agent_file;
  arguments.command = version->parsed()  ? Command::version
                      : check->parsed()  ? Command::check
                      : health->parsed() ? Command::health
                      : log->parsed()    ? Command::log
                      : tail->parsed()   ? Command::tail
                      : agent->parsed()  ? Command::agent
                                         : Command::serve;
  return arguments;
}

}  // namespace millrace::cli
