#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "millrace/codec/event_stream.hpp"
#include "support/cbor.hpp"

namespace millrace::test {

/// What came over an event stream, as one JSON value a message: {"event": type, "payload": ...} or {"exception": ...}.
class EventFrames {
 public:
  explicit EventFrames(bool cbor = false) : cbor_(cbor) {}

  void take(std::string_view bytes) {
    rest_.append(bytes);
    codec::EventMessage message;
    for (;;) {
      const codec::EventErrc error = codec::read_event(rest_, message);
      if (error == codec::EventErrc::more) return;
      if (error != codec::EventErrc::none) {
        ADD_FAILURE() << "not a message: " << static_cast<int>(error);
        rest_.clear();
        return;
      }
      const std::string kind(message.text(":message-type"));
      EXPECT_EQ(message.text(":content-type"), cbor_ ? "application/x-amz-cbor-1.1" : "application/json");
      EXPECT_EQ(message.headers.size(), 3u);
      all.push_back({{kind, std::string(message.text(":" + kind + "-type"))},
                     {"payload", cbor_ ? json_of_cbor(message.payload) : Json::parse(message.payload)}});
      rest_.erase(0, message.size);
    }
  }
  /// Whether nothing was begun and not ended.
  bool whole() const noexcept { return rest_.empty(); }
  /// The payloads of all SubscribeToShardEvents.
  std::vector<Json> events() const {
    std::vector<Json> out;
    for (const Json& one : all)
      if (one.value("event", "") == "SubscribeToShardEvent") out.push_back(one["payload"]);
    return out;
  }
  /// Their records.
  Json records() const {
    Json out = Json::array();
    for (const Json& event : events())
      for (const Json& record : event["Records"]) out.push_back(record);
    return out;
  }

  std::vector<Json> all;

 private:
  const bool cbor_;
  std::string rest_;
};

}  // namespace millrace::test
