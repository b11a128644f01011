#pragma once
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/head.hpp"
#include "journal/shelf.hpp"
#include "journal/writer.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/random.hpp"
#include "millrace/log/record.hpp"
#include "support/keys.hpp"

/// Journals for fuzz targets: some that the writer itself has written, edits of their bytes that the input describes,
/// and checksums put right behind those, since no fuzzer comes past them by chance.
namespace millrace::fuzz {

using journal::Generation;
using journal::Lsn;

inline const std::filesystem::path kDirectory = "/journal";
inline constexpr std::uint64_t kFileBytes = 12 * 1024;

inline const test::SealingKeys& keys() {
  static const test::SealingKeys all{{1, 17}, {2, 34}};
  return all;
}

/// The files of a directory, by name.
using Image = std::map<std::string, std::string>;

inline Image image_of(Files& files) {
  Image image;
  const auto names = files.list(kDirectory);
  require(static_cast<bool>(names), "a directory is listed");
  for (const std::string& name : *names) image[name] = *files.read_all(kDirectory / name, std::size_t{1} << 30);
  return image;
}
inline std::unique_ptr<MemoryFiles> files_of(const Image& image) {
  auto files = make_memory_files();
  require(static_cast<bool>(files->make_directories(kDirectory)), "a directory is made");
  for (const auto& [name, bytes] : image) {
    auto file = files->create(kDirectory / name);
    const std::array<ByteView, 1> pieces{bytes};
    require(file && (*file)->append(pieces), "a file is made");
  }
  return files;
}

/// A writer and its files, without the threads that a journal has: the same calls give the same bytes.
class Written {
 public:
  struct Options {
    bool sync = true, index = true;
    const journal::Keys* keys = nullptr;
  };
  Written(Files& files, Options options) : files_(files), options_(options) {}

  /// Ends as a crash does, and begins again behind what is found.
  journal::Result<> begin() {
    writer_.reset();
    shelf_.reset();
    const auto scanned =
        options_.index ? journal::scan_index(files_, kDirectory) : journal::scan(files_, kDirectory, [](auto&&...) {});
    if (!scanned) return scanned.error();
    journal::Shelf::Options shelf;
    shelf.directory = kDirectory;
    shelf.index = options_.index;
    shelf.file_bytes = kFileBytes;
    shelf.keys = options_.keys;
    shelf.list_bytes_max = 4 * sizeof(journal::IndexEntry);
    shelf_.emplace(files_, shelf, *scanned);
    journal::Writer::Options writer;
    writer.directory = kDirectory;
    writer.sync = options_.sync;
    writer.file_bytes = kFileBytes;
    writer.keys = options_.keys;
    writer.random = random_.get();
    writer_.emplace(files_, writer, *shelf_, *scanned);
    return writer_->begin(*scanned, now_ms);
  }
  /// @return where the frames lie
  std::vector<Lsn> commit(std::span<const std::pair<journal::Frame, std::string>> frames) {
    std::vector<ByteView> payloads(frames.size());
    std::vector<journal::OutFrame> out(frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) {
      payloads[i] = frames[i].second;
      out[i] = {frames[i].first, std::span(&payloads[i], 1)};
    }
    const auto places = writer_->commit(out, now_ms);
    require(static_cast<bool>(places), "a commit is written");
    std::vector<Lsn> kept(places->begin(), places->end());
    if (options_.index || !options_.sync) (void)writer_->sync_written();
    return kept;
  }
  /// What is not wanted any more goes.
  void reap() { shelf_->reap(); }
  void close() { writer_->close(true); }
  journal::Shelf& shelf() { return *shelf_; }

  std::int64_t now_ms = 1'000;

 private:
  Files& files_;
  const Options options_;
  const std::unique_ptr<Random> random_ = make_seeded_random(7);
  std::optional<journal::Shelf> shelf_;
  std::optional<journal::Writer> writer_;
};

/// A frame of records as a log writes it.
inline std::pair<journal::Frame, std::string> record_frame(std::uint64_t log, std::uint64_t base, std::uint32_t count,
                                                           std::int64_t at_ms, std::size_t data_bytes) {
  journal::Frame frame;
  frame.log = log;
  frame.epoch = 1;
  frame.base = base;
  frame.count = count;
  frame.first_ms = at_ms;
  frame.last_ms = at_ms + count - 1;
  std::string payload;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string key = "k" + std::to_string(base + i);
    const log::RecordHead head{at_ms + i, static_cast<std::uint32_t>(data_bytes),
                               static_cast<std::uint16_t>(key.size()), 0};
    payload.append(reinterpret_cast<const char*>(&head), sizeof head).append(key).append(data_bytes, 'd');
  }
  return {frame, payload};
}

/// What the input begins with: one of these journals.
inline std::vector<Image> make_images() {
  struct Recipe {
    bool sync, index, sealed, closed, again;
  };
  constexpr std::array<Recipe, 6> kRecipes{{
      {true, true, false, true, false},   // footers everywhere
      {true, true, true, false, false},   // sealed, and a tail
      {false, true, false, false, true},  // not synced: a second life
      {true, false, false, false, true},  // without an index, as the state's
      {true, false, true, true, false},   // the same, sealed and closed
      {false, true, true, true, false},   // sealed, not synced
  }};
  std::vector<Image> images;
  for (const Recipe& recipe : kRecipes) {
    const auto files = files_of({});
    Written written(*files, {recipe.sync, recipe.index, recipe.sealed ? &keys() : nullptr});
    require(static_cast<bool>(written.begin()), "a journal begins");
    std::uint64_t next[3] = {0, 1ull << 32, 5};
    for (int i = 0; i < 16; ++i) {
      std::vector<std::pair<journal::Frame, std::string>> frames;
      for (std::uint64_t log = 0; log < 3; ++log) {
        if ((i + log) % 3 == 2) continue;
        const auto count = static_cast<std::uint32_t>(1 + (i + log) % 4);
        frames.push_back(record_frame(log + 1, next[log], count, written.now_ms, log == 2 ? 500 : 20));
        next[log] += count;
      }
      if (i % 5 == 4) {
        journal::Frame state;
        state.kind = i == 9 ? journal::FrameKind::snapshot : journal::FrameKind::change;
        frames.emplace_back(state, "what changed");
      }
      written.commit(frames);
      written.now_ms += 10;
      if (recipe.again && i == 9) require(static_cast<bool>(written.begin()), "a journal goes on");
    }
    if (recipe.closed) written.close();
    images.push_back(image_of(*files));
  }
  return images;
}
inline const Image& image(std::size_t which) {
  static const std::vector<Image> images = make_images();
  return images[which % images.size()];
}

/// A head, or what stands for one in a footer: its numbers are what edits aim at.
struct Site {
  enum class Kind { file_head, commit, frame, entry, row, trailer } kind;
  std::uint64_t at;
};
struct Field {
  std::uint8_t at, bytes;
};
inline std::span<const Field> fields_of(Site::Kind kind) {
  static constexpr std::array<Field, 7> kFileHead{{{4, 4}, {8, 8}, {16, 4}, {20, 4}, {24, 8}, {32, 8}, {40, 8}}};
  static constexpr std::array<Field, 8> kCommit{{{4, 1}, {5, 1}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}}};
  static constexpr std::array<Field, 12> kFrame{
      {{4, 1}, {5, 1}, {6, 2}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 4}, {60, 4}}};
  static constexpr std::array<Field, 8> kEntry{{{0, 4}, {4, 4}, {8, 4}, {12, 4}, {16, 4}, {20, 4}, {24, 8}, {32, 8}}};
  static constexpr std::array<Field, 11> kRow{
      {{0, 8}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 4}, {60, 4}, {64, 4}, {68, 4}}};
  static constexpr std::array<Field, 11> kTrailer{
      {{4, 1}, {5, 1}, {6, 2}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {48, 8}}};
  switch (kind) {
    case Site::Kind::file_head:
      return kFileHead;
    case Site::Kind::commit:
      return kCommit;
    case Site::Kind::frame:
      return kFrame;
    case Site::Kind::entry:
      return kEntry;
    case Site::Kind::row:
      return kRow;
    case Site::Kind::trailer:
      return kTrailer;
  }
  return {};
}

/// Goes through a file by the lengths and counts that stand in it now, whether its checksums are right or not.
template <class Visit>
void each_site(std::string& bytes, Visit&& visit) {
  constexpr std::uint64_t kSitesMax = 1'000;
  const auto aligned = [](std::uint64_t at) { return (at + 7) / 8 * 8; };
  std::uint64_t sites = 0;
  if (bytes.size() < journal::kFileHeadBytes) return;
  visit(Site{Site::Kind::file_head, 0});
  for (std::uint64_t at = journal::kFileHeadBytes; at + journal::kCommitHeadBytes <= bytes.size();) {
    if (bytes[at + 5] != 'C' || ++sites > kSitesMax) {
      at += 8;
      continue;
    }
    visit(Site{Site::Kind::commit, at});
    const auto frames = journal::get<std::uint32_t>(bytes, at + 8),
               length = journal::get<std::uint32_t>(bytes, at + 12);
    std::uint64_t in = at + journal::kCommitHeadBytes;
    for (std::uint32_t i = 0; i < frames && in + journal::kFrameHeadBytes <= bytes.size() && ++sites <= kSitesMax;
         ++i) {
      visit(Site{Site::Kind::frame, in});
      in = aligned(in + journal::kFrameHeadBytes + journal::get<std::uint32_t>(bytes, in + 60));
    }
    at = aligned(at + journal::kCommitHeadBytes + length);
  }
  if (bytes.size() < journal::kFileHeadBytes + journal::kTrailerBytes) return;
  const std::uint64_t trailer = bytes.size() - journal::kTrailerBytes;
  if (bytes[trailer + 5] != 'F') return;
  const std::uint64_t rows = std::min<std::uint64_t>(journal::get<std::uint32_t>(bytes, trailer + 8), 64);
  const std::uint64_t table = trailer - std::min(trailer, rows * journal::kTableRowBytes);
  for (std::uint64_t row = table; row + journal::kTableRowBytes <= trailer; row += journal::kTableRowBytes) {
    const auto list = journal::get<std::uint32_t>(bytes, row + 56),
               entries = journal::get<std::uint32_t>(bytes, row + 60);
    for (std::uint64_t i = 0; i < entries && list + (i + 1) * sizeof(journal::IndexEntry) <= bytes.size(); ++i) {
      if (++sites > kSitesMax) break;
      visit(Site{Site::Kind::entry, list + i * sizeof(journal::IndexEntry)});
    }
    visit(Site{Site::Kind::row, row});
  }
  visit(Site{Site::Kind::trailer, trailer});
}

inline std::uint32_t salted(ByteView bytes, Lsn lsn) {
  const std::uint64_t salt = lsn.get();
  return crc32c(bytes, crc32c({reinterpret_cast<const char*>(&salt), sizeof salt}));
}

/// Makes all checksums right.
/// @param places  also what the file and its heads say of where they lie
inline void repair(Image& image, bool places) {
  for (auto& [name, bytes] : image) {
    const auto generation = journal::generation_in(name);
    if (!generation) continue;
    each_site(bytes, [&, file = &bytes](Site site) {
      std::string& all = *file;
      char* const head = all.data() + site.at;
      const Lsn lsn = journal::make_lsn(*generation, site.at);
      const auto seal = [&](std::size_t size, std::uint64_t salt) {
        journal::put(head, 0, journal::head_checksum(ByteView(head, size), salt));
      };
      switch (site.kind) {
        case Site::Kind::file_head:
          if (places) journal::put(head, 16, generation->get());
          return seal(journal::kFileHeadBytes, 0);
        case Site::Kind::commit:
          if (places) journal::put(head, 16, lsn.get());
          return seal(journal::kCommitHeadBytes, lsn.get());
        case Site::Kind::frame: {
          const std::uint64_t from = site.at + journal::kFrameHeadBytes;
          journal::put(head, 12, crc32c(ByteView(all).substr(from, journal::get<std::uint32_t>(all, site.at + 60))));
          return seal(journal::kFrameHeadBytes, lsn.get());
        }
        case Site::Kind::entry:
          return;
        case Site::Kind::row: {
          const auto list = journal::get<std::uint32_t>(all, site.at + 56);
          const std::uint64_t size =
              std::uint64_t{journal::get<std::uint32_t>(all, site.at + 60)} * sizeof(journal::IndexEntry);
          if (list + size <= all.size())
            journal::put(head, 64, salted(ByteView(all).substr(list, size), journal::make_lsn(*generation, list)));
          return;
        }
        case Site::Kind::trailer: {
          if (places) journal::put(head, 16, lsn.get());
          const std::uint64_t size =
              std::uint64_t{journal::get<std::uint32_t>(all, site.at + 8)} * journal::kTableRowBytes;
          if (size <= site.at)
            journal::put(
                head, 44,
                salted(ByteView(all).substr(site.at - size, size), journal::make_lsn(*generation, site.at - size)));
          return seal(journal::kTrailerBytes, lsn.get());
        }
      }
    });
  }
}

/// A number for a field that holds `now`: small, near to what it is, at the end of what fits, or any.
inline std::uint64_t number_near(Input& input, std::uint64_t now, const std::string& file, Generation generation) {
  const std::uint8_t how = input.byte();
  switch (how >> 5) {
    case 0:
      return how & 31;
    case 1:
      return now + 1 + (how & 31);
    case 2:
      return now - 1 - (how & 31);
    case 3:
      return std::uint64_t{1} << (how & 31) << (input.byte() & 32);
    case 4:
      return UINT64_MAX - (how & 31);
    case 5:
      return journal::make_lsn(Generation{generation.get() + (how & 3) - 1}, input.number(3) % (file.size() + 64))
          .get();
    case 6:
      return file.size() + input.number(2) - 1'024;
    default:
      return input.number();
  }
}

/// Changes the files as the input says, until it ends.
inline void edit(Image& image, Input& input) {
  constexpr std::size_t kFilesMax = 12;
  constexpr std::size_t kBytesMax = 64 * 1024;
  while (!input.empty() && !image.empty()) {
    const std::uint8_t how = input.byte();
    auto at = std::next(image.begin(), static_cast<std::ptrdiff_t>(input.byte() % image.size()));
    const std::string name = at->first;
    const auto named = journal::generation_in(name);
    const Generation generation = named ? *named : Generation{1};
    std::string& bytes = at->second;
    const auto other_name = [&] {
      const auto number = static_cast<std::uint32_t>(number_near(input, generation.get(), bytes, generation));
      return journal::file_path("", Generation{std::max(number, 1u)}).native();
    };
    switch (how % 16) {
      default: {  // a number of a head
        std::vector<Site> sites;
        each_site(bytes, [&](Site site) { sites.push_back(site); });
        if (sites.empty()) break;
        const Site site = sites[input.number(2) % sites.size()];
        const auto fields = fields_of(site.kind);
        const Field field = fields[input.byte() % fields.size()];
        std::uint64_t now = 0;
        std::memcpy(&now, bytes.data() + site.at + field.at, field.bytes);
        const std::uint64_t value = number_near(input, now, bytes, generation);
        std::memcpy(bytes.data() + site.at + field.at, &value, field.bytes);
        break;
      }
      case 8: {  // bytes of a payload, or behind any other head
        std::vector<Site> sites;
        each_site(bytes, [&](Site site) { sites.push_back(site); });
        if (sites.empty()) break;
        const std::uint64_t from = sites[input.number(2) % sites.size()].at + journal::kFrameHeadBytes + input.byte();
        const std::string_view text = input.text(input.byte() % 40);
        if (from + text.size() <= bytes.size()) bytes.replace(from, text.size(), text);
        break;
      }
      case 9: {  // bytes anywhere
        const std::uint64_t from = input.number(3) % (bytes.size() + 1);
        const std::string_view text = input.text(input.byte() % 70);
        bytes.replace(from, std::min(text.size(), bytes.size() - from), text);
        break;
      }
      case 10:  // its end is missing
        bytes.resize(input.number(3) % (bytes.size() + 1));
        break;
      case 11:  // more at its end
        bytes.resize(std::min(kBytesMax, bytes.size() + input.number(2) % 8'192));
        break;
      case 12:
        image.erase(at);
        break;
      case 13: {  // under another number
        auto moved = image.extract(at);
        moved.key() = other_name();
        image.erase(moved.key());
        image.insert(std::move(moved));
        break;
      }
      case 14:  // the same twice
        if (image.size() < kFilesMax) image.insert_or_assign(other_name(), std::string(bytes));
        break;
      case 15: {  // what lies there lies here too
        const std::uint64_t from = input.number(2) * 8 % (bytes.size() + 1),
                            to = input.number(2) * 8 % (bytes.size() + 1);
        const std::string piece = bytes.substr(from, input.number(2));
        bytes.replace(to, std::min(piece.size(), bytes.size() - to), piece);
        bytes.resize(std::min(kBytesMax, bytes.size()));
        break;
      }
    }
  }
}

/// The first byte says which journal, and what is put right when it was changed; the others say how.
struct Journal {
  const Image& before;
  Image image;
  bool repaired;  ///< else what differs from `before` is what a disk could do
};
inline Journal read_journal(Input& input) {
  const std::uint8_t first = input.byte();
  const Image& before = fuzz::image(first & 7);
  Journal journal{before, before, (first & 0x80) != 0};
  edit(journal.image, input);
  if (journal.repaired) repair(journal.image, (first & 0x40) != 0);
  return journal;
}

}  // namespace millrace::fuzz
