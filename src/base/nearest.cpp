#include "millrace/base/nearest.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>
#include <vector>

namespace millrace {

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t kWordBytesMax = 64;
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::string_view best;
  std::size_t best_distance = 3;  // more changes than two are another word
  if (word.size() > kWordBytesMax) return best;
  // What it costs to make the first i characters of the word the first j of a candidate: to add, to leave out or to
  // change a character, or to swap two neighbours. The rows of i, i - 1 and i - 2.
  std::vector<std::size_t> row, above, two_above;
  for (std::string_view candidate : candidates) {
    row.resize(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      two_above = std::exchange(above, row);
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const bool same = lower(word[i - 1]) == lower(candidate[j - 1]);
        row[j] = std::min({above[j - 1] + (same ? 0 : 1), above[j] + 1, row[j - 1] + 1});
        if (i > 1 && j > 1 && lower(word[i - 1]) == lower(candidate[j - 2]) &&
            lower(word[i - 2]) == lower(candidate[j - 1]))
          row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
    if (row.back() < best_distance && row.back() < candidate.size()) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace millrace
