#pragma once
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/seal.hpp"
#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

Error error_of(const FileError& failed);
/// Writes what lies there once more: what a sync that failed earlier left in memory alone comes to the disk.
FileResult<> write_again(File& file, std::uint64_t from, std::uint64_t to);
Error no_key(const std::filesystem::path& path, std::uint32_t key_id);
Error other_key(const std::filesystem::path& path, std::uint32_t key_id);

/// The files of a journal: what there is, what is in them, who reads them, what becomes of them. Thread-safe; footers
/// and what is done to dropped files are the work of one thread.
class Shelf {
 public:
  struct Options {
    std::filesystem::path directory;
    bool index = false;
    std::uint64_t file_bytes = 64u << 20;
    std::size_t handles_max = 32;
    std::size_t list_bytes_max = 4u << 20;  ///< of lists read from footers, kept for the next read
    std::size_t spares_max = 2;
    const Keys* keys = nullptr;
  };
  Shelf(Files& files, Options options, const Scanned& scanned);

  /// From now on commits go to this file.
  void begin(Generation file, std::uint64_t bytes, Lsn previous_end, Lsn follows, bool synced);
  /// What was just kept in it.
  void add(std::span<const Frame> frames, std::span<const Lsn> places);
  void grow(Generation file, std::uint64_t bytes);
  /// How long the footer of the file in use would be with `frames` more in it.
  std::uint64_t footer_bytes(std::uint64_t frames) const;
  /// No commits come any more; what counts ends at `end`. It gets a footer, or goes when there is nothing in it.
  void finish(Generation file, Lsn end, std::shared_ptr<File> handle);
  /// The same, but a sync of it failed: it never gets a footer. What was acknowledged before it was on disk is written
  /// once more, until it is.
  void fail(Generation file, Lsn end);
  /// The same for one that was finished.
  void give_up(Generation file);

  /// Writes the footers that are due. False when one of the files could not be synced: those behind it wait.
  bool write_footers();
  /// The last file, with the journal's end.
  Result<> close(Generation file, Lsn end, std::shared_ptr<File> handle);

  void drop(Generation file);
  void drop_before(Generation file);
  /// Makes a spare of what was dropped, or removes it.
  void reap();
  /// A file to be used again; the caller renames it.
  struct Spare {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
  };
  std::optional<Spare> take_spare();
  void put_spare(Spare spare);
  /// Before the first file is begun: makes a spare of one that was made ahead by an earlier life and not come to.
  bool spare_one_ahead();
  /// The same for a file that is not on the shelf.
  void make_spare(const std::filesystem::path& path, Generation file, std::uint64_t bytes);

  /// While it lives no file goes, also none that is dropped.
  class Held {
   public:
    explicit Held(Shelf& shelf) : shelf_(shelf) { ++shelf_.held_; }
    ~Held() { --shelf_.held_; }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    Shelf& shelf_;
  };
  /// Files that hold something wanted, but for the one in use, in order.
  std::vector<Generation> wanted() const;
  /// Links or copies files that are wanted or were when Held began, what counts of them. To be called with no work on
  /// footers left for them.
  Result<SnapshotFiles> put_into(const std::filesystem::path& directory, std::span<const Generation> wanted);

  std::uint64_t disk_bytes() const noexcept { return disk_bytes_.load(std::memory_order_relaxed); }
  /// Files that are not on the shelf.
  void account(std::int64_t bytes) noexcept { disk_bytes_ += static_cast<std::uint64_t>(bytes); }

  Result<std::vector<Place>> places(Generation file, std::uint64_t log, std::uint64_t from, std::uint64_t bytes_max);
  Result<std::optional<Place>> place_at(Generation file, std::uint64_t log, std::int64_t at_ms);
  void will_read(std::span<const Place> places) noexcept;
  bool will_read(Generation file, std::uint64_t offset, std::uint64_t bytes) noexcept;
  Result<> read(std::span<const Place> places, std::span<char> to, std::size_t* whole);
  std::vector<Scattered> scattered() const;
  void forget_reads(Generation file);
  FileResult<std::uint64_t> free_bytes() { return files_.free_bytes(options_.directory); }

 private:
  // due: to be synced and, with an index, to get a footer; behind: acknowledged, a sync failed, to be written again;
  // indexed: it has a footer; finished: it has none, nor will it get one
  enum class State { open, due, behind, indexed, finished };
  struct Entry {
    std::uint64_t bytes = 0;
    State state = State::finished;
    bool synced = false, dropped = false, moved = false;
    Lsn end, previous_end, follows;
    std::uint64_t frames = 0;
    std::uint64_t excess_bytes = 0;  // of Scattered
    std::shared_ptr<FrameIndex> index;
    std::shared_ptr<File> handle;  // of one that is due
  };
  struct OpenFile {
    std::unique_ptr<File> file;
    std::filesystem::path path;
    std::mutex mutex;
    std::optional<Table> table;
    std::map<std::uint32_t, std::shared_ptr<const FileSealer>> sealers;  // by key
  };
  using List = std::shared_ptr<const std::vector<IndexEntry>>;
  struct KeptList {
    Lsn at;
    List list;
  };

  Result<std::shared_ptr<OpenFile>> open(Generation file);
  /// The rows of `log` in the footer of `file`.
  Result<std::vector<TableRow>> rows(OpenFile& open, Generation file, std::uint64_t log);
  /// What opens payloads of `file` that are sealed by the key.
  Result<std::shared_ptr<const FileSealer>> sealer_of(OpenFile& open, Generation file, std::uint32_t key_id);
  Result<List> list_of(OpenFile& open, const TableRow& row);
  template <class FromIndex, class FromFooter>
  auto look(Generation file, FromIndex&& from_index, FromFooter&& from_footer)
      -> decltype(from_index(std::declval<const FrameIndex&>()));
  /// @param synced  whether what was in the file is on disk; nothing: that was not come to
  FileResult<> write_footer(const FrameIndex& index, const Entry& entry, File& handle, bool closed,
                            std::uint64_t& bytes, std::optional<bool>& synced);
  struct Reads;
  void count(Generation file, const Reads& reads, std::uint64_t fetched_before, std::uint64_t wanted) noexcept;
  bool sync_names();
  bool write_behind(Generation file, Lsn end);
  bool write_due(Generation file, Entry entry);
  /// With mutex_ held: what the file in use came to.
  Entry& ended(Generation file, Lsn end);
  void stop(Entry& entry) noexcept;
  bool needed_by_another(std::map<Generation, Entry>::const_iterator file) const;
  bool reap_one();
  bool remove(Generation file, std::uint64_t bytes);
  bool has_other_names(const std::filesystem::path& path) const;
  FileResult<> put_one(const std::filesystem::path& directory, Generation file, SnapshotFiles& out);
  bool fits_again(std::uint64_t bytes) const noexcept;
  void adopt_spares();
  std::filesystem::path path_of_number(std::string_view prefix, Generation file) const;

  Files& files_;
  const Options options_;
  std::atomic<std::uint64_t> disk_bytes_{0};

  std::atomic<int> held_{0};
  mutable std::mutex mutex_;
  std::map<Generation, Entry> entries_;
  FrameIndex* current_ = nullptr;
  std::vector<Spare> spares_;
  bool names_behind_ = false;  // a file was removed, which is not on disk; of the thread that writes footers

  std::mutex handles_mutex_;                                             // before mutex_
  std::list<std::pair<Generation, std::shared_ptr<OpenFile>>> handles_;  // the latest used first

  std::mutex lists_mutex_;
  std::list<KeptList> lists_;  // the latest used first
  std::size_t list_bytes_ = 0;
};

}  // namespace millrace::journal
