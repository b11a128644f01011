#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/clock.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/random.hpp"

/// `millrace agent`: follows log files and sends what is written to them, as the Amazon Kinesis Agent does, configured
/// by the same agent.json. Source: https://docs.aws.amazon.com/streams/latest/dev/writing-with-agents.html
namespace millrace::agent {

/// One of a flow's dataProcessingOptions.
struct Processing {
  enum class Kind { single_line, csv_to_json, log_to_json };
  Kind kind = Kind::single_line;
  std::vector<std::string> field_names = {};  ///< customFieldNames
  std::string delimiter = ",";                ///< of CSVTOJSON
  std::string pattern = {};                   ///< of LOGTOJSON: matchPattern, or that of its logFormat
};

struct Flow {
  std::string file_pattern;
  bool firehose = false;
  std::string destination;  ///< name of the stream, or of the delivery stream
  bool from_start = false;  ///< initialPosition, of files that are there when a flow is run for the first time
  std::chrono::milliseconds age_max{60'000}, poll{100};
  std::uint64_t bytes_max = 4u << 20;
  std::size_t records_max = 500;
  bool deterministic_keys = false;
  std::string start_pattern = {};  ///< multiLineStartPattern; empty: each line is a record
  std::uint64_t skip_lines = 0;    ///< of each file
  std::string terminator = "\n";   ///< of records that are cut
  std::vector<Processing> processing = {};

  /// What checkpoints know it by.
  std::string id() const { return (firehose ? "firehose:" : "kinesis:") + destination + ":" + file_pattern; }
};

struct Settings {
  std::vector<Flow> flows;
  std::string kinesis_endpoint, firehose_endpoint, cloudwatch_endpoint;  ///< empty: not said
  std::string access_key_id, secret_access_key;                          ///< the same
  bool metrics = true;                                                   ///< cloudwatch.emitMetrics
  std::filesystem::path checkpoints;
};

/// @param path  of the file, for messages and for where checkpoints are kept unless it says so
/// @return what is wrong with it, all of it, each with the member that it is about
std::variant<Settings, std::vector<std::string>> parse_settings(std::string_view text,
                                                                const std::filesystem::path& path);

enum class Service { kinesis, firehose, monitoring };

/// What an AWS endpoint answered; status 0: it could not be reached, and `body` says why.
struct Answer {
  int status = 0;
  std::string body;
};
/// Calls an operation in JSON. Blocking, with a deadline of its own.
using Call = std::function<Answer(Service service, std::string_view operation, std::string body)>;

struct Dependencies {
  std::function<TimePoint()> now;
  Random& random;
  Files& files;  ///< of checkpoints
  Call call;
  /// Sleeps so long, or less where it is to end: then false, and from then on so each time.
  std::function<bool(std::chrono::milliseconds)> wait;
};

/// Runs until it is to end: what was read by then is sent, where the destination takes it within some seconds, and
/// checkpoints are kept. What was acknowledged is not sent again, but for up to a second of it where the process is
/// killed; what was not is read again by the next run.
/// @return empty, or why it cannot run
std::string run(const Settings& settings, const Dependencies& dependencies);

}  // namespace millrace::agent
