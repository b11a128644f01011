#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "agent/conversions.hpp"
#include "millrace/agent/agent.hpp"
#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kFlowsMax = 100, kMistakesMax = 50;

// What the Amazon Kinesis Agent knows and is not built here.
constexpr std::string_view kNotBuilt[] = {"assumeRoleARN",
                                          "assumeRoleExternalId",
                                          "userDefinedCredentialsProvider.classname",
                                          "userDefinedCredentialsProvider.location",
                                          "sts.endpoint",
                                          "ec2.endpoint"};

class Reader {
 public:
  Reader(const Json& root, const std::filesystem::path& path) : root_(root), path_(path) {}

  std::variant<Settings, std::vector<std::string>> read() {
    if (!root_.is_object()) {
      wrong("", "is no JSON object");
      return std::move(mistakes_);
    }
    settings_.checkpoints = path_.parent_path() / "millrace-agent.checkpoints";
    check_names(root_, "", kTop);
    text(root_, "", "kinesis.endpoint", settings_.kinesis_endpoint);
    text(root_, "", "firehose.endpoint", settings_.firehose_endpoint);
    text(root_, "", "cloudwatch.endpoint", settings_.cloudwatch_endpoint);
    text(root_, "", "awsAccessKeyId", settings_.access_key_id);
    text(root_, "", "awsSecretAccessKey", settings_.secret_access_key);
    if (settings_.access_key_id.empty() != settings_.secret_access_key.empty())
      wrong("awsAccessKeyId", "and awsSecretAccessKey are only for each other: say both, or neither");
    flag(root_, "", "cloudwatch.emitMetrics", settings_.metrics);
    std::string checkpoints;
    if (text(root_, "", "checkpointFile", checkpoints)) settings_.checkpoints = checkpoints;
    const auto flows = root_.find("flows");
    if (flows == root_.end() || !flows->is_array() || flows->empty())
      wrong("flows", "must be a list of what to follow");
    else if (flows->size() > kFlowsMax)
      wrong("flows", "are more than " + std::to_string(kFlowsMax));
    else
      for (std::size_t i = 0; i < flows->size(); ++i) read_flow((*flows)[i], "flows[" + std::to_string(i) + "].");
    if (!mistakes_.empty()) return std::move(mistakes_);
    return std::move(settings_);
  }

 private:
  static constexpr std::string_view kTop[] = {
      "flows",          "kinesis.endpoint",   "firehose.endpoint",      "cloudwatch.endpoint",
      "awsAccessKeyId", "awsSecretAccessKey", "cloudwatch.emitMetrics", "checkpointFile"};
  static constexpr std::string_view kFlow[] = {
      "filePattern",           "kinesisStream",      "deliveryStream",       "initialPosition",
      "maxBufferAgeMillis",    "maxBufferSizeBytes", "maxBufferSizeRecords", "minTimeBetweenFilePollsMillis",
      "multiLineStartPattern", "partitionKeyOption", "skipHeaderLines",      "truncatedRecordTerminator",
      "dataProcessingOptions"};
  static constexpr std::string_view kProcessing[] = {"optionName", "customFieldNames", "delimiter", "logFormat",
                                                     "matchPattern"};

  void wrong(const std::string& member, const std::string& what) {
    if (mistakes_.size() < kMistakesMax) mistakes_.push_back(member.empty() ? what : member + " " + what);
  }

  void check_names(const Json& object, const std::string& at, std::span<const std::string_view> known) {
    for (const auto& [name, value] : object.items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      if (std::find(std::begin(kNotBuilt), std::end(kNotBuilt), name) != std::end(kNotBuilt)) {
        wrong(at + name, "is not available here: leave it out");
        continue;
      }
      const std::string_view near = nearest(name, known);
      wrong(at + printable(name),
            near.empty() ? "is not known" : "is not known; did you mean " + in_quotes(near) + "?");
    }
  }

  const Json* member(const Json& object, const std::string& name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  bool text(const Json& object, const std::string& at, const std::string& name, std::string& out) {
    const Json* value = member(object, name);
    if (!value) return false;
    // An empty text is how the agent's own example says that a member is not set.
    if (value->is_string())
      out = value->get<std::string>();
    else
      wrong(at + name, "must be a text");
    return value->is_string() && !out.empty();
  }
  void flag(const Json& object, const std::string& at, const std::string& name, bool& out) {
    const Json* value = member(object, name);
    if (!value) return;
    if (value->is_boolean())
      out = value->get<bool>();
    else if (*value == "true" || *value == "false")
      out = *value == "true";
    else
      wrong(at + name, "must be true or false");
  }
  template <class Number>
  void number(const Json& object, const std::string& at, const std::string& name, std::uint64_t least,
              std::uint64_t most, Number& out) {
    const Json* value = member(object, name);
    if (!value) return;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least || value->get<std::uint64_t>() > most)
      return wrong(at + name, "must be a number from " + std::to_string(least) + " to " + std::to_string(most));
    out = static_cast<Number>(value->get<std::uint64_t>());
  }
  void time(const Json& object, const std::string& at, const std::string& name, std::uint64_t least, std::uint64_t most,
            milliseconds& out) {
    auto ms = static_cast<std::uint64_t>(out.count());
    number(object, at, name, least, most, ms);
    out = milliseconds{static_cast<std::int64_t>(ms)};
  }
  bool choice(const Json& object, const std::string& at, const std::string& name,
              std::span<const std::string_view> known, std::string& out) {
    if (!text(object, at, name, out)) return false;
    if (std::find(known.begin(), known.end(), out) != known.end()) return true;
    std::string all;
    for (const std::string_view one : known) all.append(all.empty() ? "" : ", ").append(one);
    wrong(at + name, "must be one of " + all);
    return false;
  }
  void pattern(const std::string& member, const std::string& text) {
    if (const std::string why = Pattern::mistake(text); !why.empty()) wrong(member, "is no regular expression: " + why);
  }

  void read_flow(const Json& object, const std::string& at) {
    if (!object.is_object()) return wrong(at.substr(0, at.size() - 1), "must be an object");
    check_names(object, at, kFlow);
    Flow flow;
    if (!text(object, at, "filePattern", flow.file_pattern))
      wrong(at + "filePattern", "must say which files to follow");
    else if (!flow.file_pattern.starts_with('/'))
      wrong(at + "filePattern", "must be an absolute path");
    else if (flow.file_pattern.find('\0') != std::string::npos)
      wrong(at + "filePattern", "is no path");
    std::string stream, delivery;
    text(object, at, "kinesisStream", stream);
    text(object, at, "deliveryStream", delivery);
    if (stream.empty() == delivery.empty())
      wrong(at + "kinesisStream", "or deliveryStream must be there, and not both");
    flow.firehose = stream.empty();
    flow.destination = flow.firehose ? delivery : stream;
    if (flow.firehose) flow.bytes_max = kFirehoseBytesMax;
    std::string word;
    static constexpr std::string_view kPositions[] = {"START_OF_FILE", "END_OF_FILE"};
    flow.from_start = choice(object, at, "initialPosition", kPositions, word) && word == kPositions[0];
    time(object, at, "maxBufferAgeMillis", 1'000, 900'000, flow.age_max);
    number(object, at, "maxBufferSizeBytes", 1, kFirehoseBytesMax, flow.bytes_max);
    number(object, at, "maxBufferSizeRecords", 1, 500, flow.records_max);
    time(object, at, "minTimeBetweenFilePollsMillis", 1, 3'600'000, flow.poll);
    if (text(object, at, "multiLineStartPattern", flow.start_pattern))
      pattern(at + "multiLineStartPattern", flow.start_pattern);
    static constexpr std::string_view kKeys[] = {"RANDOM", "DETERMINISTIC"};
    if (choice(object, at, "partitionKeyOption", kKeys, word)) {
      if (flow.firehose) wrong(at + "partitionKeyOption", "is only for a kinesisStream");
      flow.deterministic_keys = word == kKeys[1];
    }
    number(object, at, "skipHeaderLines", 0, 1'000'000, flow.skip_lines);
    text(object, at, "truncatedRecordTerminator", flow.terminator);
    if (flow.terminator.size() > 1024) wrong(at + "truncatedRecordTerminator", "is longer than 1024 bytes");
    if (const Json* all = member(object, "dataProcessingOptions")) {
      if (!all->is_array() || all->size() > 10) {
        wrong(at + "dataProcessingOptions", "must be a list, of at most 10");
      } else {
        for (std::size_t i = 0; i < all->size(); ++i)
          read_processing((*all)[i], at + "dataProcessingOptions[" + std::to_string(i) + "].", flow);
      }
    }
    for (const Flow& other : settings_.flows)
      if (other.id() == flow.id()) wrong(at + "filePattern", "and its destination are there twice");
    settings_.flows.push_back(std::move(flow));
  }

  void read_processing(const Json& object, const std::string& at, Flow& flow) {
    if (!object.is_object()) return wrong(at.substr(0, at.size() - 1), "must be an object");
    check_names(object, at, kProcessing);
    static constexpr std::string_view kOptions[] = {"SINGLELINE", "CSVTOJSON", "LOGTOJSON"};
    Processing processing;
    std::string name;
    if (!choice(object, at, "optionName", kOptions, name)) {
      if (name.empty()) wrong(at + "optionName", "must be there");
      return;
    }
    processing.kind = name == kOptions[0]   ? Processing::Kind::single_line
                      : name == kOptions[1] ? Processing::Kind::csv_to_json
                                            : Processing::Kind::log_to_json;
    const bool csv = name == kOptions[1], log = name == kOptions[2];
    for (const auto& [member, of] :
         {std::pair{"customFieldNames", csv || log}, {"delimiter", csv}, {"logFormat", log}, {"matchPattern", log}})
      if (object.contains(member) && !of) wrong(at + member, "is not for " + name);
    if (const Json* names = member(object, "customFieldNames"))
      read_names(*names, at + "customFieldNames", processing.field_names);
    if (csv) {
      if (processing.field_names.empty()) wrong(at + "customFieldNames", "must name the columns");
      if (object.contains("delimiter") && !text(object, at, "delimiter", processing.delimiter))
        wrong(at + "delimiter", "is empty");
    }
    if (log) read_log_format(object, at, processing);
    flow.processing.push_back(std::move(processing));
  }

  void read_names(const Json& names, const std::string& at, std::vector<std::string>& out) {
    if (!names.is_array() || names.size() > 1000) return wrong(at, "must be a list, of at most 1000");
    for (const Json& name : names) {
      if (!name.is_string() || name.get_ref<const std::string&>().empty())
        return wrong(at, "must be texts that are not empty");
      out.push_back(name.get<std::string>());
    }
  }

  void read_log_format(const Json& object, const std::string& at, Processing& processing) {
    std::string word;
    std::vector<std::string_view> formats;
    for (const LogFormat& format : log_formats()) formats.push_back(format.name);
    const LogFormat* format = nullptr;
    if (choice(object, at, "logFormat", formats, word))
      format = &*std::find_if(log_formats().begin(), log_formats().end(),
                              [&](const LogFormat& one) { return one.name == word; });
    else if (word.empty())
      wrong(at + "logFormat", "must be there");
    const bool own = text(object, at, "matchPattern", processing.pattern);
    if (own) pattern(at + "matchPattern", processing.pattern);
    if (!format) return;
    if (!own) processing.pattern = format->pattern;
    const bool named = !processing.field_names.empty();
    if (!named) processing.field_names.assign(format->fields.begin(), format->fields.end());
    if (Pattern::mistake(processing.pattern).empty() &&
        Pattern(processing.pattern).groups() != processing.field_names.size())
      wrong(at + (named ? "customFieldNames" : "matchPattern"),
            "must be as many as the groups of the pattern: " + std::to_string(Pattern(processing.pattern).groups()) +
                ", not " + std::to_string(processing.field_names.size()));
  }

  const Json& root_;
  const std::filesystem::path path_;
  Settings settings_;
  std::vector<std::string> mistakes_;
};

}  // namespace

std::variant<Settings, std::vector<std::string>> parse_settings(std::string_view text,
                                                                const std::filesystem::path& path) {
  // Ours says that it is JSON, and where it is not.
  codec::JsonReader reader(text);
  reader.skip_value();
  if (reader.failed() || !reader.at_end()) {
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(reader.error_offset()), '\n');
    return std::vector<std::string>{"line " + std::to_string(line) + " is no JSON"};
  }
  const Json root = Json::parse(text, nullptr, false);
  return Reader(root, path).read();
}

}  // namespace millrace::agent
