#pragma once
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <map>

#include "millrace/base/files.hpp"
#include "millrace/journal/frame.hpp"

namespace millrace::test {

/// Keys of one byte each, by id; the highest seals all, or what asks for it.
struct SealingKeys final : journal::Keys {
  SealingKeys(std::initializer_list<std::pair<const std::uint32_t, int>> all) : bytes(all) {}
  std::uint32_t current() const noexcept override { return seals && !bytes.empty() ? bytes.rbegin()->first : 0; }
  std::uint32_t newest() const noexcept override { return bytes.empty() ? 0 : bytes.rbegin()->first; }
  std::optional<Key> key(std::uint32_t id) const override {
    const auto found = bytes.find(id);
    if (found == bytes.end()) return std::nullopt;
    Key key;
    key.fill(static_cast<std::byte>(found->second));
    return key;
  }
  std::map<std::uint32_t, int> bytes;
  bool seals = true;
};

/// The files in `directory` that hold the text.
inline std::vector<std::string> files_with(Files& files, const std::filesystem::path& directory,
                                           std::string_view text) {
  std::vector<std::string> found;
  const auto names = *files.list(directory);
  for (const std::string& name : names) {
    const auto bytes = files.read_all(directory / name, std::size_t{1} << 30);
    if (!bytes) {
      EXPECT_EQ(bytes.error().error_number, ENOENT) << "it may have been removed since it was listed, no more";
      continue;
    }
    if (bytes->find(text) != std::string::npos) found.push_back(name);
  }
  return found;
}

}  // namespace millrace::test
