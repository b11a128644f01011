// The state's files: frames of changes and snapshots with payloads of the input's making, whose checksums are right.
// The first byte says how the store begins and which journal they lie in. Each frame then has a byte: its kind, whether
// it ends its commit, and whether what follows are items in short, or the payload itself behind its length.
#include <boost/asio/io_context.hpp>

#include "journal_files.hpp"
#include "millrace/base/clock.hpp"
#include "quiet.hpp"
#include "state/contents.hpp"
#include "support/run.hpp"

namespace millrace::fuzz {
namespace {

using journal::Frame;
using journal::FrameKind;
using state::Contents;
using state::Item;
using state::ItemKind;
using state::Read;
using state::Replay;

/// Up to a small one, near the end of what fits, or any.
std::uint64_t item_number(Input& input) {
  const std::uint8_t how = input.byte();
  if (how < 0xe0) return how;
  if (how < 0xf0) return UINT64_MAX - (how & 15);
  return input.number();
}

std::string items(Input& input) {
  static constexpr std::string_view kLong = "0123456789abcdef";
  std::string payload;
  for (int count = input.byte() % 16; count > 0 && !input.empty(); --count) {
    const std::uint8_t how = input.byte();
    const std::string_view key = input.text(how >> 3 & 7);
    const std::string_view value = (how & 0x40) != 0 ? kLong : input.text(how >> 6);
    const std::uint64_t number = item_number(input);
    if ((how & 7) == 5) {
      payload.resize(payload.size() + state::kPartBytes);
      const state::Part part{input.byte(), input.byte()};
      state::encode_part(part, number, payload.data() + payload.size() - state::kPartBytes);
    } else {
      state::append_item(payload, {static_cast<ItemKind>(how & 7), number, key, value});
    }
  }
  return payload;
}

bool same(const Contents& a, const Contents& b) {
  if (a.last_revision() != b.last_revision() || a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, held] : a.entries()) {
    const auto found = b.entries().find(key);
    if (found == b.entries().end() || found->second.value != held.value || found->second.revision != held.revision)
      return false;
  }
  return true;
}

/// What is read is what would be written.
void check_items(ByteView payload) {
  for (Item item;;) {
    const ByteView before = payload;
    if (state::read_item(payload, item) != Read::item) return;
    std::string again;
    state::append_item(again, item);
    require(before.starts_with(again) && before.size() == again.size() + payload.size(),
            "an item is written as it is read");
  }
}

/// A snapshot is what it was made of.
void check_snapshot(const Contents& contents) {
  std::size_t largest = 0;
  for (const auto& [key, held] : contents.entries()) largest = std::max(largest, state::item_bytes(key, held.value));
  const std::size_t room = state::kPartBytes + std::max<std::size_t>(largest, 70'000);
  Replay replay;
  for (const std::string& payload : contents.snapshot(room)) {
    require(payload.size() <= room, "a snapshot's frames have a limit");
    require(!replay.snapshot(payload), "a snapshot is taken");
  }
  require(!replay.inside_snapshot() && same(replay.contents(), contents), "a snapshot holds what it was made of");
  for (const std::string_view name : {"", "a", "n"})
    require(replay.contents().number(name) == contents.number(name), "a snapshot holds all numbers");
}

void use(Files& files, const state::JournalStoreOptions& options, const Contents* expected) {
  static boost::asio::io_context io{1};
  static ManualClock clock;
  std::uint64_t number = 0;
  std::vector<state::Entry> listed;
  {
    auto made = state::make_journal_store(files, clock, options);
    if (!made) {
      require(!expected && !made.error().detail.empty(), "a store begins, or what is damaged is told");
      return;
    }
    state::Store& store = *made->store;
    listed = *test::run(io, store.list(""));
    if (expected) {
      require(made->damage.empty() && listed.size() == expected->entries().size(), "a store has what was written");
      for (const state::Entry& entry : listed)
        require(expected->revision_of(entry.key) == entry.revision, "a store has the revisions that were written");
    }
    const auto given = test::run(io, store.next_number("n"));
    if (given) {
      number = *given;
      require(number > (expected ? expected->number("n") : 0), "a number is not given again");
      require(number > options.numbers_after, "numbers go on behind another life's");
    }
    const auto put = test::run(io, store.put("a", "new"));
    if (!put) return;
    for (const state::Entry& entry : listed) require(entry.revision < *put, "revisions grow");
    const auto there = test::run(io, store.get("a"));
    require(there && *there && (*there)->value == "new" && (*there)->revision == *put, "what is put is there");
  }
  state::JournalStoreOptions again = options;
  again.numbers_after = 0;
  auto made = state::make_journal_store(files, clock, again);
  if (expected) require(made && made->damage.empty(), "a store begins again");
  if (!made) return;
  const auto there = test::run(io, made->store->get("a"));
  require(there && *there && (*there)->value == "new", "what was put is there at the next start");
  const auto given = test::run(io, made->store->next_number("n"));
  require(!given || *given > number, "a number is not given again at the next start");
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::fuzz;
  quiet();
  Input input(data, size);
  const std::uint8_t first = input.byte();
  const bool sealed = (first & 1) != 0;
  const auto files = files_of({});
  Replay replay;
  bool wrong = false;
  {
    Written written(*files, {true, false, sealed ? &keys() : nullptr});
    require(static_cast<bool>(written.begin()), "a journal begins");
    std::vector<std::pair<Frame, std::string>> commit;
    for (int frames = 0; !input.empty() && frames < 64; ++frames) {
      const std::uint8_t how = input.byte();
      Frame frame;
      frame.kind = (how & 7) == 7 ? FrameKind::records : (how & 1) != 0 ? FrameKind::snapshot : FrameKind::change;
      std::string payload = (how & 0x10) != 0 ? std::string(input.text(input.number(2) % 1'024)) : items(input);
      check_items(payload);
      if (frame.kind == FrameKind::change)
        wrong = replay.change(payload).has_value() || wrong;
      else if (frame.kind == FrameKind::snapshot)
        wrong = replay.snapshot(payload).has_value() || wrong;
      else
        wrong = true;
      commit.emplace_back(frame, std::move(payload));
      if ((how & 0x20) == 0) continue;
      written.commit(commit);
      commit.clear();
    }
    if (!commit.empty()) written.commit(commit);
    if ((first & 2) != 0) written.close();
  }
  wrong = wrong || replay.inside_snapshot();
  check_snapshot(replay.contents());

  const auto stored = millrace::state::read_journal(*files, kDirectory, &keys());
  if (!wrong) {
    require(stored && stored->damage.empty() && stored->entries.size() == replay.contents().entries().size(),
            "who looks on sees what was written");
  }
  const auto random = millrace::make_seeded_random(3);
  millrace::state::JournalStoreOptions options;
  options.directory = kDirectory;
  options.file_bytes = kFileBytes;
  options.numbers_after = (first & 4) != 0 ? std::uint64_t{1} << 40 : 0;
  options.serve_damaged = (first & 8) != 0;
  if (sealed) {
    options.keys = &keys();
    options.random = random.get();
  }
  use(*files, options, wrong ? nullptr : &replay.contents());
  return 0;
}
