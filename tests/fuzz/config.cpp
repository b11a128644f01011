// The configuration: a file and the environment over it. The input is the file, and behind a byte 0xff, which no text
// has, lines NAME=VALUE.
#include "millrace/config/config.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"
#include "fuzz/text_file.hpp"

namespace millrace::config {
namespace {

using fuzz::require;

void check_error(std::string_view detail, const std::string& file, std::string_view text) {
  require(!detail.empty(), "an error says what is wrong");
  const auto lines = 1 + std::count(text.begin(), text.end(), '\n') + std::count(text.begin(), text.end(), '\r');
  while (!detail.empty()) {
    std::string_view line = detail.substr(0, detail.find('\n'));
    detail.remove_prefix(std::min(detail.size(), line.size() + 1));
    if (line.starts_with("environment: ") || (line.starts_with("and ") && line.ends_with(" more"))) continue;
    if (line.starts_with("listen.") || line.starts_with("data_dir: ")) continue;  // there is no file
    require(line.starts_with(file + ":"), "an error names the file");
    line.remove_prefix(file.size() + 1);
    if (line.starts_with(" listen.") || line.starts_with(" data_dir: ")) continue;  // a default that does not go
    std::ptrdiff_t number = 0;
    const char* const line_end = line.data() + line.size();
    auto [end, error] = std::from_chars(line.data(), line_end, number);
    require(error == std::errc{} && number >= 1 && number <= lines + 1, "an error names the line");
    std::size_t column = 0;
    if (end + 1 < line_end && *end == ':' && end[1] != ' ') end = std::from_chars(end + 1, line_end, column).ptr;
    require(std::string_view(end, line_end).starts_with(": "), "and says what is wrong there");
  }
}

void check_config(const Config& config) {
  require(config.memory_limit > 0, "memory has a limit");
  require(config.account_id.size() == 12, "an account has twelve digits");
  require(config.threads <= 4096 && config.shutdown_deadline.count() >= 0, "values are within their bounds");
  for (const auto* declared : {&config.streams, &config.delivery_streams}) {
    const char* const member = declared == &config.streams ? "StreamName" : "DeliveryStreamName";
    for (const Declaration& one : *declared) {
      const nlohmann::json json = nlohmann::json::parse(one.json, nullptr, false);
      require(json.is_object() && json.contains(member) && json[member] == one.name && !one.name.empty(),
              "a declaration is a request with the name declared");
    }
  }
  for (const ApiDeclaration& api : config.apis)
    require(!api.name.empty() && !api.openapi.empty() && !api.stages.empty(), "an API has a name, a file and stages");
}

}  // namespace
}  // namespace millrace::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  const std::string_view text = input.until('\xff');
  config::Environment environment;
  while (!input.empty()) {
    const std::string_view line = input.until('\n');
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos)
      environment.emplace("MILLRACE_" + std::string(line.substr(0, equals)), line.substr(equals + 1));
  }
  static fuzz::TextFile file;
  file.write(text);
  const auto loaded = config::load(file.path(), environment);
  if (loaded)
    config::check_config(loaded->config);
  else
    config::check_error(loaded.error().detail, file.path(), text);

  if (const auto bytes = config::parse_size(text)) fuzz::require(!text.empty(), "a size is not nothing");
  if (const auto time = config::parse_duration(text)) fuzz::require(time->count() >= 0, "a duration is not negative");
  return 0;
}
