#include "millrace/base/write_synced.hpp"

#include <array>

namespace millrace {

FileResult<> write_synced(Files& files, const std::filesystem::path& path, std::string_view text) {
  auto file = files.create(path);
  if (!file) return file.error();
  const std::array<ByteView, 1> pieces{text};
  if (auto written = (*file)->append(pieces); !written) return written;
  return (*file)->sync();
}

}  // namespace millrace
