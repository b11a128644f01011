#include "agent/flow_run.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "millrace/base/digest.hpp"
#include "millrace/base/log.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kBackoffFirst{100}, kBackoffMost{10'000}, kWarnEvery{60'000};

}  // namespace

FlowRun::FlowRun(const Flow& flow, const std::vector<Mark>* marks, const Dependencies& dependencies)
    : flow_(flow),
      dependencies_(dependencies),
      conversions_(flow.processing),
      record_bytes_max_(FollowedFiles::record_bytes_max(flow)),
      files_(flow, marks) {}

TimePoint FlowRun::step(TimePoint now) {
  bool more = false;
  // While what was read waits for its destination, files wait too.
  if (now >= poll_at_ && !(full() && now < try_at_)) {
    const std::uint64_t room = 2 * flow_.bytes_max - std::min(2 * flow_.bytes_max, bytes_);
    if (room > 0 && waiting_.size() < 2 * flow_.records_max)
      more = files_.poll(now, std::min<std::uint64_t>(room, 1u << 20),
                         [&](FileRecord record) { take(std::move(record), now); });
    if (!more) poll_at_ = now + flow_.poll;
  }
  while (!waiting_.empty() && now >= try_at_ && (full() || now - waiting_.front().read_at >= flow_.age_max))
    if (!send(now)) break;
  if (waiting_.empty()) return more ? now : poll_at_;
  const TimePoint due = std::max(try_at_, full() ? now : waiting_.front().read_at + flow_.age_max);
  return full() ? due : std::min(due, more ? now : poll_at_);
}

bool FlowRun::drain(TimePoint now) {
  while (!waiting_.empty() && now >= try_at_)
    if (!send(now)) break;
  return waiting_.empty();
}

void FlowRun::take(FileRecord record, TimePoint now) {
  if (!conversions_.none()) {
    auto converted = conversions_.apply(std::move(record.data));
    if (!converted) {
      if (++unmatched_ == 1 || now - warned_at_ >= kWarnEvery) {
        warned_at_ = now;
        logging::warn("lines that are not of the format said are left out",
                      {{"destination", flow_.destination}, {"lines", unmatched_}});
      }
      return;
    }
    record.data = std::move(*converted);
    cut(record.data, record_bytes_max_, flow_.terminator);
  }
  if (record.data.empty()) return;
  bytes_ += record.data.size();
  waiting_.push_back({std::move(record), now});
}

void FlowRun::put_key(const std::string& data, std::string& out) const {
  if (!flow_.deterministic_keys) {
    out += std::to_string(dependencies_.random.next());
    return;
  }
  const Uint128 digest = md5(data);
  for (const std::uint64_t half : {digest.high, digest.low})
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[half >> shift & 15];
}

std::string FlowRun::body(std::size_t records) const {
  std::string out = flow_.firehose ? "{\"DeliveryStreamName\":" : "{\"StreamName\":";
  codec::json_quote(flow_.destination, out);
  out += ",\"Records\":[";
  for (std::size_t i = 0; i < records; ++i) {
    const std::string& data = waiting_[i].record.data;
    out += i == 0 ? "{\"Data\":\"" : ",{\"Data\":\"";
    const std::size_t at = out.size();
    out.resize(at + codec::base64::encoded_size(data.size()) + codec::base64::kSlack);
    out.resize(at + codec::base64::encode(data, out.data() + at));
    out += '"';
    if (!flow_.firehose) {
      out += ",\"PartitionKey\":\"";
      put_key(data, out);
      out += '"';
    }
    out += '}';
  }
  return out += "]}";
}

// False: it is to be tried again later.
bool FlowRun::send(TimePoint now) {
  std::size_t records = 0;
  std::uint64_t bytes = 0;
  while (records < std::min(waiting_.size(), flow_.records_max)) {
    const std::uint64_t with = bytes + waiting_[records].record.data.size();
    if (records > 0 && with > flow_.bytes_max) break;
    bytes = with;
    ++records;
  }
  counts_.attempts += records;
  const Answer answer = flow_.firehose ? dependencies_.call(Service::firehose, "PutRecordBatch", body(records))
                                       : dependencies_.call(Service::kinesis, "PutRecords", body(records));
  const Json said = answer.status == 0 ? Json() : Json::parse(answer.body, nullptr, false);
  if (answer.status != 200 || !said.is_object()) {
    ++counts_.service_errors;
    std::string why = answer.body.substr(0, 200);
    if (said.is_object())
      why = said.value("__type", "status " + std::to_string(answer.status)) + ": " +
            said.value("message", said.value("Message", ""));
    later(now, why);
    return false;
  }
  const auto results = said.find(flow_.firehose ? "RequestResponses" : "Records");
  if (results == said.end() || !results->is_array() || results->size() != records) {
    ++counts_.service_errors;
    later(now, "the answer is none of the operation");
    return false;
  }
  std::string refused;
  std::deque<Waiting> left;
  std::uint64_t sent = 0;
  for (std::size_t i = 0; i < records; ++i) {
    const Json& one = (*results)[i];
    const bool failed = one.is_object() && one.contains("ErrorCode") && one["ErrorCode"].is_string();
    if (!failed) {
      sent += waiting_[i].record.data.size();
      continue;
    }
    ++counts_.record_errors;
    if (refused.empty()) refused = one["ErrorCode"].get<std::string>() + ": " + one.value("ErrorMessage", "");
    left.push_back(std::move(waiting_[i]));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(records));
  waiting_.insert(waiting_.begin(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
  bytes_ -= sent;
  counts_.bytes_sent += sent;
  if (!refused.empty()) {
    later(now, refused);
    return false;
  }
  backoff_ = milliseconds{0};
  return true;
}

// Half of it by chance, so that many agents do not come back at once.
void FlowRun::later(TimePoint now, std::string_view why) {
  backoff_ = std::clamp(backoff_ * 2, kBackoffFirst, kBackoffMost);
  const auto half = static_cast<std::uint64_t>(backoff_.count()) / 2;
  try_at_ = now + milliseconds{half + dependencies_.random.next() % (half + 1)};
  if (now - warned_at_ < kWarnEvery) return;
  warned_at_ = now;
  logging::warn("records were not taken, and are sent again",
                {{"destination", flow_.destination}, {"reason", printable(why, 300)}});
}

std::vector<Mark> FlowRun::marks() const {
  std::map<const Followed*, std::uint64_t> begins;
  for (const Waiting& one : waiting_) {
    const auto [at, fresh] = begins.try_emplace(one.record.file.get(), one.record.range.begin);
    if (!fresh) at->second = std::min(at->second, one.record.range.begin);
  }
  return files_.marks([&](const Followed& file) -> std::optional<std::uint64_t> {
    const auto found = begins.find(&file);
    if (found == begins.end()) return std::nullopt;
    return found->second;
  });
}

}  // namespace millrace::agent
