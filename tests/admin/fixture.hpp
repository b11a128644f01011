#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "admin/fakes.hpp"
#include "millrace/admin/admin.hpp"
#include "millrace/base/wakeup.hpp"
#include "support/http.hpp"
#include "support/run.hpp"

namespace millrace::admin {

/// The pages over fakes.
class AdminPages : public ::testing::Test {
 protected:
  Dependencies dependencies() {
    Dependencies made{clock_, budget_, streams_, delivery_, objects_, gateway_, metrics_, threads_};
    made.reset_enabled = reset_enabled_;
    made.storage_mode = storage_mode_;
    made.storage_status = [this] { return storage_; };
    made.degraded = [this] { return degraded_; };
    made.authority = [this] { return authority_; };
    made.declare_again = [this] { return declare_again(); };
    return made;
  }
  Admin& admin() {
    if (!admin_) admin_ = make_admin(dependencies());
    return *admin_;
  }
  awaitable<std::string> declare_again() {
    calls_.push_back("declare");
    if (hold_declare_) co_await release_.wait(clock_, TimePoint::max());
    co_return declare_error_;
  }
  /// `target` is what follows /_millrace, with its query.
  test::RecordedResponse ask(const std::string& method, const std::string& target, const std::string& origin = "") {
    return ask_whole(method, "/_millrace" + target, origin);
  }
  test::RecordedResponse ask_whole(const std::string& method, const std::string& target,
                                   const std::string& origin = "") {
    test::TestRequest request(method, target);
    if (!origin.empty()) request.header("Origin", origin);
    test::RecordedResponse reply;
    test::run(admin().handle(request.request, reply));
    EXPECT_TRUE(reply.finished);
    EXPECT_EQ(reply.misuse, "");
    return reply;
  }
  static nlohmann::json body(const test::RecordedResponse& reply) {
    EXPECT_EQ(reply.header("content-type"), "application/json");
    return nlohmann::json::parse(reply.body);
  }

  Calls calls_;
  ManualClock clock_;
  MemoryBudget budget_{1000};
  FakeStreams streams_{calls_};
  FakeDelivery delivery_{calls_};
  FakeTree objects_{calls_};
  FakeGateway gateway_;
  telemetry::Registry metrics_;
  FileThreads threads_{1};
  std::optional<bool> reset_enabled_;
  std::string storage_mode_ = "memory";
  log::EngineStatus storage_;
  std::vector<std::string> degraded_;
  std::string authority_;
  bool hold_declare_ = false;
  std::string declare_error_;
  WakeUp release_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace millrace::admin
