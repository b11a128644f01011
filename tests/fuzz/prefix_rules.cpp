// Firehose's prefixes: what CreateDeliveryStream lets in, and the keys of objects made of it. The input is a moment, a
// version, the delivery stream's name up to a line break, and the prefix.
#include <time.h>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "delivery/object_name.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/services/operation.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

using fuzz::require;

constexpr std::string_view kUuid = "123e4567-e89b-42d3-a456-426614174000";
constexpr std::size_t kKeyBytesMax = 1024;

/// Takes any delivery stream, and keeps the last one only.
class AnyDelivery final : public delivery::Delivery {
 public:
  std::optional<delivery::DeliveryStreamSpec> created;

  awaitable<delivery::Result<>> start() override { co_return delivery::Result<>{}; }
  std::shared_ptr<const delivery::DeliveryStreamInfo> find(std::string_view) const override { return nullptr; }
  std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> list(std::string_view, std::size_t) const override {
    return {};
  }
  awaitable<delivery::Result<>> create(delivery::DeliveryStreamSpec spec) override {
    created = std::move(spec);
    co_return delivery::Result<>{};
  }
  awaitable<delivery::Result<>> remove(std::string) override { co_return delivery::Result<>{}; }
  awaitable<std::vector<delivery::FlushFailure>> flush(std::chrono::steady_clock::time_point) override {
    co_return std::vector<delivery::FlushFailure>{};
  }
  std::uint64_t undelivered_records() const override { return 0; }
  awaitable<void> clear() override { co_return; }
  awaitable<void> stop() override { co_return; }
};

struct World {
  boost::asio::io_context io{1};
  ManualClock clock;
  MemoryBudget budget{16u << 20};
  std::unique_ptr<Random> random = make_seeded_random(1);
  std::unique_ptr<state::Store> store = state::make_memory_store();
  std::unique_ptr<log::Engine> engine = log::make_memory_engine(clock, budget);
  std::unique_ptr<streams::Streams> streams =
      test::run(io, streams::make_streams(clock, *random, *store, *engine, streams::Options{}));
  AnyDelivery delivery;
  services::Environment environment{clock, *random, budget, *streams, &delivery};
};

/// Nothing when it is refused.
std::optional<delivery::DeliveryStreamSpec> created(std::string_view name, std::string_view prefix) {
  static World world;
  const std::string role = "arn:aws:iam::000000000000:role/firehose";
  nlohmann::json request{
      {"DeliveryStreamName", name},
      {"DeliveryStreamType", "KinesisStreamAsSource"},
      {"KinesisStreamSourceConfiguration",
       {{"KinesisStreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}, {"RoleARN", role}}},
      {"ExtendedS3DestinationConfiguration",
       {{"BucketARN", "arn:aws:s3:::datalake"}, {"RoleARN", role}, {"Prefix", prefix}}}};
  const std::string body = request.dump();
  services::Context context{world.environment, "00000000-0000-4000-8000-000000000000"};
  services::Reply reply;
  world.delivery.created.reset();
  test::run(world.io, services::find_service("firehose")->find("CreateDeliveryStream")->run(context, body, reply));
  if (reply.error) {
    require(reply.error->status == 400 &&
                (reply.error->type == "ValidationException" || reply.error->type == "InvalidArgumentException"),
            "a refusal is in AWS's words");
    require(!world.delivery.created, "what is refused is not created");
    return std::nullopt;
  }
  require(world.delivery.created.has_value(), "what is not refused is created");
  return world.delivery.created;
}

void check_date(std::string_view key, std::string_view prefix, std::string_view name, std::uint32_t version,
                std::int64_t milliseconds) {
  const time_t seconds = static_cast<time_t>((milliseconds - (milliseconds < 0 ? 999 : 0)) / 1000);
  tm utc{};
  require(::gmtime_r(&seconds, &utc) != nullptr, "the moment has a date");
  char folders[64], stamp[64];
  std::strftime(folders, sizeof folders, "%m/%d/%H/", &utc);
  std::strftime(stamp, sizeof stamp, "-%m-%d-%H-%M-%S-", &utc);
  char year[16];
  std::snprintf(year, sizeof year, "%04d", utc.tm_year + 1900);
  const std::string expected = std::string(prefix) + year + "/" + folders + std::string(name) + "-" +
                               std::to_string(version) + "-" + year + stamp + std::string(kUuid);
  require(key == expected, "a key is prefix, date, name and moment");
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  // From the year 0 to 9999.
  constexpr std::int64_t kFirst = -62'167'219'200'000, kLast = 253'402'300'799'999;
  const auto milliseconds =
      kFirst + static_cast<std::int64_t>(input.number() % static_cast<std::uint64_t>(kLast - kFirst + 1));
  const auto version = static_cast<std::uint32_t>(input.number(4));
  const std::string_view name = input.until('\n'), prefix = input.rest();
  const std::string key =
      delivery::object_key(prefix, name, version, TimePoint{std::chrono::milliseconds{milliseconds}}, kUuid);
  check_date(key, prefix, name, version, milliseconds);

  if (!codec::valid_utf8(name) || !codec::valid_utf8(prefix)) return 0;
  const auto spec = created(name, prefix);
  if (!spec) return 0;
  fuzz::require(spec->name == name && spec->s3.prefix == prefix && spec->s3.bucket == "datalake", "it is as asked for");
  fuzz::require(spec->s3.prefix.find("!{") == std::string::npos, "no expression is taken for literal text");
  fuzz::require(key.size() <= kKeyBytesMax, "a key that comes of it is not too long");
  fuzz::require(!objects::path_of_key(key).empty(), "and has a path");
  return 0;
}
