#pragma once
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/streams/streams.hpp"

// What targets that call operations share.
namespace millrace::fuzz {

/// Two worlds that go through the same, with streams "s" of three shards and "clicks", and their limits. They are made
/// anew after so many runs.
template <class World>
struct TwoWorlds {
  static constexpr std::size_t kMemory = 48u << 20;
  static constexpr std::uint32_t kShardsMax = 24;
  static streams::Options options() {
    streams::Options out;
    out.shards_max = kShardsMax;
    return out;
  }
  World plain, other;

  template <class... Arguments>
  explicit TwoWorlds(const Arguments&... arguments) : plain(arguments...), other(arguments...) {
    for (World* world : {&plain, &other}) {
      world->create("s", 3);
      world->create("clicks");
    }
  }
  void advance(std::chrono::milliseconds passed) {
    plain.clock.advance(passed);
    other.clock.advance(passed);
  }
};

/// The worlds of this run, from `make`.
template <class Worlds, class Make>
Worlds& worlds_of_run(const Make& make) {
  constexpr int kRunsMax = 3000;
  static std::unique_ptr<Worlds> worlds;
  static int runs = 0;
  if (!worlds || ++runs > kRunsMax) {
    worlds.reset();
    worlds = make();
    runs = 0;
  }
  return *worlds;
}

/// The names of a service's operations, in order.
inline std::vector<std::string_view> operation_names(std::string_view service) {
  std::vector<std::string_view> names;
  for (const services::Operation* operation : services::find_service(service)->operations)
    names.push_back(operation->name);
  std::sort(names.begin(), names.end());
  return names;
}

/// An answer is a success or one of AWS's errors that are the client's fault.
inline void check_answer(int status, const std::string& body, std::string_view operation) {
  static const std::set<std::string> kTypes{
      "SerializationException",    "ValidationException",       "InvalidArgumentException",
      "ResourceNotFoundException", "ResourceInUseException",    "LimitExceededException",
      "ExpiredIteratorException",  "ExpiredNextTokenException", "ProvisionedThroughputExceededException",
      "KMSNotFoundException",      "DryRunOperationException"};
  require(status == 200 || status == 400, "an answer is a success or the client's fault");
  if (status == 200 && body.empty()) return;
  const auto json = nlohmann::json::parse(body, nullptr, false);
  require(!json.is_discarded(), "an answer is JSON");
  if (status != 400) return;
  if (!kTypes.contains(json.value("__type", "")))
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(operation.size()), operation.data(), body.c_str());
  require(kTypes.contains(json.value("__type", "")), "an error has one of AWS's types");
}

}  // namespace millrace::fuzz
