#include <string.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "app/commands.hpp"
#include "app/start_error.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/log.hpp"
#include "millrace/cli/arguments.hpp"
#include "millrace/cli/health.hpp"
#include "millrace/config/config.hpp"
#include "millrace/config/encryption_keys.hpp"
#include "millrace/config/local_keys.hpp"

extern char** environ;

namespace millrace::app {
namespace {

config::Environment environment() {
  config::Environment out;
  for (char** variable = environ; *variable; ++variable) {
    std::string_view text(*variable);
    std::size_t equals = text.find('=');
    if (text.starts_with("MILLRACE_") && equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
    // Who may look at /proc/<pid>/environ is not to find keys there.
    if (text.substr(0, equals) == config::kKeysVariable)
      ::explicit_bzero(*variable + equals + 1, text.size() - equals - 1);
  }
  return out;
}

config::Loaded load(const cli::Arguments& arguments) {
  auto loaded = config::load(arguments.config, environment());
  if (!loaded) throw ConfigError(loaded.error());
  return *std::move(loaded);
}

void configure_log(const config::Config& config) {
  using logging::Format, logging::Level;
  const std::string &level = config.log_level, &format = config.log_format;
  logging::configure(level == "debug"   ? Level::debug
                     : level == "warn"  ? Level::warn
                     : level == "error" ? Level::error
                                        : Level::info,
                     format == "json"   ? Format::json
                     : format == "text" ? Format::text
                                        : Format::automatic);
}

int health(const cli::Arguments& arguments) {
  std::string url = arguments.url;
  if (url.empty()) {
    config::Config config = load(arguments).config;
    auto found = cli::url_of_listener(config.listen_aws);
    if (!found) throw StartError("listen.aws is " + config.listen_aws + ": say with --url where the daemon listens");
    url = *found;
  }
  auto answer = cli::http_get(url, arguments.ready ? "/_millrace/ready" : "/_millrace/health", arguments.timeout);
  if (!answer) throw StartError(answer.error().detail);
  std::cout << answer->body << (answer->body.ends_with('\n') ? "" : "\n");
  return answer->status == 200 ? 0 : 1;
}

/// What `log` is to look at. A configuration that is not needed is not read.
void find_log(cli::Arguments& arguments) {
  const bool from_config = arguments.config || !arguments.data_dir;
  if (from_config) {
    config::Config config = load(arguments).config;
    if (!arguments.data_dir) arguments.data_dir = config.data_dir;
    arguments.log.keys = config.keys;
  } else {
    const config::Environment variables = environment();
    auto keys = config::encryption_keys_in(variables, /*seals=*/false);
    if (!keys) throw ConfigError(keys.error());
    if (*keys) arguments.log.keys = std::move((*keys)->keys);
    const auto path = variables.find("MILLRACE_STORAGE_ENCRYPTION_KEYS");
    if (path != variables.end() && !path->second.empty() && !arguments.keys) arguments.keys = path->second;
  }
  if (!arguments.keys && !arguments.log.keys) {
    auto own = config::local_keys(*arguments.data_dir / config::kLocalKeyFile);
    if (!own) throw ConfigError(own.error());
    arguments.log.keys = std::move(*own);
  }
  if (!arguments.keys) return;
  auto read = config::read_encryption_keys(*arguments.keys, /*seals=*/false);
  if (!read) throw ConfigError(read.error());
  arguments.log.keys = std::move(read->keys);
}

/// Exit code 1 says that something is damaged, so a mistake is 2.
int log(cli::Arguments arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went is an error code of the write
  cli::Output out = cli::output_to(STDOUT_FILENO), err = cli::output_to(STDERR_FILENO);
  int code = 2;
  try {
    find_log(arguments);
    const std::filesystem::path& data_dir = *arguments.data_dir;
    const auto files = make_system_files();
    code = cli::run_log(*files, data_dir, cli::held_by_daemon(data_dir), arguments.log, out, err);
  } catch (const ConfigError& e) {
    err << e.what() << "\n";
  } catch (const std::exception& e) {
    err << "millrace: " << e.what() << "\n";
  }
  err.flush();
  return code;
}

volatile std::sig_atomic_t interrupted = 0;

/// From now on SIGINT and SIGTERM end a wait, and all that follow.
void end_waits_at_signals() {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went is an error code of the write
  struct sigaction on_end {};
  on_end.sa_handler = [](int) { interrupted = 1; };
  on_end.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one does not wait for the server
  ::sigaction(SIGINT, &on_end, nullptr);
  ::sigaction(SIGTERM, &on_end, nullptr);
}
bool wait_unless_interrupted(std::int64_t ms) {
  const timespec time{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1'000'000)};
  if (!interrupted && ms > 0) ::nanosleep(&time, nullptr);  // a signal ends it
  return !interrupted;
}

/// Region, credentials and certificates, as AWS's tools take them from the environment.
template <class Command>
void take_environment(Command& command) {
  const auto from_environment = [](const char* name, std::string& out) {
    if (const char* value = std::getenv(name); value && *value) out = value;
  };
  from_environment("AWS_REGION", command.region);
  from_environment("AWS_ACCESS_KEY_ID", command.access_key_id);
  from_environment("AWS_SECRET_ACCESS_KEY", command.secret_access_key);
  from_environment("AWS_SESSION_TOKEN", command.session_token);
  if (command.ca_file.empty()) from_environment("AWS_CA_BUNDLE", command.ca_file);
}

int agent(const cli::Arguments& arguments) {
  cli::AgentCommand command = arguments.agent;
  command.url = arguments.url;
  const config::Config config = load(arguments).config;
  configure_log(config);
  if (arguments.config) command.region = config.region;
  if (const auto found = cli::url_of_listener(config.listen_aws)) command.otherwise = *found;
  take_environment(command);
  end_waits_at_signals();
  cli::Output out = cli::output_to(STDOUT_FILENO), err = cli::output_to(STDERR_FILENO);
  const auto wait = [](std::chrono::milliseconds time) {
    const bool ending = interrupted;
    if (ending) std::this_thread::sleep_for(time);  // between its last calls
    return !ending && wait_unless_interrupted(time.count());
  };
  const int code = cli::run_agent(command, wait, out, err);
  err.flush();
  return code;
}

/// Until Ctrl-C, which is how it ends.
int tail(const cli::Arguments& arguments) {
  cli::TailCommand command = arguments.tail;
  command.url = arguments.url;
  if (command.url.empty() || arguments.config) {
    const config::Config config = load(arguments).config;
    command.region = config.region;
    if (command.url.empty()) {
      auto found = cli::url_of_listener(config.listen_aws);
      if (!found) throw StartError("listen.aws is " + config.listen_aws + ": say with --url where the daemon listens");
      command.url = *found;
    }
  }
  take_environment(command);
  end_waits_at_signals();
  cli::Output out = cli::output_to(STDOUT_FILENO), err = cli::output_to(STDERR_FILENO);
  const int code = cli::run_tail(command, wait_unless_interrupted, out, err);
  err.flush();
  return code;
}

int run(const cli::Arguments& arguments) {
  switch (arguments.command) {
    case cli::Command::version:
      std::cout << "millrace " MILLRACE_VERSION "\n";
      return 0;
    case cli::Command::health:
      return health(arguments);
    case cli::Command::log:
      return log(arguments);
    case cli::Command::tail:
      return tail(arguments);
    case cli::Command::agent:
      return agent(arguments);
    case cli::Command::check:
    case cli::Command::serve:
      break;
  }
  config::Loaded loaded = load(arguments);
  configure_log(loaded.config);
  for (const std::string& warning : loaded.warnings) logging::warn(warning);
  return arguments.command == cli::Command::check ? check(loaded.config) : serve(loaded.config);
}

}  // namespace
}  // namespace millrace::app

int main(int argc, char** argv) {
  using namespace millrace;
  auto parsed = cli::parse(argc, argv);
  if (const auto* ended = std::get_if<cli::Ended>(&parsed)) {
    (ended->exit_code == 0 ? std::cout : std::cerr) << ended->text;
    return ended->exit_code;
  }
  try {
    return app::run(std::get<cli::Arguments>(parsed));
  } catch (const app::ConfigError& e) {
    std::cerr << e.what() << '\n';
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "millrace: " << e.what() << '\n';
    return 1;
  }
}
