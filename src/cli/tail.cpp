#include "millrace/cli/tail.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "cli/aws_client.hpp"
#include "millrace/base/utc_text.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/kpl.hpp"

namespace millrace::cli {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// AWS lets a shard be read five times a second, by all who do.
constexpr std::int64_t kPollMs = 250, kThrottledMs = 1000;

struct Refused : std::runtime_error {
  Refused(std::string type_, const std::string& message)
      : runtime_error(type_ + ": " + message), type(std::move(type_)) {}
  std::string type;
};

class Tail {
 public:
  Tail(const TailCommand& command, const std::function<bool(std::int64_t)>& wait, Output& out)
      : command_(command),
        wait_(wait),
        out_(out),
        client_({command.url, command.region, command.access_key_id, command.secret_access_key, command.session_token,
                 command.ca_file}),
        left_(command.limit) {}

  void run() {
    begin();
    while (!readers_.empty() && left_ > 0) {
      bool behind = false;
      std::int64_t pause = kPollMs;
      for (auto at = readers_.begin(); at != readers_.end() && left_ > 0;) {
        const std::string shard = at->first;
        try {
          behind = read(at->second) || behind;
        } catch (const Refused& refused) {
          if (refused.type == "ProvisionedThroughputExceededException" || refused.type == "LimitExceededException")
            pause = kThrottledMs;
          else if (refused.type == "ExpiredIteratorException")
            at->second.iterator = iterator_after(at->second);
          else
            throw;
        }
        out_.flush();
        if (out_.error() != 0) return;
        if (at->second.iterator.empty()) {
          over_.insert(shard);
          readers_.erase(at);
          take_up_children();
          behind = true;
          at = readers_.upper_bound(shard);
        } else {
          ++at;
        }
      }
      if (readers_.empty() || left_ == 0) break;
      if (!wait_(behind && pause == kPollMs ? 0 : pause)) break;
    }
  }

 private:
  struct Reader {
    std::string shard, iterator, last;  // last: number of the last record that was read
  };

  Json call(std::string_view operation, const Json& members) {
    auto answer = client_.call(AwsClient::kKinesis, operation, members.dump());
    if (!answer) throw std::runtime_error(answer.error().detail);
    Json body = Json::parse(answer->body, nullptr, false);
    if (body.is_discarded()) throw std::runtime_error(command_.url + " does not answer as AWS does");
    if (answer->status == 200) return body;
    throw Refused(body.value("__type", "status " + std::to_string(answer->status)),
                  body.value("message", body.value("Message", "")));
  }

  std::string iterator(const std::string& shard, Json position) {
    position["StreamName"] = command_.stream;
    position["ShardId"] = shard;
    return call("GetShardIterator", position).at("ShardIterator");
  }
  std::string iterator_after(const Reader& reader) {
    if (reader.last.empty()) return iterator(reader.shard, first_position());
    return iterator(reader.shard,
                    {{"ShardIteratorType", "AFTER_SEQUENCE_NUMBER"}, {"StartingSequenceNumber", reader.last}});
  }
  Json first_position() const {
    switch (command_.from) {
      case TailCommand::From::tip:
        return {{"ShardIteratorType", "LATEST"}};
      case TailCommand::From::time:
        return {{"ShardIteratorType", "AT_TIMESTAMP"}, {"Timestamp", static_cast<double>(command_.from_ms) / 1000}};
      case TailCommand::From::horizon:
        break;
    }
    return {{"ShardIteratorType", "TRIM_HORIZON"}};
  }

  /// Shards that have none of their parents before them here are read from where it was said, their children from
  /// their beginning.
  void begin() {
    std::map<std::string, Json> shards;
    Json page = call("ListShards", {{"StreamName", command_.stream}});
    for (;;) {
      for (const Json& shard : page["Shards"]) shards.emplace(shard["ShardId"], shard);
      if (!page.contains("NextToken")) break;
      page = call("ListShards", {{"NextToken", page["NextToken"]}});
    }
    const auto start = [&](const std::string& shard) {
      readers_.emplace(shard, Reader{shard, iterator(shard, first_position()), ""});
    };
    if (!command_.shard.empty()) return start(command_.shard);
    for (const auto& [id, shard] : shards) {
      const bool closed = shard["SequenceNumberRange"].contains("EndingSequenceNumber");
      // Whoever begins at the tip has no use for what is closed.
      if (closed && command_.from == TailCommand::From::tip) continue;
      std::vector<std::string> parents;
      if (command_.from != TailCommand::From::tip)
        for (const char* name : {"ParentShardId", "AdjacentParentShardId"})
          if (shard.contains(name) && shards.contains(shard[name])) parents.push_back(shard[name]);
      if (parents.empty())
        start(id);
      else
        waiting_.emplace(id, parents);
    }
  }

  /// True: there is more already.
  bool read(Reader& reader) {
    const Json page = call("GetRecords", {{"ShardIterator", reader.iterator}, {"Limit", 10'000}});
    for (const Json& record : page["Records"]) {
      if (left_ == 0) return true;
      write(reader.shard, record);
      reader.last = record["SequenceNumber"];
    }
    reader.iterator =
        page.value("NextShardIterator", Json()).is_string() ? page["NextShardIterator"].get<std::string>() : "";
    if (command_.shard.empty() && page.contains("ChildShards"))
      for (const Json& child : page["ChildShards"])
        if (const std::string id = child["ShardId"]; !readers_.contains(id) && !over_.contains(id))
          waiting_.try_emplace(id, child["ParentShards"].get<std::vector<std::string>>());
    return page.value("MillisBehindLatest", 0) > 0;
  }

  void take_up_children() {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const bool ready = std::all_of(at->second.begin(), at->second.end(), [&](const std::string& parent) {
        return !readers_.contains(parent) && !waiting_.contains(parent);
      });
      if (!ready) {
        ++at;
        continue;
      }
      readers_.emplace(at->first, Reader{at->first, iterator(at->first, {{"ShardIteratorType", "TRIM_HORIZON"}}), ""});
      at = waiting_.erase(at);
    }
  }

  void write(const std::string& shard, const Json& record) {
    const auto data = codec::base64::decode(record["Data"].get_ref<const std::string&>());
    if (!data) throw std::runtime_error(command_.url + " does not answer as AWS does");
    auto aggregate = codec::kpl::Aggregate::open(*data);
    if (!aggregate) return write(shard, record, record["PartitionKey"].get<std::string>(), *data, std::nullopt);
    const auto keys = aggregate->partition_keys();
    std::uint64_t index = 0;
    for (codec::kpl::UserRecord one; left_ > 0 && aggregate->next(one); ++index)
      write(shard, record, std::string(keys[one.partition_key]), one.data, index);
  }

  void write(const std::string& shard, const Json& record, const std::string& key, std::string_view data,
             std::optional<std::uint64_t> sub_sequence) {
    --left_;
    if (command_.raw) {
      out_ << data << "\n";
      return;
    }
    OrderedJson shown;
    shown["shardId"] = shard;
    shown["sequenceNumber"] = record["SequenceNumber"];
    if (sub_sequence) shown["subSequenceNumber"] = *sub_sequence;
    shown["partitionKey"] = key;
    const double seconds = record["ApproximateArrivalTimestamp"];
    shown["approximateArrivalTimestamp"] =
        utc_text(TimePoint{std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000 + 0.5)}});
    // Ours says that it is JSON, and not deeper than the other one can write it.
    codec::JsonReader reader(data);
    if (!reader.skip_value().empty() && reader.at_end())
      shown["data"] = OrderedJson::parse(data);
    else if (is_text(data))
      shown["data"] = data;
    else
      shown["dataBase64"] = codec::base64::encode(data);
    out_ << shown.dump(2, ' ', false, OrderedJson::error_handler_t::replace) << "\n";
  }

  static bool is_text(std::string_view data) {
    std::string quoted;
    codec::json_quote(data, quoted);
    return codec::JsonReader(quoted).skip_value().size() == quoted.size();
  }

  const TailCommand& command_;
  const std::function<bool(std::int64_t)>& wait_;
  Output& out_;
  AwsClient client_;
  std::uint64_t left_;
  std::map<std::string, Reader> readers_;
  std::map<std::string, std::vector<std::string>> waiting_;  // for their parents' end
  std::set<std::string> over_;
};

}  // namespace

int run_tail(const TailCommand& command, const std::function<bool(std::int64_t)>& wait, Output& out, Output& err) {
  try {
    Tail(command, wait, out).run();
    return 0;
  } catch (const std::exception& failed) {
    out.flush();
    err << "millrace tail: " << failed.what() << "\n";
    return 1;
  }
}

}  // namespace millrace::cli
