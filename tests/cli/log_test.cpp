#include "millrace/cli/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "millrace/base/crc32c.hpp"
#include "millrace/base/random.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/streams/streams.hpp"
#include "support/keys.hpp"
#include "support/run.hpp"
#include "support/temporary_directory.hpp"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kStart = 1'769'878'800'000;  // 2026-01-31T17:00:00Z
const fs::path kData = "data";

/// Files of a directory where another process is at work: `before_open` is called first.
class BusyFiles final : public Files {
 public:
  BusyFiles(Files& files, std::function<void(const fs::path&)> before_open)
      : files_(files), before_open_(std::move(before_open)) {}
  FileResult<std::unique_ptr<File>> open(const fs::path& path) override {
    before_open_(path);
    return files_.open(path);
  }
  FileResult<std::unique_ptr<File>> create(const fs::path& path) override { return files_.create(path); }
  FileResult<std::unique_ptr<File>> open_writable(const fs::path& path) override { return files_.open_writable(path); }
  FileResult<std::unique_ptr<File>> open_direct(const fs::path& path) override { return files_.open_direct(path); }
  FileResult<> rename(const fs::path& from, const fs::path& to) override { return files_.rename(from, to); }
  FileResult<> link(const fs::path& from, const fs::path& to) override { return files_.link(from, to); }
  FileResult<std::uint64_t> names_of(const fs::path& path) override { return files_.names_of(path); }
  FileResult<> remove(const fs::path& path) override { return files_.remove(path); }
  FileResult<> remove_all(const fs::path& path) override { return files_.remove_all(path); }
  FileResult<> make_directories(const fs::path& path) override { return files_.make_directories(path); }
  FileResult<> sync_directory(const fs::path& path) override { return files_.sync_directory(path); }
  FileResult<Kind> kind(const fs::path& path) override { return files_.kind(path); }
  FileResult<std::vector<std::string>> list(const fs::path& path) override { return files_.list(path); }
  FileResult<std::string> read_all(const fs::path& path, std::size_t max) override {
    return files_.read_all(path, max);
  }
  FileResult<std::uint64_t> free_bytes(const fs::path& path) override { return files_.free_bytes(path); }
  std::uint64_t fetched_here() const noexcept override { return files_.fetched_here(); }

 private:
  Files& files_;
  const std::function<void(const fs::path&)> before_open_;
};

struct Ran {
  int code;
  std::string out, err;

  std::vector<json> lines() const {
    std::vector<json> found;
    std::istringstream text(out);
    for (std::string line; std::getline(text, line);) found.push_back(json::parse(line));
    return found;
  }
  json parsed() const { return json::parse(out); }
  std::size_t lines_of(const std::string& what) const {
    std::size_t count = 0;
    for (std::size_t at = out.find(what); at != std::string::npos; at = out.find(what, at + 1)) ++count;
    return count;
  }
};

/// A data directory that a daemon's layers make, and what the command says of it.
class LogCommandTest : public testing::Test {
 protected:
  LogCommandTest() {
    clock_.advance(TimePoint{std::chrono::milliseconds{kStart}} - clock_.now());
    EXPECT_TRUE(files_->make_directories(kData));
    start();
  }
  ~LogCommandTest() override { stop(); }

  void start() {
    state::JournalStoreOptions state_options{.directory = kData / "state"};
    state_options.keys = keys_.get();
    state_options.random = random_.get();
    auto store = state::make_journal_store(*files_, clock_, state_options);
    ASSERT_TRUE(store) << store.error().detail;
    store_ = std::move(store->store);
    log::DurableEngineOptions options;
    options.directory = kData / "log";
    options.file_bytes = kFileBytes;
    options.keys = keys_.get();
    options.random = random_.get();
    auto engine = log::make_durable_engine(clock_, budget_, *files_, threads_, options);
    ASSERT_TRUE(engine) << engine.error().detail;
    engine_ = std::move(*engine);
    streams_ = test::run(io_, streams::make_streams(clock_, *random_, *store_, *engine_, {}));
    engine_->forget_unopened();
  }
  void stop() {
    streams_.reset();
    engine_.reset();
    store_.reset();
  }
  void create(std::string name, std::uint32_t shards = 1) {
    streams::CreateStream spec;
    spec.name = std::move(name);
    spec.shard_count = shards;
    auto made = test::run(io_, streams_->create(spec));
    ASSERT_TRUE(made) << made.error().detail;
  }
  /// Gives the sequence number.
  std::string put(const std::string& stream, std::string_view data, std::size_t shard = 0,
                  std::string_view key = "key") {
    const streams::StreamRef found = streams_->find(stream);
    log::Log& log = *found->shards[shard]->log;
    builder_.reset(0);
    builder_.begin_batch();
    builder_.add(key, data);
    auto staged = log.stage(log.epoch(), builder_.batch());
    EXPECT_TRUE(staged);
    const log::Ticket tickets[] = {staged->ticket};
    EXPECT_TRUE(test::run(io_, engine_->committed(tickets)));
    return found->shards[shard]->numbers.text(staged->first, staged->arrival_ms);
  }

  Ran run(LogCommand command, bool running = false, Files* files = nullptr) {
    Ran ran{};
    Output out([&](std::string_view text) {
      ran.out += text;
      return 0;
    });
    Output err([&](std::string_view text) {
      ran.err += text;
      return 0;
    });
    ran.code = run_log(files ? *files : *files_, kData, running, command, out, err);
    err.flush();
    return ran;
  }
  Ran inspect(bool as_json = false) { return run({.what = LogCommand::What::inspect, .json = as_json}); }
  Ran verify(bool running = false, Files* files = nullptr) {
    return run({.what = LogCommand::What::verify}, running, files);
  }
  Ran exported(ExportSelection selection = {}) {
    return run({.what = LogCommand::What::export_records, .selection = std::move(selection)});
  }
  std::vector<std::string> exported_data(ExportSelection selection = {}) {
    std::vector<std::string> found;
    for (const json& line : exported(std::move(selection)).lines())
      found.push_back(*codec::base64::decode(line["data"].get<std::string>()));
    return found;
  }

  static fs::path log_file(unsigned generation) {
    char name[32];
    std::snprintf(name, sizeof name, "journal-%08x", generation);
    return kData / "log" / name;
  }
  std::string bytes_of(const fs::path& path) { return *files_->read_all(path, 1u << 30); }
  void overwrite(const fs::path& path, std::uint64_t offset, std::string_view bytes) {
    auto file = files_->open_writable(path);
    ASSERT_TRUE(file);
    const ByteView pieces[] = {bytes};
    ASSERT_TRUE((*file)->write_at(offset, pieces));
  }
  /// Turns a byte of what is found of `text` over; gives where.
  std::uint64_t corrupt(const fs::path& path, std::string_view text) {
    const std::string bytes = bytes_of(path);
    const std::size_t at = bytes.find(text);
    EXPECT_NE(at, std::string::npos);
    const char other = static_cast<char>(bytes[at] ^ 1);
    overwrite(path, at, {&other, 1});
    return at;
  }

  static constexpr std::uint64_t kFileBytes = 1u << 20;
  boost::asio::io_context io_{1};
  ManualClock clock_;
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  std::shared_ptr<test::SealingKeys> keys_;
  std::unique_ptr<MemoryFiles> files_ = make_memory_files();
  MemoryBudget budget_{64u << 20};
  FileThreads threads_{2};
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<log::Engine> engine_;
  std::unique_ptr<streams::Streams> streams_;
  log::BatchBuilder builder_;
};

TEST_F(LogCommandTest, InspectTellsFilesAndLogs) {
  create("events", 2);
  const std::string first = put("events", "one");
  clock_.advance(1500ms);
  const std::string last = put("events", "two");
  stop();
  const Ran ran = inspect();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("data: no daemon is seen\n"));
  EXPECT_THAT(ran.out, HasSubstr("Log journal: 1 file, 1.0 MiB"));
  EXPECT_THAT(ran.out, HasSubstr("journal-00000001"));
  EXPECT_THAT(ran.out, HasSubstr("2026-01-31T17:00:00.000Z  2026-01-31T17:00:01.500Z"));
  EXPECT_THAT(ran.out, HasSubstr("Stream events\n"));
  EXPECT_THAT(ran.out, HasSubstr("from " + first + "\n"));
  EXPECT_THAT(ran.out, HasSubstr("to   " + last + "\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("Of no stream")));

  const json all = inspect(true).parsed();
  EXPECT_EQ(all["running"], false);
  const json& file = all["log"]["files"][0];
  EXPECT_EQ(file["state"], "full");
  EXPECT_EQ(file["closed"], true);
  EXPECT_EQ(file["commits"], 2);
  EXPECT_EQ(file["frames"], 2);
  EXPECT_EQ(file["records"], 2);
  EXPECT_EQ(file["firstArrival"], "2026-01-31T17:00:00.000Z");
  EXPECT_EQ(all["state"]["files"][0]["generation"], 1);
  const json& shards = all["streams"][0]["shards"];
  EXPECT_EQ(shards[0]["shardId"], "shardId-000000000000");
  EXPECT_EQ(shards[0]["records"], 2);
  EXPECT_EQ(shards[0]["firstSequenceNumber"], first);
  EXPECT_EQ(shards[0]["lastSequenceNumber"], last);
  EXPECT_EQ(shards[0]["epochs"].size(), 1u);
  EXPECT_EQ(shards[1]["records"], 0);
  EXPECT_EQ(shards[1]["firstSequenceNumber"], nullptr);
  EXPECT_EQ(all["unreferenced"], json::array());
}

TEST_F(LogCommandTest, InspectTellsOfARunningDaemonsOpenFile) {
  create("events");
  put("events", "one");
  const Ran ran = run({.what = LogCommand::What::inspect, .json = true}, true);
  EXPECT_EQ(ran.code, 0) << ran.err;
  const json all = ran.parsed();
  EXPECT_EQ(all["running"], true);
  EXPECT_EQ(all["log"]["files"][0]["state"], "open");
  EXPECT_EQ(all["log"]["files"][0]["records"], 1);
  EXPECT_EQ(all["streams"][0]["shards"][0]["records"], 1);
}

TEST_F(LogCommandTest, WhatBelongsToNoStreamIsNamed) {
  create("events");
  create("other");
  put("events", "kept");
  put("other", "left");
  ASSERT_TRUE(test::run(io_, streams_->remove("other")));
  stop();
  const json all = inspect(true).parsed();
  ASSERT_EQ(all["unreferenced"].size(), 1u);
  EXPECT_EQ(all["unreferenced"][0]["records"], 1);
  EXPECT_THAT(inspect().out, HasSubstr("\nOf no stream"));
  EXPECT_EQ(verify().code, 0);
  EXPECT_THAT(exported_data(), ElementsAre("kept"));
  ExportSelection with_orphans;
  with_orphans.orphans = true;
  EXPECT_THAT(exported_data(with_orphans), ElementsAre("kept", "left"));
  EXPECT_EQ(exported(with_orphans).lines()[1]["sequenceNumber"], nullptr);
}

TEST_F(LogCommandTest, ManyFilesAreSound) {
  create("events", 2);
  for (int i = 0; i < 60; ++i) put("events", std::string(100'000, static_cast<char>('a' + i % 26)), i % 2);
  stop();
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("60 records"), EndsWith(", 1 stream: sound\n")));
  EXPECT_GT(inspect(true).parsed()["log"]["files"].size(), 5u);
  std::vector<std::string> expected;
  for (int shard : {0, 1})
    for (int i = shard; i < 60; i += 2) expected.push_back(std::string(100'000, static_cast<char>('a' + i % 26)));
  EXPECT_EQ(exported_data(), expected);
}

TEST_F(LogCommandTest, ExportWritesARecordALine) {
  create("events");
  clock_.advance(7ms);
  const std::string number = put("events", std::string("\0\xff", 2), 0, "a \"key\" \xc3\xa9");
  const Ran ran = exported();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, R"({"stream":"events","shardId":"shardId-000000000000","sequenceNumber":")" + number +
                         R"(","partitionKey":"a \"key\" )" + "\xc3\xa9" +
                         R"(","approximateArrivalTimestamp":1769878800.007,"data":"AP8="})" + "\n");
}

TEST_F(LogCommandTest, ExportTakesWhatIsSelected) {
  create("b", 2);
  create("a");
  for (const char* data : {"0", "1", "2", "3"}) {
    put("b", std::string("b0-") + data, 0);
    put("b", std::string("b1-") + data, 1);
    put("a", std::string("a-") + data);
    clock_.advance(1s);
  }
  stop();
  start();
  put("a", "a-later");
  ExportSelection one{.stream = "b", .shard = "shardId-000000000001"};
  EXPECT_THAT(exported_data(one), ElementsAre("b1-0", "b1-1", "b1-2", "b1-3"));
  ExportSelection times{.from_ms = kStart + 1000, .to_ms = kStart + 3000};
  EXPECT_THAT(exported_data(times), ElementsAre("a-1", "a-2", "b0-1", "b0-2", "b1-1", "b1-2"));
  ExportSelection few{.limit = 6};
  EXPECT_THAT(exported_data(few), ElementsAre("a-0", "a-1", "a-2", "a-3", "a-later", "b0-0"));
  EXPECT_THAT(exported_data(ExportSelection{.limit = 0}), ElementsAre());

  const Ran no_stream = exported(ExportSelection{.stream = "c"});
  EXPECT_EQ(no_stream.code, 2);
  EXPECT_EQ(no_stream.err, "millrace: there is no stream 'c': there are a, b\n");
  const Ran no_shard = exported(ExportSelection{.stream = "a", .shard = "shardId-000000000001"});
  EXPECT_EQ(no_shard.code, 2);
  EXPECT_THAT(no_shard.err, HasSubstr("there is no shard 'shardId-000000000001'"));
}

TEST_F(LogCommandTest, AnEpochAfterACrashGoesOnBehindAGap) {
  create("events");
  put("events", "before");
  {
    // A copy of the directory as a crash leaves it: nothing was closed.
    auto copy = make_memory_files();
    for (const char* part : {"log", "state"}) {
      ASSERT_TRUE(copy->make_directories(kData / part));
      for (const std::string& name : *files_->list(kData / part)) {
        const auto bytes = files_->read_all(kData / part / name, 1u << 30);
        if (!bytes) continue;  // one that is made ahead got its name meanwhile
        auto file = copy->create(kData / part / name);
        const ByteView pieces[] = {*bytes};
        ASSERT_TRUE((*file)->append(pieces));
      }
    }
    stop();
    files_ = std::move(copy);
  }
  start();
  put("events", "after");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 0) << ran.out;
  EXPECT_THAT(exported_data(), ElementsAre("before", "after"));
}

TEST_F(LogCommandTest, ATornTailIsNoDamage) {
  create("events");
  put("events", "whole record");
  put("events", "torn record");
  // As a running daemon's file looks while a commit is written: no footer, and nothing later tells that it was synced.
  corrupt(log_file(1), "torn record");
  const Ran running = verify(true);
  EXPECT_EQ(running.code, 0) << running.out;
  EXPECT_THAT(running.out, AllOf(HasSubstr("a daemon is running"), HasSubstr("behind the end are being written")));
  const Ran stopped = verify(false);
  EXPECT_EQ(stopped.code, 0) << stopped.out;
  EXPECT_THAT(stopped.out, HasSubstr("behind the end count for nothing: their write did not end"));
  EXPECT_THAT(exported_data(), ElementsAre("whole record"));
  EXPECT_THAT(inspect().out, HasSubstr("behind the end count for nothing"));
}

TEST_F(LogCommandTest, DamageIsToldWithPlaceAndByName) {
  create("events", 2);
  put("events", "first record");
  put("events", "second record", 1);
  put("events", "third record");
  stop();
  const std::uint64_t at = corrupt(log_file(1), "second record");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("data/log/journal-00000001: offset " + std::to_string(at - 19) + ", " +
                                 std::to_string(16 + 3 + 13) +
                                 " bytes: damaged, hides record 0 of events shardId-000000000001\n"));
  EXPECT_THAT(ran.out, EndsWith(": 1 place is damaged, 1 record is known to be concerned\n"));

  const Ran rest = exported();
  EXPECT_EQ(rest.code, 1);
  EXPECT_THAT(rest.err, HasSubstr("damaged, hides record 0 of events shardId-000000000001"));
  EXPECT_EQ(rest.lines().size(), 2u);
}

TEST_F(LogCommandTest, WhatABadCommitHeadHidesIsToldByTheFooter) {
  create("events");
  for (const char* data : {"r-zero", "r-one", "r-two"}) put("events", data);
  stop();
  const std::size_t record = bytes_of(log_file(1)).find("r-one");
  const std::uint64_t commit = record / 512 * 512;  // a synced commit begins a sector
  overwrite(log_file(1), commit + 20, "x");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("offset " + std::to_string(commit) +
                                 ", 512 bytes: damaged, hides record 1 of events shardId-000000000000\n"));
  // The footer finds it all the same.
  EXPECT_THAT(exported_data(), ElementsAre("r-zero", "r-one", "r-two"));
}

TEST_F(LogCommandTest, WithoutAFooterTheGapIsToldByPositions) {
  create("events");
  for (const char* data : {"r-zero", "r-one", "r-two", "r-three"}) put("events", data);
  const std::uint64_t commit = bytes_of(log_file(1)).find("r-one") / 512 * 512;
  overwrite(log_file(1), commit + 20, "x");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("offset " + std::to_string(commit) +
                                 ", 512 bytes: damaged, hides record 1 of events shardId-000000000000\n"));
}

TEST_F(LogCommandTest, OfManyPlacesSomeAreToldAndAllAreCounted) {
  create("events");
  for (int i = 0; i < 20; ++i) put("events", "r-" + std::to_string(10 + i));
  stop();
  const std::string bytes = bytes_of(log_file(1));
  for (int i = 0; i < 20; i += 2) overwrite(log_file(1), bytes.find("r-" + std::to_string(10 + i)), "R");
  const Ran all = verify();
  const Ran some = run({.what = LogCommand::What::verify, .findings_told = 3});
  EXPECT_EQ(all.code, 1);
  EXPECT_EQ(some.code, 1);
  EXPECT_EQ(all.lines_of("damaged, hides record "), 10u);
  EXPECT_EQ(some.lines_of("damaged, hides record "), 3u);
  EXPECT_THAT(some.out, HasSubstr("record 4 of events shardId-000000000000\nand 7 more places\n"));
  for (const Ran& ran : {all, some})
    EXPECT_THAT(ran.out, HasSubstr("10 places are damaged, 10 records are known to be concerned\n"));
}

TEST_F(LogCommandTest, ADamagedFooterHidesNothing) {
  create("events");
  put("events", "one");
  stop();
  overwrite(log_file(1), kFileBytes - 64 + 40, "xx");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("offset " + std::to_string(kFileBytes - 64) +
                                 ", 64 bytes: the footer is damaged; the file is read without it\n"));
  EXPECT_THAT(exported_data(), ElementsAre("one"));
}

TEST_F(LogCommandTest, ADamagedListOfAFooterIsToldAndReadWithout) {
  create("events");
  put("events", "one");
  put("events", "two");
  stop();
  overwrite(log_file(1), kFileBytes - 64 - 72 - 40 + 8, "xx");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("the footer's list is damaged of records 0 to 1 of events shardId-000000000000\n"));
  EXPECT_THAT(exported_data(), ElementsAre("one", "two"));
}

TEST_F(LogCommandTest, DamagedStateIsTold) {
  create("events");
  put("events", "one");
  create("other");
  stop();
  corrupt(kData / "state" / "journal-00000001", "\"name\":\"events\"");
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("data/state/journal-00000001, offset "));
  const Ran rest = exported();
  EXPECT_EQ(rest.code, 1) << "its stream is not known any more";
}

TEST_F(LogCommandTest, AFileOfAnUnknownVersionIsNamed) {
  create("events");
  put("events", "one");
  stop();
  // A head of version 9, made as version 2 makes it: the checksum of what follows it, salted with 0.
  std::string head = bytes_of(log_file(1)).substr(0, 4096);
  head[4] = 9;
  const std::uint64_t salt = 0;
  const std::uint32_t checksum =
      crc32c(ByteView(head).substr(4), crc32c({reinterpret_cast<const char*>(&salt), sizeof salt}));
  std::memcpy(head.data(), &checksum, sizeof checksum);
  overwrite(log_file(1), 0, head);
  const Ran inspected = inspect();
  EXPECT_THAT(inspected.out, HasSubstr("unreadable: format version 9"));
  for (const Ran& ran : {verify(), exported()}) {
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, HasSubstr("format version 9"));
  }
}

TEST_F(LogCommandTest, AFileThatIsDroppedMeanwhileIsNoDamage) {
  create("events");
  for (int i = 0; i < 30; ++i) put("events", std::string(100'000, 'x'));
  int opened = 0;
  BusyFiles busy(*files_, [&](const fs::path& path) {
    if (path == log_file(1) && ++opened == 2) (void)files_->remove(path);
  });
  const Ran ran = verify(true, &busy);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("journal-00000001: dropped meanwhile"));
}

TEST_F(LogCommandTest, AFileThatIsUsedAgainMeanwhileIsNoDamage) {
  create("events");
  for (int i = 0; i < 30; ++i) put("events", std::string(100'000, 'x'));
  int opened = 0;
  BusyFiles busy(*files_, [&](const fs::path& path) {
    if (path != log_file(2) || ++opened != 2) return;
    overwrite(path, 8192, std::string(200'000, 'y'));  // whoever has it open reads this
  });
  // The name goes while it is read: at the next look.
  const Ran before = verify(true, &busy);
  EXPECT_EQ(before.code, 1) << "with its name there it is damage";
  opened = 0;
  BusyFiles renaming(*files_, [&](const fs::path& path) {
    if (path == log_file(3)) (void)files_->rename(log_file(2), kData / "log" / "spare-00000002");
  });
  opened = 5;
  const Ran ran = verify(true, &renaming);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("journal-00000002: dropped meanwhile"));
}

TEST_F(LogCommandTest, RecordsMissingWithNoDamageAreTold) {
  create("events");
  put("events", "r-zero");
  put("events", "r-one");
  put("events", "r-two");
  // Frame and commit of r-one are whole, but of another log: what a bug could write.
  const std::string bytes = bytes_of(log_file(1));
  const std::size_t frame = bytes.find("r-one") / 512 * 512 + 64;
  std::string head = bytes.substr(frame, 64);
  head[16] = static_cast<char>(head[16] + 1);
  const std::uint64_t lsn = (std::uint64_t{1} << 32) + frame;
  const std::uint32_t checksum =
      crc32c(ByteView(head).substr(4), crc32c({reinterpret_cast<const char*>(&lsn), sizeof lsn}));
  std::memcpy(head.data(), &checksum, sizeof checksum);
  overwrite(log_file(1), frame, head);
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("before this frame are missing record 1 of events shardId-000000000000\n"));
}

TEST_F(LogCommandTest, APayloadThatIsNoRecordsIsTold) {
  create("events");
  put("events", "one");
  put("events", "two");
  // The checksums are right, the record says that its data is longer.
  const std::string bytes = bytes_of(log_file(1));
  const std::size_t frame = bytes.find("keyone") / 512 * 512 + 64;
  std::string whole = bytes.substr(frame, 64 + 16 + 6);
  whole[64 + 8] = 9;
  const std::uint32_t payload = crc32c(ByteView(whole).substr(64));
  std::memcpy(whole.data() + 12, &payload, sizeof payload);
  const std::uint64_t lsn = (std::uint64_t{1} << 32) + frame;
  const std::uint32_t checksum =
      crc32c(ByteView(whole).substr(4, 60), crc32c({reinterpret_cast<const char*>(&lsn), sizeof lsn}));
  std::memcpy(whole.data(), &checksum, sizeof checksum);
  overwrite(log_file(1), frame, whole);
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out,
              HasSubstr("its lengths do not fit together, which hides record 0 of events shardId-000000000000\n"));
  const Ran rest = exported();
  EXPECT_EQ(rest.code, 1);
  EXPECT_EQ(rest.lines().size(), 1u);
}

TEST_F(LogCommandTest, WhatIsSealedIsReadWithItsKeysAndToldOfWithout) {
  stop();
  keys_ = std::make_shared<test::SealingKeys>(test::SealingKeys{{1, 'a'}});
  start();
  create("events");
  put("events", "first");
  stop();
  keys_->bytes.emplace(2, 'b');
  start();
  put("events", "second");
  for (const bool running : {true, false}) {
    SCOPED_TRACE(running ? "running" : "stopped");
    const LogCommand inspect{.what = LogCommand::What::inspect, .keys = keys_};
    const LogCommand verify{.what = LogCommand::What::verify, .keys = keys_};
    const LogCommand exported{.what = LogCommand::What::export_records, .keys = keys_};
    EXPECT_EQ(run(inspect, running).code, 0);
    EXPECT_THAT(run(inspect, running).out, AllOf(HasSubstr("Stream events"), Not(HasSubstr("needed"))));
    EXPECT_EQ(run(verify, running).code, 0);
    EXPECT_THAT(run(verify, running).out, AllOf(HasSubstr("2 records"), HasSubstr("sound"), Not(HasSubstr("sealed"))));
    EXPECT_EQ(run(exported, running).lines().size(), 2u);
    EXPECT_EQ(run(exported, running).lines()[1]["data"], codec::base64::encode("second"));

    const Ran seen = run({.what = LogCommand::What::inspect}, running);
    EXPECT_EQ(seen.code, 2);
    EXPECT_THAT(seen.out, AllOf(HasSubstr("sealed: to read it, keys 1, 2 are needed: give them with --keys"),
                                HasSubstr("Of streams that cannot be told"), HasSubstr("RECORDS")));
    EXPECT_THAT(seen.err,
                AllOf(HasSubstr("which streams there are cannot be told: "), HasSubstr("which is not given")));
    const auto key_ids = run({.what = LogCommand::What::inspect, .json = true}, running).parsed()["log"]["files"];
    EXPECT_EQ(key_ids[0]["keyIds"], json::array({1}));
    const auto state = run({.what = LogCommand::What::inspect, .json = true}, running).parsed()["state"]["files"];
    std::set<int> state_keys;
    for (const json& file : state) state_keys.insert(file["keyIds"].begin(), file["keyIds"].end());
    EXPECT_TRUE(state_keys.contains(2)) << state;
    const Ran verified = run({.what = LogCommand::What::verify}, running);
    EXPECT_EQ(verified.code, 2);
    EXPECT_THAT(verified.out, AllOf(HasSubstr("2 frames are sealed: the checksums are right"),
                                    HasSubstr("To look at them, keys 1, 2 are needed: give them with --keys")));
    const Ran none = run({.what = LogCommand::What::export_records}, running);
    EXPECT_EQ(none.code, 2);
    EXPECT_EQ(none.out, "");
    EXPECT_THAT(none.err, HasSubstr("which is not given"));
    stop();
  }
  const auto other = std::make_shared<test::SealingKeys>(test::SealingKeys{{1, 'a'}, {2, 'z'}});
  EXPECT_THAT(run({.what = LogCommand::What::verify, .keys = other}).out,
              HasSubstr("does not open with the key 2 that is given, which hides"));
  EXPECT_THAT(run({.what = LogCommand::What::export_records, .keys = other}).err, HasSubstr("another one"));
}

TEST_F(LogCommandTest, NothingIsChanged) {
  create("events");
  put("events", "one");
  stop();
  files_->on_change([](std::string_view call, const fs::path& path) {
    ADD_FAILURE() << call << " " << path;
    return EROFS;
  });
  EXPECT_EQ(inspect().code, 0);
  EXPECT_EQ(verify().code, 0);
  EXPECT_EQ(exported().code, 0);
  files_->on_change({});
}

TEST_F(LogCommandTest, ADirectoryWithoutALogIsRefused) {
  stop();
  ASSERT_TRUE(files_->remove_all(kData / "log"));
  ASSERT_TRUE(files_->remove_all(kData / "state"));
  const Ran ran = verify();
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("data holds no log"));
}

TEST_F(LogCommandTest, AnOutputThatCannotBeWrittenIsAnErrorAndOneThatIsClosedIsNot) {
  create("events");
  put("events", "one");
  for (const auto& [error, code] : std::map<int, int>{{ENOSPC, 2}, {EPIPE, 0}}) {
    std::string told;
    Output out([error = error](std::string_view) { return error; });
    Output err([&](std::string_view text) {
      told += text;
      return 0;
    });
    EXPECT_EQ(run_log(*files_, kData, false, {.what = LogCommand::What::export_records}, out, err), code);
    err.flush();
    EXPECT_EQ(told, error == EPIPE ? "" : "millrace: the output cannot be written: No space left on device\n");
  }
}

TEST(HeldByDaemon, IsSeenByTheLockThatItHas) {
  const test::TemporaryDirectory own;
  const fs::path& directory = own.path();
  EXPECT_FALSE(held_by_daemon(directory));
  const int lock = ::open((directory / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_GE(lock, 0);
  EXPECT_FALSE(held_by_daemon(directory));
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(held_by_daemon(directory));
  ::close(lock);
  EXPECT_FALSE(held_by_daemon(directory));
}

TEST(ParseTime, TakesTimesInUtcOrWithAnOffset) {
  EXPECT_EQ(parse_time("1970-01-01"), 0);
  EXPECT_EQ(parse_time("2026-01-31T17:00:00Z"), kStart);
  EXPECT_EQ(parse_time("2026-01-31T17:00"), kStart);
  EXPECT_EQ(parse_time("2026-01-31 17:00:00.5"), kStart + 500);
  EXPECT_EQ(parse_time("2026-01-31T17:00:00.1239Z"), kStart + 123);
  EXPECT_EQ(parse_time("2026-01-31T18:00:00+01:00"), kStart);
  EXPECT_EQ(parse_time("2026-01-31T11:30:00-0530"), kStart);
  for (const char* wrong :
       {"", "now", "2026", "2026-02-30", "2026-1-1", "2026-01-31T", "2026-01-31T25:00", "2026-01-31T17:00:00.",
        "2026-01-31T17:00:60", "2026-01-31T17:00:00Zx", "2026-01-31T17", "1769878800", "2026-01-31T17:00:00+1"})
    EXPECT_EQ(parse_time(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace millrace::cli
