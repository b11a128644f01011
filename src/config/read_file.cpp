#include "config/read_file.hpp"

#include <array>
#include <fstream>

namespace millrace::config {

std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max, std::string& why) {
  std::error_code status;
  if (!std::filesystem::exists(path, status)) {
    why = "there is no such file";
    return std::nullopt;
  }
  if (std::filesystem::is_directory(path, status)) {
    why = "is a directory, not a file";
    return std::nullopt;
  }
  // Read in pieces, not by size: /dev/stdin and the like have none.
  std::ifstream in(path, std::ios::binary);
  std::string text;
  std::array<char, 16 * 1024> piece;
  while (in.read(piece.data(), piece.size()), in.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > bytes_max) {
      why = "is larger than " + std::to_string(bytes_max >> 20) + " MiB";
      return std::nullopt;
    }
  }
  if (!in.eof() || in.bad()) {
    why = "cannot be read";
    return std::nullopt;
  }
  return text;
}

}  // namespace millrace::config
