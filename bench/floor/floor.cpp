// The floor: what a Kinesis endpoint costs on this machine when it does the unavoidable and nothing else. Beast reads
// the request, our reader parses it, the record is decoded, hashed, kept in its shard's memory and acknowledged with a
// sequence number; GetRecords renders what was kept. Nothing is validated, limited, measured, logged, delivered or ever
// expires, and all streams are one. An instrument for bench/run.py, which gives it the loads it gives to millrace.
//
//   bench_floor PORT [--threads N] [--warm MIB]
//
// Chunk memory comes fresh from the kernel; DeleteStream leaves it to be used again. --warm touches that much at start.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/src.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/digest.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/decimal.hpp"
#include "millrace/codec/json_reader.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace base64 = millrace::codec::base64;
using asio::ip::tcp;
using millrace::awaitable;
using millrace::Uint128;
using millrace::codec::Decimal56;
using millrace::codec::JsonReader;
using millrace::codec::JsonString;
using millrace::codec::Uint256;

constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::size_t kRegionBytes = 32 << 20;
constexpr std::size_t kShards = 4;
constexpr std::size_t kPageBytesMax = 10'000'000;
constexpr std::size_t kPageRecordsMax = 10'000;
constexpr std::size_t kBodyBytesMax = 64 << 20;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Chunks out of large regions that are never given back.
class ChunkMemory {
 public:
  void warm(std::size_t bytes) {
    while (bytes >= kRegionBytes) {
      add_region();
      bytes -= kRegionBytes;
    }
    for (char* chunk : free_) std::memset(chunk, 1, kChunkBytes);
  }
  char* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) add_region();
    char* chunk = free_.back();
    free_.pop_back();
    return chunk;
  }
  void give_back(char* chunk) {
    const std::lock_guard lock(mutex_);
    free_.push_back(chunk);
  }

 private:
  void add_region() {
    void* region = mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) throw std::bad_alloc();
    madvise(region, kRegionBytes, MADV_HUGEPAGE);
    for (std::size_t at = kRegionBytes; at > 0; at -= kChunkBytes) {
      free_.push_back(static_cast<char*>(region) + at - kChunkBytes);
    }
  }
  std::mutex mutex_;
  std::vector<char*> free_;
};

ChunkMemory g_memory;

struct Chunk {
  Chunk() = default;
  ~Chunk() { g_memory.give_back(bytes); }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;
  char* bytes = g_memory.take();
  std::size_t used = 0;
};

struct RecordHead {
  std::int64_t arrival_ms;
  std::uint32_t key_bytes, data_bytes;
};

struct Record {
  std::string_view key, data;
  std::uint64_t position = 0;
};

/// Where a reader goes on.
struct Place {
  std::uint64_t chunk = 0, offset = 0, position = 0;
};

class Shard {
 public:
  /// Keeps the records that `mine` names, and gives them their positions.
  void append(std::vector<Record>& records, const std::uint32_t* mine, std::size_t count, std::int64_t arrival_ms) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < count; ++i) {
      Record& record = records[mine[i]];
      const std::size_t need = sizeof(RecordHead) + record.key.size() + record.data.size();
      if (need > kChunkBytes) throw std::length_error("record does not fit in a chunk");
      if (chunks_.empty() || kChunkBytes - chunks_.back()->used < need) chunks_.push_back(std::make_shared<Chunk>());
      Chunk& chunk = *chunks_.back();
      const RecordHead head{arrival_ms, static_cast<std::uint32_t>(record.key.size()),
                            static_cast<std::uint32_t>(record.data.size())};
      char* to = chunk.bytes + chunk.used;
      std::memcpy(to, &head, sizeof head);
      std::memcpy(to + sizeof head, record.key.data(), record.key.size());
      std::memcpy(to + sizeof head + record.key.size(), record.data.data(), record.data.size());
      chunk.used += need;
      record.position = count_++;
    }
  }
  /// The chunks from `from` on, how far each is written, at most about a page of them.
  struct Snapshot {
    std::vector<std::pair<std::shared_ptr<Chunk>, std::size_t>> chunks;
  };
  Snapshot snapshot(const Place& from) {
    const std::lock_guard lock(mutex_);
    Snapshot shot;
    for (std::size_t i = from.chunk; i < chunks_.size() && shot.chunks.size() <= kPageBytesMax / kChunkBytes + 1; ++i) {
      shot.chunks.emplace_back(chunks_[i], chunks_[i]->used);
    }
    return shot;
  }
  Place tip() {
    const std::lock_guard lock(mutex_);
    if (chunks_.empty()) return {};
    return {chunks_.size() - 1, chunks_.back()->used, count_};
  }
  void clear() {
    std::vector<std::shared_ptr<Chunk>> freed;
    const std::lock_guard lock(mutex_);
    freed.swap(chunks_);
    count_ = 0;
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Chunk>> chunks_;
  std::uint64_t count_ = 0;
};

std::array<Shard, kShards> g_shards;
const std::uint64_t g_created_s = static_cast<std::uint64_t>(now_ms() / 1000);

/// AWS's layout of a sequence number.
Decimal56 sequence_number(std::uint64_t shard, std::uint64_t position, std::int64_t arrival_ms) {
  const std::uint64_t counter = position + 1, seconds = static_cast<std::uint64_t>(arrival_ms / 1000);
  return Decimal56(Uint256{{2 | shard << 4 | seconds << 36, seconds >> 28 | counter << 16,
                            counter >> 48 | (shard & 15) << 16 | g_created_s << 20 | std::uint64_t{2} << 56, 0}});
}

Decimal56 one_position() { return Decimal56(Uint256{{0, 1 << 16, 0, 0}}); }

/// A reply under construction: memory that is neither cleared nor given back between replies.
class Text {
 public:
  void clear() { size_ = 0; }
  std::string_view view() const { return {bytes_.get(), size_}; }
  void add(std::string_view text) {
    char* to = room(text.size());
    std::memcpy(to, text.data(), text.size());
    size_ += text.size();
  }
  void add(std::uint64_t number) {
    char* to = room(20);
    size_ = static_cast<std::size_t>(std::to_chars(to, to + 20, number).ptr - bytes_.get());
  }
  void add_base64(std::string_view bytes) {
    size_ += base64::encode(bytes, room(base64::encoded_size(bytes.size()) + base64::kSlack));
  }
  void add(const Decimal56& number) {
    number.write(room(Decimal56::kDigits));
    size_ += Decimal56::kDigits;
  }

 private:
  char* room(std::size_t more) {
    if (capacity_ - size_ < more) {
      capacity_ = std::max(capacity_ * 2, size_ + more + 4096);
      auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
      if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
      bytes_ = std::move(larger);
    }
    return bytes_.get() + size_;
  }
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0, capacity_ = 0;
};

/// What one thread uses again for each request.
struct Scratch {
  std::vector<char> decoded;
  std::vector<Record> records;
  std::vector<std::string_view> keys;
  std::vector<Uint128> hashes;
  std::array<std::vector<std::uint32_t>, kShards> of_shard;
};

bool read_record(JsonReader& reader, std::vector<std::string_view>& data, Scratch& scratch) {
  std::string_view name;
  JsonString value;
  if (!reader.begin_object()) return false;
  while (reader.next_member(name)) {
    if (name == "Data") {
      if (!reader.read_string(value)) return false;
      data.push_back(value.raw);
    } else if (name == "PartitionKey") {
      if (!reader.read_string(value)) return false;
      scratch.keys.push_back(value.raw);
    } else {
      reader.skip_value();
    }
  }
  return !reader.failed();
}

/// Decodes, hashes and keeps what was read; records of one shard are appended under one lock.
bool keep(const std::vector<std::string_view>& data, Scratch& scratch, std::int64_t arrival_ms) {
  if (data.empty() || data.size() != scratch.keys.size()) return false;
  std::size_t bytes = base64::kSlack;
  for (const std::string_view text : data) bytes += base64::decoded_size_max(text.size());
  if (scratch.decoded.size() < bytes) scratch.decoded.resize(bytes);
  char* to = scratch.decoded.data();
  scratch.records.clear();
  for (std::size_t i = 0; i < data.size(); ++i) {
    const base64::Decoded decoded = base64::decode(data[i], to);
    if (decoded.error != base64::Errc::none) return false;
    scratch.records.push_back({scratch.keys[i], {to, decoded.size}});
    to += decoded.size;
  }
  scratch.hashes.resize(data.size());
  millrace::md5_many(scratch.keys, scratch.hashes);
  for (auto& list : scratch.of_shard) list.clear();
  for (std::uint32_t i = 0; i < data.size(); ++i) scratch.of_shard[scratch.hashes[i].high >> 62].push_back(i);
  for (std::size_t s = 0; s < kShards; ++s) {
    const auto& mine = scratch.of_shard[s];
    if (!mine.empty()) g_shards[s].append(scratch.records, mine.data(), mine.size(), arrival_ms);
  }
  return true;
}

constexpr std::array<std::string_view, kShards> kShardIds = {"shardId-000000000000", "shardId-000000000001",
                                                             "shardId-000000000002", "shardId-000000000003"};

bool put_record(std::string_view body, Scratch& scratch, Text& reply) {
  static thread_local std::vector<std::string_view> data;
  data.clear();
  scratch.keys.clear();
  JsonReader reader(body);
  const std::int64_t arrival_ms = now_ms();
  if (!read_record(reader, data, scratch) || !keep(data, scratch, arrival_ms)) return false;
  const std::size_t shard = scratch.hashes[0].high >> 62;
  reply.add(R"({"ShardId":")");
  reply.add(kShardIds[shard]);
  reply.add(R"(","SequenceNumber":")");
  reply.add(sequence_number(shard, scratch.records[0].position, arrival_ms));
  reply.add("\"}");
  return true;
}

bool put_records(std::string_view body, Scratch& scratch, Text& reply) {
  static thread_local std::vector<std::string_view> data;
  data.clear();
  scratch.keys.clear();
  JsonReader reader(body);
  std::string_view name;
  if (!reader.begin_object()) return false;
  while (reader.next_member(name)) {
    if (name != "Records") {
      reader.skip_value();
      continue;
    }
    if (!reader.begin_array()) return false;
    while (reader.next_element()) {
      if (!read_record(reader, data, scratch)) return false;
    }
  }
  const std::int64_t arrival_ms = now_ms();
  if (reader.failed() || !keep(data, scratch, arrival_ms)) return false;
  std::array<Decimal56, kShards> next;
  for (std::size_t s = 0; s < kShards; ++s) {
    const auto& mine = scratch.of_shard[s];
    if (!mine.empty()) next[s] = sequence_number(s, scratch.records[mine[0]].position, arrival_ms);
  }
  static const Decimal56 step = one_position();
  reply.add(R"({"FailedRecordCount":0,"Records":[)");
  for (std::size_t i = 0; i < scratch.records.size(); ++i) {
    const std::size_t shard = scratch.hashes[i].high >> 62;
    reply.add(i == 0 ? R"({"SequenceNumber":")" : R"(,{"SequenceNumber":")");
    reply.add(next[shard]);
    next[shard] += step;
    reply.add(R"(","ShardId":")");
    reply.add(kShardIds[shard]);
    reply.add("\"}");
  }
  reply.add("]}");
  return true;
}

void add_iterator(Text& reply, std::size_t shard, const Place& place) {
  for (const std::uint64_t number : {static_cast<std::uint64_t>(shard), place.chunk, place.offset, place.position}) {
    reply.add(number);
    reply.add(":");
  }
}

/// The members of a small request that is an object of strings and numbers.
struct Members {
  std::string_view shard_id, type, iterator;
  std::size_t limit = kPageRecordsMax;
};

bool read_members(std::string_view body, Members& out) {
  JsonReader reader(body);
  std::string_view name;
  if (!reader.begin_object()) return false;
  while (reader.next_member(name)) {
    std::string_view value = reader.skip_value();
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    if (name == "ShardId") out.shard_id = value;
    if (name == "ShardIteratorType") out.type = value;
    if (name == "ShardIterator") out.iterator = value;
    if (name == "Limit") std::from_chars(value.data(), value.data() + value.size(), out.limit);
  }
  return !reader.failed();
}

bool get_shard_iterator(std::string_view body, Text& reply) {
  Members members;
  if (!read_members(body, members) || members.shard_id.empty()) return false;
  const auto shard = static_cast<std::size_t>(members.shard_id.back() - '0');
  if (shard >= kShards) return false;
  reply.add(R"({"ShardIterator":")");
  add_iterator(reply, shard, members.type == "TRIM_HORIZON" ? Place{} : g_shards[shard].tip());
  reply.add("\"}");
  return true;
}

bool get_records(std::string_view body, Text& reply) {
  Members members;
  if (!read_members(body, members)) return false;
  std::array<std::uint64_t, 4> numbers{};
  const char* at = members.iterator.data();
  const char* const end = at + members.iterator.size();
  for (std::uint64_t& number : numbers) {
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc() || stop == end || *stop != ':') return false;
    at = stop + 1;
  }
  const auto shard = static_cast<std::size_t>(numbers[0]);
  if (shard >= kShards) return false;
  Place place{numbers[1], numbers[2], numbers[3]};
  const Shard::Snapshot shot = g_shards[shard].snapshot(place);
  static const Decimal56 step = one_position();
  std::size_t records = 0, bytes = 0;
  std::int64_t second = -1;
  Decimal56 number;
  reply.add(R"({"Records":[)");
  for (std::size_t i = 0; i < shot.chunks.size() && records < members.limit && bytes < kPageBytesMax; ++i) {
    const auto& [chunk, used] = shot.chunks[i];
    if (i > 0) place = {place.chunk + 1, 0, place.position};
    while (place.offset < used && records < members.limit && bytes < kPageBytesMax) {
      RecordHead head;
      const char* const from = chunk->bytes + place.offset;
      std::memcpy(&head, from, sizeof head);
      if (head.arrival_ms / 1000 != second) {
        second = head.arrival_ms / 1000;
        number = sequence_number(shard, place.position, head.arrival_ms);
      } else {
        number += step;
      }
      reply.add(records == 0 ? R"({"ApproximateArrivalTimestamp":)" : R"(,{"ApproximateArrivalTimestamp":)");
      reply.add(static_cast<std::uint64_t>(second));
      const auto ms = static_cast<unsigned>(head.arrival_ms % 1000);
      const char fraction[4] = {'.', static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                                static_cast<char>('0' + ms % 10)};
      reply.add({fraction, 4});
      reply.add(R"(,"Data":")");
      reply.add_base64({from + sizeof head + head.key_bytes, head.data_bytes});
      reply.add(R"(","PartitionKey":")");
      reply.add(std::string_view(from + sizeof head, head.key_bytes));
      reply.add(R"(","SequenceNumber":")");
      reply.add(number);
      reply.add("\"}");
      place.offset += sizeof head + head.key_bytes + head.data_bytes;
      ++place.position;
      ++records;
      bytes += head.key_bytes + head.data_bytes;
    }
  }
  reply.add(R"(],"MillisBehindLatest":)");
  reply.add(place.position == g_shards[shard].tip().position ? "0" : "1000");
  reply.add(R"(,"NextShardIterator":")");
  add_iterator(reply, shard, place);
  reply.add("\"}");
  return true;
}

bool answer(std::string_view operation, std::string_view body, Scratch& scratch, Text& reply) {
  if (operation == "PutRecord") return put_record(body, scratch, reply);
  if (operation == "PutRecords") return put_records(body, scratch, reply);
  if (operation == "GetRecords") return get_records(body, reply);
  if (operation == "GetShardIterator") return get_shard_iterator(body, reply);
  if (operation == "CreateStream") return true;
  if (operation == "DeleteStream") {
    for (Shard& shard : g_shards) shard.clear();
    return true;
  }
  if (operation == "ListStreams") {
    reply.add(R"({"HasMoreStreams":false,"StreamNames":[]})");
    return true;
  }
  if (operation == "ListShards") {
    for (std::size_t s = 0; s < kShards; ++s) {
      reply.add(s == 0 ? R"({"Shards":[{"ShardId":")" : R"(,{"ShardId":")");
      reply.add(kShardIds[s]);
      reply.add("\"}");
    }
    reply.add("]}");
    return true;
  }
  return false;
}

awaitable<void> serve(tcp::socket socket, Scratch& scratch) {
  constexpr auto kQuiet = asio::as_tuple(millrace::use_awaitable);
  boost::beast::flat_buffer buffer;
  buffer.reserve(64 << 10);  // Beast reads in small pieces into less
  Text reply;
  std::string body;
  for (;;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(kBodyBytesMax);
    parser.get().body() = std::move(body);
    parser.get().body().clear();
    const auto [read_error, read_size] = co_await http::async_read(socket, buffer, parser, kQuiet);
    if (read_error) co_return;
    const auto target = parser.get()["X-Amz-Target"];
    const std::string_view operation = std::string_view(target.data(), target.size());
    reply.clear();
    bool good = false;
    try {
      good = answer(operation.substr(operation.find('.') + 1), parser.get().body(), scratch, reply);
    } catch (const std::length_error&) {
    }
    char head[256];
    const int head_size = std::snprintf(head, sizeof head,
                                        "HTTP/1.1 %s\r\nx-amzn-RequestId: 6e0f2a9c-1d3b-4c58-9a77-0c5d2e8f4b61\r\n"
                                        "Content-Type: application/x-amz-json-1.1\r\nContent-Length: %zu\r\n\r\n",
                                        good ? "200 OK" : "400 Bad Request", reply.view().size());
    const std::array<asio::const_buffer, 2> out = {asio::buffer(head, static_cast<std::size_t>(head_size)),
                                                   asio::buffer(reply.view().data(), reply.view().size())};
    const auto [write_error, written] = co_await asio::async_write(socket, out, kQuiet);
    if (write_error) co_return;
    body = std::move(parser.get().body());
  }
}

struct Core {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> busy{io.get_executor()};
  Scratch scratch;
};

/// Connections go to the cores in turn.
awaitable<void> accept(tcp::acceptor& acceptor, std::vector<std::unique_ptr<Core>>& cores) {
  for (std::size_t next = 0;; ++next) {
    Core& core = *cores[next % cores.size()];
    auto [error, accepted] = co_await acceptor.async_accept(core.io, asio::as_tuple(millrace::use_awaitable));
    if (error) continue;
    boost::system::error_code ignored;
    accepted.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(core.io, serve(std::move(accepted), core.scratch), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t threads = std::max(1u, std::thread::hardware_concurrency()), warm_mib = 0;
  unsigned port = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--threads" && i + 1 < argc) {
      threads = std::stoul(argv[++i]);
    } else if (word == "--warm" && i + 1 < argc) {
      warm_mib = std::stoul(argv[++i]);
    } else {
      std::from_chars(word.data(), word.data() + word.size(), port);
    }
  }
  if (port == 0 || port > 65535 || threads == 0) {
    std::fprintf(stderr, "usage: bench_floor PORT [--threads N] [--warm MIB]\n");
    return 2;
  }
  g_memory.warm(warm_mib << 20);
  std::vector<std::unique_ptr<Core>> cores;
  for (std::size_t i = 0; i < threads; ++i) cores.push_back(std::make_unique<Core>());
  tcp::acceptor acceptor(cores[0]->io, {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
  asio::co_spawn(cores[0]->io, accept(acceptor, cores), asio::detached);
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back([&core = *cores[i]] { core.io.run(); });
  cores[0]->io.run();
}
