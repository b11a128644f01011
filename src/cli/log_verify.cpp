#include <algorithm>
#include <set>

#include "cli/log_commands.hpp"
#include "cli/stored_records.hpp"
#include "cli/text.hpp"
#include "millrace/journal/inspect.hpp"

namespace millrace::cli {

namespace {

using journal::Finding;
using journal::Frame;
using journal::FrameKind;

/// What is wrong with the records of a payload whose checksum is right; empty: nothing.
std::string wrong_with(const Frame& frame, ByteView payload) {
  std::int64_t first_ms = frame.first_ms, last_ms = frame.first_ms;
  bool grows = true, first = true;
  const bool whole = each_record(frame, payload, [&](std::uint64_t, const log::RecordView& record) {
    if (std::exchange(first, false)) first_ms = record.arrival_ms;
    grows = grows && record.arrival_ms >= last_ms;
    last_ms = record.arrival_ms;
  });
  if (!whole || frame.count == 0) return "its lengths do not fit together, which hides";
  if (first_ms != frame.first_ms || last_ms != frame.last_ms || !grows)
    return "arrival times are not those that its head tells, of";
  return {};
}

/// What the frames of the log hold; `findings` are beside those of the journal, so many that are told, and more.
class Contents {
 public:
  Contents(const std::filesystem::path& directory, std::size_t findings_told)
      : directory_(directory), findings_told_(findings_told) {}

  void look(const Frame& frame, ByteView payload, journal::Lsn lsn) {
    if (frame.kind != FrameKind::records) return tell(frame, lsn, "holds state, which does not belong here");
    records += frame.count;
    if (!not_plain(frame).empty()) {
      ++closed_frames;
      if (frame.key_id) missing_keys.insert(frame.key_id);
      return;
    }
    if (std::string wrong = wrong_with(frame, payload); !wrong.empty()) tell(frame, lsn, std::move(wrong));
  }

  std::uint64_t records = 0, closed_frames = 0;
  std::set<std::uint32_t> missing_keys;
  std::vector<Finding> findings;
  std::uint64_t more_findings = 0, more_hidden = 0;

 private:
  void tell(const Frame& frame, journal::Lsn lsn, std::string what) {
    if (findings.size() == findings_told_) {
      ++more_findings;
      if (frame.kind == FrameKind::records) more_hidden += std::max(frame.count, 1u);
      return;
    }
    Finding finding{journal::path_of(directory_, journal::generation_of(lsn)),
                    journal::offset_of(lsn),
                    journal::kFrameHeadBytes + frame.length,
                    std::move(what),
                    {}};
    journal::Part part;
    part.log = frame.log;
    part.epoch = frame.epoch;
    part.base = frame.base;
    part.count = std::max(frame.count, 1u);
    if (frame.kind == FrameKind::records) finding.hidden.push_back(part);
    findings.push_back(std::move(finding));
  }

  const std::filesystem::path directory_;
  const std::size_t findings_told_;
};

std::string text_of(const Finding& finding, const Owners& owners) {
  std::string text = finding.file.string() + ": offset " + std::to_string(finding.offset) + ", " +
                     counted(finding.bytes, "byte", "bytes") + ": " + finding.what;
  const char* before = " ";
  for (const journal::Part& part : finding.hidden) text += std::exchange(before, "; ") + owners.name(part);
  return text + "\n";
}

/// One of the two journals.
struct Journal {
  const char* name;
  std::filesystem::path directory;
  journal::Verified verified = {};
};

bool verify(const LogDirectory& directory, Journal& journal, Contents& contents, std::size_t findings_told,
            Output& err) {
  const auto look = [&](const Frame& frame, ByteView payload, journal::Lsn lsn) {
    if (journal.directory == directory.log()) contents.look(frame, payload, lsn);
  };
  auto verified = journal::verify(directory.files, journal.directory, look, directory.keys, findings_told);
  if (!verified) {
    err << "millrace: the " << journal.name << " cannot be verified: " << verified.error().detail << "\n";
    return false;
  }
  journal.verified = std::move(*verified);
  return true;
}

void tell_notes(const LogDirectory& directory, const Journal& journal, Output& out) {
  for (const std::filesystem::path& gone : journal.verified.gone)
    out << gone.string() << ": dropped meanwhile, as nothing in it was wanted any more\n";
  if (journal.verified.unfinished_bytes)
    out << journal.directory.string() << ": " << counted(journal.verified.unfinished_bytes, "byte", "bytes")
        << (directory.running ? " behind the end are being written; they were not looked at\n"
                              : " behind the end count for nothing: their write did not end\n");
}

std::string summary(const Journal& journal) {
  return counted(journal.verified.files, "file", "files") + ", " +
         counted(journal.verified.footers, "footer", "footers") + ", " +
         counted(journal.verified.frames, "frame", "frames");
}

}  // namespace

int log_verify(const LogDirectory& directory, std::size_t findings_told, Output& out, Output& err) {
  if (directory.running) out << directory.path.string() << ": a daemon is running on it\n";
  Journal log{"log journal", directory.log()}, state{"state journal", directory.state()};
  Contents contents(directory.log(), findings_told);
  bool read = true;
  if (directory.has_log) read = verify(directory, log, contents, findings_told, err);
  if (directory.has_state) read = verify(directory, state, contents, findings_told, err) && read;
  const Owners owners = Owners::of(directory);
  if (owners.trouble() && read) {
    err << "millrace: the state cannot be read: " << *owners.trouble() << "\n";
    read = false;
  }

  std::vector<Finding> findings = std::move(log.verified.findings);
  for (Finding& finding : contents.findings)
    if (std::find(log.verified.gone.begin(), log.verified.gone.end(), finding.file) == log.verified.gone.end())
      findings.push_back(std::move(finding));
  std::uint64_t hidden = log.verified.more_hidden + contents.more_hidden;
  for (const Finding& finding : findings) {
    out << text_of(finding, owners);
    for (const journal::Part& part : finding.hidden) hidden += part.count;
  }
  const std::uint64_t more = log.verified.more_findings + contents.more_findings;
  if (more) out << "and " << counted(more, "more place", "more places") << "\n";
  // What a later snapshot takes the place of is no damage: the state is whole without it.
  for (const std::string& damage : owners.damage()) out << damage << "\n";
  tell_notes(directory, log, out);
  tell_notes(directory, state, out);
  if (contents.closed_frames)
    out << counted(contents.closed_frames, "frame is", "frames are")
        << " sealed: the checksums are right, the records were not looked at\n";
  if (!contents.missing_keys.empty()) out << "To look at them, " << keys_needed(contents.missing_keys);

  const std::uint64_t damaged = findings.size() + more + owners.damage().size();
  out << "log: " << summary(log) << ", " << counted(contents.records, "record", "records")
      << "; state: " << summary(state) << ", " << counted(owners.streams().size(), "stream", "streams") << ": ";
  if (!read) {
    out << "not all of it could be read\n";
    return kUnreadable;
  }
  if (damaged == 0) {
    out << "sound\n";
    return 0;
  }
  out << counted(damaged, "place is", "places are") << " damaged, "
      << (hidden ? counted(hidden, "record is", "records are") + " known to be concerned"
                 : "no record is known to be lost")
      << "\n";
  return kDamaged;
}

}  // namespace millrace::cli
