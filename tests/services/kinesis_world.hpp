#pragma once
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "millrace/base/clock.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/random.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/streams.hpp"
#include "millrace/streams/subscription.hpp"
#include "services/held_subscription.hpp"
#include "support/cbor.hpp"
#include "support/run.hpp"

namespace millrace::test {

/// What a call came to, as the wire would show it.
struct Answer {
  int status = 200;
  std::string body;
  bool in_pieces = false;
  std::size_t largest_piece = 0;
  Json json() const { return Json::parse(body); }
  std::string type() const { return body.empty() ? "" : json().value("__type", ""); }
  std::string message() const { return body.empty() ? "" : json().value("message", json().value("Message", "")); }
};

/// Kinesis on a memory engine, a manual clock and seeded randomness: the operations are called as the front calls them.
class KinesisWorld {
 public:
  explicit KinesisWorld(streams::Options options = {}, std::unique_ptr<log::Engine> other_engine = nullptr,
                        std::size_t memory_bytes = 256u << 20)
      : budget(memory_bytes),
        engine(other_engine ? std::move(other_engine) : log::make_memory_engine(clock, budget)),
        streams(test::run(io, streams::make_streams(clock, *random, *store, *engine, options))),
        environment{clock, *random, budget, *streams} {}

  Answer call_text(std::string_view operation, std::string_view body) { return call_in(environment, operation, body); }
  /// A request's bytes in CBOR; the answer's body stands in JSON again.
  Answer call_cbor(std::string_view operation, std::string_view body) {
    services::Context context{environment, "00000000-0000-4000-8000-000000000000", services::Wire::cbor};
    services::Reply reply;
    test::run(io, find(operation).run(context, body, reply));
    if (reply.pushed) return pushed(reply, services::Wire::cbor);
    Answer out = answer(reply, services::Wire::cbor);
    if (!out.body.empty()) out.body = json_of_cbor(out.body).dump();
    return out;
  }
  /// In other surroundings: with streams that behave oddly, say.
  Answer call_in(services::Environment& surroundings, std::string_view operation, std::string_view body) {
    services::Context context{surroundings, "00000000-0000-4000-8000-000000000000"};
    services::Reply reply;
    test::run(io, find(operation).run(context, body, reply));
    if (reply.pushed) return pushed(reply, services::Wire::json);
    return answer(reply);
  }
  /// A call whose reply is pushed, held open; null where it is refused.
  std::unique_ptr<Held> hold(std::string_view operation, std::string_view body,
                             services::Wire wire = services::Wire::json) {
    services::Context context{environment, "00000000-0000-4000-8000-000000000000", wire};
    services::Reply reply;
    test::run(io, find(operation).run(context, body, reply));
    EXPECT_TRUE(reply.pushed) << answer(reply, wire).body;
    if (!reply.pushed) return nullptr;
    return std::make_unique<Held>(io, std::move(reply.pushed), wire == services::Wire::cbor);
  }
  static const services::Operation& find(std::string_view operation) {
    const services::Operation* found = services::find_service("kinesis")->find(operation);
    if (!found) throw std::runtime_error("no operation " + std::string(operation));
    return *found;
  }
  Answer call(std::string_view operation, const Json& body) { return call_text(operation, body.dump()); }
  /// A call that must succeed.
  Json ok(std::string_view operation, const Json& body) {
    const Answer got = call(operation, body);
    EXPECT_EQ(got.status, 200) << operation << " " << body.dump().substr(0, 300) << " gave " << got.body;
    return got.body.empty() ? Json() : got.json();
  }

  void create(const std::string& name, int shards = 1) {
    ok("CreateStream", {{"StreamName", name}, {"ShardCount", shards}});
  }
  std::string iterator(const std::string& name, const std::string& shard = "shardId-000000000000",
                       const std::string& type = "TRIM_HORIZON") {
    return ok("GetShardIterator",
              {{"StreamName", name}, {"ShardId", shard}, {"ShardIteratorType", type}})["ShardIterator"];
  }
  Json put(const std::string& name, const std::string& key, const std::string& data) {
    return ok("PutRecord", {{"StreamName", name}, {"PartitionKey", key}, {"Data", codec::base64::encode(data)}});
  }

  /// All records of a shard, page by page, as GetRecords gives them.
  Json records(const std::string& name, const std::string& shard = "shardId-000000000000") {
    Json all = Json::array();
    std::string next = iterator(name, shard);
    for (;;) {
      Json page = ok("GetRecords", {{"ShardIterator", next}});
      if (page["Records"].empty()) return all;
      for (Json& record : page["Records"]) all.push_back(std::move(record));
      if (!page.contains("NextShardIterator")) return all;
      next = page["NextShardIterator"];
    }
  }

  /// What is pushed before anything happens.
  Answer pushed(services::Reply& reply, services::Wire wire) {
    Held held(io, std::move(reply.pushed), wire == services::Wire::cbor);
    Answer out;
    out.body = held.json().dump();
    return out;
  }

  static Answer answer(services::Reply& reply, services::Wire wire = services::Wire::json) {
    Answer out;
    if (reply.error) {
      out.status = reply.error->status;
      Buffer text;
      services::write_error_body(*reply.error, text, wire);
      out.body = text.view();
      EXPECT_TRUE(reply.body.empty() && !reply.pieces) << "an error beside a body";
    } else if (reply.pieces) {
      out.in_pieces = true;
      const std::uint64_t size = reply.pieces->size();
      const std::size_t most = reply.pieces->piece_bytes_max();
      Buffer piece;
      while (reply.pieces->next(piece)) {
        EXPECT_LE(piece.size(), most);
        out.largest_piece = std::max(out.largest_piece, piece.size());
        out.body += piece.view();
        piece.clear();
      }
      EXPECT_EQ(out.body.size(), size) << "the size announced is not the size sent";
    } else {
      out.body = reply.body.view();
    }
    return out;
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  MemoryBudget budget;
  std::unique_ptr<Random> random = make_seeded_random(7);
  std::unique_ptr<state::Store> store = state::make_memory_store();
  std::unique_ptr<log::Engine> engine;
  std::unique_ptr<streams::Streams> streams;
  services::Environment environment;
};

}  // namespace millrace::test
