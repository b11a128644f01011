#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "cli/log_commands.hpp"
#include "cli/stored_records.hpp"
#include "cli/text.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/journal/inspect.hpp"

namespace millrace::cli {

namespace {

using journal::Finding;
using journal::Frame;

/// A log that is exported; without an owner the numbers of its records are not known.
struct Exported {
  std::uint64_t log;
  const Owners::Owner* owner;
};

class Export {
 public:
  Export(const LogDirectory& directory, const ExportSelection& selection, Output& out, Output& err)
      : directory_(directory), selection_(selection), out_(out), err_(err), left_(selection.limit) {}

  int run() {
    auto scanned = journal::scan_index(directory_.files, directory_.log(), &directory_.keys);
    if (!scanned) return cannot(scanned.error().detail);
    const Owners owners = Owners::of(directory_);
    if (owners.trouble()) return cannot(*owners.trouble());
    for (const std::string& damage : owners.damage()) complain(damage);
    auto logs = selected(owners, *scanned);
    if (!logs) return cannot(logs.error());
    journal::LogReader reader(directory_.files, directory_.log(), *scanned, directory_.keys);
    for (const Exported& log : *logs) {
      if (left_ == 0 || out_.error() != 0) break;
      if (auto read = read_log(reader, log); !read) return cannot(read.error().detail);
    }
    tell_damage(*scanned, owners);
    for (const std::filesystem::path& gone : reader.gone())
      err_ << "millrace: " << gone.string() << " was dropped meanwhile: its records were past their retention\n";
    return complained_ ? kDamaged : 0;
  }

 private:
  int cannot(const std::string& why) {
    out_.flush();
    err_ << "millrace: " << why << "\n";
    return kUnreadable;
  }
  void complain(const std::string& what) {
    err_ << "millrace: " << what << "\n";
    complained_ = true;
  }

  /// By stream and shard, then those of no stream.
  boost::system::result<std::vector<Exported>, std::string> selected(const Owners& owners,
                                                                     const journal::Scanned& scanned) const {
    std::vector<Exported> logs;
    if (!selection_.stream.empty() && !owners.find(selection_.stream)) return no_stream(owners);
    bool shard_found = selection_.shard.empty();
    for (const streams::Stream& stream : owners.streams()) {
      if (!selection_.stream.empty() && stream.name != selection_.stream) continue;
      const streams::Shard* const only = selection_.shard.empty() ? nullptr : stream.find_shard(selection_.shard);
      for (const auto& shard : stream.shards) {
        if (!selection_.shard.empty() && shard.get() != only) continue;
        shard_found = true;
        const std::uint64_t id = streams::log_id(stream.incarnation, shard->index).get();
        logs.push_back({id, owners.owner(id)});
      }
    }
    if (!shard_found) return std::string("there is no shard " + in_quotes(selection_.shard));
    std::set<std::uint64_t> orphans;
    for (const journal::Part& part : scanned.parts)
      if (selection_.orphans && !owners.owner(part.log)) orphans.insert(part.log);
    for (const std::uint64_t id : orphans) logs.push_back({id, nullptr});
    return logs;
  }

  std::string no_stream(const Owners& owners) const {
    std::string text = "there is no stream " + in_quotes(selection_.stream);
    const char* before = ": there are ";
    for (const streams::Stream& stream : owners.streams())
      text += std::exchange(before, ", ") + printable(stream.name, 128);
    return text;
  }

  journal::Result<> read_log(journal::LogReader& reader, const Exported& log) {
    const auto wanted = [this](const Frame& frame) {
      return (!selection_.from_ms || frame.last_ms >= *selection_.from_ms) &&
             (!selection_.to_ms || frame.first_ms < *selection_.to_ms);
    };
    const auto write = [&](const Frame& frame, ByteView payload, journal::Lsn lsn) {
      if (std::string why = not_plain(frame); !why.empty()) {
        not_written(frame, lsn, why + ", which leaves out");
        return true;
      }
      const bool whole = each_record(frame, payload, [&](std::uint64_t position, const log::RecordView& record) {
        write_record(log, position, record);
      });
      if (!whole) not_written(frame, lsn, "lengths that do not fit together leave out some of");
      return left_ > 0 && out_.error() == 0;
    };
    return reader.read(log.log, wanted, write, damage_);
  }

  void not_written(const Frame& frame, journal::Lsn lsn, std::string why) {
    journal::Part part;
    part.log = frame.log;
    part.base = frame.base;
    part.count = frame.count;
    damage_.push_back({journal::path_of(directory_.log(), journal::generation_of(lsn)),
                       journal::offset_of(lsn),
                       journal::kFrameHeadBytes + frame.length,
                       std::move(why),
                       {part}});
  }

  void write_record(const Exported& log, std::uint64_t position, const log::RecordView& record) {
    if (left_ == 0) return;
    if (selection_.from_ms && record.arrival_ms < *selection_.from_ms) return;
    if (selection_.to_ms && record.arrival_ms >= *selection_.to_ms) return;
    --left_;
    line_.clear();
    if (log.owner) {
      line_ += R"({"stream":)";
      codec::json_quote(log.owner->stream->name, line_);
      line_ += R"(,"shardId":")" + log.owner->shard->id + R"(","sequenceNumber":")";
      line_ += log.owner->shard->numbers.text(log::Position{position}, record.arrival_ms) + '"';
    } else {
      line_ += R"({"stream":null,"shardId":null,"sequenceNumber":null,"log":)" + std::to_string(log.log);
      line_ += R"(,"position":)" + std::to_string(position);
    }
    line_ += R"(,"partitionKey":)";
    codec::json_quote(record.key, line_);
    std::array<char, 48> time;
    std::snprintf(time.data(), time.size(), "%lld.%03d", static_cast<long long>(record.arrival_ms / 1000),
                  static_cast<int>(record.arrival_ms % 1000));
    line_.append(R"(,"approximateArrivalTimestamp":)").append(time.data()).append(R"(,"data":")");
    const std::size_t at = line_.size(), size = codec::base64::encoded_size(record.data.size());
    line_.resize(at + size + codec::base64::kSlack);
    codec::base64::encode(record.data, line_.data() + at);
    line_.resize(at + size);
    line_ += "\"}\n";
    out_ << line_;
  }

  /// What is missing in the output.
  void tell_damage(const journal::Scanned& scanned, const Owners& owners) {
    for (const Finding& finding : damage_) {
      std::string text = finding.file.string() + ": offset " + std::to_string(finding.offset) + ": " + finding.what;
      for (const journal::Part& part : finding.hidden) text += " " + owners.name(part);
      complain(text);
    }
    for (const journal::Damage& damage : scanned.damage) {
      if (const auto kind = directory_.files.kind(damage.file); kind && *kind == Files::Kind::none) continue;
      complain(damage.file.string() + ": offset " + std::to_string(damage.offset) + ": damaged, hides " + damage.hides);
    }
    if (complained_) err_ << "millrace: what is damaged is not in the output; `millrace log verify` tells more\n";
  }

  const LogDirectory& directory_;
  const ExportSelection& selection_;
  Output& out_;
  Output& err_;
  std::uint64_t left_;
  bool complained_ = false;
  std::vector<Finding> damage_;
  std::string line_;
};

}  // namespace

int log_export(const LogDirectory& directory, const ExportSelection& selection, Output& out, Output& err) {
  if (!directory.has_log) return 0;
  return Export(directory, selection, out, err).run();
}

}  // namespace millrace::cli
