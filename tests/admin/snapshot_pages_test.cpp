#include <gtest/gtest.h>

#include "admin/fixture.hpp"

namespace millrace::admin {
namespace {

using nlohmann::json;
using snapshots::Errc;
using snapshots::Error;

class FakeSnapshots final : public snapshots::Snapshots {
 public:
  explicit FakeSnapshots(Calls& calls) : calls_(calls) {}
  std::optional<Error> fails;
  snapshots::Snapshot one{.name = "one",
                          .created = TimePoint{std::chrono::milliseconds{1'769'878'800'123}},
                          .version = "1.2.3",
                          .files = 3,
                          .bytes = 4096};
  std::optional<snapshots::Restore> last;

  snapshots::Result<snapshots::Snapshot> make(std::string_view name) override { return said("make", name, one); }
  snapshots::Result<snapshots::Snapshot> find(std::string_view name) override { return said("find", name, one); }
  snapshots::Result<> remove(std::string_view name) override {
    calls_.push_back("remove " + std::string(name));
    if (fails) return *fails;
    return {};
  }
  snapshots::Result<std::vector<snapshots::Snapshot>> list() override {
    snapshots::Snapshot two = one;
    two.name = "two";
    two.replaced_by = "one";
    return said("list", "", std::vector{one, two});
  }
  snapshots::Result<snapshots::Restore> prepare_restore(std::string_view name) override {
    return said("restore", name, snapshots::Restore{std::string(name), one.created, "kept", ""});
  }
  std::optional<snapshots::Restore> last_restore() override { return last; }

 private:
  template <class T>
  snapshots::Result<T> said(const std::string& call, std::string_view name, T value) {
    calls_.push_back(call + " " + std::string(name));
    if (fails) return *fails;
    return value;
  }
  Calls& calls_;
};

class SnapshotPagesTest : public AdminPages {
 protected:
  SnapshotPagesTest() {
    storage_mode_ = "durable";
    Dependencies made = dependencies();
    made.snapshots = &snapshots_;
    made.begin_again = [this] { calls_.push_back("begin again"); };
    admin_ = make_admin(std::move(made));
  }
  FakeSnapshots snapshots_{calls_};
};

TEST_F(SnapshotPagesTest, AreMadeFoundAndRemoved) {
  const json one = {
      {"name", "one"}, {"created", "2026-01-31T17:00:00.123Z"}, {"files", 3}, {"bytes", 4096}, {"version", "1.2.3"}};
  for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
           {"POST", "/snapshots?name=one"}, {"POST", "/snapshots/?name=one"}, {"GET", "/snapshots/one"}}) {
    const auto reply = ask(method, target);
    EXPECT_EQ(reply.status, 200) << method << target;
    EXPECT_EQ(body(reply), one);
  }
  EXPECT_EQ(ask("POST", "/snapshots").status, 200);
  const auto removed = ask("DELETE", "/snapshots/one");
  EXPECT_EQ(removed.status, 200);
  EXPECT_EQ(body(removed), (json{{"removed", "one"}}));
  EXPECT_EQ(calls_, (Calls{"make one", "make one", "find one", "make ", "remove one"}));
}

TEST_F(SnapshotPagesTest, AreListedWithTheLastRestore) {
  json listed = body(ask("GET", "/snapshots"));
  ASSERT_EQ(listed["snapshots"].size(), 2u);
  EXPECT_FALSE(listed["snapshots"][0].contains("replaced_by"));
  EXPECT_EQ(listed["snapshots"][1]["replaced_by"], "one");
  EXPECT_EQ(listed["last_restore"], nullptr);
  snapshots_.last = snapshots::Restore{"one", snapshots_.one.created, "kept", "two did not start"};
  EXPECT_EQ(body(ask("GET", "/snapshots"))["last_restore"], (json{{"snapshot", "one"},
                                                                  {"asked", "2026-01-31T17:00:00.123Z"},
                                                                  {"kept_as", "kept"},
                                                                  {"because", "two did not start"}}));
}

TEST_F(SnapshotPagesTest, ARestoreIsReadyNoMoreBeforeItIsAnswered) {
  admin().set_ready(true);
  const auto reply = ask("POST", "/snapshots/one/restore");
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(body(reply), (json{{"restoring", "one"}, {"kept_as", "kept"}}));
  EXPECT_EQ(calls_, (Calls{"restore one", "begin again"}));
  EXPECT_EQ(ask("GET", "/ready").status, 503);
}

TEST_F(SnapshotPagesTest, ARestoreThatIsRefusedChangesNothing) {
  admin().set_ready(true);
  snapshots_.fails = Error{Errc::damaged, "data/snapshots/one/log/journal-00000001: damaged"};
  const auto reply = ask("POST", "/snapshots/one/restore");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(body(reply)["error"], "data/snapshots/one/log/journal-00000001: damaged");
  EXPECT_EQ(calls_, Calls{"restore one"});
  EXPECT_EQ(ask("GET", "/ready").status, 200);
}

TEST_F(SnapshotPagesTest, ErrorsHaveTheirStatus) {
  const std::vector<std::pair<Errc, int>> all{
      {Errc::invalid_name, 400}, {Errc::exists, 409},  {Errc::not_found, 404}, {Errc::busy, 409},
      {Errc::unsupported, 409},  {Errc::damaged, 409}, {Errc::full, 507},      {Errc::failed, 500}};
  for (const auto& [code, status] : all) {
    snapshots_.fails = Error{code, "why"};
    for (const auto& [method, target] :
         std::vector<std::pair<std::string, std::string>>{{"POST", "/snapshots"},
                                                          {"GET", "/snapshots"},
                                                          {"GET", "/snapshots/one"},
                                                          {"DELETE", "/snapshots/one"},
                                                          {"POST", "/snapshots/one/restore"}}) {
      const auto reply = ask(method, target);
      EXPECT_EQ(reply.status, status) << method << target;
      EXPECT_EQ(body(reply)["error"], "why");
    }
  }
}

TEST_F(SnapshotPagesTest, ChangesAreRefusedFromABrowserPage) {
  EXPECT_EQ(ask("POST", "/snapshots", "http://evil.example").status, 403);
  EXPECT_EQ(ask("DELETE", "/snapshots/one", "http://evil.example").status, 403);
  EXPECT_EQ(ask("POST", "/snapshots/one/restore", "null").status, 403);
  EXPECT_EQ(calls_, Calls{});
  EXPECT_EQ(ask("GET", "/snapshots", "http://evil.example").status, 200);
}

TEST_F(SnapshotPagesTest, OtherMethodsAndParametersAreRefused) {
  EXPECT_EQ(ask("PUT", "/snapshots").header("Allow"), "GET, HEAD, POST");
  EXPECT_EQ(ask("POST", "/snapshots/one").header("Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(ask("GET", "/snapshots/one/restore").header("Allow"), "POST");
  for (const auto& [method, target] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "/snapshots?names=x"},
                                                        {"GET", "/snapshots?name=x"},
                                                        {"GET", "/snapshots/one?name=x"},
                                                        {"DELETE", "/snapshots/one?force=true"},
                                                        {"POST", "/snapshots/one/restore?objects=true"}})
    EXPECT_EQ(ask(method, target).status, 400) << method << target;
  EXPECT_EQ(ask("GET", "/snapshotsx").status, 404);
  EXPECT_EQ(calls_, Calls{});
}

TEST_F(AdminPages, SnapshotsAreNotThereInMemoryMode) {
  for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
           {"GET", "/snapshots"}, {"POST", "/snapshots"}, {"POST", "/snapshots/one/restore"}}) {
    const auto reply = ask(method, target);
    EXPECT_EQ(reply.status, 409);
    EXPECT_EQ(body(reply)["error"], "there are no snapshots: storage.mode is memory");
  }
}

}  // namespace
}  // namespace millrace::admin
