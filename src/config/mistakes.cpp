#include "config/mistakes.hpp"

#include <algorithm>
#include <limits>

#include "millrace/base/printable.hpp"

namespace millrace::config {
namespace {

constexpr std::size_t kToldMax = 50;
constexpr std::size_t kKeptMax = 1000;  // they come about in the order in which they are told
constexpr std::size_t kLineBytesMax = 1000;

}  // namespace

void Mistakes::put(std::size_t line, std::string text) {
  if (all_.size() < kKeptMax)
    all_.push_back({line, printable(text, kLineBytesMax)});
  else
    ++not_kept_;
}

void Mistakes::add(std::size_t line, std::string_view key, std::string_view what) {
  std::string text = file_.string();
  if (line > 0) text += ":" + std::to_string(line);
  if (!text.empty()) text += ": ";
  if (!key.empty()) text.append(key).append(": ");
  put(line, std::move(text.append(what)));
}

void Mistakes::add_at(std::size_t line, std::size_t column, std::string_view what) {
  std::string text = file_.string() + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  put(line, std::move(text.append(what)));
}

void Mistakes::add_elsewhere(std::string_view lines) {
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    put(std::numeric_limits<std::size_t>::max(), std::string(lines.substr(0, end)));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
}

Error Mistakes::error() const {
  std::vector<Mistake> ordered = all_;
  std::stable_sort(ordered.begin(), ordered.end(), [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
  std::string detail;
  for (std::size_t i = 0; i < ordered.size() && i < kToldMax; ++i) detail.append(i ? "\n" : "").append(ordered[i].text);
  const std::size_t count = ordered.size() + not_kept_;
  if (count > kToldMax) detail += "\nand " + std::to_string(count - kToldMax) + " more";
  return {{Errc::invalid, std::move(detail)}, count};
}

}  // namespace millrace::config
